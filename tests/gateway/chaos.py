"""Traffic through real processes that are killed at random moments, with the ends of calls repeated and shuffled meanwhile.

The size comes from the environment: ``CHAOS_CALLS`` (300), ``CHAOS_CLIENTS`` (64), ``CHAOS_SEED`` (chosen by the clock).
"""

import asyncio
import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import orjson
import psycopg
from django.conf import settings

from billing.services.ledger import RECORD_SQL
from tests.gateway.servers import Server, free_port, scratch, start_relay, test_database_url

CALLS = int(os.environ.get("CHAOS_CALLS", "300"))
CLIENTS = int(os.environ.get("CHAOS_CLIENTS", "64"))
SEED = int(os.environ.get("CHAOS_SEED", str(int(time.time()))))
QUEUE = settings.CELERY_TASK_DEFAULT_QUEUE
TASKS = ("billing.tasks.expire_holds_task", "billing.tasks.fold_usage_task", "billing.tasks.seal_entries_task")
# (weight, model, streaming, words of the prompt besides the usage)
KINDS = (
    (46, "demo-chat", False, ""),
    (22, "demo-chat", True, ""),
    (4, "demo-chat", True, "abort"),
    (9, "demo-500", False, ""),
    (7, "demo-cut-before-output", True, ""),
    (6, "demo-cut-stream", True, ""),
    (3, "demo-no-usage", False, ""),
    (1, "demo-timeout", False, ""),
    (2, "no-such-model", False, ""),
)


@dataclass
class Answer:
    """What a client got; ``price`` is what a complete answer must cost, None where the client cannot know."""

    request_id: str
    status: int
    is_whole: bool
    price: int | None
    model: str


@dataclass
class Place:
    """A serving process at an address of its own, killed and started again by the storm."""

    name: str
    app: str
    state: str
    money: str = "holds"
    port: int = field(default_factory=free_port)
    server: Server | None = None

    def start(self) -> None:
        environment = {"RELAY_NAME": self.name} if "relay" in self.app else {"DATABASE_POOL_SIZE": "5"}
        # A busy machine may take its time; meanwhile the other places serve.
        environment |= {"DATABASE_URL": _named(), "RELAY_STATE_DIR": self.state, "RELAY_MONEY": self.money}
        self.server = start_relay(port=self.port, app=self.app, seconds=180, **environment)

    def kill(self) -> None:
        server, self.server = self.server, None
        assert server is not None
        server.kill()


