"""OpenRouter's ``/api/v1/key``, ``/credits`` and ``/generation``. Windows are UTC, weeks begin on Monday, as there."""

from datetime import UTC, datetime, timedelta
from typing import Any

from django.http import HttpRequest, JsonResponse

from billing.selectors.calls import parse_request_id
from config.foundation.clock import now
from config.foundation.outcomes import Outcome
from gateway.contract.types import Denial
from gateway.conventions.caller import Caller, for_key, openai_refusal
from gateway.conventions.figures import balance_of_payer, calls_of_payer, money_of_key, spent_by_payer, spent_since, usd

NO_SUCH_CALL = Denial(
    Outcome.CLIENT_ERROR, 404, "not_found", "There is no such call of this payer. Send the x-request-id of an answer."
)


@for_key(openai_refusal)
def key(request: HttpRequest, caller: Caller) -> JsonResponse:
    money = money_of_key(caller)
    today = now().astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    expires = caller.key.expires_at
    data = {
        "label": f"sk-...{caller.view.tail}",
        "name": caller.key.name,
        "limit": None if money.limit_nano is None else usd(money.limit_nano),
        "limit_remaining": None if money.limit_nano is None else usd(money.left_nano),
        "limit_reset": None,
        "usage": usd(money.spent_nano),
        "usage_daily": usd(spent_since(caller.key.pk, today)),
        "usage_weekly": usd(spent_since(caller.key.pk, today - timedelta(days=today.weekday()))),
        "usage_monthly": usd(spent_since(caller.key.pk, today.replace(day=1))),
        "is_free_tier": False,
        "is_management_key": False,
        "is_provisioning_key": False,
        "expires_at": expires.isoformat() if expires else None,
    }
    return JsonResponse({"data": data})


@for_key(openai_refusal)
def credits_left(request: HttpRequest, caller: Caller) -> JsonResponse:
    """The balance is ``total_credits - total_usage``."""
    spent = spent_by_payer(caller)
    total = spent + balance_of_payer(caller).available_nano
    return JsonResponse({"data": {"total_credits": usd(total), "total_usage": usd(spent)}})


@for_key(openai_refusal)
def generation(request: HttpRequest, caller: Caller) -> JsonResponse:
    """One call by the id in its ``x-request-id``. Who served it is not told."""
    wanted = parse_request_id(request.GET.get("id", ""))
    call = calls_of_payer(caller).filter(id=wanted).first() if wanted else None
    if call is None:
        return openai_refusal(NO_SUCH_CALL)
    data: dict[str, Any] = {
        "id": call.id.hex,
        "request_id": call.id.hex,
        "model": call.billed_model or call.asked_model,
        "created_at": _iso(call.started_at),
        "total_cost": usd(call.cost_nano),
        "usage": usd(call.cost_nano),
        "tokens_prompt": call.input_tokens,
        "tokens_completion": call.output_tokens,
        "native_tokens_prompt": call.input_tokens,
        "native_tokens_completion": call.output_tokens,
        "native_tokens_cached": call.cached_tokens,
        "native_tokens_reasoning": call.reasoning_tokens,
        "latency": call.first_token_ms if call.first_token_ms is not None else call.duration_ms,
        "generation_time": call.duration_ms,
        "streamed": call.is_stream,
        "cancelled": call.outcome == Outcome.CANCELLED,
        "is_byok": False,
        "provider_name": None,
        "upstream_id": None,
    }
    return JsonResponse({"data": data})


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat()
