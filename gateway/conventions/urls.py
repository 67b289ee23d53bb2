"""Addresses that clients' tools know from other gateways."""

from django.urls import URLPattern, path

from gateway.conventions import dashboard, new_api, openrouter, organization


def _both(address: str, view: object, name: str, *more: str) -> list[URLPattern]:
    """The same under every way tools write it, also with a slash at the end."""
    addresses = [address, *more]
    return [path(f"{one}{end}", view, name=name) for one in addresses for end in ("", "/")]  # type: ignore[call-overload,misc]


def _entry(address: str) -> tuple[str, str]:
    return f"v1/{address}", f"api/v1/{address}"


urlpatterns: list[URLPattern] = [
    *_both(
        "dashboard/billing/subscription",
        dashboard.subscription,
        "billing_subscription",
        *_entry("dashboard/billing/subscription"),
    ),
    *_both("dashboard/billing/usage", dashboard.usage, "billing_usage", *_entry("dashboard/billing/usage")),
    *_both("api/v1/key", openrouter.key, "openrouter_key", "v1/key", *_entry("auth/key")),
    *_both("api/v1/credits", openrouter.credits_left, "openrouter_credits", "v1/credits"),
    *_both("api/v1/generation", openrouter.generation, "openrouter_generation", "v1/generation"),
    *_both("v1/organization/costs", organization.costs, "organization_costs", "api/v1/organization/costs"),
    *_both(
        "v1/organization/usage/<str:kind>", organization.usage, "organization_usage", "api/v1/organization/usage/<str:kind>"
    ),
    *_both("api/status", new_api.status, "new_api_status"),
    *_both("api/pricing", new_api.pricing, "new_api_pricing"),
    *_both("api/user/self", new_api.user_self, "new_api_user_self"),
    *_both("api/user/models", new_api.user_models, "new_api_user_models"),
    *_both("api/token", new_api.token_list, "new_api_token_list"),
    *_both("api/usage/token", new_api.token_usage, "new_api_token_usage"),
    *_both("api/log/token", new_api.log_token, "new_api_log_token"),
    *_both("api/log/self", new_api.log_self, "new_api_log_self"),
    *_both("api/log/self/stat", new_api.log_self_stat, "new_api_log_self_stat"),
]
