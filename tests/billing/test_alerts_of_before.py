"""Alerts of an earlier version: a database as it was, with rows in it, brought to the rules of alerts by its migration."""

from typing import Any

import psycopg
import pytest
from psycopg import sql

from tests.stack.test_schema import empty_database, migrate

USD = 10**9
# What a column without a default is filled with, by the kind of its type.
FILLED = {
    "boolean": True, "text": "", "character varying": "", "jsonb": "{}", "ARRAY": "{}", "timestamp with time zone": "now",
}  # fmt: skip
NEEDED = """
SELECT column_name, data_type FROM information_schema.columns
WHERE table_name = %s AND is_nullable = 'NO' AND column_default IS NULL AND is_identity = 'NO'
"""


def put(own: psycopg.Connection[Any], table: str, **values: Any) -> None:
    """A row; what a column must have and the test does not care for is filled in."""
    needed = {name: FILLED.get(kind, 0) for name, kind in own.execute(NEEDED, [table])}
    row = {**needed, **values}
    names = sql.SQL(", ").join(map(sql.Identifier, row))
    holes = sql.SQL(", ").join([sql.Placeholder()] * len(row))
    own.execute(sql.SQL("INSERT INTO {} ({}) VALUES ({})").format(sql.Identifier(table), names, holes), list(row.values()))


@pytest.mark.slow
@pytest.mark.django_db
def test_R028_alerts_of_an_earlier_version_become_rules_with_what_they_told() -> None:
    """R028: the threshold, whether it is on, where it stands and what was told stay; so nothing is told a second time."""
    with empty_database("alerts") as url:
        migrate(url, "billing", "0019_refunds_and_currencies")
        with psycopg.connect(url) as own:
            for number, name in enumerate(("ada", "bob", "eve"), start=1):
                who = {"id": number, "username": name, "email": f"{name}@example.org", "role": "user", "state": "enabled"}
                put(own, "accounts_user", **who, is_staff=False)
            put(own, "billing_balancealert", user_id=1, threshold_nano=5 * USD, is_enabled=True, is_armed=True, epoch=0)
            put(
                own, "billing_balancealert", user_id=2, threshold_nano=USD, is_enabled=False, is_armed=False, epoch=2,
                last_balance_nano=USD // 2,
            )  # fmt: skip
            for epoch, balance in ((1, USD // 4), (2, USD // 2)):
                put(
                    own, "billing_alertfire", user_id=2, epoch=epoch, threshold_nano=USD, balance_nano=balance,
                    fired_at=f"2026-05-0{epoch}T12:00:00Z",
                )  # fmt: skip
        migrate(url, "billing", "0020_alert_rules")
        with psycopg.connect(url) as own:
            rules = own.execute(
                "SELECT user_id, kind, thresholds, channels, is_enabled, pauses_key, group_id, key_id "
                "FROM billing_alertrule ORDER BY 1"
            ).fetchall()
            assert rules == [
                (1, "balance_low", [5 * USD], ["mail", "hook"], True, False, None, None),
                (2, "balance_low", [USD], ["mail", "hook"], False, False, None, None),
            ]
            states = own.execute(
                "SELECT r.user_id, s.subject, s.crossed, s.epoch, s.last_value FROM billing_alertstate s "
                "JOIN billing_alertrule r ON r.id = s.rule_id ORDER BY 1"
            ).fetchall()
            # Bob has been told: his threshold waits for recovery. Ada's is armed.
            assert states == [(1, "", [], 0, None), (2, "", [USD], 2, USD // 2)]
            events = own.execute(
                "SELECT r.user_id, e.kind, e.phase, e.epoch, e.threshold, e.value, e.figures, e.fired_at::date::text "
                "FROM billing_alertevent e JOIN billing_alertrule r ON r.id = e.rule_id ORDER BY e.epoch"
            ).fetchall()
            assert events == [
                (
                    2,
                    "balance_low",
                    "triggered",
                    epoch,
                    USD,
                    value,
                    {"thresholds": [USD], "balance_nano": value},
                    f"2026-05-0{epoch}",
                )
                for epoch, value in ((1, USD // 4), (2, USD // 2))
            ]
            left = own.execute("SELECT count(*) FROM pg_class WHERE relname IN ('billing_balancealert', 'billing_alertfire')")
            assert left.fetchone() == (0,)
