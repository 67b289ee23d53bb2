"""Charged calls a second through the relay, beside the same requests sent to the demo upstream directly, in the same run.

Every call through the relay is a full one: key, decision, durable hold, forward, durable charge and log row. CPU per call
is user plus system time of the relay's process, and of its PostgreSQL backends apart. Each figure is the median of
``ROUNDS`` rounds of ``SECONDS``; at the end every answered call must have its charge. Uses a database of its own.
"""

import asyncio
import os
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings.test")
django.setup()

import orjson  # noqa: E402
from django.db import connection  # noqa: E402

from billing.models import LedgerEntry, RequestLog  # noqa: E402
from tests.gateway.servers import Server, running, start_relay, start_upstream, until  # noqa: E402
from tests.gateway.world import World  # noqa: E402

SECONDS = 3.0
ROUNDS = 3
PEOPLE = 16
TICKS = os.sysconf("SC_CLK_TCK")
BODY = orjson.dumps(
    {
        "model": "demo-chat",
        "max_tokens": 100,
        "temperature": 0.2,
        "messages": [
            {"role": "system", "content": "You answer in one short sentence."},
            {"role": "user", "content": "Which words does the demo upstream say? [[usage 40 12]]"},
        ],
    }
)


@dataclass
class Round:
    """One round: calls answered with 200, seconds it took, latencies in ms, CPU seconds of relay and database."""

    calls: int
    seconds: float
    latencies: list[float]
    relay_cpu: float = 0.0
    database_cpu: float = 0.0

    @property
    def rate(self) -> float:
        return self.calls / self.seconds


async def _client(port: int, head: bytes, stop: float, latencies: list[float]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    request = head + b"content-length: %d\r\n\r\n" % len(BODY) + BODY
    while time.perf_counter() < stop:
        began = time.perf_counter()
        writer.write(request)
        answer = await reader.readuntil(b"\r\n\r\n")
        if not answer.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(f"a call was not served: {answer[:80]!r} {(await reader.read(400))!r}")
        length = int(answer.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        await reader.readexactly(length)
        latencies.append((time.perf_counter() - began) * 1000)
    writer.close()


async def _load(port: int, keys: list[str], concurrency: int) -> Round:
    latencies: list[float] = []
    began = time.perf_counter()
    heads = [
        f"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
        f"authorization: Bearer {keys[n % len(keys)]}\r\n".encode()
        for n in range(concurrency)
    ]
    await asyncio.gather(*(_client(port, head, began + SECONDS, latencies) for head in heads))
    return Round(len(latencies), time.perf_counter() - began, latencies)


def _cpu_of(pids: list[int]) -> float:
    total = 0
    for pid in pids:
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        total += int(fields[11]) + int(fields[12])
    return total / TICKS


def _backends() -> list[int]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pid FROM pg_stat_activity WHERE application_name = 'portal relay' AND datname = current_database()"
        )
        return [row[0] for row in cursor.fetchall()]


def measure(server: Server, keys: list[str], concurrency: int, *, is_relay: bool) -> Round:
    port = int(server.url.rpartition(":")[2])
    relay = [server.process.pid, *server.children()] if is_relay else []
    before = _cpu_of(relay), (_cpu_of(_backends()) if is_relay else 0.0)
    found = asyncio.run(_load(port, keys, concurrency))
    if is_relay:
        # The ends of the last calls are still being written; their work belongs to this round.
        time.sleep(0.3)
        found.relay_cpu, found.database_cpu = _cpu_of(relay) - before[0], _cpu_of(_backends()) - before[1]
    return found


@contextmanager
def own_database() -> Iterator[None]:
    connection.settings_dict["TEST"]["NAME"] = f"bench_relay_{os.getpid()}"
    name = connection.settings_dict["NAME"]
    connection.creation.create_test_db(verbosity=0, autoclobber=True, serialize=False)
    try:
        yield
    finally:
        connection.creation.destroy_test_db(name, verbosity=0)


def _line(concurrency: int, direct: list[Round], relay: list[Round]) -> str:
    there, here = statistics.median(x.rate for x in direct), statistics.median(x.rate for x in relay)
    p50 = [statistics.median(x.latencies) for x in relay]
    p99 = [sorted(x.latencies)[int(len(x.latencies) * 0.99)] for x in relay]
    added = statistics.median(p50) - statistics.median(statistics.median(x.latencies) for x in direct)
    relay_cpu = statistics.median(x.relay_cpu / x.calls * 1000 for x in relay)
    database_cpu = statistics.median(x.database_cpu / x.calls * 1000 for x in relay)
    return (
        f"{concurrency:>5} {there:>10,.0f} {here:>10,.0f} {here / there:>7.3f} {statistics.median(p50):>8.2f} {added:>9.2f}"
        f" {statistics.median(p99):>8.2f} {relay_cpu:>9.3f} {database_cpu:>9.3f} {relay_cpu + database_cpu:>9.3f}"
    )


def main() -> None:
    with own_database(), running(start_upstream()) as upstream, running(start_relay()) as relay:
        world = World(upstream, relay).build()
        keys = [world.key(world.person("100000"))[1] for _ in range(PEOPLE)]
        print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; one relay process; body {len(BODY)} bytes")
        print(
            f"{'conc':>5} {'direct/s':>10} {'charged/s':>10} {'ratio':>7} {'p50 ms':>8} {'added ms':>9} {'p99 ms':>8}"
            f" {'relay ms':>9} {'db ms':>9} {'CPU ms':>9}"
        )
        measure(relay, keys, 16, is_relay=True)  # warm
        for concurrency in (1, 16, 64):
            direct, charged = [], []
            for _ in range(ROUNDS):
                direct.append(measure(upstream, keys, concurrency, is_relay=False))
                charged.append(measure(relay, keys, concurrency, is_relay=True))
            print(_line(concurrency, direct, charged), flush=True)
        answered = RequestLog.objects.filter(outcome="ok").count
        until(lambda: answered() == LedgerEntry.objects.filter(kind="charge").count() > 0, 20)
        print(f"{answered():,} calls, each with its charge in the ledger")


if __name__ == "__main__":
    main()
