"""What every step of an apply shares: remembering which row became what, and saying how far it is."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, TypeVar

from migrations_center.models import ImportedRow, ImportRun
from migrations_center.services.apply.plan import ImportPlan
from migrations_center.services.apply.portal import KnownRow

BATCH = 1_000
Item = TypeVar("Item")


@dataclass
class Apply:
    """A running apply. ``report`` is called between two batches with (step, done, total); it may raise ImportStopped."""

    plan: ImportPlan
    run: ImportRun
    report: Callable[[str, int, int], None]
    # Old id -> ours, filled by the steps in their order.
    user_ids: dict[int, int] = field(default_factory=dict)
    group_ids: dict[str, int] = field(default_factory=dict)
    key_ids: dict[int, int] = field(default_factory=dict)

    def remember(self, table: str, rows: Iterable[tuple[object, str, object, str, dict[str, Any]]]) -> None:
        """Write where rows landed, in the caller's transaction: (row id, kind of target, its id, digest, figures)."""
        ImportedRow.objects.bulk_create(
            [
                ImportedRow(
                    source=self.plan.context.source,
                    table=table,
                    row_id=str(row_id),
                    target_type=kind,
                    target_id=str(target),
                    digest=digest,
                    figures=figures,
                    first_run=self.run,
                    last_run=self.run,
                )
                for row_id, kind, target, digest, figures in rows
            ],
            update_conflicts=True,
            unique_fields=["source", "table", "row_id"],
            update_fields=["target_type", "target_id", "digest", "figures", "last_run"],
            batch_size=BATCH,
        )

    def update_row(self, known: KnownRow, digest: str, figures: dict[str, Any]) -> None:
        ImportedRow.objects.filter(pk=known.pk).update(digest=digest, figures=figures, last_run=self.run)


def batches(items: Sequence[Item], size: int = BATCH) -> Iterator[list[Item]]:
    iterator = iter(items)
    while part := list(islice(iterator, size)):
        yield part
