"""Money lent to the LiteLLM adapter, against the portal over HTTP: never more than was lent, charged once, given back."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from django.core.management import call_command
from django.db import connection

from accounts.models import User
from billing.models import Hold, Lease, RequestLog
from billing.services.budgets import set_key_limit
from gateway.engines.litellm.portal_litellm import lender as lender_module
from gateway.engines.litellm.portal_litellm import worker as worker_module
from gateway.engines.litellm.portal_litellm.lender import Draw, Lender, cost_of
from gateway.engines.litellm.portal_litellm.options import Options
from gateway.engines.litellm.portal_litellm.worker import Worker
from keys.models import ApiKey
from tests.gateway.planes import Company, Plane, company
from tests.gateway.servers import free_port
from tests.gateway.test_litellm_worker import Router, asked, options_for, until
from tests.gateway.world import balance, held

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]

CHAT = "/v1/chat/completions"
EST = {"input_tokens": 1000, "max_output_tokens": 500}
# 1,000 in at 1 nano-dollar, 500 out at 3: the most; and what is used of it.
MOST, COST = 2_500, 1_600
USED = {"usage": {"input": 1000, "output": 200}, "usage_source": "upstream", "http_status": 200}


@pytest.fixture
def stage(live_server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> "Stage":
    monkeypatch.setattr(worker_module, "WAIT_SECONDS", 1)
    monkeypatch.setattr(worker_module, "KEYS_SECONDS", 0.2)
    monkeypatch.setattr(worker_module, "TIDY_SECONDS", 0.2)
    monkeypatch.setattr(lender_module, "REFUSED_SECONDS", 1.0)
    # The first request loads every page of the portal.
    httpx.get(f"{live_server.url}/dp/v1/nothing", timeout=120)
    return Stage(live_server.url, tmp_path)


class Stage:
    def __init__(self, url: str, folder: Path) -> None:
        self.world: Company = company()
        self.plane = Plane.new()
        plain = options_for(url, self.plane.token, folder)
        self.options = Options(plain.url, plain.token, plain.peppers, folder, "box", timeout_seconds=30, lends=True)
        self.person: User = self.world.person("1")
        self.key: ApiKey
        self.key, self.clear = self.world.key(self.person)

    @asynccontextmanager
    async def worker(self, *, is_killed: bool = False) -> AsyncIterator[Worker]:
        worker = Worker(self.options, Router().install)
        await worker.start()
        try:
            await until(lambda: worker.copy.find(self.options.digests_of(self.clear)) and worker.copy.version)
            yield worker
        finally:
            if is_killed:
                for task in worker._tasks:
                    task.cancel()
                await asyncio.gather(*worker._tasks, return_exceptions=True)
                await worker.portal.close()
            else:
                await worker.stop()
            worker.spool.close()

    def row(self, worker: Worker) -> dict[str, Any]:
        found = worker.copy.find(self.options.digests_of(self.clear))
        assert found is not None
        return found

    async def lent(self, worker: Worker) -> Lender:
        """The first call is asked for; then there is a lease."""
        lender = worker.lender
        assert lender is not None
        row = self.row(worker)
        assert lender.admit(row, "demo-chat", CHAT, EST) is None
        call = worker.calls.begin({"endpoint": CHAT}, 1000)
        decision = await worker.portal.post("authorize", asked(self.clear, call.request_id))
        assert decision["reserved_nano"] == MOST
        lender.wish(row, "demo-chat", CHAT, MOST)
        worker.calls.finish(call, "ok", **USED)
        # A loan is good for the copy of keys and prices it was opened with.
        await until(lambda: lender._loans and lender._version == worker.copy.version)
        return lender

    def begin(self, worker: Worker) -> Any:
        assert worker.lender is not None
        draw = worker.lender.admit(self.row(worker), "demo-chat", CHAT, EST)
        if draw is None:
            return None
        facts = {"key_id": self.key.pk, "endpoint": CHAT, "model_requested": "demo-chat"}
        return worker.calls.begin(facts, 1000, draw)


def test_calls_draw_on_lent_money_are_charged_once_and_the_rest_comes_back(stage: Stage):
    async def work() -> list[str]:
        async with stage.worker() as worker:
            lender = await stage.lent(worker)
            row = stage.row(worker)
            # What has no rate, or is not priced by tokens alone, is asked for.
            assert lender.admit(row, "no-such-model", CHAT, EST) is None
            assert lender.admit(row, "demo-image", "/v1/images/generations", EST) is None
            ids = []
            for _n in range(20):
                call = stage.begin(worker)
                assert call is not None
                ids.append(call.request_id)
                worker.calls.finish(call, "ok", **USED)
            failed = stage.begin(worker)
            worker.calls.attempt_failed(failed, http_status=500)
            worker.calls.finish_failed(failed)
            await until(lambda: not worker.spool.pending)
            return ids

    ids = asyncio.run(work())
    assert balance(stage.person) == 10**9 - 21 * COST
    rows = RequestLog.objects.filter(pk__in=ids)
    assert {(row.cost_nano, row.held_nano, row.key_id, row.outcome) for row in rows} == {(COST, MOST, stage.key.pk, "ok")}
    assert set(Hold.objects.filter(pk__in=ids).values_list("lease_id", flat=True)) <= set(
        Lease.objects.filter(source=f"data plane {stage.plane.row.pk}").values_list("pk", flat=True)
    )
    assert not Lease.objects.filter(state="open").exists()
    assert held(stage.person) == 0
    stage.key.refresh_from_db()
    assert stage.key.last_used_at is not None
    call_command("ledger_check")


def test_while_the_portal_is_away_calls_go_on_until_the_lease_is_used_up(stage: Stage):
    async def work() -> int:
        async with stage.worker() as worker:
            lender = await stage.lent(worker)
            await until(lambda: not worker.spool.pending)
            granted = sum(loan.granted for loan in lender._loans.values())
            url, worker.portal._url = worker.portal._url, f"http://127.0.0.1:{free_port()}"
            calls = []
            while (call := stage.begin(worker)) is not None:
                calls.append(call)
            # The most they may cost fits in what was lent, and one more would not.
            assert granted - MOST < len(calls) * MOST <= granted
            for call in calls:
                worker.calls.finish(call, "ok", **USED)
            await asyncio.sleep(0.5)
            assert len(worker.spool.pending) == len(calls)
            worker.portal._url = url
            await until(lambda: not worker.spool.pending)
            return len(calls)

    served = asyncio.run(work())
    assert served >= 20
    assert (balance(stage.person), held(stage.person)) == (10**9 - (served + 1) * COST, 0)
    call_command("ledger_check")


def test_what_a_killed_process_had_lent_is_given_back_by_the_next(stage: Stage):
    async def killed() -> tuple[str, str]:
        async with stage.worker(is_killed=True) as worker:
            await stage.lent(worker)
            await until(lambda: not worker.spool.pending)
            done, running = stage.begin(worker), stage.begin(worker)
            for task in worker._tasks:
                task.cancel()
            worker.calls.finish(done, "ok", **USED)
            return done.request_id, running.request_id

    async def again() -> None:
        async with stage.worker() as worker:
            assert worker.lender is not None
            await until(lambda: not worker.spool.pending and not worker.spool.leases)

    done, running = asyncio.run(killed())
    assert held(stage.person) > 0
    asyncio.run(again())
    assert (balance(stage.person), held(stage.person)) == (10**9 - 2 * COST, 0)
    assert RequestLog.objects.get(pk=done).cost_nano == COST
    cut_off = RequestLog.objects.get(pk=running)
    assert (cut_off.outcome, cut_off.error_code, cut_off.cost_nano) == ("timeout", "hold_expired", 0)
    call_command("ledger_check")


def test_a_limit_that_comes_ends_the_lease_and_near_an_empty_balance_there_is_none(stage: Stage):
    poor, poor_clear = stage.world.key(stage.world.person("0.00002"))

    async def work() -> None:
        async with stage.worker() as worker:
            lender = await stage.lent(worker)
            draw = lender.admit(stage.row(worker), "demo-chat", CHAT, EST)
            assert isinstance(draw, Draw)
            draw.loan.end(MOST, 0)
            await asyncio.to_thread(limit)
            await until(lambda: not lender._loans)
            lender.wish(stage.row(worker), "demo-chat", CHAT, MOST)
            await until(lambda: lender._refused and not lender._asking)
            assert lender.admit(stage.row(worker), "demo-chat", CHAT, EST) is None
            await until(lambda: worker.copy.find(stage.options.digests_of(poor_clear)))
            row = worker.copy.find(stage.options.digests_of(poor_clear))
            assert row is not None
            lender.wish(row, "demo-chat", CHAT, MOST)
            await until(lambda: not lender._asking and poor.pk in lender._refused)
            await until(lambda: not worker.spool.leases)

    def limit() -> None:
        set_key_limit(actor=None, key=stage.key, limit_nano=10**8)
        connection.close()

    asyncio.run(work())
    assert held(stage.person) == 0
    assert not Lease.objects.filter(state="open").exists()


def test_the_most_a_call_costs_is_rounded_up():
    rate = {"call_nano": 7, "input_nano": 1_500_000, "output_nano": 1}
    assert cost_of(rate, 0, 0) == 7
    assert cost_of(rate, 1, 0) == 9
    assert cost_of(rate, 1000, 1) == 7 + 1501
