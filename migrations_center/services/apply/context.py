"""What one import works with: the records, the old rules, what is here already, the operator's choices, and the counts."""

import uuid
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from typing import Any

from config.foundation.money import nano_from_quota
from migrations_center.models import Source
from migrations_center.rulebook.abilities import Matrix
from migrations_center.rulebook.groups import GroupRules
from migrations_center.rulebook.prices import PriceList
from migrations_center.services.apply.portal import KnownRow, Portal
from migrations_center.services.apply.tally import CREATED, Tally
from migrations_center.sources.gateway import Snapshot
from migrations_center.sources.records import OldChannel

RENAME, REFUSE = "rename", "refuse"


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """Decisions of the operator. ``old_entry`` is the address of the old gateway; with it, people stay on the old side."""

    include_preset_grant: bool = False
    with_upstream_secrets: bool = False
    upstream: str = ""
    old_entry: str = ""
    # False: administrators of the old gateway become ordinary people here.
    grant_staff: bool = False
    # What happens when the user name is taken by another person here.
    name_clash: str = RENAME
    # Only for a database that both products have opened.
    product: str = ""

    @classmethod
    def from_json(cls, found: dict[str, Any]) -> "ImportOptions":
        """Unknown names are ignored, so that an old run can be read after an update."""
        return cls(**{name: found[name] for name in cls.__slots__ if name in found})

    def as_json(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass
class ImportContext:
    """Everything an import knows. Plans write to ``tally`` only; the steps of apply write to the database."""

    source: Source
    snapshot: Snapshot
    snapshot_digest: str
    options: ImportOptions
    groups: GroupRules
    matrix: Matrix
    # Asked name -> name at the upstream -> channels.
    targets: dict[str, dict[str, list[OldChannel]]]
    prices: PriceList
    portal: Portal
    now: int
    unit: str
    log_span: tuple[int, int] | None
    run_id: uuid.UUID | None = None
    tally: Tally = field(default_factory=Tally)
    # Old ids of people whose balance is decided here by now.
    kept_balances: set[int] = field(default_factory=set)

    def land(self, table: str, outcome: str, known: KnownRow | None) -> None:
        """Count a row; what an interrupted attempt of the same run made counts as made by it."""
        self.tally.land(table, CREATED if self.is_of_this_run(known) else outcome)

    def is_of_this_run(self, known: KnownRow | None) -> bool:
        return known is not None and self.run_id is not None and known.first_run_id == self.run_id

    @property
    def log_rows_of_run(self) -> int:
        """Log rows that an interrupted attempt of the same run wrote."""
        known = self.portal.row("logs", "*")
        if known is None or known.figures.get("run") != str(self.run_id):
            return 0
        return int(known.figures.get("run_rows", 0))

    @property
    def code(self) -> str:
        return self.source.code

    @property
    def origin(self) -> str:
        return f"import:{self.source.code}"

    @property
    def product(self) -> str:
        return self.snapshot.product

    @property
    def per_unit(self) -> Fraction:
        return Fraction(Decimal(self.unit))

    @property
    def lands_on_old_side(self) -> bool:
        return bool(self.source.old_entry_id or self.options.old_entry)

    def group_code(self, group: str) -> str:
        return f"{self.source.code}/{group}"[:191] if group else ""

    def nano(self, quota: int) -> int:
        """Nano-USD worth of units, half-even."""
        return nano_from_quota(quota, self.per_unit)
