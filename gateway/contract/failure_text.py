"""A failure in words a person understands: what happened, whose side it is, whether it was charged, what to do, and the
request id. In the language the client accepts, at most 240 characters, without a host, a channel or a group.
"""

from collections.abc import Mapping

from django.utils import translation
from django.utils.translation import gettext, gettext_noop

from config.foundation.outcomes import Outcome
from gateway.contract.types import Denial

MOST = 240
MOST_NAME = 40
MOST_WORDS = 100
# Values that are words of ours, not of a client.
OURS = frozenset({"whose", "span"})
_REQUEST = gettext_noop("Cause: the request.")
_ACCOUNT = gettext_noop("Cause: your key or account.")
_SERVICE = gettext_noop("Cause: this service.")
_PROVIDER = gettext_noop("Cause: the model's provider.")
_FREE = gettext_noop("Not charged.")
_CHARGED = gettext_noop("What came was charged.")
_ID = gettext_noop("Request id: %(id)s")
SIDES: Mapping[Outcome, str] = {
    Outcome.CLIENT_ERROR: _REQUEST,
    Outcome.UNSUPPORTED_INPUT: _REQUEST,
    Outcome.UNKNOWN_MODEL: _REQUEST,
    Outcome.BAD_KEY: _ACCOUNT,
    Outcome.NO_RIGHTS: _ACCOUNT,
    Outcome.NO_BALANCE: _ACCOUNT,
    Outcome.RATE_LIMITED: _ACCOUNT,
    Outcome.CANCELLED: _REQUEST,
    Outcome.MODEL_UNAVAILABLE: _SERVICE,
    Outcome.UPSTREAM_ERROR: _PROVIDER,
    Outcome.TIMEOUT: _PROVIDER,
    Outcome.CUT_STREAM: _PROVIDER,
}
BY_CODE = {"upstream_rate_limited": _PROVIDER, "internal_error": _SERVICE}
# Ends of answers that had begun.
CHARGED = frozenset({"stream_cut", "stream_timeout"})


def failure_text(denial: Denial, language: str, request_id: str) -> str:
    """The text for one failed call."""
    with translation.override(language):
        said = gettext(denial.template or denial.message)
        if denial.values:
            said %= {name: _value(name, value) for name, value in denial.values.items()}
        side = gettext(BY_CODE.get(denial.code) or SIDES.get(denial.outcome, _SERVICE))
        money = gettext(_CHARGED if denial.code in CHARGED else _FREE)
        end = gettext(_ID) % {"id": request_id}
    rest = f" {side} {money} {end}" if language == "en" else f"{side}{money}{end}"
    return said[: MOST - len(rest)] + rest


def language_of(accepted: bytes) -> str:
    """The language of ours that a client's Accept-Language puts first; English when it names none."""
    for part in accepted.decode("latin-1").lower().split(","):
        code = part.partition(";")[0].strip()
        if code.startswith("zh"):
            return "zh-hans"
        if code.startswith("en"):
            return "en"
    return "en"


def _value(name: str, value: object) -> object:
    """A value cut to what a sentence can hold; words of ours in the language of the sentence."""
    if not isinstance(value, str):
        return value
    if name in OURS:
        return gettext(value)
    most = MOST_WORDS if name in {"words", "allowed"} else MOST_NAME
    return value if len(value) <= most else value[: most - 1] + "…"
