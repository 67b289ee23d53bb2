"""Low balances: own thresholds, one message per crossing, recovery, and nobody twice."""

import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from django.db import connection, connections

from accounts.models import AuditEvent, Group, GroupMembership, OutboundMail, Role, User
from billing.models import AlertEvent, AlertRule, AlertState
from billing.services import alerts, ledger
from config.foundation.errors import InvalidInput, NotAllowed
from tests.billing.helpers import broken, end, give, hold, person

USD = 1_000_000_000


def spend(user: User, amount: int) -> None:
    end(hold(user, amount).request_id, amount)


def watches(user: User, *thresholds: int, **more: object) -> AlertRule:
    values = {"channels": ["mail"], **more}
    return alerts.set_rule(actor=user, kind="balance_low", user=user, thresholds=thresholds, **values)  # type: ignore[arg-type]


def subjects() -> list[str]:
    return list(OutboundMail.objects.order_by("created_at").values_list("subject", flat=True))


@pytest.mark.django_db
class TestOnePerCrossing:
    def test_R091_one_mail_per_crossing_and_one_recovery_note(self) -> None:
        user = person("ada", email="ada@example.org")
        purse = give(ledger.purse_for(user=user), 3 * USD)
        watches(user, 2 * USD)
        spend(user, USD)
        assert alerts.check_balances() == 0
        spend(user, 1)
        assert [alerts.check_balances() for _ in range(3)] == [1, 0, 0]
        give(purse, USD // 10)
        spend(user, USD // 10)
        assert alerts.check_balances() == 0
        give(purse, USD // 5)
        assert alerts.check_balances() == 0
        give(purse, 1)
        assert [alerts.check_balances() for _ in range(2)] == [1, 0]
        spend(user, USD // 5 + 1)
        assert [alerts.check_balances() for _ in range(2)] == [1, 0]
        assert subjects() == [
            "Your balance is low: $2.00",
            "Your balance has recovered: $2.20",
            "Your balance is low: $2.00",
        ]
        found = AlertEvent.objects.order_by("fired_at").values_list("phase", "epoch", "threshold", "value")
        assert list(found) == [
            ("triggered", 1, 2 * USD, 2 * USD - 1),
            ("resolved", 1, 2 * USD, 2_200_000_000),
            ("triggered", 2, 2 * USD, 2 * USD - 1),
        ]
        assert broken() == {}

    def test_several_thresholds_and_only_the_most_advanced_tells(self) -> None:
        user = person("ada", email="ada@example.org")
        give(ledger.purse_for(user=user), 20 * USD)
        watches(user, 10 * USD, 5 * USD, USD)
        spend(user, 16 * USD)
        assert alerts.check_balances() == 1
        assert AlertEvent.objects.get().threshold == 5 * USD
        spend(user, 2 * USD)
        assert alerts.check_balances() == 0
        spend(user, USD + 1)
        assert alerts.check_balances() == 1
        assert AlertState.objects.get(subject="", rule__user=user).crossed == [10 * USD, 5 * USD, USD]

    def test_a_thousand_calls_after_the_threshold_are_one_mail(self) -> None:
        user = person("ada", email="ada@example.org")
        give(ledger.purse_for(user=user), 10 * USD)
        watches(user, 9 * USD)
        told = 0
        for _look in range(20):
            for _call in range(50):
                spend(user, 5_000_000)
            told += alerts.check_balances()
        assert told == 1
        assert OutboundMail.objects.count() == 1

    def test_history_does_not_fire(self) -> None:
        """Whoever is met with a low balance, or lifts a threshold above the balance, is told of the next crossing only."""
        poor = person("poor", email="poor@example.org")
        purse = give(ledger.purse_for(user=poor), USD // 2)
        assert [alerts.check_balances() for _ in range(2)] == [0, 0]
        watches(poor, 5 * USD)
        assert alerts.check_balances() == 0
        give(purse, 6 * USD)
        assert alerts.check_balances() == 1
        spend(poor, 2 * USD)
        assert alerts.check_balances() == 1
        assert AlertEvent.objects.filter(phase="triggered").count() == 1

    def test_switched_off_alerts_and_money_on_the_old_entry_say_nothing(self) -> None:
        silent = person("silent", email="silent@example.org")
        give(ledger.purse_for(user=silent), 2 * USD)
        watches(silent, USD, is_enabled=False)
        spend(silent, 2 * USD)
        waiting = person("waiting", email="waiting@example.org")
        give(ledger.purse_for(user=waiting, origin="import:one", is_spendable=False), 1)
        assert alerts.check_balances() == 0
        assert not OutboundMail.objects.exists()
        assert not AlertRule.objects.filter(user=waiting).exists()

    def test_a_teams_purse_is_told_to_its_owners(self) -> None:
        team = Group.objects.create(code="lab", name="Lab")
        boss, member = person("boss", email="boss@example.org"), person("member", email="member@example.org")
        GroupMembership.objects.create(group=team, user=boss, team_role="owner")
        GroupMembership.objects.create(group=team, user=member)
        give(ledger.purse_for(group=team), 3 * USD)
        alerts.check_balances()
        alerts.set_rule(actor=boss, kind="balance_low", group=team, thresholds=[4 * USD], channels=["mail"])
        AlertState.objects.update(crossed=[])
        assert alerts.check_balances() == 1
        assert list(OutboundMail.objects.values_list("to_address", "subject")) == [
            ("boss@example.org", "The balance of Lab is low: $3.00")
        ]


@pytest.mark.django_db
class TestSetting:
    def test_only_oneself_and_owners_set_a_rule(self) -> None:
        team = Group.objects.create(code="lab", name="Lab")
        admin = person("admin", Role.ADMIN)
        for scope in ({"user": person()}, {"group": team}):
            with pytest.raises(NotAllowed):
                alerts.set_rule(actor=admin, kind="balance_low", thresholds=[USD], channels=[], **scope)  # type: ignore[arg-type]
        with pytest.raises(NotAllowed):
            alerts.set_rule(actor=person("eve"), kind="old_holds", thresholds=[1], channels=[])
        assert not AlertRule.objects.exists()

    @pytest.mark.parametrize("thresholds", [[], [-1], [2**62 + 1], list(range(9))])
    def test_thresholds_that_are_none(self, thresholds: list[int]) -> None:
        user = person()
        with pytest.raises(InvalidInput):
            watches(user, *thresholds)
        assert not AuditEvent.objects.filter(action="alert.changed").exists()

    def test_a_change_is_in_the_trail_once(self) -> None:
        user = person()
        for _time in range(2):
            watches(user, 3 * USD, USD)
        event = AuditEvent.objects.get(action="alert.changed")
        assert (event.before["thresholds"], event.after["thresholds"]) == ([USD], [3 * USD, USD])


def worker(_n: int) -> int:
    try:
        return alerts.check_balances()
    finally:
        connections.close_all()


def low() -> User:
    user = person("ada", email="ada@example.org")
    give(ledger.purse_for(user=user), 3 * USD)
    watches(user, 2 * USD)
    spend(user, USD + 1)
    return user


DYING = """
import os, signal
import django
django.setup()
from billing.services import alerts
from billing.services.alerts import notices
notices.queue_mail = lambda **_: os.kill(os.getpid(), signal.SIGKILL)
alerts.check_balances()
"""


@pytest.mark.django_db(transaction=True)
class TestAtOnceAndKilled:
    def test_eight_workers_at_once_write_one_mail(self) -> None:
        low()
        barrier = threading.Barrier(8)

        def run(n: int) -> int:
            barrier.wait(30)
            return worker(n)

        with ThreadPoolExecutor(8) as threads:
            assert sum(threads.map(run, range(8))) == 1
        assert OutboundMail.objects.count() == 1
        assert AlertEvent.objects.count() == 1

    def test_a_worker_killed_between_decision_and_mail_leaves_it_to_the_next(self) -> None:
        low()
        params = connection.get_connection_params()
        address = f"postgresql://{params['user']}@/{params['dbname']}?host={params['host']}&port={params.get('port', 5432)}"
        died = subprocess.run(
            [sys.executable, "-c", DYING],
            env={**os.environ, "DATABASE_URL": address},
            cwd=Path(__file__).parents[3],
            timeout=60,
            check=False,
        )
        assert died.returncode == -signal.SIGKILL
        assert not AlertEvent.objects.exists()
        assert AlertState.objects.get(rule__kind="balance_low").crossed == []
        assert [alerts.check_balances() for _ in range(3)] == [1, 0, 0]
        assert OutboundMail.objects.count() == 1
        assert broken() == {}
