"""Every refusal the unified entry gives by itself: one outcome class, one status and one stable code each."""

from dataclasses import replace
from datetime import datetime
from zoneinfo import ZoneInfo

from django.utils.translation import gettext_noop

from config.foundation.outcomes import Outcome
from gateway.contract.types import Denial


def _denial(outcome: Outcome, http_status: int, code: str, template: str, limit_of: str = "", **values: object) -> Denial:
    """``template`` names its values as %(name)s; see ``failure_text`` for the languages it is told in."""
    return Denial(outcome, http_status, code, template % values if values else template, limit_of, template, values)


MISSING_KEY = _denial(
    Outcome.BAD_KEY,
    401,
    "missing_api_key",
    gettext_noop("No API key was sent. Send it as 'Authorization: Bearer <key>' or 'x-api-key: <key>'."),
)
INVALID_KEY = _denial(
    Outcome.BAD_KEY,
    401,
    "invalid_api_key",
    gettext_noop("This API key is not accepted. Check it, or issue a new one in the portal."),
)
KEY_DISABLED = _denial(
    Outcome.BAD_KEY,
    401,
    "api_key_disabled",
    gettext_noop("This API key is disabled. Enable it in the portal, or use another one."),
)
KEY_EXPIRED = _denial(
    Outcome.BAD_KEY, 401, "api_key_expired", gettext_noop("This API key has expired. Issue a new one in the portal.")
)
KEY_PAUSED = _denial(
    Outcome.NO_RIGHTS,
    403,
    "key_paused",
    gettext_noop(
        "This API key is paused because its spend rose far above its own usual. Look at it and resume it in the portal."
    ),
)
KEY_CLOSED = _denial(
    Outcome.NO_RIGHTS,
    403,
    "key_closed",
    gettext_noop("This API key is closed at this address. Ask your administrator where to call now."),
)
ACCOUNT_DISABLED = _denial(
    Outcome.NO_RIGHTS,
    403,
    "account_disabled",
    gettext_noop("The account behind this API key is not active. Ask your administrator."),
)
NETWORK_NOT_ALLOWED = _denial(
    Outcome.NO_RIGHTS,
    403,
    "network_not_allowed",
    gettext_noop(
        "This API key may not be used from your network. Change its networks in the portal, or call from an allowed one."
    ),
)
CHANNEL_PIN_NOT_ALLOWED = _denial(
    Outcome.NO_RIGHTS,
    403,
    "channel_pin_not_allowed",
    gettext_noop("This API key has a suffix after '-'. Send the key without it."),
)
GROUP_NOT_ALLOWED = _denial(
    Outcome.NO_RIGHTS,
    403,
    "group_not_allowed",
    gettext_noop("The group chosen for this API key is not open to its owner. Choose another one for the key in the portal."),
)
PRODUCTION_NOT_ALLOWED = _denial(
    Outcome.NO_RIGHTS,
    403,
    "production_not_allowed",
    gettext_noop(
        "This team may not spend production balance. Use a key of purpose test, or ask an administrator to list the team."
    ),
)
TEST_KEY_NOT_ALLOWED = _denial(
    Outcome.NO_RIGHTS,
    403,
    "test_key_not_allowed",
    gettext_noop("This team is for production only, and this is a key for tests. Use a key of another purpose."),
)
OLD_ENTRY_MISSING = _denial(
    Outcome.MODEL_UNAVAILABLE,
    503,
    "old_entry_unavailable",
    gettext_noop("The place this API key belongs to cannot be reached from here. Try again later or ask your administrator."),
)
SERVED_ELSEWHERE = _denial(
    Outcome.NO_RIGHTS,
    403,
    "served_elsewhere",
    gettext_noop("This API key is not served at this address yet. Call the address it was issued for."),
)
NO_MODEL = _denial(
    Outcome.CLIENT_ERROR,
    400,
    "model_required",
    gettext_noop("The request names no model. Set 'model' to one of GET /v1/models."),
)
NO_BALANCE = _denial(
    Outcome.NO_BALANCE,
    402,
    "insufficient_quota",
    gettext_noop("The balance does not cover this call. Top up, or lower max_tokens."),
)
KEY_LIMIT = _denial(
    Outcome.NO_BALANCE,
    403,
    "key_limit_reached",
    gettext_noop("The allowance of this API key does not cover this call. Raise it in the portal, or use another key."),
)
SPANS = {"total": gettext_noop("in all"), "daily": gettext_noop("a day"), "monthly": gettext_noop("a month")}
SERVICE_UNAVAILABLE = _denial(
    Outcome.MODEL_UNAVAILABLE,
    503,
    "service_unavailable",
    gettext_noop("The service cannot take calls at the moment. Try again shortly."),
)


