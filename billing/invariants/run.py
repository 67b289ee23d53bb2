"""Runs every invariant on one snapshot of the database, so that calls that end meanwhile are no false alarm."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection, transaction

from billing.invariants.history import DESK, HISTORY
from billing.invariants.queries import INVARIANTS, Invariant
from billing.models import GroupMultiplier, PriceRule, PriceVersion
from billing.services.prices import content_digest, figures_of
from config.foundation.clock import now

EXAMPLES = 10
PRICES = Invariant("prices", "Published price versions hold what was published.", "")


@dataclass(frozen=True, slots=True)
class Finding:
    """One invariant and how often it is broken, with the first breaches as (object, what is wrong)."""

    code: str
    says: str
    breaches: int
    examples: list[tuple[str, str]]

    def as_json(self) -> dict[str, Any]:
        return {"code": self.code, "says": self.says, "breaches": self.breaches, "examples": self.examples}


def check_all(at: datetime | None = None) -> list[Finding]:
    """Every invariant, in a fixed order; ``at`` moves the clock for holds that should have ended."""
    with _snapshot():
        findings = [_run(invariant, at or now()) for invariant in (*INVARIANTS, *DESK, *HISTORY)]
        return [*findings, _prices()]


@contextmanager
def _snapshot() -> Iterator[None]:
    if connection.in_atomic_block:
        # The caller's transaction decides what is seen.
        yield
        return
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        yield


def _run(invariant: Invariant, moment: datetime) -> Finding:
    # format('%s') of the queries is not a parameter of ours.
    inner = invariant.sql.replace("%s", "%%s")
    sql = f"SELECT x.thing::text, x.detail, count(*) OVER () FROM ({inner}) x(thing, detail) ORDER BY 1 LIMIT %(most)s"  # noqa: S608
    with connection.cursor() as cursor:
        cursor.execute(sql, {"moment": moment, "most": EXAMPLES})
        rows = cursor.fetchall()
    return Finding(invariant.code, invariant.says, rows[0][2] if rows else 0, [(row[0], row[1] or "") for row in rows])


def _prices() -> Finding:
    breaches = []
    for version in PriceVersion.objects.filter(published_at__isnull=False).exclude(content_digest="").order_by("pk"):
        rules = {rule.model_name: figures_of(rule) for rule in PriceRule.objects.filter(version=version)}
        rows = GroupMultiplier.objects.filter(version=version)
        multipliers = {(row.group_code, row.payer_group_code): row.multiplier for row in rows}
        if content_digest(rules, multipliers) != version.content_digest:
            breaches.append((f"price version {version.pk}", "differs from what was published"))
    return Finding(PRICES.code, PRICES.says, len(breaches), breaches[:EXAMPLES])
