"""The table of groups (R014): the quota and multiplier an old gateway gave them, beside the budget they have here."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal

from django.db.models import Count, Sum

from accounts.models import Group, User
from accounts.rights import require
from billing.models import LedgerAccount, SpendLimit
from billing.services.prices import load_table
from config.foundation.clock import now
from config.foundation.money import decimal_usd
from keys.models import CallLimit
from migrations_center.models import ImportedRow

RIGHT = "ledger.view"
HEADER = (
    "group", "name", "members", "imported_members", "old_quota_units", "old_quota_usd", "multiplier", "members_balance_usd",
    "team_balance_usd", "held_usd", "budget_usd", "limit_total_usd", "limit_monthly_usd", "limit_daily_usd",
    "calls_a_minute", "tokens_a_minute", "calls_at_once",
)  # fmt: skip


@dataclass(slots=True)
class GroupLine:
    """One group. Old figures are sums over its members as the import read them: units of the old gateway, and nano-USD.

    ``budget_nano``: what the members and the team itself can still spend or hold, all purses. None: no such limit.
    """

    group: Group | None
    member_count: int = 0
    imported_count: int = 0
    old_units: int = 0
    old_nano: int = 0
    multiplier: Decimal | None = None
    members_nano: int = 0
    team_nano: int = 0
    held_nano: int = 0
    limits: dict[str, int] = field(default_factory=dict)
    calls: CallLimit | None = None

    @property
    def budget_nano(self) -> int:
        return self.members_nano + self.team_nano

    def cells(self) -> list[object]:
        """The line as a row of the export; the page shows the same figures."""
        calls = self.calls
        return [
            self.group.code if self.group else "total",
            self.group.name if self.group else "",
            self.member_count,
            self.imported_count,
            self.old_units,
            decimal_usd(self.old_nano),
            "" if self.multiplier is None else format(self.multiplier.normalize(), "f"),
            decimal_usd(self.members_nano),
            decimal_usd(self.team_nano),
            decimal_usd(self.held_nano),
            decimal_usd(self.budget_nano),
            *("" if span not in self.limits else decimal_usd(self.limits[span]) for span in ("total", "monthly", "daily")),
            *("" if calls is None else calls.requests_per_minute or "",),
            *("" if calls is None else calls.tokens_per_minute or "",),
            *("" if calls is None else calls.parallel_calls or "",),
        ]


@dataclass(frozen=True, slots=True)
class MemberLine:
    """One person of a group: what the old gateway said, and what is there now."""

    person: User
    old_units: int
    old_nano: int
    balance_nano: int
    held_nano: int
    is_imported: bool


def group_lines(actor: User) -> list[GroupLine]:
    """Every group, by code. People belong to the group that pays for their own keys. Raises NotAllowed."""
    require(actor, RIGHT)
    lines = {group.pk: GroupLine(group) for group in Group.objects.order_by("code")}
    people = dict(User.objects.exclude(billing_group=None).values_list("pk", "billing_group_id"))
    for group_id, count in _members():
        lines[group_id].member_count = count
    for person_id, (units, nano) in _old_quota().items():
        if person_id in people:
            line = lines[people[person_id]]
            line.imported_count += 1
            line.old_units += units
            line.old_nano += nano
    _add_balances(lines, people)
    _add_limits(lines)
    _add_multipliers(lines)
    return list(lines.values())


def total_of(lines: list[GroupLine]) -> GroupLine:
    """The sums of all lines."""
    return GroupLine(
        None,
        member_count=sum(line.member_count for line in lines),
        imported_count=sum(line.imported_count for line in lines),
        old_units=sum(line.old_units for line in lines),
        old_nano=sum(line.old_nano for line in lines),
        members_nano=sum(line.members_nano for line in lines),
        team_nano=sum(line.team_nano for line in lines),
        held_nano=sum(line.held_nano for line in lines),
    )


def member_lines(actor: User, group: Group) -> Iterator[MemberLine]:
    """The members of one group, by user name: the group's line is the sum of these. Raises NotAllowed."""
    require(actor, RIGHT)
    people = User.objects.filter(billing_group=group).order_by("username")
    old = _old_quota()
    purses: defaultdict[int | None, tuple[int, int]] = defaultdict(lambda: (0, 0))
    rows = LedgerAccount.objects.filter(is_purse=True, user__in=people).values_list("user_id")
    for person_id, balance, held in rows.annotate(b=Sum("balance_nano"), h=Sum("held_nano")):
        purses[person_id] = (balance, held)
    for person in people:
        units, nano = old.get(person.pk, (0, 0))
        balance, held = purses[person.pk]
        yield MemberLine(person, units, nano, balance, held, person.pk in old)


def export_rows(actor: User) -> Iterator[list[object]]:
    """The rows of the table as they are shown, the total last."""
    lines = group_lines(actor)
    yield from (line.cells() for line in lines)
    yield total_of(lines).cells()


def _members() -> list[tuple[int, int]]:
    people = User.objects.exclude(billing_group=None).order_by()
    return list(people.values_list("billing_group_id").annotate(n=Count("pk")))


def _old_quota() -> dict[int, tuple[int, int]]:
    """Per person what the import read: units of quota and their nano-USD."""
    found: dict[int, tuple[int, int]] = {}
    rows = ImportedRow.objects.filter(table="users", target_type="accounts.user").values_list("target_id", "figures")
    for target_id, figures in rows.iterator():
        if "nano" not in figures:
            continue
        units, nano = found.get(int(target_id), (0, 0))
        read = sum(int(value) for value in figures.get("quota", {}).values())
        found[int(target_id)] = (units + read, nano + int(figures["nano"]))
    return found


def _add_balances(lines: dict[int, GroupLine], people: dict[int, int]) -> None:
    purses = LedgerAccount.objects.filter(is_purse=True).order_by()
    sums = purses.values_list("user_id", "group_id").annotate(b=Sum("balance_nano"), h=Sum("held_nano"))
    for person_id, group_id, balance, held in sums.iterator():
        of_group = group_id if group_id is not None else people.get(person_id)
        if of_group is None:
            continue
        line = lines[of_group]
        line.held_nano += held
        if group_id is not None:
            line.team_nano += balance
        else:
            line.members_nano += balance


def _add_limits(lines: dict[int, GroupLine]) -> None:
    for limit in SpendLimit.objects.filter(scope="group"):
        if limit.group_id is not None:
            lines[limit.group_id].limits[limit.span] = limit.limit_nano
    for calls in CallLimit.objects.filter(group__isnull=False, user=None):
        if calls.group_id is not None:
            lines[calls.group_id].calls = calls


def _add_multipliers(lines: dict[int, GroupLine]) -> None:
    """The factor in force on calls in the group by its own members, from the price book the group has."""
    table, moment = load_table(), now()
    for line in lines.values():
        if line.group is None:
            continue
        book_id = table.group_books.get(line.group.code, table.default_book_id)
        book = table.books.get(book_id) if book_id is not None else None
        version = book.version_at(moment) if book else None
        line.multiplier = version.multiplier(line.group.code, line.group.code) if version else None
