"""The whole portal around the test database, every part a process of its own: pages, relay, worker with its clock, helpers."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import httpx
from django.conf import settings
from redis import Redis

from config.stack.serving import http_server
from tests.accounts.smtp_double import Double
from tests.accounts.smtp_double import start as start_mail_server
from tests.gateway.servers import (
    Server,
    free_port,
    running,
    scratch,
    start,
    start_old_gateway,
    start_relay,
    start_upstream,
    test_database_url,
    until,
)
from tests.journeys.conftest import settle_in


@dataclass
class Stack:
    """``url`` is where the pages are; mails arrive in ``mail``."""

    web: Server
    relay: Server
    upstream: Server
    old_gateway: Server
    worker: Server
    mail: Double

    @property
    def url(self) -> str:
        return self.web.url

    def settle_in(self) -> None:
        """Return once the relay obeys what the database says now."""
        settle_in(self.relay)

    def ask(self, key: str, text: str = "hello", model: str = "gpt-4o-mini", **fields: object) -> httpx.Response:
        body = {"model": model, "messages": [{"role": "user", "content": text}], "max_tokens": 50, **fields}
        headers = {"Authorization": f"Bearer sk-{key.removeprefix('sk-')}"}
        return httpx.post(f"{self.relay.url}/v1/chat/completions", json=body, headers=headers, timeout=30)

    def said(self) -> str:
        """What the portal's own processes wrote to standard error, each under its name."""
        parts = {"web": self.web, "relay": self.relay, "worker": self.worker}
        return "\n".join(f"{name}: {line}" for name, server in parts.items() for line in server.errors().splitlines())


@contextlib.contextmanager
def whole_portal() -> Iterator[Stack]:
    """Everything started, and ended in the reverse order. The broker's queue is emptied first: it is the test run's own."""
    Redis.from_url(settings.CELERY_BROKER_URL).flushdb()
    double = Double()
    mail_server = start_mail_server(double)
    try:
        with contextlib.ExitStack() as parts:
            upstream = parts.enter_context(running(start_upstream()))
            old_gateway = parts.enter_context(running(start_old_gateway()))
            relay = parts.enter_context(running(start_relay()))
            worker = parts.enter_context(running(start_worker(mail_server.port)))
            web = parts.enter_context(running(start_web(relay)))
            yield Stack(web, relay, upstream, old_gateway, worker, double)
    finally:
        mail_server.stop()


def start_web(relay: Server) -> Server:
    port = free_port()
    arguments = http_server("tests.browser.serving:application", "127.0.0.1", port)
    # The set-up cards tell people the address of the entry; here the relay has one of its own.
    return start(arguments, port, "/healthz", **_environment(), PUBLIC_URL=relay.url)


def start_worker(mail_port: int) -> Server:
    """A Celery worker with beat inside; it counts as started once it says that it is ready."""
    folder = scratch("worker")
    log = folder / "stderr.txt"
    command = [sys.executable, "-m", "celery", "-A", "config", "worker", "--beat", "--pool", "threads", "--concurrency", "3"]
    command += ["--loglevel", "info", "--schedule", str(folder / "beat"), "--without-gossip", "--without-mingle"]
    mail = {"EMAIL_HOST": "127.0.0.1", "EMAIL_PORT": str(mail_port), "MAIL_PER_MINUTE": "10000"}
    with log.open("wb") as errors:
        process = subprocess.Popen(
            command, cwd=settings.BASE_DIR, env={**os.environ, **_environment(), **mail}, stdout=errors, stderr=errors
        )
    server = Server(process, "", log)
    try:
        until(lambda: " ready." in server.errors(), 60, 0.1)
    except AssertionError:
        server.stop()
        raise AssertionError(f"the worker did not start: {server.errors()[-2000:]}") from None
    return server


def _environment() -> dict[str, str]:
    return {"DATABASE_URL": test_database_url(), "DJANGO_SETTINGS_MODULE": "config.settings.test"}
