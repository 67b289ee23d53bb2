"""The user's side of New API as desktop and browser tools ask for it, in quota units of 500,000 to the dollar.

New API asks for a management token there; here it is an API key of the person or team whose figures are wanted. Keys are
changed in the portal, not here. Source of the shapes: controllers ``user``, ``token``, ``log`` and ``pricing`` of New API.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from fractions import Fraction
from typing import Any

from django.conf import settings
from django.db.models import Count, QuerySet, Sum
from django.http import HttpRequest, JsonResponse
from django.views.decorators.http import require_safe

from billing.catalogue import ModelRow, models_of_group
from billing.models import RequestLog
from config.foundation.clock import now
from config.foundation.outcomes import Outcome
from gateway.conventions.caller import Caller, for_key, new_api_refusal, whole_number
from gateway.conventions.figures import (
    QUOTA_PER_UNIT,
    balance_of_payer,
    calls_of_payer,
    keys_of_payer,
    money_of_key,
    quota,
    spent_by_payer,
)
from gateway.selectors import models_of_key
from keys import allowance
from keys.models import ApiKey
from keys.selectors import is_living, standing_of

MOST_ROWS = 10_000
LATEST = 1_000
# New API's base: a ratio of 1 is 2 dollars for a million tokens.
NANO_PER_RATIO = 2_000_000_000
STATES = {"active": 1, "expiring": 1, "old": 1, "disabled": 2, "revoked": 2, "closed": 2, "expired": 3}


@require_safe
def status(request: HttpRequest) -> JsonResponse:
    """Public: how to read the figures."""
    address = settings.PUBLIC_URL.rstrip("/")
    data = {
        "version": "gateway-portal",
        "system_name": "Gateway portal",
        "server_address": address,
        "quota_per_unit": QUOTA_PER_UNIT,
        "display_in_currency": True,
        "quota_display_type": "USD",
        "top_up_link": f"{address}/billing/",
        "docs_link": f"{address}/set-up/",
    }
    return JsonResponse({"success": True, "message": "", "data": data})


@for_key(new_api_refusal)
def user_self(request: HttpRequest, caller: Caller) -> JsonResponse:
    person, team = caller.person, caller.team
    return _ok(
        {
            "id": person.pk if person else team.pk,  # type: ignore[union-attr]
            "username": person.username if person else team.code,  # type: ignore[union-attr]
            "display_name": (person.display_name or person.username) if person else team.name,  # type: ignore[union-attr]
            "role": 1,
            "status": 1,
            "group": caller.group.code if caller.group else "",
            "quota": quota(balance_of_payer(caller).available_nano),
            "used_quota": quota(spent_by_payer(caller)),
            "request_count": calls_of_payer(caller)[:MOST_ROWS].count(),
        }
    )


@for_key(new_api_refusal)
def user_models(request: HttpRequest, caller: Caller) -> JsonResponse:
    return _ok(models_of_key(caller.view))


@for_key(new_api_refusal)
def token_list(request: HttpRequest, caller: Caller) -> JsonResponse:
    page, size = _place(request)
    keys = keys_of_payer(caller)
    rows = list(keys[(page - 1) * size : page * size])
    allowances = allowance.read([key.pk for key in rows])
    left = max(0, balance_of_payer(caller).available_nano)
    items = [_token(key, allowances.get(key.pk, allowance.Allowance()), left, caller) for key in rows]
    return _ok({"page": page, "page_size": size, "total": keys.count(), "items": items})


def _token(key: ApiKey, spent: allowance.Allowance, payer_left: int, caller: Caller) -> dict[str, Any]:
    at = now()
    tails = [secret.tail for secret in key.secrets.all() if is_living(secret, at)]
    group = key.group or caller.group
    return {
        "id": key.pk,
        "user_id": key.owner_id or key.team_id,
        "name": key.name,
        "key": f"****{tails[0]}" if tails else "",
        "status": STATES.get(standing_of(key).code, 2),
        "created_time": _seconds(key.created_at),
        "accessed_time": _seconds(key.last_used_at) if key.last_used_at else 0,
        "expired_time": _seconds(key.expires_at) if key.expires_at else -1,
        "unlimited_quota": spent.limit_nano is None,
        "remain_quota": quota(payer_left if spent.left_nano is None else spent.left_nano),
        "used_quota": quota(spent.spent_nano),
        "model_limits_enabled": key.allowed_models is not None,
        "model_limits": ",".join(key.allowed_models or ()),
        "allow_ips": "\n".join(key.networks),
        "group": group.code if group else "",
    }


@for_key(new_api_refusal)
def token_usage(request: HttpRequest, caller: Caller) -> JsonResponse:
    money = money_of_key(caller)
    granted = money.spent_nano + money.left_nano if money.limit_nano is None else money.limit_nano
    names = caller.key.allowed_models
    data = {
        "object": "token_usage",
        "name": caller.key.name,
        "total_granted": quota(granted),
        "total_used": quota(money.spent_nano),
        "total_available": quota(money.left_nano),
        "unlimited_quota": money.limit_nano is None,
        "model_limits": dict.fromkeys(names or (), True),
        "model_limits_enabled": names is not None,
        "expires_at": _seconds(caller.key.expires_at) if caller.key.expires_at else 0,
    }
    return JsonResponse({"code": True, "message": "ok", "data": data})


@for_key(new_api_refusal)
def log_token(request: HttpRequest, caller: Caller) -> JsonResponse:
    """The last calls of this one key."""
    return _ok(_logs(calls_of_payer(caller).filter(key_id=caller.key.pk)[:LATEST], caller))


@for_key(new_api_refusal)
def log_self(request: HttpRequest, caller: Caller) -> JsonResponse:
    page, size = _place(request)
    calls = _filtered(request, caller)
    total = calls[:MOST_ROWS].count()
    first = (page - 1) * size
    rows = _logs(calls[first : first + size], caller) if first < MOST_ROWS else []
    return _ok({"page": page, "page_size": size, "total": total, "items": rows})


@for_key(new_api_refusal)
def log_self_stat(request: HttpRequest, caller: Caller) -> JsonResponse:
    """What the filtered calls cost, and calls and tokens of the last minute."""
    cost = _filtered(request, caller).aggregate(n=Sum("cost_nano"))["n"] or 0
    moment = datetime.fromtimestamp(now().timestamp() - 60, UTC)
    minute = calls_of_payer(caller, moment).aggregate(
        calls=Count("id"), input_tokens=Sum("input_tokens"), output_tokens=Sum("output_tokens")
    )
    tokens = (minute["input_tokens"] or 0) + (minute["output_tokens"] or 0)
    return _ok({"quota": quota(int(cost)), "rpm": minute["calls"], "tpm": tokens})


def _filtered(request: HttpRequest, caller: Caller) -> QuerySet[RequestLog]:
    since = whole_number(request, "start_timestamp", 0, 0, 2**40)
    until = whole_number(request, "end_timestamp", 0, 0, 2**40)
    calls = calls_of_payer(
        caller, datetime.fromtimestamp(since, UTC) if since else None, datetime.fromtimestamp(until, UTC) if until else None
    )
    if request.GET.get("token_name"):
        calls = calls.filter(key_name=request.GET["token_name"][:191])
    if request.GET.get("model_name"):
        calls = calls.filter(asked_model=request.GET["model_name"][:255])
    kind = whole_number(request, "type", 0, 0, 9)
    if kind == 2:
        return calls.filter(outcome=Outcome.OK)
    if kind == 5:
        return calls.exclude(outcome=Outcome.OK)
    return calls.none() if kind else calls


def _logs(calls: Iterable[RequestLog], caller: Caller) -> list[dict[str, Any]]:
    name = caller.person.username if caller.person else caller.team.code  # type: ignore[union-attr]
    return [
        {
            "id": int(call.started_at.timestamp() * 1000),
            "request_id": call.id.hex,
            "user_id": call.user_id or 0,
            "created_at": _seconds(call.started_at),
            "type": 2 if call.outcome == Outcome.OK else 5,
            "content": "" if call.outcome == Outcome.OK else call.error_code,
            "username": name,
            "token_name": call.key_name,
            "token_id": call.key_id or 0,
            "model_name": call.asked_model,
            "quota": quota(call.cost_nano),
            "prompt_tokens": call.input_tokens,
            "completion_tokens": call.output_tokens,
            "use_time": call.duration_ms // 1000,
            "is_stream": call.is_stream,
            "group": call.group_code,
            "channel": 0,
            "ip": "",
            "other": "",
        }
        for call in calls
    ]


@for_key(new_api_refusal)
def pricing(request: HttpRequest, caller: Caller) -> JsonResponse:
    """What each model costs this payer, in New API's ratios; the payer's multiplier is inside, so the group's is 1."""
    code = caller.group.code if caller.group else "default"
    rows = [_price(row, code) for row in models_of_group(caller.group) if row.basis]
    return JsonResponse(
        {
            "success": True,
            "data": rows,
            "group_ratio": {code: 1},
            "usable_group": {code: code},
            "auto_groups": [],
            "vendors": [],
        }
    )


