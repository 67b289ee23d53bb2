"""The counts of an import. For every table and every kind of money: read = landed + left out + refused, always."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from migrations_center.models import ImportIssue
from migrations_center.services.errors import ControlTotalsMismatch

Kind = ImportIssue.Kind
CREATED, UPDATED, UNCHANGED = "created", "updated", "unchanged"


@dataclass(slots=True)
class TableCount:
    read: int = 0
    landed: int = 0
    created: int = 0
    updated: int = 0
    left_out: int = 0
    refused: int = 0

    @property
    def adds_up(self) -> bool:
        return self.read == self.landed + self.left_out + self.refused and self.created + self.updated <= self.landed

    def as_json(self) -> dict[str, int]:
        return {name: getattr(self, name) for name in ("read", "landed", "created", "updated", "left_out", "refused")}


@dataclass(slots=True)
class MoneyCount:
    """Units of the old gateway, and what the landed ones are worth in nano-USD."""

    source: int = 0
    landed: int = 0
    left_out: int = 0
    refused: int = 0
    landed_nano: int = 0

    @property
    def ties_out(self) -> bool:
        return self.source == self.landed + self.left_out + self.refused

    def as_json(self) -> dict[str, int | bool]:
        return {
            "source_quota": self.source,
            "landed_quota": self.landed,
            "left_out_quota": self.left_out,
            "refused_quota": self.refused,
            "landed_nano_usd": self.landed_nano,
            "ties_out": self.ties_out,
        }


@dataclass(frozen=True, slots=True)
class Issue:
    kind: str
    table: str
    reason: str
    row_id: str = ""
    label: str = ""
    detail: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Tally:
    tables: dict[str, TableCount] = field(default_factory=dict)
    money: dict[str, MoneyCount] = field(default_factory=dict)
    left_out: Counter[tuple[str, str]] = field(default_factory=Counter)
    refused: list[tuple[str, str, str]] = field(default_factory=list)
    issues: list[Issue] = field(default_factory=list)

    def table(self, name: str) -> TableCount:
        return self.tables.setdefault(name, TableCount())

    def purse(self, name: str) -> MoneyCount:
        return self.money.setdefault(name, MoneyCount())

    def land(self, table: str, outcome: str, count: int = 1) -> None:
        counts = self.table(table)
        counts.landed += count
        if outcome == CREATED:
            counts.created += count
        elif outcome == UPDATED:
            counts.updated += count

    def leave(self, table: str, reason: str, *, row_id: object = "", label: str = "", count: int = 1, **detail: Any) -> None:
        """A row (or ``count`` rows) that stays outside by name."""
        if not count:
            return
        self.table(table).left_out += count
        self.leave_part(table, reason, row_id=row_id, label=label, count=count, **detail)

    def leave_part(
        self, table: str, reason: str, *, row_id: object = "", label: str = "", count: int = 1, **detail: Any
    ) -> None:
        """Part of a row that lands otherwise, named ``table.column``: it counts no row as left out."""
        if not count:
            return
        self.left_out[(table, reason)] += count
        facts = {**detail, "count": count} if count != 1 or not row_id else detail
        self.issues.append(Issue(Kind.LEFT_OUT, table, reason, str(row_id), label[:191], facts))

    def refuse(self, table: str, row_id: object, reason: str, *, label: str = "", **detail: Any) -> None:
        self.table(table).refused += 1
        self.refused.append((table, str(row_id), reason))
        self.issues.append(Issue(Kind.REFUSED, table, reason, str(row_id), label[:191], detail))

    def decide(self, table: str, reason: str, *, row_id: object = "", label: str = "", **detail: Any) -> None:
        self.issues.append(Issue(Kind.DECISION, table, reason, str(row_id), label[:191], detail))

    def differ(self, table: str, reason: str, *, row_id: object = "", label: str = "", **detail: Any) -> None:
        self.issues.append(Issue(Kind.DIFFERENCE, table, reason, str(row_id), label[:191], detail))

    def check(self) -> None:
        """Raises ControlTotalsMismatch naming every table and purse that does not add up."""
        wrong = [name for name, count in self.tables.items() if not count.adds_up]
        wrong += [name for name, count in self.money.items() if not count.ties_out]
        if wrong:
            raise ControlTotalsMismatch(f"These do not add up: {', '.join(sorted(wrong))}.", accounts=sorted(wrong))

    def as_json(self) -> dict[str, Any]:
        """The part of the report whose shape is fixed."""
        return {
            "tables": {name: count.as_json() for name, count in sorted(self.tables.items())},
            "totals": {name: count.as_json() for name, count in self.money.items()},
            "left_out": [
                {"table": table, "reason": reason, "count": count} for (table, reason), count in sorted(self.left_out.items())
            ],
            "refused": [{"table": table, "id": row_id, "reason": reason} for table, row_id, reason in self.refused],
        }

    def of_kind(self, kinds: Iterable[str]) -> list[Issue]:
        wanted = set(kinds)
        return [issue for issue in self.issues if issue.kind in wanted]