class Storm:
    """``fates`` counts what was done to whom; ``answers`` are what the clients got."""

    def __init__(self, keys: list[str], broker: str) -> None:
        self.rng = random.Random(SEED)  # noqa: S311
        self.keys, self.broker = keys, broker
        relay = "gateway.relay.app:application"
        # One disk for all, as on one machine: what a killed place leaves in its spool the others send.
        self.state = str(scratch("chaos"))
        self.places = [
            Place("relay one", relay, self.state),
            Place("relay two", relay, self.state, "leases"),
            Place("web", "config.asgi:application", self.state, "leases"),
        ]
        self.worker: subprocess.Popen[bytes] | None = None
        self.answers: list[Answer] = []
        self.fates: Counter[str] = Counter()
        self.repeats: Counter[str] = Counter()
        self.started_calls = 0
        self.is_over = False

    def begin(self) -> None:
        self.start_worker()
        with ThreadPoolExecutor(len(self.places)) as pool:
            list(pool.map(Place.start, self.places))

    def end(self) -> None:
        """SIGTERM for those that still live, as a service manager does it."""
        for place in self.places:
            if place.server is not None:
                place.server.stop()
        if self.worker is not None and self.worker.poll() is None:
            self.worker.terminate()
            self.worker.wait(30)

    def start_worker(self) -> None:
        environment = {"DATABASE_URL": _named(), "CELERY_BROKER_URL": self.broker}
        arguments = [
            sys.executable,
            "-m",
            "celery",
            "-A",
            "config",
            "worker",
            "--pool",
            "solo",
            "-Q",
            QUEUE,
            "--loglevel",
            "error",
        ]
        self.worker = subprocess.Popen(
            [*arguments, "--without-gossip", "--without-mingle", "--without-heartbeat"],
            cwd=settings.BASE_DIR,
            env={**os.environ, "DJANGO_SETTINGS_MODULE": "config.settings.test", **environment},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    async def rage(self, calls: int, clients: int) -> None:
        """All the calls, with everything else that goes on meanwhile."""
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=60)) as session:
            around = [asyncio.create_task(one) for one in (self._strike(calls), self._repeat(), self._beat())]
            async with asyncio.TaskGroup() as group:
                for _client in range(clients):
                    group.create_task(self._client(session, calls))
            self.is_over = True
            await asyncio.gather(*around)

    async def _client(self, session: aiohttp.ClientSession, calls: int) -> None:
        while self.started_calls < calls:
            self.started_calls += 1
            while not await self._call(session):
                await asyncio.sleep(0.1)

    async def _call(self, session: aiohttp.ClientSession) -> bool:
        """False when no place took the call."""
        (_weight, model, is_stream, act) = self.rng.choices(KINDS, [kind[0] for kind in KINDS])[0]
        given, taken = self.rng.randint(5, 900), self.rng.randint(3, 60)
        text = f"hi [[usage {given} {taken}]]" + (" [[delay 0.02]]" if act else "")
        body = {"model": model, "stream": is_stream, "max_tokens": 100, "messages": [{"role": "user", "content": text}]}
        headers = {"Authorization": f"Bearer {self.rng.choice(self.keys)}"}
        # A place that is down answers nothing; the client goes to the next one, as a balancer would send it.
        for place in self.rng.sample(self.places, len(self.places)):
            if place.server is None:
                continue
            url = f"http://127.0.0.1:{place.port}/v1/chat/completions"
            answer = Answer("", 0, False, given + 3 * taken if model == "demo-chat" else None, model)
            try:
                async with session.post(url, json=body, headers=headers) as response:
                    answer.status, answer.request_id = response.status, response.headers.get("x-request-id", "")
                    self.answers.append(answer)
                    if act:
                        await response.content.readany()
                        return True
                    text = (await response.read()).decode()
                    answer.is_whole = not is_stream or "data: [DONE]" in text
                    return True
            except (aiohttp.ClientError, TimeoutError, OSError):
                if answer.request_id:
                    return True
        return False

    async def _strike(self, calls: int) -> None:
        """Blows at random places of the traffic, so many that each kind comes several times."""
        blows = [self._kill_place, self._kill_worker, self._cut_lines, self._kill_place, self._cut_lines]
        moments = sorted(self.rng.sample(range(calls // 10, calls * 9 // 10), max(10, calls // 250)))
        repairs: list[asyncio.Task[None]] = []
        for number, moment in enumerate(moments):
            while self.started_calls < moment and not self.is_over:
                await asyncio.sleep(0.02)
            repair = await blows[number % len(blows)]()
            if repair is not None:
                repairs.append(repair)
        await asyncio.gather(*repairs)

    async def _kill_place(self) -> asyncio.Task[None] | None:
        standing = [place for place in self.places if place.server is not None]
        if len(standing) < 2:
            return None
        place = self.rng.choice(standing)
        self.fates[f"kill -9 {place.name}"] += 1
        await asyncio.to_thread(place.kill)
        return asyncio.create_task(asyncio.to_thread(place.start))

    async def _kill_worker(self) -> None:
        assert self.worker is not None
        self.fates["kill -9 worker"] += 1
        os.kill(self.worker.pid, signal.SIGKILL)
        await asyncio.to_thread(self.worker.wait)
        self.start_worker()

    async def _cut_lines(self) -> None:
        """pg_terminate_backend for some connections of the processes, whatever they are doing."""
        share = self.rng.choice([0.3, 0.6, 1.0])
        cut = await asyncio.to_thread(_query, TERMINATE, [share])
        self.fates["database connections cut"] += sum(1 for row in cut if row[0])

    async def _repeat(self) -> None:
        """Sends the ends of calls again, shuffled, some with another cost; none may count."""
        while not self.is_over:
            await asyncio.sleep(0.2)
            with contextlib.suppress(psycopg.OperationalError):
                self.repeats += await asyncio.to_thread(repeat_ends, self.rng, 100)

    async def _beat(self) -> None:
        from config.celery import app

        def send() -> None:
            with app.connection_for_write(self.broker) as line:
                for name in TASKS:
                    app.send_task(name, connection=line)

        while not self.is_over:
            await asyncio.to_thread(send)
            await asyncio.sleep(0.5)


TERMINATE = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = current_database() AND application_name IN ('portal relay', 'chaos') AND random() < %s
"""
ENDS = """
SELECT l.id::text, l.cost_nano, to_jsonb(l) - 'id' - 'started_at' - 'held_nano' - 'cost_nano' FROM billing_requestlog l
JOIN billing_hold h ON h.id = l.id WHERE h.reason <> 'expired' ORDER BY random() LIMIT %s
"""


def repeat_ends(rng: random.Random, most: int) -> Counter[str]:
    """How the ledger answered the ends of so many calls, sent again in one batch, each twice."""
    ends = [
        {"request_id": call, "cost_nano": cost + rng.choice([0, 0, 1]), "hold": True, "reason": "again", "log": log}
        for call, cost, log in _query(ENDS, [most])
    ]
    batch = ends * 2
    rng.shuffle(batch)
    return Counter(row[1] for row in _query(RECORD_SQL, [orjson.dumps(batch).decode()])) if batch else Counter()


def _query(sql: str, values: list[Any]) -> list[Any]:
    with psycopg.connect(test_database_url(), autocommit=True) as line:
        return line.execute(sql, values).fetchall()


def _named() -> str:
    """The test database, with a name on the connections, so that the storm cuts those and no others."""
    address = test_database_url()
    return f"{address}{'&' if '?' in address else '?'}application_name=chaos"
