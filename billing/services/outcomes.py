"""Changing the table of what a call costs by how it ended: every change is a new version."""

from collections.abc import Mapping

from django.db import connection, transaction
from django.db.models import Max
from django.utils.translation import gettext as _

from accounts.models import Group, User
from accounts.rights import require
from accounts.services import audit
from billing.models import OutcomeRule, OutcomeRuleSet
from billing.outcome_rules import EVENTS, FIXED, HOUSE_RULES, OutcomeRules, OutcomeTable
from config.foundation.errors import InvalidInput

RIGHT = "prices.manage"
CURRENT_SQL = """
SELECT DISTINCT ON (s.group_code) s.id, s.group_code, s.is_withdrawn FROM billing_outcomeruleset s
ORDER BY s.group_code, s.number DESC
"""
CELLS_SQL = "SELECT rules_id, event, reported, counted FROM billing_outcomerule WHERE rules_id = ANY(%s)"


class UnknownRule(InvalidInput):
    """A way to end, or something to charge, that is not in the table."""

    code = "unknown_outcome_rule"


@transaction.atomic
def change_outcome_rules(
    *, actor: User | None, group_code: str = "", cells: Mapping[str, tuple[str, str]], note: str = ""
) -> OutcomeRuleSet:
    """A new version for everybody ("") or one billing group: event to (reported, counted). What says the same makes none.

    Calls that run already keep the version they were admitted with. ``actor`` None is the system.
    """
    if actor is not None:
        require(actor, RIGHT)
    actions = set(OutcomeRule.Action.values)
    for event, pair in cells.items():
        if event not in EVENTS or not set(pair) <= actions:
            raise UnknownRule(_("There is no such way to end, or nothing of this name to charge."))
        if event in FIXED and set(pair) != {FIXED[event]}:
            raise UnknownRule(_("An answer is paid for, and no result means no charge: this row cannot be changed."))
    if group_code and not Group.objects.filter(code=group_code).exists():
        raise UnknownRule(_("There is no such group."))
    _lock()
    before = _newest(group_code)
    full = {event: cells.get(event) or _default(before, event) for event in EVENTS}
    if before is not None and not before.is_withdrawn and full == cells_of(before):
        return before
    made = _add(group_code, actor, note)
    OutcomeRule.objects.bulk_create(
        [OutcomeRule(rules=made, event=event, reported=pair[0], counted=pair[1]) for event, pair in full.items()]
    )
    old = cells_of(before) if before is not None and not before.is_withdrawn else {}
    changed = {event: list(pair) for event, pair in full.items() if old.get(event) != pair}
    audit.record(
        actor=actor,
        action="outcome_rules.changed",
        target=made,
        before={event: list(pair) for event, pair in old.items() if event in changed},
        after=changed,
        reason=note,
    )
    return made


@transaction.atomic
def withdraw_outcome_rules(*, actor: User, group_code: str) -> OutcomeRuleSet | None:
    """Let a billing group follow the table of everybody again; None when it does already."""
    require(actor, RIGHT)
    if not group_code:
        raise UnknownRule(_("The table of everybody stays."))
    _lock()
    before = _newest(group_code)
    if before is None or before.is_withdrawn:
        return None
    made = _add(group_code, actor, "", is_withdrawn=True)
    audit.record(actor=actor, action="outcome_rules.withdrawn", target=made, before={"version": before.number})
    return made


def load_outcome_table() -> OutcomeTable:
    """The tables in force now."""
    with connection.cursor() as cursor:
        cursor.execute(CURRENT_SQL)
        current = cursor.fetchall()
        cursor.execute(CELLS_SQL, [[row[0] for row in current]])
        return table_from(current, cursor.fetchall())


def table_from(current: list[tuple[int, str, bool]], cells: list[tuple[int, str, str, str]]) -> OutcomeTable:
    """The table out of the rows of ``CURRENT_SQL`` and ``CELLS_SQL``; the relay reads them over a connection of its own."""
    by_set: dict[int, dict[tuple[str, str], str]] = {}
    for set_id, event, reported, counted in cells:
        by_set.setdefault(set_id, {}).update({(event, "reported"): reported, (event, "counted"): counted})
    found = {
        group_code: OutcomeRules(set_id, by_set.get(set_id, {})) for set_id, group_code, withdrawn in current if not withdrawn
    }
    return OutcomeTable(found.pop("", HOUSE_RULES), found)


def cells_of(version: OutcomeRuleSet) -> dict[str, tuple[str, str]]:
    return {row.event: (row.reported, row.counted) for row in version.rows.all()}


def _default(before: OutcomeRuleSet | None, event: str) -> tuple[str, str]:
    if before is not None and not before.is_withdrawn:
        found = cells_of(before).get(event)
        if found:
            return found
    rules = load_outcome_table().for_all
    return rules.action(event, is_counted=False), rules.action(event, is_counted=True)


def _newest(group_code: str) -> OutcomeRuleSet | None:
    return OutcomeRuleSet.objects.filter(group_code=group_code).order_by("-number").first()


def _add(group_code: str, actor: User | None, note: str, *, is_withdrawn: bool = False) -> OutcomeRuleSet:
    last = OutcomeRuleSet.objects.filter(group_code=group_code).aggregate(last=Max("number"))["last"] or 0
    who = actor.username if actor else "system"
    return OutcomeRuleSet.objects.create(
        group_code=group_code, number=last + 1, created_by=who, note=note, is_withdrawn=is_withdrawn
    )


def _lock() -> None:
    """One writer at a time; readers are not held up."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext('billing_outcome_rules'))")
