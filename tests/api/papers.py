"""A statement with a file, an item of the desk, a rule of alerts and a web hook of the customer, for the tests of the API."""

from datetime import UTC, date, datetime

from billing.models import AlertRule, DeskItem, HookEndpoint, Statement, StatementFile
from config.foundation.crypto import seal
from config.foundation.ids import uuid7
from tests.admin.world import World

FIGURES = dict.fromkeys(("opening", "credits", "usage", "expiry", "adjustments", "earlier", "closing"), 0)


def add_papers(world: World) -> None:
    customer = world.things["customer"]
    statement = Statement.objects.create(
        user=customer,
        month_on=date(2026, 8, 1),
        time_zone="UTC",
        starts_at=datetime(2026, 8, 1, tzinfo=UTC),
        ends_at=datetime(2026, 9, 1, tzinfo=UTC),
        entry_count=0,
        figures={"lines": {"credits": [], "usage": []}},
        **{f"{name}_nano": amount for name, amount in FIGURES.items()},
    )
    StatementFile.objects.create(
        statement=statement, format="csv", language="en", content=b"a,b", sha256="0" * 64, byte_count=3
    )
    item = DeskItem.objects.create(kind="unmatched", reference=uuid7().hex, reason="no_hold", user=customer, amount_nano=5)
    hook = HookEndpoint.objects.create(
        user=customer, url="https://hooks.example.org/a", secret_sealed=seal("whsec_canary-hook-0123456789"), secret_tail="6789"
    )
    rule = AlertRule.objects.create(kind="balance_low", user=customer, thresholds=[10**9], channels=["mail"])
    world.things["alert_rule"] = rule
    world.things |= {"statement": statement, "desk_item": item, "hook": hook}
    world.secrets.append("whsec_canary-hook-0123456789")
