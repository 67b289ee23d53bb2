"""What a use profile may fill in when a request leaves it out, and how each kind of call spells it. Pure."""

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext as _

from config.foundation.errors import InvalidInput

EFFORTS = ("minimal", "low", "medium", "high")
# Name: (least, most) of a number, or the words it may be.
PARAMETERS: Mapping[str, tuple[float, float] | tuple[str, ...]] = {
    "max_output": (1, 1_000_000),
    "temperature": (0, 2),
    "top_p": (0, 1),
    "effort": EFFORTS,
    "size": (),
    "quality": (),
}
MOST_WORD = 32
# Kind of call: our name -> (the request's own name, other names that say the same).
SPELLINGS: Mapping[str, Mapping[str, tuple[str, tuple[str, ...]]]] = {
    "chat": {
        "max_output": ("max_tokens", ("max_completion_tokens",)),
        "temperature": ("temperature", ()),
        "top_p": ("top_p", ()),
        "effort": ("reasoning_effort", ()),
    },
    "text": {"max_output": ("max_tokens", ()), "temperature": ("temperature", ()), "top_p": ("top_p", ())},
    "responses": {
        "max_output": ("max_output_tokens", ()),
        "temperature": ("temperature", ()),
        "top_p": ("top_p", ()),
        "effort": ("reasoning", ()),
    },
    "messages": {"max_output": ("max_tokens", ()), "temperature": ("temperature", ()), "top_p": ("top_p", ())},
    "videos": {"size": ("size", ())},
    "images": {"size": ("size", ()), "quality": ("quality", ())},
}


def clean_parameters(given: object) -> dict[str, Any]:
    """The parameters as they are stored; what is None or empty is left out. Raises InvalidInput with the field's name."""
    if not isinstance(given, Mapping):
        raise InvalidInput(_("A use profile has no such default."), field="parameters")
    cleaned: dict[str, Any] = {}
    for name, value in given.items():
        if name not in PARAMETERS:
            raise InvalidInput(_("A use profile has no such default."), field="parameters")
        if value is None or value == "":
            continue
        cleaned[name] = _clean(name, value)
    return cleaned


def _clean(name: str, value: Any) -> Any:
    allowed = PARAMETERS[name]
    if allowed and isinstance(allowed[0], int | float):
        least, most = allowed
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not is_number or not least <= value <= most or (name == "max_output" and value != int(value)):
            raise InvalidInput(_("Write a number from %(least)s to %(most)s.") % {"least": least, "most": most}, field=name)
        return int(value) if name == "max_output" else float(value)
    if not isinstance(value, str) or len(value) > MOST_WORD or not value.isprintable() or (allowed and value not in allowed):
        raise InvalidInput(_("This value cannot be used."), field=name)
    return value


def filled(body: Mapping[str, Any], kind: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """A request's ``body`` with the defaults for what it leaves out; what it says stays as it is."""
    spelled = SPELLINGS.get(kind, {})
    more: dict[str, Any] = {}
    for name, value in parameters.items():
        own, others = spelled.get(name, ("", ()))
        if own and own not in body and not any(other in body for other in others):
            more[own] = {"effort": value} if own == "reasoning" else value
    return {**more, **body}
