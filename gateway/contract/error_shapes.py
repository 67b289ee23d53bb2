"""Error bodies in the shape a consumer reads: the portal's own, or the old gateway's it was written for.

A profile is chosen for a key, a group or everybody; it changes status, code and text of a refusal, never what is decided or
logged. ``SHAPES`` is the whole map: by our code, what One API and New API answered in that case. Sources: middleware, relay
and controller code of both products. Old texts that named a group or a network are told without them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from gateway.contract.endpoints import Protocol
from gateway.contract.failure_text import failure_text
from gateway.contract.types import Denial

OPENAI_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "insufficient_quota",
    403: "permission_error",
    404: "invalid_request_error",
    405: "invalid_request_error",
    410: "invalid_request_error",
    413: "invalid_request_error",
    415: "invalid_request_error",
    429: "rate_limit_error",
}
ANTHROPIC_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    405: "invalid_request_error",
    410: "not_found_error",
    413: "request_too_large",
    415: "invalid_request_error",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
}
PORTAL, ONE_API, NEW_API = "portal", "one_api", "new_api"


@dataclass(frozen=True, slots=True)
class Old:
    """What an old gateway answered; ``code`` None: its body had no code at all."""

    status: int
    code: str | None
    text: str


_NO_CHANNEL = Old(503, None, "当前分组下对于模型 {model} 无可用渠道")
_BAD_TEXT = Old(400, "invalid_text_request", "invalid text request")
_FAILED = Old(500, "do_request_failed", "do request failed")
_ONE_API: Mapping[str, Old] = {
    "missing_api_key": Old(401, None, "未提供令牌"),
    "invalid_api_key": Old(401, None, "无效的令牌"),
    "api_key_expired": Old(401, None, "该令牌已过期"),
    "api_key_disabled": Old(401, None, "该令牌状态不可用"),
    "network_not_allowed": Old(403, None, "该令牌只能在指定网段使用"),
    "account_disabled": Old(403, None, "用户已被封禁"),
    "channel_pin_not_allowed": Old(403, None, "普通用户不支持指定渠道"),
    "model_not_allowed_for_key": Old(403, None, "该令牌无权使用模型：{model}"),
    "model_not_found": _NO_CHANNEL,
    "model_not_available_for_group": _NO_CHANNEL,
    "model_not_priced": _NO_CHANNEL,
    "model_unavailable": _NO_CHANNEL,
    "group_not_allowed": _NO_CHANNEL,
    "insufficient_quota": Old(403, "insufficient_user_quota", "user quota is not enough"),
    "key_limit_reached": Old(403, "pre_consume_token_quota_failed", "令牌额度不足"),
    "upstream_rate_limited": Old(429, "rate_limit_exceeded", "当前分组上游负载已饱和，请稍后再试"),
    "upstream_error": _FAILED,
    "upstream_timeout": _FAILED,
    "model_required": Old(400, "invalid_text_request", "model is required"),
    "invalid_json": _BAD_TEXT,
    "invalid_form": Old(400, "invalid_image_request", "invalid image request"),
    "not_found": Old(404, "", "Invalid URL"),
    "method_not_allowed": Old(404, "", "Invalid URL"),
    "realtime_not_supported": Old(404, "", "Invalid URL"),
    "internal_error": Old(500, None, "internal error"),
}
_NEW_TOKEN = Old(401, "", "Invalid token")
_NEW_CHANNEL = Old(503, "model_not_found", "No available channel for model {model} (distributor)")
_NEW_FAILED = Old(500, "do_request_failed", "upstream error: do request failed")
_NEW_INVALID = Old(500, "invalid_request", "invalid request")
_NEW_BUSY = Old(429, "", "您已达到请求数限制")
_NEW_API: Mapping[str, Old] = {
    "missing_api_key": _NEW_TOKEN,
    "invalid_api_key": _NEW_TOKEN,
    "api_key_expired": _NEW_TOKEN,
    "api_key_disabled": _NEW_TOKEN,
    "network_not_allowed": Old(403, "access_denied", "您的 IP 不在令牌允许访问的列表中"),
    "account_disabled": Old(403, "", "user banned"),
    "group_not_allowed": Old(403, "", "无权访问该分组"),
    "channel_pin_not_allowed": Old(403, "", "普通用户不支持指定渠道"),
    "model_not_allowed_for_key": Old(403, "", "This token has no access to model {model}"),
    "model_not_found": _NEW_CHANNEL,
    "model_not_available_for_group": _NEW_CHANNEL,
    "model_unavailable": _NEW_CHANNEL,
    "model_not_priced": Old(400, "model_price_error", "model {model} has no price"),
    "insufficient_quota": Old(403, "insufficient_user_quota", "用户额度不足"),
    "key_limit_reached": Old(403, "pre_consume_token_quota_failed", "token quota is not enough"),
    "requests_per_minute_exceeded": _NEW_BUSY,
    "tokens_per_minute_exceeded": _NEW_BUSY,
    "parallel_calls_exceeded": _NEW_BUSY,
    "upstream_rate_limited": Old(429, "bad_response_status_code", "bad response status code 429"),
    "upstream_error": _NEW_FAILED,
    "upstream_timeout": _NEW_FAILED,
    "model_required": _NEW_INVALID,
    "invalid_json": _NEW_INVALID,
    "invalid_form": _NEW_INVALID,
    "request_too_large": Old(413, "read_request_body_failed", "request body too large"),
    "service_unavailable": Old(500, "", "database error"),
    "not_found": Old(404, "", "Invalid URL"),
    "method_not_allowed": Old(404, "", "Invalid URL"),
    "realtime_not_supported": Old(404, "", "Invalid URL"),
}
SHAPES: Mapping[str, Mapping[str, Old]] = {ONE_API: _ONE_API, NEW_API: _NEW_API}
_TYPES = {ONE_API: "one_api_error", NEW_API: "new_api_error"}


def status_of(denial: Denial, profile: str) -> int:
    """The HTTP status this consumer gets."""
    old = SHAPES[profile].get(denial.code) if profile in SHAPES else None
    return old.status if old else denial.http_status


def retries(status: int) -> bool:
    """Whether OpenAI's and Anthropic's SDKs try again by themselves after this status."""
    return status in {408, 409, 429} or status >= 500


def error_value(
    denial: Denial,
    *,
    dialect: Protocol,
    request_id: str,
    param: str | None = None,
    profile: str = PORTAL,
    language: str = "en",
) -> dict[str, Any]:
    """The body as a value. Every shape is one that its SDKs read; a code is in all that had one."""
    if profile in SHAPES:
        return _old_value(denial, profile, dialect, request_id, param)
    message = failure_text(denial, language, request_id)
    if dialect == "anthropic":
        kind = ANTHROPIC_TYPES.get(denial.http_status, "api_error")
        error: dict[str, Any] = {"type": kind, "message": message, "code": denial.code}
    else:
        kind = OPENAI_TYPES.get(denial.http_status, "api_error")
        error = {"message": message, "type": kind, "param": param, "code": denial.code}
    if denial.limit_of:
        error["limit_of"] = denial.limit_of
    if "allowed" in denial.values:
        error["allowed"] = denial.values["allowed"]
    if denial.provider_message:
        error["provider_message"] = denial.provider_message
    return {"type": "error", "error": error, "request_id": request_id} if dialect == "anthropic" else {"error": error}


def error_body(denial: Denial, **named: Any) -> bytes:
    """``error_value`` as bytes. It never holds what the client sent, except a model's name."""
    return orjson.dumps(error_value(denial, **named))


def _old_value(denial: Denial, profile: str, dialect: Protocol, request_id: str, param: str | None) -> dict[str, Any]:
    old = SHAPES[profile].get(denial.code)
    text = old.text.format(model=denial.values.get("name", "")) if old else denial.provider_message or denial.message
    message = f"{text} (request id: {request_id})"
    code = old.code if old else denial.code
    kind = "invalid_request_error" if denial.http_status == 404 and code == "" else _TYPES[profile]
    if dialect == "anthropic" and profile == NEW_API:
        return {"type": "error", "error": {"type": kind, "message": message}}
    error: dict[str, Any] = {"message": message, "type": kind}
    if code is not None:
        error |= {"param": param or "", "code": code}
    return {"error": error}
