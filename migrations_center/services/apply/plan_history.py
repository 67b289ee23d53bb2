"""Which log rows become history. Counted by SQL; the rows themselves are read when they are written. No writes."""

from collections import defaultdict
from dataclasses import dataclass

from migrations_center.rulebook.abilities import asked_name
from migrations_center.services.apply.context import ImportContext
from migrations_center.services.apply.tally import CREATED, UNCHANGED
from migrations_center.sources.records import (
    LOG_CALL,
    LOG_ERROR,
    LOG_LOGIN,
    LOG_MANAGE,
    LOG_REFUND,
    LOG_SYSTEM,
    LOG_TOP_UP,
    LogGroup,
    OldLog,
)
from migrations_center.sources.schema import NEW_API

TABLE = "logs"
HISTORY = "history"
_REASONS = {
    LOG_TOP_UP: "log_top_up",
    LOG_MANAGE: "log_manage",
    LOG_SYSTEM: "log_system",
    LOG_ERROR: "log_channel_test",
    LOG_REFUND: "log_refund",
    LOG_LOGIN: "log_login",
}


@dataclass(frozen=True, slots=True)
class LogFacts:
    """What SQL says of the log rows: sums, rows that cannot be history, and the span of time."""

    sums: list[LogGroup]
    unusable: list[dict[str, int]]
    span: tuple[int, int] | None


def call_types(product: str) -> tuple[int, ...]:
    """Log types that are calls. Type 5 is an error row in New API and a channel test in One API."""
    return (LOG_CALL, LOG_ERROR) if product == NEW_API else (LOG_CALL,)


def plan_history(context: ImportContext, facts: LogFacts, people: set[int]) -> int:
    """Count every log row; returns how many become history."""
    tally, count = context.tally, context.tally.purse(HISTORY)
    types = call_types(context.product)
    bad = [row for row in facts.unusable if row["type"] in types]
    calls = units = gone = 0
    for group in facts.sums:
        tally.table(TABLE).read += group.rows
        count.source += group.quota
        if group.type in types:
            calls += group.rows
            units += group.quota
            gone += group.rows if group.user_id not in people else 0
        else:
            count.left_out += group.quota
            tally.leave(TABLE, _REASONS.get(group.type, "log_unknown"), count=group.rows)
    for row in bad:
        count.refused += row["quota"]
        tally.refuse(TABLE, row["id"], "log_row_unusable")
    landed = calls - len(bad)
    count.landed = units - sum(row["quota"] for row in bad)
    count.landed_nano = context.nano(count.landed)
    before = context.portal.row(TABLE, "*")
    already = min(int(before.figures.get("rows", 0)) - context.log_rows_of_run, landed) if before else 0
    tally.land(TABLE, UNCHANGED, already)
    tally.land(TABLE, CREATED, landed - already)
    if gone:
        tally.differ(TABLE, "log_person_gone", count=gone)
    _merge_issues(context)
    return landed


def _merge_issues(context: ImportContext) -> None:
    """Rows left out by reason are listed once per reason, not once per person."""
    totals: dict[str, int] = defaultdict(int)
    kept = []
    for issue in context.tally.issues:
        if issue.table == TABLE and issue.kind == "left_out":
            totals[issue.reason] += int(issue.detail.get("count", 1))
        else:
            kept.append(issue)
    context.tally.issues = kept
    for reason, rows in sorted(totals.items()):
        context.tally.left_out[(TABLE, reason)] -= rows
        context.tally.leave_part(TABLE, reason, count=rows)


@dataclass(frozen=True)
class Attribution:
    """Finds the key of a log row: by its id, or by the name where a person has exactly one key of that name."""

    by_id: dict[int, tuple[int, str]]
    by_name: dict[tuple[int, str], tuple[int, str] | None]
    asked: dict[tuple[int, str], str]

    def key_of(self, row: OldLog) -> tuple[int, str] | None:
        """Our key's id and its tail; None where it cannot be known."""
        if row.token_id:
            return self.by_id.get(row.token_id)
        return self.by_name.get((row.user_id, row.token_name)) if row.token_name else None

    def asked_of(self, row: OldLog) -> str:
        return self.asked.get((row.channel_id, row.model_name), row.model_name)


def attribution(context: ImportContext, key_ids: dict[int, int]) -> Attribution:
    """From the keys that landed; ``key_ids`` are old id -> ours."""
    by_id: dict[int, tuple[int, str]] = {}
    by_name: dict[tuple[int, str], tuple[int, str] | None] = {}
    for key in context.snapshot.keys:
        ours = (key_ids[key.id], key.key[-4:]) if key.id in key_ids else None
        if ours:
            by_id[key.id] = ours
        place = (key.user_id, key.name)
        # A second key of the same name makes the rows of that name nobody's.
        by_name[place] = None if place in by_name else ours
    asked = {}
    if context.product != NEW_API:
        for channel in context.snapshot.channels:
            for target in set(channel.mapping.values()):
                name = asked_name(channel, target, context.product)
                if name != target:
                    asked[(channel.id, target)] = name
        return Attribution(by_id, by_name, asked)
    # New API says the key's id; a row without one was made without a key (playground, channel test).
    return Attribution(by_id, {}, asked)