# Whose limit a refusal names, as its message says it.
WHOSE = {
    "key": gettext_noop("This API key"),
    "profile": gettext_noop("Your use profile"),
    "person": gettext_noop("Your account"),
    "member": gettext_noop("You as a member of this team"),
    "group": gettext_noop("Your group"),
}
NOT_FOUND = _denial(
    Outcome.CLIENT_ERROR,
    404,
    "not_found",
    gettext_noop("There is nothing at this address. See the portal for what can be called."),
)
WRONG_METHOD = _denial(
    Outcome.CLIENT_ERROR,
    405,
    "method_not_allowed",
    gettext_noop("This address answers POST only. Send the request with POST and a body."),
)
TOO_LARGE = _denial(
    Outcome.CLIENT_ERROR,
    413,
    "request_too_large",
    gettext_noop("The request is too large. Send less text, or attachments by address."),
)
NOT_JSON = _denial(
    Outcome.CLIENT_ERROR,
    400,
    "invalid_json",
    gettext_noop("The body of the request is no JSON object. Correct it and call again."),
)
TOO_DEEP = _denial(
    Outcome.CLIENT_ERROR,
    400,
    "nested_too_deep",
    gettext_noop("The body of the request is nested too deep. Send it with fewer levels."),
)
BAD_PACKING = _denial(
    Outcome.CLIENT_ERROR,
    415,
    "unsupported_encoding",
    gettext_noop("The body of the request is packed in a way that cannot be read. Send it plain, or with gzip or deflate."),
)
BAD_FORM = _denial(
    Outcome.CLIENT_ERROR,
    400,
    "invalid_form",
    gettext_noop("The body of the request is no form that can be read. Name each field once."),
)
NO_BACKGROUND = _denial(
    Outcome.UNSUPPORTED_INPUT,
    400,
    "background_not_supported",
    gettext_noop("Responses in the background are not served here. Leave 'background' out."),
)
NO_REALTIME = _denial(
    Outcome.UNSUPPORTED_INPUT,
    400,
    "realtime_not_supported",
    gettext_noop("Realtime sessions are not served here. Use /v1/chat/completions or /v1/audio instead."),
)
TASK_NOT_FOUND = _denial(
    Outcome.CLIENT_ERROR,
    404,
    "task_not_found",
    gettext_noop("There is no such video here, or it belongs to somebody else. GET /v1/videos lists yours."),
)
TASK_RUNNING = _denial(
    Outcome.CLIENT_ERROR,
    400,
    "task_running",
    gettext_noop("This video is still being made. Delete it when it is completed or has failed."),
)
TASK_NOT_READY = _denial(
    Outcome.CLIENT_ERROR,
    400,
    "video_not_ready",
    gettext_noop("This video has nothing to download yet. Ask for it until its status is completed."),
)
ASSET_GONE = _denial(
    Outcome.CLIENT_ERROR,
    410,
    "asset_expired",
    gettext_noop("The file of this video is no longer kept by its provider. Download videos soon after they are completed."),
)
CALLBACK_SECRET_MISSING = _denial(
    Outcome.CLIENT_ERROR,
    400,
    "callback_secret_missing",
    gettext_noop("A callback is signed, and you have no signing secret yet. Add a web hook for tasks in the portal first."),
)
CALLBACK_REFUSED = _denial(
    Outcome.CLIENT_ERROR,
    400,
    "callback_not_accepted",
    gettext_noop("This callback address is not accepted. Give a public one that is called over TLS."),
)
BAD_TEMPLATE = _denial(
    Outcome.CLIENT_ERROR,
    400,
    "template_not_found",
    gettext_noop("There is no such template in your teams. Name it as in the portal, such as poster or poster@1."),
)
INTERNAL = _denial(Outcome.UPSTREAM_ERROR, 500, "internal_error", gettext_noop("Something went wrong here. Try again later."))
UPSTREAM_ERROR = _denial(
    Outcome.UPSTREAM_ERROR, 502, "upstream_error", gettext_noop("The model's provider failed. Try again later.")
)
UPSTREAM_TIMEOUT = _denial(
    Outcome.TIMEOUT, 504, "upstream_timeout", gettext_noop("The model's provider did not answer in time. Try again later.")
)
OLD_ENTRY_FAILED = _denial(
    Outcome.UPSTREAM_ERROR,
    502,
    "old_entry_failed",
    gettext_noop("The place this API key belongs to did not answer. Try again later."),
)
OLD_ENTRY_TIMED_OUT = _denial(
    Outcome.TIMEOUT,
    504,
    "old_entry_timeout",
    gettext_noop("The place this API key belongs to did not answer in time. Try again later."),
)
CUT_STREAM = _denial(
    Outcome.CUT_STREAM, 200, "stream_cut", gettext_noop("The model's provider cut the answer off. Call again for a whole one.")
)
STREAM_TIMED_OUT = _denial(
    Outcome.TIMEOUT,
    200,
    "stream_timeout",
    gettext_noop("The answer took too long and was cut off. Call again, or ask for less."),
)


