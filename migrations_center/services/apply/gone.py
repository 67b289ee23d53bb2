"""Rows that landed before and are no longer in the source: what was deleted there ends here, unless it lives here by now."""

from dataclasses import dataclass, field

from migrations_center.services.apply.context import ImportContext
from migrations_center.services.apply.portal import KnownRow

GONE = "gone"


@dataclass(frozen=True)
class GonePlan:
    people: dict[str, KnownRow] = field(default_factory=dict)
    keys: dict[str, KnownRow] = field(default_factory=dict)
    codes: dict[str, KnownRow] = field(default_factory=dict)
    channels: dict[str, KnownRow] = field(default_factory=dict)

    @property
    def count(self) -> int:
        return len(self.people) + len(self.keys) + len(self.codes) + len(self.channels)


def plan_gone(context: ImportContext) -> GonePlan:
    """Rows to end. Keys of people whom a batch has switched stay: the new side decides over them now."""
    snapshot = context.snapshot
    there = {
        "users": {str(user.id) for user in snapshot.users},
        "tokens": {str(key.id) for key in snapshot.keys},
        "redemptions": {str(code.id) for code in snapshot.codes},
        "channels": {str(channel.id) for channel in snapshot.channels},
    }
    found: dict[str, dict[str, KnownRow]] = {}
    for table, ids in there.items():
        missing = {
            row_id: row for row_id, row in context.portal.rows_of(table).items() if row_id not in ids and row.digest != GONE
        }
        found[table] = {}
        for row_id, row in missing.items():
            owner = row.figures.get("owner")
            person = int(row.target_id) if table == "users" else owner
            if person in context.portal.switched:
                context.tally.differ(table, "gone_but_switched", row_id=row_id)
                continue
            found[table][row_id] = row
            context.tally.differ(table, "gone_from_source", row_id=row_id)
    return GonePlan(found["users"], found["tokens"], found["redemptions"], found["channels"])
