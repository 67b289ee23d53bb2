"""The six numbers of a balance in words of the active language; nothing here names the number of an account."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from billing.models import LedgerAccount, LedgerEntry
from billing.selectors.explanation import SixNumbers, Story
from config.foundation.money import format_usd


@dataclass(frozen=True, slots=True)
class Number:
    """``code`` is stable; ``figure`` the number as text; ``says`` how it comes about; ``url`` its rows, "" without any."""

    code: str
    title: str
    figure: str
    says: str
    url: str = ""


def kind_words() -> dict[str, str]:
    return {
        "calls": _("Calls"),
        "earlier": _("Earlier entries"),
        "opening": _("Carried over from the old gateway"),
        "opening_correction": _("A later import corrected what was carried over"),
        "top_up": _("Money paid in"),
        "code": _("A redemption code"),
        "refund": _("Money given back for a call"),
        "adjustment": _("A correction by the operators"),
        "reversal": _("An entry taken back"),
        "moved_back": _("Went back to the old entry with you"),
        "late": _("A call that was reported late"),
        "desk": _("Settled by finance"),
        "conversion": _("Changed into another currency"),
    }


def word_of_kind(kind: str) -> str:
    if kind in kind_words():
        return kind_words()[kind]
    return str(LedgerEntry.Kind(kind).label) if kind in LedgerEntry.Kind.values else kind


def numbers_of(six: SixNumbers) -> list[Number]:
    """The six numbers in the order in which they lead from before to now."""
    ledger, calls = reverse("billing"), reverse("call_list")
    return [
        Number("before", _("Before"), _before(six), _before_says(six), "#story" if six.before else ""),
        Number("conversion", _("Carried over"), format_usd(six.converted_nano), _conversion_says(six), "#story"),
        Number(
            "spent",
            _("Spent since"),
            format_usd(six.spent_nano),
            _("All calls that were charged here, each with its own entry."),
            f"{ledger}?calls=yes",
        ),
        Number("moved", _("Moved"), format_usd(six.moved_nano), _moved_says(six), ledger),
        Number(
            "now",
            _("Now"),
            format_usd(six.now_nano),
            _("%(converted)s carried over, %(spent)s spent, %(moved)s moved: together %(now)s.")
            % {
                "converted": format_usd(six.converted_nano),
                "spent": format_usd(six.spent_nano),
                "moved": format_usd(six.moved_nano),
                "now": format_usd(six.now_nano),
            },
            ledger,
        ),
        Number(
            "failed",
            _("A failed call costs"),
            format_usd(six.failed_nano),
            _failed_says(six),
            f"{calls}?period=400&outcome=failed&origin=relay",
        ),
    ]


def copy_of(six: SixNumbers, name: str) -> str:
    """The same as a text that support can send: no account numbers, no entry numbers."""
    lines = [_("Balance of %(name)s") % {"name": name}]
    lines += [f"{number.title}: {number.figure}. {number.says}" for number in numbers_of(six)]
    return "\n".join(lines)


def story_rows(story: Story) -> Iterator[Mapping[str, Any]]:
    for line in story.lines:
        yield {"line": line, "word": word_of_kind(line.kind)}


def purse_word(story: Story) -> str:
    label = str(LedgerAccount.Kind(story.kind).label) if story.kind in LedgerAccount.Kind.values else story.kind
    origin = story.origin.removeprefix("import:")
    return f"{label} ({origin})" if origin else label


def _before(six: SixNumbers) -> str:
    if not six.before:
        return "-"
    return _("%(units)s units") % {"units": f"{sum(old.units for old in six.before):,}"}


def _before_says(six: SixNumbers) -> str:
    if not six.before:
        return _("There was no account at an old gateway.")
    return "; ".join(
        _("%(units)s units at %(source)s") % {"units": f"{old.units:,}", "source": old.source} for old in six.before
    )


def _conversion_says(six: SixNumbers) -> str:
    if not six.before:
        return _("Nothing was carried over.")
    rates = ", ".join(f"{old.units_per_usd}" for old in six.before)
    return _("Units divided by the %(rate)s units a dollar of the old gateway's own setting.") % {"rate": rates}


def _failed_says(six: SixNumbers) -> str:
    rule = _("A call that fails before its answer begins costs nothing.")
    if not six.failed_calls:
        return rule
    words = ngettext("%(count)s call failed and cost this.", "%(count)s calls failed and cost this together.", six.failed_calls)
    return f"{words % {'count': f'{six.failed_calls:,}'}} {rule}"


def _moved_says(six: SixNumbers) -> str:
    if not six.moved:
        return _("No top-ups, codes, corrections or moves.")
    return "; ".join(f"{word_of_kind(kind)}: {format_usd(nano)}" for kind, nano in six.moved.items())