def calls_per_minute(of: str, limit: int, seconds: int) -> Denial:
    said = gettext_noop(
        "%(whose)s may make %(limit)s calls a minute, and they are made. The next minute begins in %(seconds)s s."
    )
    return _denial(
        Outcome.RATE_LIMITED, 429, "requests_per_minute_exceeded", said, of, whose=WHOSE[of], limit=limit, seconds=seconds
    )


def tokens_per_minute(of: str, limit: int, needed: int, seconds: int) -> Denial:
    if needed > limit:
        said = gettext_noop(
            "%(whose)s may use %(limit)s tokens a minute, and this call may use %(needed)s. "
            "Send less text or lower max_tokens: waiting does not help."
        )
        return _denial(
            Outcome.RATE_LIMITED, 429, "request_exceeds_token_limit", said, of, whose=WHOSE[of], limit=limit, needed=needed
        )
    said = gettext_noop(
        "%(whose)s may use %(limit)s tokens a minute, and this call may use %(needed)s. "
        "The next minute begins in %(seconds)s s; lowering max_tokens helps too."
    )
    values = {"whose": WHOSE[of], "limit": limit, "needed": needed, "seconds": seconds}
    return _denial(Outcome.RATE_LIMITED, 429, "tokens_per_minute_exceeded", said, of, **values)


def parallel_calls(of: str, limit: int) -> Denial:
    said = gettext_noop("%(whose)s may have %(limit)s calls running at once, and they are running. Wait for one to end.")
    return _denial(Outcome.RATE_LIMITED, 429, "parallel_calls_exceeded", said, of, whose=WHOSE[of], limit=limit)


def limit_reached(of: str, span: str, left_usd: str, resets_at: datetime | None, zone: str) -> Denial:
    """A spend limit has no room for the call. Only a limit that begins anew is worth waiting for, so only that is a 429."""
    if of == "key" and resets_at is None:
        return KEY_LIMIT
    values: dict[str, object] = {"whose": WHOSE[of], "span": SPANS[span], "left": left_usd}
    if resets_at is None:
        said = gettext_noop(
            "%(whose)s may spend so much %(span)s, and this call may cost more than the %(left)s that is left. "
            "Ask whoever set the limit to raise it."
        )
        return _denial(Outcome.NO_BALANCE, 403, f"{of}_limit_reached", said, of, **values)
    said = gettext_noop(
        "%(whose)s may spend so much %(span)s, and this call may cost more than the %(left)s that is left. "
        "It begins anew at %(moment)s."
    )
    values["moment"] = f"{resets_at.astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M} ({zone})"
    return _denial(Outcome.NO_BALANCE, 429, f"{of}_{span}_limit_reached", said, of, **values)