def _price(row: ModelRow, code: str) -> dict[str, Any]:
    fresh, output = row.input_nano or 0, row.output_nano or 0
    # A model that is paid by the image or the second is told as one with a fixed price; without, it would look free.
    by_call = row.basis == "call" or not row.counts_tokens
    fixed = row.call_nano or min(row.others.values(), default=0)
    return {
        "model_name": row.model.name,
        "quota_type": 1 if by_call else 0,
        "model_ratio": 0 if by_call else float(Fraction(fresh, NANO_PER_RATIO)),
        "model_price": float(Fraction(fixed, 10**9)) if by_call else 0,
        "completion_ratio": float(Fraction(output, fresh)) if fresh and not by_call else 0,
        "cache_ratio": float(Fraction(row.cached_nano or 0, fresh)) if fresh and not by_call else 0,
        "owner_by": "",
        "enable_groups": [code],
        "supported_endpoint_types": ["openai"],
    }


def _place(request: HttpRequest) -> tuple[int, int]:
    """Page (from 1; 0 is the first as well) and rows on it, under any of the names that New API takes."""
    page = max(1, whole_number(request, "p", whole_number(request, "page", 1, 0, 10**6), 0, 10**6))
    size = next((name for name in ("page_size", "ps", "size") if request.GET.get(name)), "page_size")
    return page, min(100, whole_number(request, size, 10, 1, 10**6))


def _ok(data: Any) -> JsonResponse:
    return JsonResponse({"success": True, "message": "", "data": data})


def _seconds(moment: datetime) -> int:
    return int(moment.timestamp())
