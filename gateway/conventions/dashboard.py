"""``/dashboard/billing/...``: the old OpenAI billing pages as One API and New API kept them, and so their clients.

Always US dollars, always both terms, true HTTP status codes. As at the old gateways the dates are not looked at: clients
show ``hard_limit_usd - total_usage / 100`` as what is left, which holds only for the whole life of a key.
"""

from django.http import HttpRequest, JsonResponse

from gateway.conventions.caller import Caller, for_key, openai_refusal
from gateway.conventions.figures import money_of_key, usd


@for_key(openai_refusal)
def subscription(request: HttpRequest, caller: Caller) -> JsonResponse:
    money = money_of_key(caller)
    limit = usd(money.spent_nano + money.left_nano)
    expires = caller.key.expires_at
    return JsonResponse(
        {
            "object": "billing_subscription",
            "has_payment_method": True,
            "soft_limit_usd": limit,
            "hard_limit_usd": limit,
            "system_hard_limit_usd": limit,
            "access_until": int(expires.timestamp()) if expires else 0,
        }
    )


@for_key(openai_refusal)
def usage(request: HttpRequest, caller: Caller) -> JsonResponse:
    """``total_usage`` is in cents."""
    return JsonResponse({"object": "list", "total_usage": round(usd(money_of_key(caller).spent_nano) * 100, 7)})
