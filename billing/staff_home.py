"""What staff see first: today's calls of everybody, and what waits for a person of their role."""

from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from django.urls import reverse
from django.utils.translation import ngettext

from accounts.models import User
from accounts.rights import may
from accounts.selectors import mail_counts
from billing.selectors import approvals, payments, reconcile
from billing.selectors.usage_cuts import RIGHT, Line, Period, Scope, usage_report
from billing.statements.months import zone_of

# Rights whose holders work something off.
WORK = ("reconcile.view", "ledger.view", "mail.view")


@dataclass(frozen=True, slots=True)
class Waiting:
    """Work of one kind: a sentence with its number, and the list it is done on."""

    text: str
    url: str


@dataclass(frozen=True, slots=True)
class StaffHome:
    """``today`` is everybody's, in the reader's own time zone. ``waiting`` is None for a role that has no such work."""

    today: Line
    zone: str
    waiting: list[Waiting] | None

    @property
    def failed_percent(self) -> str:
        return f"{self.today.failed_count * 100 / self.today.call_count:.1f}" if self.today.call_count else ""


def staff_home_of(actor: User, moment: datetime) -> StaffHome | None:
    """None for people who are not staff."""
    if not may(actor, RIGHT):
        return None
    zone = zone_of(actor)
    day = moment.astimezone(ZoneInfo(zone)).date()
    report = usage_report(actor, Scope(), Period(day, day, zone), "day")
    has_work = any(may(actor, right) for right in WORK)
    return StaffHome(report.total, zone, waiting_for(actor) if has_work else None)


def waiting_for(actor: User) -> list[Waiting]:
    """Only what there is something of, and only what the role may see."""
    found: list[tuple[int, str, str]] = []
    if may(actor, "reconcile.view"):
        now = reconcile.standing(actor)
        differences = ngettext(
            "%(n)s difference of a reconciliation is open",
            "%(n)s differences of a reconciliation are open",
            now.open_differences,
        )
        items = ngettext("%(n)s item lies at the desk", "%(n)s items lie at the desk", now.open_items)
        found += [(now.open_differences, differences, reverse("reconcile_list")), (now.open_items, items, reverse("desk_list"))]
    if may(actor, "ledger.view"):
        asked, disputes, unmatched = (
            approvals.open_count(actor),
            payments.disputes_open(actor)[0],
            payments.incoming_open(actor)[0],
        )
        found += [
            (
                asked,
                ngettext("%(n)s request waits for a second person", "%(n)s requests wait for a second person", asked),
                f"{reverse('approval_list')}?state=open",
            ),
            (
                disputes,
                ngettext("%(n)s payment is disputed", "%(n)s payments are disputed", disputes),
                f"{reverse('dispute_list')}?state=open",
            ),
            (
                unmatched,
                ngettext("%(n)s payment belongs to nobody yet", "%(n)s payments belong to nobody yet", unmatched),
                reverse("unmatched_list"),
            ),
        ]
    if may(actor, "mail.view"):
        failed = mail_counts(actor).get("failed", 0)
        text = ngettext("%(n)s mail was not delivered", "%(n)s mails were not delivered", failed)
        found.append((failed, text, f"{reverse('mail_list')}?state=failed"))
    return [Waiting(text % {"n": f"{count:,}"}, url) for count, text, url in found if count]
