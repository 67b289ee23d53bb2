"""Charged calls through the relay, beside the same requests sent to the upstream directly, through LiteLLM's proxy with an
in-memory ``custom_auth``, and through a bare aiohttp forwarder: all in one run, taking turns.

Every call through the relay is a full one: key, decision, durable hold, forward, durable charge and log row ("leases": the
same relay on money lent to it, which writes the holds when calls end); at the end every answered call must have its charge.
CPU per call is user plus system time by ``/proc``: the proxy's processes, and for the relay also every process of PostgreSQL
and Valkey. The upstream answers at once and costs next to nothing; the load generator is one process, and the direct line is
its ceiling. Streams have a first word after 20 ms and a word every 10 ms; what a proxy adds to the first byte is its median
less the direct one.

``--seconds`` and ``--rounds`` of each figure (the median counts), ``--without litellm`` leaves one out. Uses a database of
its own.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings.test")
django.setup()

import redis  # noqa: E402
from django.conf import settings  # noqa: E402
from django.db import connection  # noqa: E402

from bench.litellm_proxy import VERSION, start_litellm  # noqa: E402
from billing.models import LedgerEntry, RequestLog  # noqa: E402
from tests.gateway.servers import Server, free_port, running, start, start_relay, until  # noqa: E402
from tests.gateway.world import World  # noqa: E402

PEOPLE = 16
TICKS = os.sysconf("SC_CLK_TCK")
# About what one stream of the upstream takes.
STREAM_SECONDS = 0.23
MESSAGES = [
    {"role": "system", "content": "You answer in one short sentence."},
    {"role": "user", "content": "Which words does the demo upstream say?"},
]
BODY = {"model": "demo-chat", "max_tokens": 100, "temperature": 0.2, "messages": MESSAGES}


@dataclass
class Target:
    """What is measured: where it listens and the roots of the process trees it needs."""

    name: str
    port: int
    roots: list[int] = field(default_factory=list)
    stores: list[int] = field(default_factory=list)


@dataclass
class Round:
    calls: int
    seconds: float
    firsts: list[float]
    whole: list[float]
    cpu: float = 0.0
    store_cpu: float = 0.0
    client_cpu: float = 0.0

    @property
    def rate(self) -> float:
        return self.calls / self.seconds


def tree_cpu(root: int) -> float:
    """CPU seconds of a process, of its children that ended and of those that run."""
    with suppress(OSError):
        fields = Path(f"/proc/{root}/stat").read_text().rpartition(")")[2].split()
        own = sum(int(fields[n]) for n in (11, 12, 13, 14)) / TICKS
        children = Path(f"/proc/{root}/task/{root}/children").read_text().split()
        return own + sum(tree_cpu(int(child)) for child in children)
    return 0.0


def stores() -> list[int]:
    """PostgreSQL's first process and Valkey's."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        (backend,) = cursor.fetchone()
    postmaster = int(Path(f"/proc/{backend}/stat").read_text().rpartition(")")[2].split()[1])
    return [postmaster, int(redis.Redis.from_url(settings.REDIS_URL).info("server")["process_id"])]


def requests(keys: list[str], *, is_stream: bool = False) -> list[str]:
    body = json.dumps({**BODY, **({"stream": True, "stream_options": {"include_usage": True}} if is_stream else {})})
    return [
        "POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
        f"authorization: Bearer {key}\r\ncontent-length: {len(body)}\r\n\r\n{body}"
        for key in keys
    ]


