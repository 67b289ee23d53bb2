"""Limits nearly used, and what concerns the house: unpriced models, old holds, messages that do not arrive."""

from datetime import timedelta

import pytest

from accounts.models import OutboundMail, Role
from billing.models import AlertEvent, RequestLog
from billing.services import alerts, budgets, ledger
from config.foundation.clock import now
from config.foundation.ids import uuid7, uuid7_time
from tests.billing.helpers import end, give, hold, key_of, person

pytestmark = pytest.mark.django_db
USD = 1_000_000_000


def told() -> list[tuple[str, str]]:
    return list(OutboundMail.objects.order_by("created_at").values_list("to_address", "subject"))


def test_R091_a_limit_tells_at_80_and_100_per_cent_once_each() -> None:
    user = person("ada", email="ada@example.org")
    key = key_of(user, "job")
    give(ledger.purse_for(user=user), 10 * USD)
    budgets.set_key_limit(actor=user, key=key, limit_nano=USD)
    for amount in (700, 100, 50, 50, 99, 1):
        end(hold(user, amount * 1_000_000, key=key).request_id, amount * 1_000_000)
        alerts.check_limits()
        alerts.check_limits()
    assert [subject for _to, subject in told()] == [
        "“job” has used 80 % of its limit",
        "“job” has used 100 % of its limit",
    ]
    budgets.set_key_limit(actor=user, key=key, limit_nano=2 * USD)
    assert alerts.check_limits() == 0
    end(hold(user, 600_000_000, key=key).request_id, 600_000_000)
    assert [alerts.check_limits() for _ in range(2)] == [1, 0]
    assert AlertEvent.objects.filter(kind="limit_use").count() == 3


def test_an_unpriced_model_is_told_once_a_day_to_those_whom_it_concerns() -> None:
    for role in (Role.OPS, Role.FINANCE, Role.SUPPORT):
        person(role, role, email=f"{role}@example.org")
    for model, code in (("gpt-9", "model_not_priced"), ("gpt-9", "model_not_priced"), ("gpt-8", "model_not_found")):
        call = uuid7()
        RequestLog.objects.create(
            id=call, started_at=uuid7_time(call), asked_model=model, outcome="model_unavailable", error_code=code
        )
    assert [alerts.check_unpriced() for _ in range(3)] == [1, 0, 0]
    assert {to for to, _subject in told()} == {"ops@example.org", "finance@example.org"}
    assert {subject for _to, subject in told()} == {"“gpt-9” has no price and was asked for"}


def test_old_holds_are_told_and_so_is_their_end() -> None:
    boss = person("boss", Role.ADMIN, email="boss@example.org")
    alerts.choose_mails(actor=boss, choices={"old_holds": True, "digest": False})
    user = person("ada")
    give(ledger.purse_for(user=user), USD)
    hold(user, 5, seconds=-299)
    assert alerts.check_holds() == 0
    hold(user, 5, seconds=-301)
    assert [alerts.check_holds() for _ in range(2)] == [1, 0]
    ledger.expire_holds()
    assert [alerts.check_holds() for _ in range(2)] == [1, 0]
    assert [subject for _to, subject in told()] == ["1 hold should have ended", "No hold is overdue any more"]


def test_messages_that_fail_are_one_alert_and_no_storm_of_their_own() -> None:
    person("ops", Role.OPS, email="ops@example.org")
    OutboundMail.objects.create(
        to_address="x@example.org", kind="test", subject="x", text="x", dedupe_key="x", state="failed", claimed_at=now()
    )
    assert [alerts.check_deliveries() for _ in range(3)] == [1, 0, 0]
    OutboundMail.objects.filter(kind="alert").update(state="failed", claimed_at=now())
    assert alerts.check_deliveries() == 0
    OutboundMail.objects.filter(state="failed").update(claimed_at=now() - timedelta(hours=2))
    assert [alerts.check_deliveries() for _ in range(2)] == [1, 0]
