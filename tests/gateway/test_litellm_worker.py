"""The adapter's background work against the portal over HTTP: configuration, keys, events, heartbeat, comparison."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from django.conf import settings

from billing.services import ledger
from gateway.engines.litellm.portal_litellm import worker as worker_module
from gateway.engines.litellm.portal_litellm.options import Options
from gateway.engines.litellm.portal_litellm.portal import PortalGone
from gateway.engines.litellm.portal_litellm.worker import Worker
from gateway.models import DataPlane, DataPlaneInstance, PlaneEvent, PlaneTally
from tests.gateway.planes import Plane, company, hash_of
from tests.gateway.servers import free_port
from tests.gateway.world import CREDENTIAL, balance, held

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]


def options_for(url: str, token: str, folder: Path) -> Options:
    peppers = tuple(pair.partition(":")[2].encode() for pair in settings.KEY_PEPPERS.split(","))
    return Options(url, token, peppers, folder, "box", timeout_seconds=30)


async def until(true: Callable[[], Any], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "not true in time"
        await asyncio.sleep(0.05)


class Router:
    """Takes what would go into LiteLLM's router."""

    def __init__(self) -> None:
        self.documents: list[dict[str, Any]] = []
        self.secrets: list[str] = []

    async def install(self, document: dict[str, Any], secret: Callable[[str | None], Awaitable[str]]) -> None:
        self.documents.append(document)
        self.secrets.append(await secret(document["models"][0]["channels"][0]["secret_ref"]))


def asked(clear: str, request_id: str) -> dict[str, Any]:
    est = {"input_tokens": 1000, "max_output_tokens": 500}
    return {"request_id": request_id, "key_hash": hash_of(clear), "model": "demo-chat", "est": est}


def test_a_worker_learns_serves_reports_and_compares(live_server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """From an empty folder to figures that agree; asked to drain and to read everything anew; started again from its folder."""
    monkeypatch.setattr(worker_module, "HEARTBEAT_SECONDS", 0.2)
    monkeypatch.setattr(worker_module, "WAIT_SECONDS", 1)
    monkeypatch.setattr(worker_module, "KEYS_SECONDS", 0.2)
    world, plane = company(), Plane.new(may_read_secrets=True)
    person = world.person("1")
    _, clear = world.key(person)
    options = options_for(live_server.url, plane.token, tmp_path)
    # The first request loads every page of the portal.
    httpx.get(f"{live_server.url}/dp/v1/nothing", timeout=120)
    router = Router()
    DataPlane.objects.filter(pk=plane.row.pk).update(wanted="drain")

    async def work() -> list[dict[str, Any]]:
        worker = Worker(options, router.install)
        await worker.start()
        try:
            await until(lambda: worker.copy.find(options.digests_of(clear)) and worker.copy.version and worker.is_draining)
            assert worker.copy.model_of("demo-chat") == "demo-chat"
            assert router.secrets == [CREDENTIAL]
            call = worker.calls.begin({"endpoint": "/v1/chat/completions", "model_requested": "demo-chat"}, 10)
            assert (await worker.portal.post("authorize", asked(clear, call.request_id)))["decision"] == "allow"
            usage = {"usage": {"input": 1000, "output": 200}, "usage_source": "upstream", "channel_id": world.route.pk}
            worker.calls.finish(call, "ok", http_status=200, **usage)
            # The portal knows nothing of this one: it says so once and for all.
            worker.calls.finish(worker.calls.begin({}, 1), "ok", **usage)
            await until(lambda: not worker.spool.pending)
            await until(lambda: (tmp_path / "copy-0.json").exists())
            # The one before may have been sent while events were still waiting.
            await worker._heartbeat()
            return await worker.reconcile(until=time.time() + 3600)
        finally:
            await worker.stop()
            worker.spool.close()

    differences = asyncio.run(work())
    assert [(one["told"]["calls"], one["ours"]["calls"]) for one in differences] == [(2, 1)]
    assert (balance(person), held(person)) == (10**9 - 1_600, 0)
    row = DataPlaneInstance.objects.get(plane=plane.row)
    assert (row.name, row.config_version, row.spool_depth) == ("box-0", router.documents[0]["version"], 0)
    assert row.clock_ms < 60_000
    assert PlaneTally.objects.get().our_calls == 1
    kept = (tmp_path / "copy-0.json").read_text(encoding="utf-8")
    assert clear.removeprefix("sk-") not in kept
    assert CREDENTIAL not in kept

    async def again() -> None:
        # The portal is away now: what was learnt is there.
        worker = Worker(options_for(f"http://127.0.0.1:{free_port()}", plane.token, tmp_path), Router().install)
        await worker.start()
        try:
            assert worker.copy.find(options.digests_of(clear)) is not None
            assert not worker.copy.is_stale
            call = worker.calls.begin({}, 1)
            with pytest.raises(PortalGone):
                await worker.portal.post("authorize", asked(clear, call.request_id))
            worker.calls.finish(call, "not_dispatched")
            await asyncio.sleep(0.5)
            assert len(worker.spool.pending) == 1
        finally:
            await worker.stop()
            worker.spool.close()

    asyncio.run(again())


def test_what_another_process_left_is_reported_by_the_next(live_server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Two shares of one folder: one has an open call that is held for, the other process finds it."""
    monkeypatch.setattr(worker_module, "HEARTBEAT_SECONDS", 0.2)
    monkeypatch.setattr(worker_module, "WAIT_SECONDS", 1)
    world, plane = company(), Plane.new()
    person = world.person("1")
    _, clear = world.key(person)
    options = options_for(live_server.url, plane.token, tmp_path)

    async def leave() -> None:
        first, second = Worker(options, Router().install), Worker(options, Router().install)
        assert (first.source, second.source) == ("box-0", "box-1")
        call = second.calls.begin({"endpoint": "/v1/chat/completions"}, 1)
        await second.portal.post("authorize", asked(clear, call.request_id))
        await second.portal.close()
        # Killed: nothing is written any more, its share is free.
        second.spool.close()
        await first.start()
        try:
            await until(lambda: not first.spool.pending and _taken(tmp_path))
        finally:
            await first.stop()
            first.spool.close()

    asyncio.run(leave())
    event = PlaneEvent.objects.get()
    assert (event.source, event.status, event.reason) == ("box-0", "accepted", "sweeper")
    assert held(person) > 0
    assert ledger.expire_holds() == 1
    assert (balance(person), held(person)) == (10**9, 0)


def _taken(folder: Path) -> bool:
    return '"t":"open"' not in (folder / "slot-1" / "spool.jsonl").read_text(encoding="utf-8")
