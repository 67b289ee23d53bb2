"""A statement of last month for the pictures."""

from datetime import UTC, datetime

from billing.models import Statement
from billing.services.statements import continue_run, start_runs
from billing.statements.months import last_ended
from config.foundation.clock import now
from tests.billing.statement_world import booked_as
from tests.pages.conftest import World

PAGES = [
    ("usage-by-day", "alice", "/usage/?by=day&zone=Asia/Shanghai&check=yes"),
    ("usage-of-all", "fin", "/usage/?whose=all&by=member"),
    ("usage-none", "charlie", "/usage/"),
    ("balance-explained", "alice", "/billing/explained/"),
    ("balance-explained-support", "sue", "/billing/explained/?who=alice"),
    ("statements", "alice", "/statements/"),
    ("statements-none", "charlie", "/statements/"),
    ("statement", "alice", "/statements/{statement}/"),
    ("statement-desk", "fin", "/finance/statements/?month={month}"),
    ("statement-preview", "fin", "/finance/statements/preview/?month={month}&who=alice"),
]


def papers_of(world: World) -> dict[str, str]:
    """The ledger as if it had been booked in the middle of last month, and Alice's statement of that."""
    month_on = last_ended("UTC", now())
    booked_as(datetime(month_on.year, month_on.month, 15, tzinfo=UTC), 0)
    for run in start_runs(actor=None, month_on=month_on):
        while continue_run(run.pk):
            pass
    statement = Statement.objects.get(user=world.alice)
    return {"statement": str(statement.pk), "month": f"{month_on:%Y-%m}"}
