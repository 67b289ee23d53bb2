"""What the desk says of an item: why it is there, and the facts that came with it."""

from collections.abc import Mapping
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from config.foundation.outcomes import Outcome

REASONS: dict[str, str | Promise] = {
    "never_charged": _("The call was served and nobody was charged"),
    "too_late": _("Its end came after the time for late charges"),
    "no_hold": _("There is no hold for it"),
    "cost_without_hold": _("It cost money and nothing was held for it"),
    "negative_cost": _("Its cost is below zero"),
    "no_place_in_log": _("The id of the call names a time for which there is no request log. What was held went back."),
}
FACTS: dict[str, str | Promise] = {
    "asked_model": _("Model asked for"),
    "billed_model": _("Model billed"),
    "served_model": _("Model that served"),
    "input_tokens": _("Input tokens"),
    "output_tokens": _("Output tokens"),
    "key_tail": _("Key tail"),
    "outcome": _("Outcome"),
    "endpoint": _("Endpoint"),
}


def reason_words(reason: str) -> str | Promise:
    """In words, or the code as it is."""
    return REASONS.get(reason, reason)


def fact_rows(details: Mapping[str, Any]) -> list[tuple[str | Promise, Any]]:
    """The facts that say something to a person, in a fixed order; the rest of what came stays in the row."""
    facts = {**details, "outcome": Outcome(details["outcome"]).label} if details.get("outcome") in Outcome.values else details
    return [(label, facts[name]) for name, label in FACTS.items() if facts.get(name) not in (None, "")]