def model_not_in_key(name: str) -> Denial:
    said = gettext_noop("This API key may not call the model '%(name)s'. Add it to the key in the portal, or use another key.")
    return _denial(Outcome.NO_RIGHTS, 403, "model_not_allowed_for_key", said, name=name)


def model_not_in_group(name: str) -> Denial:
    said = gettext_noop(
        "The model '%(name)s' is not open to you. GET /v1/models lists what is; ask your administrator for more."
    )
    return _denial(Outcome.NO_RIGHTS, 403, "model_not_available_for_group", said, name=name)


def tier_not_allowed(name: str, tier: int, highest: int) -> Denial:
    said = gettext_noop(
        "The model '%(name)s' is of price tier %(tier)s, and yours end at %(highest)s. "
        "Choose one from GET /v1/models, or ask your administrator."
    )
    return _denial(Outcome.NO_RIGHTS, 403, "model_tier_not_allowed", said, name=name, tier=tier, highest=highest)


def model_not_found(name: str, successor: str = "", meant: str = "") -> Denial:
    """``successor``: the name that took this one's place; ``meant``: the same name as it is written here."""
    if meant:
        said = gettext_noop(
            "The model '%(name)s' is not known here. Use '%(meant)s': capitals, small letters and blanks count in a name."
        )
        return _denial(Outcome.UNKNOWN_MODEL, 404, "model_not_found", said, name=name, meant=meant)
    if successor:
        said = gettext_noop("The model '%(name)s' is no longer served here. Its successor is '%(successor)s'.")
        return _denial(Outcome.UNKNOWN_MODEL, 404, "model_not_found", said, name=name, successor=successor)
    said = gettext_noop("The model '%(name)s' does not exist here. GET /v1/models lists what does.")
    return _denial(Outcome.UNKNOWN_MODEL, 404, "model_not_found", said, name=name)


def model_not_priced(name: str) -> Denial:
    said = gettext_noop("The model '%(name)s' has no price yet, so it cannot be called. Ask your administrator.")
    return _denial(Outcome.MODEL_UNAVAILABLE, 403, "model_not_priced", said, name=name)


def unsupported_parameter(name: str, field: str, allowed: str) -> Denial:
    """A field that no target of the model takes as it was sent; the value itself is not repeated."""
    said = gettext_noop("The model '%(name)s' does not take this '%(field)s'. Allowed: %(allowed)s.")
    return _denial(Outcome.UNSUPPORTED_INPUT, 400, "unsupported_parameter", said, name=name, field=field, allowed=allowed)


def endpoint_not_supported(name: str) -> Denial:
    said = gettext_noop("The model '%(name)s' is not served at this address. Call it at the address the Models page names.")
    return _denial(Outcome.UNSUPPORTED_INPUT, 400, "endpoint_not_supported", said, name=name)


def model_unavailable(name: str) -> Denial:
    said = gettext_noop("The model '%(name)s' cannot be served at the moment. Try again later, or use another model.")
    return _denial(Outcome.MODEL_UNAVAILABLE, 503, "model_unavailable", said, name=name)


def upstream_busy(name: str) -> Denial:
    said = gettext_noop("The model '%(name)s' is busy at the moment. Try again shortly.")
    return _denial(Outcome.RATE_LIMITED, 429, "upstream_rate_limited", said, name=name)


def refused_by_provider(outcome: Outcome, http_status: int, code: str, words: str) -> Denial:
    """The provider finds the request wrong. ``words``: what it says about it, cleaned."""
    if not words:
        said = gettext_noop("The model's provider refused this request as wrong. Correct it and call again.")
        return _denial(outcome, http_status, code, said)
    said = gettext_noop("Correct the request; the provider says: %(words)s")
    return replace(_denial(outcome, http_status, code, said, words=words), provider_message=words)
