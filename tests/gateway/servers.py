"""Starts real servers on loopback: relay, demo upstream, the double of an old gateway; all children of the test run."""

import contextlib
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
from django.conf import settings
from django.db import connection

from config.stack.serving import RELAY_APP, http_server

START_SECONDS = 120
# Goes with the process of the tests, and what the servers left in it too.
_LEFT_BEHIND = tempfile.TemporaryDirectory(prefix="gateway-tests-")


def scratch(prefix: str) -> Path:
    """A new folder for one server's log or state."""
    return Path(tempfile.mkdtemp(prefix=f"{prefix}-", dir=_LEFT_BEHIND.name))


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def until(true: Callable[[], Any], seconds: float = 5.0, pause: float = 0.02) -> Any:
    """The first truthy answer; fails when there is none in time."""
    deadline = time.monotonic() + seconds
    while True:
        answer = true()
        if answer:
            return answer
        assert time.monotonic() < deadline, f"not true within {seconds} s"
        time.sleep(pause)


def test_database_url() -> str:
    """The address of the database this test run works on."""
    named = connection.settings_dict
    assert str(named["NAME"]).startswith(("test", "bench")), "this is no test database: mark the test with django_db"
    user = quote(str(named["USER"]), safe="") + (f":{quote(str(named['PASSWORD']), safe='')}" if named["PASSWORD"] else "")
    host, port = str(named["HOST"]), str(named["PORT"] or 5432)
    if host.startswith("/"):
        return f"postgresql://{user}@/{named['NAME']}?host={host}&port={port}"
    return f"postgresql://{user}@{host or 'localhost'}:{port}/{named['NAME']}"


test_database_url.__test__ = False  # type: ignore[attr-defined]


@dataclass
class Server:
    """A child process and where it listens; what it wrote to standard error can be read."""

    process: subprocess.Popen[bytes]
    url: str
    log: Path

    def errors(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")

    def calls(self) -> dict[str, Any]:
        return httpx.get(f"{self.url}/__calls").json()

    def reset(self) -> None:
        httpx.post(f"{self.url}/__reset")

    def kill(self) -> None:
        """kill -9: nothing is written any more, and its locks are gone."""
        self.process.kill()
        self.process.wait(10)

    def stop(self) -> None:
        """SIGTERM, as a service manager does it."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.kill()


PYTHON_MODULE = (sys.executable, "-m")


def start(
    arguments: list[str],
    port: int,
    ready_path: str,
    seconds: float = START_SECONDS,
    program: tuple[str, ...] = PYTHON_MODULE,
    **environment: str,
) -> Server:
    log = scratch("log") / "stderr.txt"
    with log.open("wb") as errors:
        process = subprocess.Popen(
            [*program, *arguments],
            cwd=settings.BASE_DIR,
            # An empty one is taken away.
            env={name: value for name, value in {**os.environ, **environment}.items() if value},
            stdout=errors,
            stderr=errors,
        )
    server = Server(process, f"http://127.0.0.1:{port}", log)

    def answers() -> bool:
        assert process.poll() is None, f"the server ended: {server.errors()[-2000:]}"
        with contextlib.suppress(httpx.HTTPError):
            return httpx.get(server.url + ready_path).status_code < 500
        return False

    try:
        until(answers, seconds, 0.05)
    except AssertionError:
        server.stop()
        raise
    return server


def start_upstream() -> Server:
    port = free_port()
    return start(["gateway.demo_upstream", "--port", str(port)], port, "/__calls")


def start_old_gateway() -> Server:
    port = free_port()
    return start(["gateway.demo_old_gateway", "--port", str(port)], port, "/__calls")


def start_relay(
    *,
    ready_path: str = "/healthz",
    port: int = 0,
    app: str = RELAY_APP,
    seconds: float = START_SECONDS,
    **environment: str,
) -> Server:
    port = port or free_port()
    arguments = http_server(app, "127.0.0.1", port)
    defaults = {
        "DATABASE_URL": test_database_url(),
        "DJANGO_SETTINGS_MODULE": "config.settings.test",
        "RELAY_STATE_DIR": str(scratch("state")),
    }
    return start(arguments, port, ready_path, seconds, **{**defaults, **environment})


@contextlib.contextmanager
def running(server: Server) -> Iterator[Server]:
    try:
        yield server
    finally:
        server.stop()
