"""R017: limits of calls in the relay: over several relays, with Valkey, without it, and emptied in the middle."""

import asyncio
import shutil
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
import redis
import redis.asyncio
from django.conf import settings

from accounts.models import Group
from billing.models import RequestLog
from config.stack.binaries import find_redis
from gateway.contract.types import CallLimits
from gateway.relay import limits as limits_module
from gateway.relay import shared_counts
from gateway.relay.limits import Limiter, Permit, Refusal
from keys.models import ApiKey, CallLimit
from keys.services_limits import CallFigures, Subject, set_call_limit
from tests.gateway.servers import Server, free_port, running, start_relay, until
from tests.gateway.world import World, balance, held, hold_of, log_of

KEY = CallLimits("key", "1", requests=40)


@pytest.fixture
def empty_counts() -> Iterator[redis.Redis]:
    """Valkey, without counts of earlier tests."""
    client = redis.from_url(settings.REDIS_URL)

    def empty() -> None:
        for name in client.scan_iter(f"{shared_counts.PREFIX}*"):
            client.delete(name)

    empty()
    yield client
    empty()


@pytest.fixture
def one_minute(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The clock of the limiter, a tenth of a second into a minute; tests move it."""
    clock = [1_800_000_000.1]
    monkeypatch.setattr(limits_module.time, "time", lambda: clock[0])
    return clock


async def admitted(relays: list[Limiter], limit: CallLimits, asks: int, *, tokens: int = 0) -> int:
    """How many of so many calls, all at once and spread over the relays, are let in (none of them ends)."""
    answers = await asyncio.gather(*(relays[n % len(relays)].admit((limit,), tokens) for n in range(asks)))
    return sum(isinstance(answer, Permit) for answer in answers)


def run(act) -> None:  # type: ignore[no-untyped-def]
    asyncio.run(act)


@pytest.mark.parametrize("relays", [1, 2, 5])
def test_R017_all_relays_together_admit_exactly_the_limit_in_a_minute(
    relays: int, empty_counts: redis.Redis, one_minute: list[float]
):
    async def act() -> None:
        town = [Limiter(f"relay{n}") for n in range(relays)]
        # Every relay is asked for more than the whole limit, so no share is left over anywhere.
        assert await admitted(town, KEY, relays * 60) == 40
        assert await admitted(town, KEY, relays * 3) == 0
        one_minute[0] += 60
        assert await admitted(town, KEY, relays * 60) == 40
        for limiter in town:
            await limiter.stop()

    run(act())


def test_R017_a_small_limit_is_exact_however_the_calls_are_spread(empty_counts: redis.Redis, one_minute: list[float]):
    async def act() -> None:
        a, b = Limiter("a"), Limiter("b")
        limit = CallLimits("person", "9", requests=3)
        assert await admitted([a], limit, 1) == 1
        assert await admitted([b], limit, 1) == 1
        assert await admitted([a], limit, 1) == 1
        assert await admitted([b, a], limit, 2) == 0
        await a.stop()
        await b.stop()

    run(act())


def test_R017_tokens_count_by_what_a_call_may_use_and_are_corrected_by_what_it_used(
    empty_counts: redis.Redis, one_minute: list[float]
):
    async def act() -> None:
        a, b = Limiter("a"), Limiter("b")
        limit = CallLimits("group", "4", tokens=1_000)
        first = await a.admit((limit,), 900)
        assert isinstance(first, Permit)
        assert isinstance(await b.admit((limit,), 200), Refusal)
        a.end(first, 300)
        await a.tell()
        # 300 are used; 50 stay with the first relay as its share, 650 are there for the second one.
        await asyncio.sleep(limits_module.DRY_SECONDS)
        second = await b.admit((limit,), 650)
        assert isinstance(second, Permit)
        # An answer that was longer than thought counts in full.
        b.end(second, 700)
        await b.tell()
        assert isinstance(await a.admit((limit,), 60), Refusal)
        too_large = await a.admit((limit,), 1_001)
        assert isinstance(too_large, Refusal)
        assert too_large.denial.code == "request_exceeds_token_limit"
        await a.stop()
        await b.stop()

    run(act())


def test_R017_calls_at_once_over_relays_end_and_are_free_for_the_other_relay(empty_counts: redis.Redis):
    async def act() -> None:
        a, b = Limiter("a"), Limiter("b")
        limit = CallLimits("key", "1", parallel=3)
        permits = [await a.admit((limit,), 0) for _ in range(2)] + [await b.admit((limit,), 0)]
        assert all(isinstance(permit, Permit) for permit in permits)
        refused = await b.admit((limit,), 0)
        assert isinstance(refused, Refusal)
        assert (refused.denial.http_status, refused.denial.code, refused.denial.limit_of) == (
            429,
            "parallel_calls_exceeded",
            "key",
        )
        for permit in permits[:2]:
            assert isinstance(permit, Permit)
            a.end(permit, 0)
        # The second try of a refusal waits longer than the first relay keeps idle slots.
        assert isinstance(await b.admit((limit,), 0), Permit)
        assert isinstance(await b.admit((limit,), 0), Permit)
        assert isinstance(await b.admit((limit,), 0), Refusal)
        await a.stop()
        await b.stop()

    run(act())


def test_R017_calls_of_a_relay_that_died_stop_counting(empty_counts: redis.Redis, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(shared_counts, "ALIVE_MS", 150)

    async def act() -> None:
        dead, living = Limiter("dead"), Limiter("living")
        limit = CallLimits("key", "1", parallel=1)
        assert isinstance(await dead.admit((limit,), 0), Permit)
        assert isinstance(await living.admit((limit,), 0), Refusal)
        await asyncio.sleep(0.2)
        assert isinstance(await living.admit((limit,), 0), Permit)
        await dead.stop()
        await living.stop()

    run(act())


def test_R017_an_emptied_valkey_is_told_again_what_each_relay_has(empty_counts: redis.Redis, one_minute: list[float]):
    async def act() -> None:
        a, b = Limiter("a"), Limiter("b")
        assert await admitted([a, b], KEY, 30) == 30
        await a.tell()
        await b.tell()
        empty_counts.flushdb()
        await a.tell()
        await b.tell()
        assert await admitted([a, b], KEY, 60) == 10
        # And when nobody had the time to tell: never more than once more the limit.
        one_minute[0] += 60
        assert await admitted([a, b], KEY, 60) == 40
        empty_counts.flushdb()
        one_minute[0] += 0.1
        for limiter in (a, b):
            for meter in limiter._meters.values():
                meter.dry_until = 0.0
        assert await admitted([a, b], KEY, 200) <= 40
        await a.stop()
        await b.stop()

    run(act())


def test_R017_a_valkey_that_comes_back_from_an_old_dump_lets_nobody_in_twice(
    tmp_path: Path, one_minute: list[float], settings, monkeypatch: pytest.MonkeyPatch
):
    """gateway.md 3.6: killed and started from a dump that knows 10 of 30 calls; the relays tell it what it has forgotten."""
    monkeypatch.setattr(shared_counts, "PAUSE_SECONDS", 0.05)
    program, _origin = find_redis()
    port, dump, old = free_port(), tmp_path / "dump.rdb", tmp_path / "old.rdb"
    settings.REDIS_URL = f"redis://127.0.0.1:{port}/0"

    def begin() -> subprocess.Popen[bytes]:
        command = [str(program), "--port", str(port), "--bind", "127.0.0.1", "--dir", str(tmp_path), "--save", ""]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until(lambda: _is_up(settings.REDIS_URL), 20)
        return process

    async def act(process: subprocess.Popen[bytes]) -> subprocess.Popen[bytes]:
        a, b = Limiter("a"), Limiter("b")
        # Each has what it was let in for, and nothing in hand.
        assert await admitted([a, b], KEY, 10) == 10
        await a.tell()
        await b.tell()
        redis.from_url(settings.REDIS_URL).save()
        shutil.copy(dump, old)
        assert await admitted([a, b], KEY, 20) == 20
        await a.tell()
        await b.tell()
        process.kill()
        process.wait(10)
        shutil.copy(old, dump)
        process = begin()
        for limiter in (a, b, a, b):
            # The first word finds its line cut, the second one tells everything.
            await limiter.tell()
            await asyncio.sleep(0.06)
        # Only one of them is asked, so that only what the other one told stands in its way.
        assert 0 < await admitted([a], KEY, 60) <= 10
        await a.stop()
        await b.stop()
        return process

    process = begin()
    try:
        process = asyncio.run(act(process))
    finally:
        process.kill()
        process.wait(10)


def _is_up(url: str) -> bool:
    try:
        return bool(redis.from_url(url).ping())
    except redis.RedisError:
        return False


def test_R017_without_valkey_each_relay_keeps_to_its_share(
    empty_counts: redis.Redis, one_minute: list[float], settings, monkeypatch: pytest.MonkeyPatch
):
    there = settings.REDIS_URL
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    monkeypatch.setattr(shared_counts, "PAUSE_SECONDS", 0.05)

    async def act() -> None:
        town = [Limiter(f"relay{n}") for n in range(3)]
        for limiter in town:
            limiter.relay_count = 3
        assert await admitted(town, KEY, 180) == 3 * 14
        # It comes back in the same minute and hears what was admitted without it.
        settings.REDIS_URL = there
        for limiter in town:
            limiter._counts._client = None
        await asyncio.sleep(0.1)
        for limiter in town:
            await limiter.tell()
            for meter in limiter._meters.values():
                meter.dry_until = 0.0
        assert await admitted(town, KEY, 180) == 0
        for limiter in town:
            await limiter.stop()

    run(act())


def asks(server: Server, clear: str, **fields: object) -> httpx.Response:
    body = {"model": "demo-chat", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 100, **fields}
    return httpx.post(f"{server.url}/v1/chat/completions", json=body, headers={"Authorization": f"Bearer {clear}"}, timeout=30)


def limited(world: World, *, wait: bool = True, **figures: int) -> tuple[ApiKey, str]:
    key, clear = world.key(world.person("10"))
    set_call_limit(actor=None, subject=Subject(key=key), figures=CallFigures(**figures))
    return key, clear


def early_in_a_minute() -> None:
    """Real relays go by the real clock: do not begin in the last seconds of a minute."""
    if time.time() % 60 > 45:
        time.sleep(60.1 - time.time() % 60)


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_R017_two_relays_hold_to_one_limit_and_say_whose_it_is(world: World, empty_counts: redis.Redis):
    with running(start_relay()) as second:
        key, clear = limited(world, requests_per_minute=20)
        early_in_a_minute()
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda n: asks((world.relay, second)[n % 2], clear), range(60)))
        assert Counter(answer.status_code for answer in answers) == {200: 20, 429: 40}
        allowed = next(answer for answer in answers if answer.status_code == 200)
        assert allowed.headers["x-ratelimit-limit-requests"] == "20"
        assert int(allowed.headers["x-ratelimit-remaining-requests"]) < 20
        refused = next(answer for answer in answers if answer.status_code == 429)
        error = refused.json()["error"]
        assert (error["type"], error["code"], error["limit_of"]) == (
            "rate_limit_error",
            "requests_per_minute_exceeded",
            "key",
        )
        assert 1 <= int(refused.headers["retry-after"]) <= 60
        assert refused.headers["x-ratelimit-remaining-requests"] == "0"
        row = log_of(refused.headers["x-request-id"])
        assert (row.outcome, row.cost_nano, row.error_code) == ("rate_limited", 0, "requests_per_minute_exceeded")
        assert hold_of(refused.headers["x-request-id"]) is None
        until(lambda: RequestLog.objects.filter(key=key).count() == 60)
        assert held(key.owner) == 0
        # The limit goes, and the calls go on within a second.
        set_call_limit(actor=None, subject=Subject(key=key), figures=CallFigures())
        assert not CallLimit.objects.exists()
        until(lambda: asks(second, clear).status_code == 200)


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_R017_calls_at_once_and_streams_free_their_slot_when_they_end(world: World, empty_counts: redis.Redis):
    key, clear = limited(world, parallel_calls=2)
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: asks(world.relay, clear, model="demo-slow", stream=True), range(6)))
    codes = Counter(answer.status_code for answer in answers)
    assert codes[200] == 2
    assert codes[429] == 4
    assert asks(world.relay, clear).status_code == 200
    assert balance(key.owner) > 0


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_R017_limits_of_a_group_a_person_and_a_member_are_found_for_their_keys(world: World, empty_counts: redis.Redis):
    team = Group.objects.create(code="crew", name="Crew")
    person, other = world.person("10"), world.person("10")
    _, clear = world.key(person)
    _, second = world.key(person)
    _, others = world.key(other)
    early_in_a_minute()
    set_call_limit(actor=None, subject=Subject(user=person), figures=CallFigures(requests_per_minute=2))
    until(lambda: asks(world.relay, clear).headers.get("x-ratelimit-limit-requests") == "2")
    assert asks(world.relay, second).status_code == 200
    refused = asks(world.relay, clear)
    assert (refused.status_code, refused.json()["error"]["limit_of"]) == (429, "person")
    assert asks(world.relay, others).status_code == 200
    set_call_limit(actor=None, subject=Subject(group=world.group), figures=CallFigures(tokens_per_minute=400))
    until(lambda: "x-ratelimit-limit-tokens" in asks(world.relay, others, max_tokens=1).headers)
    large = asks(world.relay, others, max_tokens=600)
    assert (large.status_code, large.json()["error"]["code"]) == (429, "request_exceeds_token_limit")
    assert large.json()["error"]["limit_of"] == "group"
    assert team.call_limits.count() == 0