def measure(target: Target, texts: list[str], concurrency: int, seconds: float, spread: float = 0.0) -> Round:
    before = sum(map(tree_cpu, target.roots)), sum(map(tree_cpu, target.stores))
    command = [sys.executable, "-m", "bench.load", str(target.port), str(concurrency), str(seconds), str(spread)]
    done = subprocess.run(command, input=json.dumps(texts), capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{target.name}: {done.stderr.strip()[-400:]}")
    # The ends of the last calls are still being written; their work belongs to this round.
    time.sleep(0.4 if target.stores else 0.0)
    found: dict[str, Any] = json.loads(done.stdout)
    if found["others"]:
        raise RuntimeError(f"{target.name} did not serve every call: {found['others']}")
    after = sum(map(tree_cpu, target.roots)), sum(map(tree_cpu, target.stores))
    cpu = after[0] - before[0], after[1] - before[1]
    return Round(found["calls"], found["seconds"], found["firsts"], found["whole"], *cpu, found["cpu"])


def in_turns(
    targets: list[Target], texts: list[str], concurrency: int, options: argparse.Namespace, spread: float = 0.0
) -> dict[str, list[Round]]:
    found: dict[str, list[Round]] = {target.name: [] for target in targets}
    for _ in range(options.rounds):
        for target in targets:
            found[target.name].append(measure(target, texts, concurrency, options.seconds, spread))
    return found


def middle(rounds: list[Round], what: Any) -> float:
    return statistics.median(what(x) for x in rounds)


def print_plain(concurrency: int, found: dict[str, list[Round]]) -> None:
    direct = middle(found["direct"], lambda x: x.rate)
    relay = middle(found["relay"], lambda x: x.rate)
    for name, rounds in found.items():
        rate = middle(rounds, lambda x: x.rate)
        own = middle(rounds, lambda x: 1000 * x.cpu / x.calls)
        store = middle(rounds, lambda x: 1000 * x.store_cpu / x.calls)
        p50 = middle(rounds, lambda x: statistics.median(x.whole))
        p99 = middle(rounds, lambda x: sorted(x.whole)[int(len(x.whole) * 0.99)])
        print(
            f"{concurrency:>5} {name:<10} {rate:>9,.0f} {rate / direct:>8.3f} {relay / rate:>8.2f} {p50:>8.2f} {p99:>8.2f}"
            f" {own:>9.3f} {store:>9.3f} {own + store:>9.3f}",
            flush=True,
        )


def print_streams(concurrency: int, found: dict[str, list[Round]]) -> None:
    direct = [middle(found["direct"], lambda x, at=at: sorted(x.firsts)[int(len(x.firsts) * at)]) for at in (0.5, 0.95)]
    for name, rounds in found.items():
        first = [middle(rounds, lambda x, at=at: sorted(x.firsts)[int(len(x.firsts) * at)]) for at in (0.5, 0.95)]
        cpu = middle(rounds, lambda x: 1000 * (x.cpu + x.store_cpu) / x.calls)
        added = [one - plain for one, plain in zip(first, direct, strict=True)]
        print(
            f"{concurrency:>5} {name:<10} {middle(rounds, lambda x: x.rate):>9,.1f} {first[0]:>9.2f} {first[1]:>9.2f}"
            f" {added[0]:>10.2f} {added[1]:>10.2f} {cpu:>9.3f}",
            flush=True,
        )


@contextmanager
def own_database() -> Iterator[None]:
    connection.settings_dict["TEST"]["NAME"] = f"bench_relay_{os.getpid()}"
    name = connection.settings_dict["NAME"]
    connection.creation.create_test_db(verbosity=0, autoclobber=True, serialize=False)
    try:
        yield
    finally:
        connection.creation.destroy_test_db(name, verbosity=0)


def port_of(server: Server) -> int:
    return int(server.url.rpartition(":")[2])


def targets(stack: ExitStack, upstream: Server, relay: Server, keys: list[str], without: list[str]) -> list[Target]:
    found = [
        Target("direct", port_of(upstream), [upstream.process.pid]),
        Target("relay", port_of(relay), [relay.process.pid], stores()),
    ]
    lender = start_relay(RELAY_MONEY="leases", RELAY_STATE_DIR=tempfile.mkdtemp(prefix="bench-spool-"))
    stack.enter_context(running(lender))
    found.append(Target("leases", port_of(lender), [lender.process.pid], stores()))
    port = free_port()
    arguments = ["bench.forwarder", "--port", str(port)]
    forwarder = start(arguments, port, "/healthz", UPSTREAM=upstream.url, KEYS=json.dumps(keys))
    stack.enter_context(running(forwarder))
    found.append(Target("aiohttp", port, [forwarder.process.pid]))
    if "litellm" not in without:
        proxy = start_litellm(upstream.url, keys)
        if isinstance(proxy, str):
            print(f"LiteLLM {VERSION} is left out: {proxy}")
        else:
            stack.enter_context(running(proxy))
            found.append(Target("litellm", port_of(proxy), [proxy.process.pid]))
    return found


def main(options: argparse.Namespace) -> None:
    with ExitStack() as stack:
        stack.enter_context(own_database())
        port = free_port()
        upstream = stack.enter_context(running(start(["bench.tiny_upstream", "--port", str(port)], port, "/healthz")))
        relay = stack.enter_context(running(start_relay(RELAY_MONEY="holds")))
        world = World(upstream, relay).build()
        keys = [world.key(world.person("100000"))[1] for _ in range(PEOPLE)]
        measured = targets(stack, upstream, relay, keys, options.without)
        texts = requests(keys)
        with connection.cursor() as cursor:
            cursor.execute("SELECT current_setting('fsync'), current_setting('synchronous_commit')")
            fsync, commit = cursor.fetchone()
        print(
            f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; one process of each; body {len(json.dumps(BODY))} bytes;"
            f" fsync {fsync}, synchronous_commit {commit}"
        )
        for target in measured:
            measure(target, texts, PEOPLE, 1.5)  # warm
        print("plain calls; x direct is the rate beside the upstream's own, relay x is the relay's rate beside this one")
        print(
            f"{'conc':>5} {'target':<10} {'calls/s':>9} {'x direct':>8} {'relay x':>8} {'p50 ms':>8} {'p99 ms':>8}"
            f" {'own ms':>9} {'stores ms':>9} {'CPU ms':>9}"
        )
        for concurrency in options.concurrency:
            print_plain(concurrency, in_turns(measured, texts, concurrency, options))
        # Sixteen that begin in the same instant wait for one another whatever serves them; people begin when they like.
        streams = requests(keys, is_stream=True)
        for spread, when in ((STREAM_SECONDS, "begun one after the other"), (0.0, "all begun at once")):
            print(f"16 streams, {when}; time to the first byte of the body, and what each adds to the direct one")
            print(
                f"{'conc':>5} {'target':<10} {'streams/s':>9} {'first p50':>9} {'first p95':>9} {'added p50':>10}"
                f" {'added p95':>10} {'CPU ms':>9}"
            )
            print_streams(16, in_turns(measured, streams, 16, options, spread))
        answered = RequestLog.objects.filter(outcome="ok").count
        until(lambda: answered() == LedgerEntry.objects.filter(kind="charge").count() > 0, 20)
        print(f"{answered():,} calls, each with its charge in the ledger")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=3.0, help="of each figure, %(default)s if not said")
    parser.add_argument("--rounds", type=int, default=3, help="of each figure, %(default)s if not said")
    parser.add_argument("--concurrency", type=int, nargs="+", default=[1, 16, 64], help="%(default)s if not said")
    parser.add_argument("--without", nargs="*", default=[], choices=["litellm"], help="what to leave out")
    main(parser.parse_args())
