"""Batches of redemption codes with what became of them. Needs ``ledger.view``; amounts are nano-USD."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.models import Count, QuerySet, Sum

from accounts.models import User
from accounts.rights import require
from billing.models import CodeBatch, RedemptionCode
from config.foundation.errors import NotFound

RIGHT = "ledger.view"


@dataclass(frozen=True, slots=True)
class StateLine:
    """How many codes are in a state, and what they are worth."""

    state: str
    label: str
    count: int
    nano: int


@dataclass(frozen=True, slots=True)
class BatchLine:
    """``batch`` is None for codes that came from an old gateway; ``states`` are all states, in one order."""

    batch: CodeBatch | None
    states: tuple[StateLine, ...]

    @property
    def by_state(self) -> dict[str, StateLine]:
        return {line.state: line for line in self.states}

    @property
    def open_count(self) -> int:
        """Codes somebody could still redeem, now or when they are resumed."""
        found = self.by_state
        return found["unused"].count + found["disabled"].count


def batches(actor: User) -> QuerySet[CodeBatch]:
    require(actor, RIGHT)
    return CodeBatch.objects.select_related("created_by", "exported_by").defer("sealed_codes").order_by("-created_at", "-pk")


def batch_lines(actor: User, rows: list[CodeBatch]) -> list[BatchLine]:
    """The batches with counts and money by state, by one question for all of them."""
    require(actor, RIGHT)
    counted = _counted(RedemptionCode.objects.filter(batch__in=rows), "batch_id")
    return [BatchLine(batch, _states(counted.get(batch.pk, {}))) for batch in rows]


def code_totals(actor: User) -> BatchLine:
    """All codes together, also those of old gateways."""
    require(actor, RIGHT)
    rows = RedemptionCode.objects.values("state").annotate(n=Count("pk"), nano=Sum("amount_nano"))
    return BatchLine(None, _states({row["state"]: (row["n"], int(row["nano"])) for row in rows}))


def batch_for(actor: User, batch_id: UUID) -> CodeBatch:
    """One batch; raises NotFound."""
    batch = batches(actor).filter(pk=batch_id).first()
    if batch is None:
        raise NotFound
    return batch


def codes_of(actor: User, batch: CodeBatch, state: str = "") -> QuerySet[RedemptionCode]:
    """The codes of a batch by their last four characters, newest first."""
    require(actor, RIGHT)
    codes = RedemptionCode.objects.filter(batch=batch).select_related("used_by").order_by("-pk")
    return codes.filter(state=state) if state in RedemptionCode.State.values else codes


def has_sealed_codes(actor: User, batch: CodeBatch) -> bool:
    """Whether the clear codes still wait for their download."""
    require(actor, RIGHT)
    return CodeBatch.objects.filter(pk=batch.pk, sealed_codes__isnull=False).exists()


def _counted(codes: QuerySet[RedemptionCode], name: str) -> dict[Any, dict[str, tuple[int, int]]]:
    found: dict[Any, dict[str, tuple[int, int]]] = {}
    for row in codes.values(name, "state").annotate(n=Count("pk"), nano=Sum("amount_nano")):
        found.setdefault(row[name], {})[row["state"]] = (row["n"], int(row["nano"]))
    return found


def _states(found: dict[str, tuple[int, int]]) -> tuple[StateLine, ...]:
    return tuple(StateLine(value, str(label), *found.get(value, (0, 0))) for value, label in RedemptionCode.State.choices)
