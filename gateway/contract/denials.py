"""Every refusal the unified entry gives by itself: one outcome class, one status and one stable code each."""

from datetime import datetime
from zoneinfo import ZoneInfo

from config.foundation.outcomes import Outcome
from gateway.contract.types import Denial


def _denial(outcome: Outcome, http_status: int, code: str, message: str) -> Denial:
    return Denial(outcome, http_status, code, message)


MISSING_KEY = _denial(
    Outcome.BAD_KEY,
    401,
    "missing_api_key",
    "No API key was sent. Send it as 'Authorization: Bearer <key>' or 'x-api-key: <key>'.",
)
INVALID_KEY = _denial(
    Outcome.BAD_KEY, 401, "invalid_api_key", "This API key is not accepted. Check it, or issue a new one in the portal."
)
KEY_DISABLED = _denial(
    Outcome.BAD_KEY, 401, "api_key_disabled", "This API key is disabled. Enable it in the portal, or use another one."
)
KEY_PAUSED = _denial(
    Outcome.NO_RIGHTS,
    403,
    "key_paused",
    "This API key is paused because its spend rose far above its own usual. Look at it and resume it in the portal.",
)
KEY_EXPIRED = _denial(Outcome.BAD_KEY, 401, "api_key_expired", "This API key has expired. Issue a new one in the portal.")
KEY_CLOSED = _denial(
    Outcome.NO_RIGHTS, 403, "key_closed", "This API key is closed at this address. Ask your administrator where to call now."
)
ACCOUNT_DISABLED = _denial(
    Outcome.NO_RIGHTS, 403, "account_disabled", "The account behind this API key is not active. Ask your administrator."
)
NETWORK_NOT_ALLOWED = _denial(
    Outcome.NO_RIGHTS,
    403,
    "network_not_allowed",
    "This API key may not be used from your network. Change its networks in the portal, or call from an allowed one.",
)
CHANNEL_PIN_NOT_ALLOWED = _denial(
    Outcome.NO_RIGHTS,
    403,
    "channel_pin_not_allowed",
    "This API key has a suffix after '-'. Send the key without it.",
)
GROUP_NOT_ALLOWED = _denial(
    Outcome.NO_RIGHTS,
    403,
    "group_not_allowed",
    "The group chosen for this API key is not open to its owner. Choose another one for the key in the portal.",
)
PRODUCTION_NOT_ALLOWED = _denial(
    Outcome.NO_RIGHTS,
    403,
    "production_not_allowed",
    "This team may not spend production balance. Use a key of purpose test, or ask an administrator to list the team.",
)
TEST_KEY_NOT_ALLOWED = _denial(
    Outcome.NO_RIGHTS,
    403,
    "test_key_not_allowed",
    "This team is for production only, and this is a key for tests. Use a key of another purpose.",
)
OLD_ENTRY_MISSING = _denial(
    Outcome.MODEL_UNAVAILABLE,
    503,
    "old_entry_unavailable",
    "The place this API key belongs to cannot be reached from here. Try again later or ask your administrator.",
)
NO_MODEL = _denial(
    Outcome.CLIENT_ERROR, 400, "model_required", "The request names no model. Set 'model' to one of GET /v1/models."
)
NO_BALANCE = _denial(
    Outcome.NO_BALANCE, 402, "insufficient_quota", "The balance does not cover this call. Top up, or lower max_tokens."
)
KEY_LIMIT = _denial(
    Outcome.NO_BALANCE,
    403,
    "key_limit_reached",
    "The allowance of this API key does not cover this call. Raise it in the portal, or use another key.",
)
READ_ONLY = _denial(
    Outcome.CLIENT_ERROR, 405, "read_only", "Only reading is possible at this address. Change keys and limits in the portal."
)
SPANS = {"total": "in all", "daily": "a day", "monthly": "a month"}
SERVICE_UNAVAILABLE = _denial(
    Outcome.MODEL_UNAVAILABLE, 503, "service_unavailable", "The service cannot take calls at the moment. Try again shortly."
)


