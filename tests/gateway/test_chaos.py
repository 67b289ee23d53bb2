"""M6: processes and connections die at random moments under traffic, and every sum still ties out. R025's own check too."""

import asyncio
import concurrent.futures
import os
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import orjson
import pytest
import redis
from django.conf import settings
from django.core.management import call_command
from django.db.models import F, Sum
from django.utils import timezone

from billing.models import DeskItem, Hold, LedgerAccount, LedgerEntry, LedgerSeal, RequestLog, UsageHouse
from billing.services import leases, ledger, usage
from gateway.relay.replay import replay
from tests.billing.helpers import broken
from tests.gateway import chaos
from tests.gateway.servers import until
from tests.gateway.world import USD, World, balance, held

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]
PEOPLE = 12


@pytest.fixture
def storm(world: World) -> Iterator[chaos.Storm]:
    broker = f"{settings.REDIS_URL.rpartition('/')[0]}/15"
    redis.from_url(broker).flushdb()
    keys = [world.key(world.person("5"))[1] for _ in range(PEOPLE)]
    team = world.group
    world.top_up(team, 5 * USD)
    keys.append(world.key(team=team, group=team)[1])
    raging = chaos.Storm(keys, broker)
    try:
        raging.begin()
        yield raging
    finally:
        raging.end()
        redis.from_url(broker).flushdb()


def recount() -> dict[int, int]:
    """The balance of every purse from its entries alone."""
    came = dict(LedgerEntry.objects.values_list("to_account").annotate(n=Sum("amount_nano")))
    went = dict(LedgerEntry.objects.values_list("from_account").annotate(n=Sum("amount_nano")))
    return {account: int(came.get(account, 0)) - int(went.get(account, 0)) for account in came.keys() | went.keys()}


def test_R025_M6_whatever_dies_under_traffic_every_balance_equals_a_recount(world: World, storm: chaos.Storm) -> None:
    asyncio.run(storm.rage(chaos.CALLS, chaos.CLIENTS))
    # The worker does its work, however often it died: what waits for it is still in the queue.
    until(lambda: UsageHouse.objects.exists() and LedgerSeal.objects.exists(), 120, 0.2)
    storm.end()
    # What the last ones to die left on the disk.
    replay(Path(storm.state) / "spool")
    for _again in range(5):
        storm.repeats += chaos.repeat_ends(storm.rng, 2000)
    open_before = Hold.objects.filter(state="open").count()
    later = timezone.now() + timedelta(minutes=16)
    while ledger.expire_holds(at=later) or leases.expire_leases(at=later):
        pass
    while usage.fold_usage():
        pass

    # Nobody's call is open, no sum is off, nothing was counted twice.
    assert not Hold.objects.filter(state="open").exists()
    assert broken(later) == {}
    sums = recount()
    assert sum(sums.values()) == 0
    purses = LedgerAccount.objects.filter(is_purse=True)
    assert {x.pk: (x.balance_nano, x.held_nano) for x in purses} == {x.pk: (sums.get(x.pk, 0), 0) for x in purses}
    twice = LedgerEntry.objects.values("transaction_id", "kind", "from_account").annotate(n=Sum(1)).filter(n__gt=1)
    assert list(twice) == []
    assert set(storm.repeats) == {"repeated"}
    assert not DeskItem.objects.exists()

    # Calls that failed without an output cost nothing.
    failed = RequestLog.objects.exclude(outcome="ok").filter(output_tokens=0)
    assert failed.count() > 0
    assert not failed.exclude(cost_nano=0).exists()
    assert not LedgerEntry.objects.filter(kind="charge", transaction_id__in=failed.values("id")).exists()

    report = settled_as_promised(storm)
    report |= {"seed": chaos.SEED, "blows": dict(storm.fates), "repeated ends": storm.repeats["repeated"]}
    report |= {"holds the sweeper ended": open_before, "calls logged": RequestLog.objects.count()}
    print(orjson.dumps(report, option=orjson.OPT_INDENT_2).decode())
    if os.environ.get("CHAOS_REPORT"):
        Path(os.environ["CHAOS_REPORT"]).write_bytes(orjson.dumps(report))
    assert storm.fates["kill -9 worker"] >= 1
    assert sum(n for what, n in storm.fates.items() if what.startswith("kill -9 ")) >= 3
    assert storm.fates["database connections cut"] > 0
    call_command("ledger_check")


def settled_as_promised(storm: chaos.Storm) -> dict[str, object]:
    """Every whole answer is in the log at its exact price, whoever was killed after serving it."""
    logs = {x.id: x for x in RequestLog.objects.all()}
    for answer in storm.answers:
        if answer.status != 200 or not answer.is_whole or answer.price is None:
            continue
        log = logs[UUID(answer.request_id)]
        assert (log.outcome, log.cost_nano) == ("ok", answer.price)
    ids = [answer.request_id for answer in storm.answers if answer.request_id]
    assert len(ids) == len(set(ids))
    return {
        "calls": storm.started_calls,
        "answers": {str(status): n for status, n in Counter(x.status for x in storm.answers).items()},
    }


def test_R025_40_planted_failures_of_200_calls_cost_nothing(world: World) -> None:
    """R025: 5xx, time-outs and streams cut without an output: net 0 each, a hold and then its release."""
    person = world.person("1")
    _, clear = world.key(person)
    failures = ["demo-500"] * 14 + ["demo-timeout"] * 12 + ["demo-cut-before-output"] * 14
    models = [failures[n // 5] if n % 5 == 0 else "demo-chat" for n in range(200)]

    def call(model: str) -> tuple[str, str]:
        answer = world.ask(clear, "hi [[usage 100 10]]", model, stream=model == "demo-cut-before-output")
        return model, answer.headers["x-request-id"]

    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        calls = list(pool.map(call, models))
    planted = [UUID(request) for model, request in calls if model != "demo-chat"]
    assert len(planted) == 40
    until(lambda: held(person) == 0 and RequestLog.objects.filter(user_id=person.pk).count() == 200, 10)
    assert not LedgerEntry.objects.filter(transaction_id__in=planted).exists()
    assert set(RequestLog.objects.filter(id__in=planted).values_list("cost_nano", flat=True)) == {0}
    holds = Hold.objects.filter(id__in=planted)
    assert Counter(holds.values_list("state", flat=True)) == {"released": 40}
    assert holds.filter(amount_nano__gt=0, closed_at__gt=F("created_at")).count() == 40
    assert balance(person) == 1 * USD - 160 * 130
    assert broken() == {}
