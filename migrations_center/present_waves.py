"""Words that the pages of plans and waves show for codes: findings, blockers, notices; no query of their own."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from config.foundation.clock import now
from config.foundation.money import format_usd
from gateway.models import KeyConfirmation
from migrations_center.models import Wave
from migrations_center.plans.gates import Finding

FINDINGS: dict[str, str | Promise] = {
    "no_members": gettext_lazy("Nobody is in this wave."),
    "no_planned_time": gettext_lazy("The wave has no planned time."),
    "planned_time_past": gettext_lazy("The planned time is over. Plan another one."),
    "short_notice": gettext_lazy("Hours until the switch: %(hours)s. People should be told 72 hours before."),
    "no_old_entry": gettext_lazy("The source has no old entry: nobody could be taken back."),
    "source_does_not_tie_out": gettext_lazy("The totals of the last reading do not tie out."),
    "old_reading": gettext_lazy("The source was last read more than a day ago: import it again so that balances are fresh."),
    "key_without_owner": gettext_lazy("The key “%(key)s” works and belongs to nobody. Give it an owner or disable it."),
    "charged_here": gettext_lazy("Was charged here already."),
    "balance_unknown": gettext_lazy("The source has no balance for this person; here %(booked)s are booked."),
    "balance_does_not_tie_out": gettext_lazy(
        "The balance does not tie out: the source says %(expected)s, here are %(booked)s."
    ),
    "no_address": gettext_lazy("Has no e-mail address: no notice can be sent."),
    "person_disabled": gettext_lazy("Is disabled: calls are refused on both sides."),
    "key_unconfirmed": gettext_lazy("The relay “%(relay)s” has not confirmed the key “%(key)s”: %(why)s."),
    "no_live_key": gettext_lazy("Has no key that works."),
    "model_not_found": gettext_lazy("Uses the model “%(model)s” (key “%(key)s”), which does not exist here."),
    "model_not_priced": gettext_lazy("Uses the model “%(model)s” (key “%(key)s”), which has no price here."),
    "model_unavailable": gettext_lazy(
        "Uses the model “%(model)s” (key “%(key)s”), which no working upstream serves to this group."
    ),
    "model_refused_here": gettext_lazy("Used the model “%(model)s” (key “%(key)s”), which would be refused here: %(refusal)s."),
}
# A switch that is earlier than this against what people were told is said on its page.
EARLY = timedelta(hours=1)
# Why a relay has not confirmed a key.
WITHHELD: dict[str, str | Promise] = {
    "not_said": gettext_lazy("it has said nothing of it yet"),
    "another_state": gettext_lazy("it holds another state of it"),
    "no_relay": gettext_lazy("no relay has reported in for half a minute"),
    **dict(KeyConfirmation.Withheld.choices),
}
BLOCKERS: dict[str, str | Promise] = {
    "": gettext_lazy("Nothing: everybody has moved."),
    "no_wave": gettext_lazy("There is no wave yet."),
    "empty": gettext_lazy("%(wave)s has no people yet."),
    "unplanned": gettext_lazy("People in no wave: %(count)s."),
    "draft": gettext_lazy("%(wave)s is a draft: look at what stands in its way."),
    "ready": gettext_lazy("%(wave)s is ready: tell its people."),
    "notified": gettext_lazy("%(wave)s was told: switch it when its time has come."),
    "switching": gettext_lazy("%(wave)s is being switched."),
    "switched": gettext_lazy("%(wave)s is being switched."),
    "observing": gettext_lazy("%(wave)s is observed: look at its calls."),
    "going_back": gettext_lazy("%(wave)s is going back: calls that still run are waited for."),
}
# The order in which states stand on the overview, the old entry first.
STATE_ORDER = [
    Wave.State.DRAFT,
    Wave.State.READY,
    Wave.State.NOTIFIED,
    Wave.State.SWITCHING,
    Wave.State.SWITCHED,
    Wave.State.OBSERVING,
    Wave.State.SETTLED,
    Wave.State.GOING_BACK,
    Wave.State.GONE_BACK,
]


@dataclass(frozen=True)
class FindingLine:
    """A finding as a sentence, with the people it concerns."""

    text: str
    is_blocking: bool
    people: list[str]
    count: int
    code: str = ""


def finding_text(finding: Finding) -> str:
    detail: dict[str, Any] = dict(finding.detail)
    for name in ("expected", "booked"):
        if f"{name}_nano" in detail:
            detail[name] = format_usd(detail[f"{name}_nano"])
    if "why" in detail:
        detail["why"] = WITHHELD.get(detail["why"], detail["why"])
    return str(FINDINGS.get(finding.code, finding.code)) % detail


def finding_lines(found: list[Finding]) -> list[FindingLine]:
    """Equal sentences joined, so that sixty people without an address are one line; blocking ones first."""
    grouped: dict[tuple[str, bool, str], list[str]] = {}
    for finding in found:
        grouped.setdefault((finding_text(finding), finding.is_blocking, finding.code), []).append(finding.who)
    return [
        FindingLine(text, is_blocking, [who for who in people if who][:10], len([who for who in people if who]), code)
        for (text, is_blocking, code), people in grouped.items()
    ]


def blocker_text(code: str, wave: Wave | None, unplanned: int) -> str:
    return str(BLOCKERS[code]) % {"wave": wave.name if wave else "", "count": unplanned}


def switch_consequences(wave: Wave, people: int, keys: int, *, was_told: bool) -> list[str]:
    """What the confirm page of the switch lists."""
    lines = [
        _("People: %(people)s, keys: %(keys)s. Their calls are served and charged here from the next one on.")
        % {"keys": keys, "people": people},
        _("Their brought balances can be spent here; the old gateway's own figures are not touched."),
        _("Each of them gets a mail that it is done."),
    ]
    if not was_told:
        lines.append(_("Nobody was told before: no notice of this wave was sent."))
    elif wave.planned_at and wave.planned_at - now() > EARLY:
        hours = (wave.planned_at - now()) // timedelta(hours=1)
        lines.append(
            ngettext(
                "This is %(hours)s hour earlier than the time its people were told.",
                "This is %(hours)s hours earlier than the time its people were told.",
                hours,
            )
            % {"hours": hours}
        )
    return lines


def back_consequences(people: int) -> list[str]:
    """What the confirm page of going back lists."""
    return [
        _("People: %(people)s. Their calls are passed on to the old entry again, with their own keys.") % {"people": people},
        _("What is left of the brought balances is closed here, with a statement of what was spent."),
        _("Calls that run now end first; their people are closed a little later."),
        _("Money that was paid here stays in their portal purse."),
        _("Each of them gets a mail with the statement."),
    ]