# Whose limit a refusal names, as its message says it.
WHOSE = {"key": "This API key", "person": "Your account", "member": "You as a member of this team", "group": "Your group"}


def calls_per_minute(of: str, limit: int, seconds: int) -> Denial:
    return Denial(
        Outcome.RATE_LIMITED,
        429,
        "requests_per_minute_exceeded",
        f"{WHOSE[of]} may make {limit} calls a minute, and they are made. The next minute begins in {seconds} s.",
        of,
    )


def tokens_per_minute(of: str, limit: int, needed: int, seconds: int) -> Denial:
    if needed > limit:
        return Denial(
            Outcome.RATE_LIMITED,
            429,
            "request_exceeds_token_limit",
            f"This call may use {needed} tokens; {WHOSE[of].lower() if of == 'key' else WHOSE[of]} may use {limit} a minute. "
            "Send less text or lower max_tokens: waiting does not help.",
            of,
        )
    return Denial(
        Outcome.RATE_LIMITED,
        429,
        "tokens_per_minute_exceeded",
        f"{WHOSE[of]} may use {limit} tokens a minute, and this call may use {needed}. "
        f"The next minute begins in {seconds} s; lowering max_tokens helps too.",
        of,
    )


def parallel_calls(of: str, limit: int) -> Denial:
    return Denial(
        Outcome.RATE_LIMITED,
        429,
        "parallel_calls_exceeded",
        f"{WHOSE[of]} may have {limit} calls running at once, and they are running. Wait for one to end.",
        of,
    )


def limit_reached(of: str, span: str, left_usd: str, resets_at: datetime | None, zone: str) -> Denial:
    """A spend limit has no room for the call. Only a limit that begins anew is worth waiting for, so only that is a 429."""
    if of == "key" and resets_at is None:
        return KEY_LIMIT
    said = f"{WHOSE[of]} may spend so much {SPANS[span]}, and this call may cost more than the {left_usd} that is left."
    if resets_at is None:
        return Denial(Outcome.NO_BALANCE, 403, f"{of}_limit_reached", f"{said} Ask whoever set the limit to raise it.", of)
    moment = resets_at.astimezone(ZoneInfo(zone)).strftime("%Y-%m-%d %H:%M")
    return Denial(Outcome.NO_BALANCE, 429, f"{of}_{span}_limit_reached", f"{said} It begins anew at {moment} ({zone}).", of)


def model_not_in_key(name: str) -> Denial:
    return _denial(
        Outcome.NO_RIGHTS,
        403,
        "model_not_allowed_for_key",
        f"This API key may not call the model '{name}'. Add it to the key in the portal, or use another key.",
    )


def model_not_in_group(name: str) -> Denial:
    return _denial(
        Outcome.NO_RIGHTS,
        403,
        "model_not_available_for_group",
        f"The model '{name}' is not open to you. GET /v1/models lists what is; ask your administrator for more.",
    )


def tier_not_allowed(name: str, tier: int, highest: int) -> Denial:
    return _denial(
        Outcome.NO_RIGHTS,
        403,
        "model_tier_not_allowed",
        f"The model '{name}' is of price tier {tier}; you may call models up to tier {highest}. "
        "GET /v1/models lists them; ask your administrator for an exception.",
    )


def model_not_found(name: str) -> Denial:
    return _denial(
        Outcome.UNKNOWN_MODEL,
        404,
        "model_not_found",
        f"The model '{name}' does not exist here. GET /v1/models lists what does.",
    )


def model_not_priced(name: str) -> Denial:
    return _denial(
        Outcome.MODEL_UNAVAILABLE,
        403,
        "model_not_priced",
        f"The model '{name}' has no price yet, so it cannot be called. Ask your administrator.",
    )


def model_unavailable(name: str) -> Denial:
    return _denial(
        Outcome.MODEL_UNAVAILABLE,
        503,
        "model_unavailable",
        f"The model '{name}' cannot be served at the moment. Try again later.",
    )
