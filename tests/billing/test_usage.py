"""Roll-ups: folded as calls end, equal to a count of the log, and shown with empty days."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
import time_machine

from accounts.models import Role, User
from billing.models import RequestLog, UsageAccount, UsageCube, UsageDelta, UsageHouse
from billing.selectors import usage_by_day
from billing.services import ledger, partitions, usage
from config.foundation.errors import NotFound
from config.foundation.ids import uuid7
from tests.billing.helpers import broken, person, rich, wants

pytestmark = pytest.mark.django_db
NOON = datetime(2026, 11, 20, 12, 30, tzinfo=UTC)


def call_at(user: User, moment: datetime, cost: int, *, key: Any = None, **log: Any) -> UUID:
    call = uuid7(int(moment.timestamp() * 1000))
    ledger.reserve([wants(user, cost, key=key, call=call)])
    values = {"outcome": "ok", "user_id": user.pk, "input_tokens": 10, "output_tokens": 2, **log}
    ledger.record_calls([ledger.CallEvent(call, cost, True, "", values)])
    return call


def daily() -> list[tuple[Any, ...]]:
    fields = ("day_on", "user_id", "model_name", "origin", "call_count", "failed_count", "input_tokens", "cost_nano")
    return sorted(UsageCube.objects.values_list(*fields))


def house() -> list[tuple[Any, ...]]:
    fields = ("minutes", "begins_at", "cut", "value", "origin", "call_count", "failed_count", "output_tokens", "cost_nano")
    return sorted(UsageHouse.objects.values_list(*fields))


def some_calls() -> User:
    user, _purse = rich(amount=10**9)
    for n in range(40):
        moment = NOON - timedelta(hours=7 * n)
        outcome = "ok" if n % 5 else "upstream_error"
        call_at(
            user, moment, n * 3 if outcome == "ok" else 0, billed_model=f"m{n % 9}", group_code=f"g{n % 2}", outcome=outcome
        )
    return user


def test_folding_in_any_steps_equals_a_recount() -> None:
    some_calls()
    while usage.fold_usage(limit=7):
        assert broken() == {}
    folded = daily(), house()
    assert UsageDelta.objects.count() == 0
    first, last = (NOON - timedelta(days=12)).date(), NOON.date()
    UsageCube.objects.all().delete()
    UsageHouse.objects.filter(cut="group", minutes=15).update(cost_nano=7)
    UsageHouse.objects.create(minutes=15, begins_at=NOON, cut="model", value="ghost", call_count=5)
    UsageAccount.objects.filter(minutes=60).update(call_count=99)
    assert set(broken()) == {"usage_cube", "usage_house", "usage_accounts", "usage_spans"}
    assert usage.recount(first, last) == 40
    assert (daily(), house()) == folded
    assert broken() == {}
    assert usage.recount(first, last) == 40
    assert (daily(), house()) == folded


def test_a_recount_takes_over_what_is_not_folded_yet() -> None:
    some_calls()
    assert UsageDelta.objects.count() == 40
    usage.recount((NOON - timedelta(days=12)).date(), NOON.date())
    assert UsageDelta.objects.count() == 0
    assert usage.fold_usage() == 0
    assert sum(row[4] for row in daily()) == 40
    assert broken() == {}


def test_names_that_nobody_serves_are_not_counted_by_name() -> None:
    event = ledger.CallEvent(uuid7(), 0, False, "", {"outcome": "unknown_model", "asked_model": "'; DROP TABLE--"})
    ledger.record_calls([event])
    usage.fold_usage()
    assert daily()[0][1:5] == (0, "", "relay", 1)
    assert broken() == {}


@time_machine.travel(NOON, tick=False)
def test_the_chart_has_every_day_and_the_dearest_models() -> None:
    user, _purse = rich(amount=10**9)
    for n in range(9):
        call_at(user, NOON - timedelta(days=3), 100 - n, billed_model=f"m{n}")
    usage.fold_usage()
    call_at(user, NOON, 1000, billed_model="m0")
    chart = usage_by_day(user, user, days=30)
    assert [day.day for day in chart.days] == [(NOON - timedelta(days=n)).date() for n in range(29, -1, -1)]
    assert chart.models == ["m0", "m1", "m2", "m3", "m4", "m5", "m6", "other"]
    assert {day.day: (day.call_count, day.cost_nano) for day in chart.days if day.call_count} == {
        (NOON - timedelta(days=3)).date(): (9, sum(100 - n for n in range(9))),
        NOON.date(): (1, 1000),
    }
    assert chart.days[-4].by_model["other"] == 93 + 92
    assert chart.total.cost_nano == sum(day.cost_nano for day in chart.days)
    with pytest.raises(NotFound):
        usage_by_day(person("eve"), user)
    assert usage_by_day(person("support", Role.SUPPORT), user).total.call_count == 10


def test_partitions_are_made_once_and_hold_old_calls() -> None:
    first = datetime(2019, 1, 1, tzinfo=UTC).date()
    assert partitions.ensure_partitions(first, first + timedelta(days=60)) == 3
    assert partitions.ensure_partitions(first, first + timedelta(days=60)) == 0
    assert partitions.ensure_partitions() >= 0
    user, _purse = rich(amount=10**9)
    call_at(user, datetime(2019, 2, 3, 4, 5, tzinfo=UTC), 5)
    assert RequestLog.objects.get().started_at == datetime(2019, 2, 3, 4, 5, tzinfo=UTC)
    assert Decimal(5) == RequestLog.objects.get().cost_nano
