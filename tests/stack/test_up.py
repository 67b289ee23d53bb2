"""`manage.py up` for real: a checkout of its own, every process, its end, and what the next start finds."""

import json
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import anthropic
import openai
import pytest

from config.stack.places import CHECKOUT
from tests.stack.test_servers import alive

pytestmark = pytest.mark.slow

SHOW_PURSE = (
    "from billing.models import LedgerAccount;"
    "[print(one.kind, one.balance_nano) for one in LedgerAccount.objects.filter(user__isnull=False)]"
)
NOT_INHERITED = ("DATABASE_URL", "REDIS_URL", "DJANGO_SETTINGS_MODULE", "TEST_DATABASE_NAME", "EMAIL_HOST")


@pytest.fixture
def checkout(tmp_path):
    """What a clone would hold, without the packages."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=CHECKOUT, capture_output=True, check=True
    )
    for name in filter(None, listed.stdout.decode().split("\0")):
        if not name.startswith("tests/") and (CHECKOUT / name).is_file():
            (tmp_path / "clone" / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(CHECKOUT / name, tmp_path / "clone" / name)
    return tmp_path / "clone"


def five_free_ports() -> int:
    # Tests that run side by side each have a range of their own: a port is free until its server is up.
    lane = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 8
    for base in range(21_000 + 1_000 * lane, 22_000 + 1_000 * lane, 10):
        probes = []
        try:
            for port in range(base, base + 5):
                probes.append(socket.create_server(("127.0.0.1", port)))
        except OSError:
            continue
        finally:
            for probe in probes:
                probe.close()
        return base
    raise AssertionError("no five free ports in a row")


class Running:
    """One `up`, with its output and the processes under it."""

    def __init__(self, checkout: Path, port: int, **settings: str) -> None:
        env = {name: value for name, value in os.environ.items() if name not in NOT_INHERITED}
        self.port, self.env, self.checkout = port, {**env, "PORT": str(port), **settings}, checkout
        self.log = checkout.parent / f"up-{time.monotonic_ns()}.log"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "manage.py", "up"], cwd=checkout, env=self.env, stdout=log, stderr=subprocess.STDOUT
            )

    @property
    def said(self) -> str:
        return self.log.read_text()

    def wait_for(self, words: str, seconds: float = 150) -> None:
        deadline = time.monotonic() + seconds
        while words not in self.said:
            assert self.process.poll() is None, self.said
            assert time.monotonic() < deadline, self.said
            time.sleep(0.1)

    def descendants(self) -> dict[int, str]:
        parents = {}
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                parents[int(folder.name)] = int((folder / "stat").read_text().rsplit(")", 1)[1].split()[1])
            except (OSError, ValueError):
                continue
        found = {self.process.pid}
        while more := {pid for pid, parent in parents.items() if parent in found} - found:
            found |= more
        lines = {pid: Path(f"/proc/{pid}/cmdline") for pid in found - {self.process.pid}}
        return {pid: path.read_bytes().replace(b"\0", b" ").decode() for pid, path in lines.items() if path.exists()}

    def get(self, path: str, offset: int = 0, body: dict | None = None, **headers: str) -> tuple[int, dict]:
        data = json.dumps(body).encode() if body else None
        request = urllib.request.Request(f"http://127.0.0.1:{self.port + offset}{path}", data, headers)
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as refusal:
            return refusal.code, json.loads(refusal.read())

    def chat(self, key: str, offset: int = 0) -> tuple[int, dict]:
        body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hello [[usage 1000 500]]"}]}
        headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        return self.get("/v1/chat/completions", offset, body, **headers)

    def manage(self, *command: str, **settings: str) -> str:
        """A command in a second terminal, which knows nothing of the first."""
        done = subprocess.run(
            [sys.executable, "manage.py", *command],
            cwd=self.checkout,
            env={**{name: value for name, value in self.env.items() if name not in ("PORT", "DEMO")}, **settings},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def end(self, number: int = signal.SIGINT) -> int:
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(90)


@pytest.fixture
def up(checkout):
    started = []

    def start(port: int, **settings: str) -> Running:
        started.append(Running(checkout, port, **settings))
        return started[-1]

    yield start
    for running in started:
        running.end(signal.SIGTERM)


def logins(said: str) -> list[tuple[str, str]]:
    return re.findall(r"^  (\w+) +((?:[a-z0-9]{4}-){3}[a-z0-9]{4})$", said, flags=re.MULTILINE)


def try_every_model(address: str, key: str) -> None:
    """A newcomer's first calls, with the usual clients: whatever the demo lists it serves."""
    client = openai.OpenAI(api_key=key, base_url=f"{address}/v1", max_retries=0)
    names = {model.id for model in client.models.list()}
    for name in names & {"gpt-4o", "gpt-4o-mini", "claude-sonnet-4-5"}:
        hello = [{"role": "user", "content": "hello"}]
        assert client.chat.completions.create(model=name, messages=hello, max_tokens=20).choices[0].message.content
    claude = anthropic.Anthropic(api_key=key, base_url=address, max_retries=0)
    assert claude.messages.create(model="claude-sonnet-4-5", max_tokens=20, messages=hello).content
    assert client.embeddings.create(model="text-embedding-3-small", input="hello").data
    assert client.images.generate(model="gpt-image-1", prompt="a house").data
    assert client.audio.speech.create(model="gpt-4o-mini-tts", voice="alloy", input="hello").content
    assert client.audio.transcriptions.create(model="whisper-1", file=("a.wav", b"s" * 100)).text
    assert client.moderations.create(model="omni-moderation-latest", input="hello").results
    ranked = client.post("/rerank", body={"model": "rerank-v3.5", "query": "a", "documents": ["a", "b"]}, cast_to=object)
    assert ranked["results"]
    made = client.videos.create_and_poll(model="sora-2", prompt="a house", seconds="4", size="1280x720", poll_interval_ms=200)
    assert made.status == "completed"
    assert client.videos.download_content(made.id).content
    rest = {"demo-500", "demo-slow", "demo-cut-stream"}
    tried = {"gpt-4o", "gpt-4o-mini", "claude-sonnet-4-5", "text-embedding-3-small", "gpt-image-1", "gpt-4o-mini-tts"}
    assert names == tried | rest | {"sora-2", "whisper-1", "omni-moderation-latest", "rerank-v3.5"}


def test_the_demo_starts_serves_ends_and_comes_back(up, checkout):
    port = five_free_ports()
    # Empty words are what a Makefile hands on for what nobody has set.
    first = up(port, DEMO="", HOST="")
    first.wait_for("] ready")
    status, body = first.get("/readyz")
    assert (status, body["failing"]) == (200, [])
    assert first.get("/healthz") == (200, {"status": "alive"})
    people = logins(first.said)
    assert [name for name, _ in people] == ["admin", "ops", "support", "finance", "demo"]
    key = re.search(r"^  (sk-\w{48})$", first.said, flags=re.MULTILINE).group(1)
    for offset in (0, 1):
        status, answer = first.chat(key, offset)
        assert (status, answer["usage"]["total_tokens"]) == (200, 1500)
    assert stat.S_IMODE((checkout / ".portal").stat().st_mode) == 0o700
    assert [stat.S_IMODE(path.stat().st_mode) for path in (checkout / ".portal").glob("*.json")] == [0o600, 0o600]
    # Nothing that the processes were told on their command lines is secret.
    family = first.descendants()
    secrets = json.loads((checkout / ".portal" / "secrets.json").read_text())
    assert len(family) >= 12
    assert [line for line in family.values() if any(value in line for value in secrets.values())] == []
    assert "prepaid" in first.manage("shell", "-v", "0", "-c", SHOW_PURSE)
    # A second start of the same checkout is refused and leaves the first alone.
    second = up(port + 5)
    assert second.process.wait(30) == 1
    assert "running already" in second.said
    assert first.end() == 0
    assert "all ended" in first.said
    assert {pid: line for pid, line in family.items() if alive(pid)} == {}
    assert not (checkout / ".portal" / "running.json").exists()

    again = up(port)
    again.wait_for("] ready")
    assert logins(again.said) == people
    assert key in again.said
    # 25 dollars less two calls of 1000 x $0.15/1M + 500 x $0.60/1M: the data of the first start are there.
    assert again.manage("shell", "-v", "0", "-c", SHOW_PURSE) == "prepaid 24999100000\n"
    try_every_model(f"http://127.0.0.1:{port}", key)
    family = again.descendants()
    victim = next(pid for pid, line in family.items() if "gateway.relay.app" in line)
    os.kill(victim, signal.SIGKILL)
    assert again.process.wait(90) == 1
    assert "relay ended by itself (code" in again.said
    assert {pid: line for pid, line in family.items() if alive(pid)} == {}


def test_without_the_demo_it_starts_empty(up):
    running = up(five_free_ports(), DEMO="0")
    running.wait_for("] ready")
    assert logins(running.said) == []
    assert "createsuperuser" in running.said
    counted = "from accounts.models import User; print(User.objects.count(), *User.objects.values_list('role', 'is_staff'))"
    assert running.manage("shell", "-v", "0", "-c", counted) == "0\n"
    assert not [line for line in running.descendants().values() if "gateway.demo" in line or "mail_sink" in line]
    first_admin = ("createsuperuser", "--noinput", "--username", "boss", "--email", "boss@example.org")
    running.manage(*first_admin, DJANGO_SUPERUSER_PASSWORD="a-long-enough-password")
    assert running.manage("shell", "-v", "0", "-c", counted) == "1 ('admin', True)\n"
    assert running.end(signal.SIGTERM) == 0


def test_a_port_in_use_is_a_sentence_and_nothing_starts(up, checkout):
    port = five_free_ports()
    with socket.create_server(("127.0.0.1", port + 2)):
        running = up(port)
        assert running.process.wait(30) == 1
    assert f"in use already: port {port + 2} (demo upstream). Try another place: make up PORT={port + 100}" in running.said
    assert not (checkout / ".portal" / "postgres").exists()


def test_being_stopped_while_starting_leaves_nothing(up):
    running = up(five_free_ports())
    running.wait_for("preparing the database")
    family = running.descendants()
    assert running.end() == 0
    assert "stopped while starting" in running.said
    assert {pid: line for pid, line in family.items() if alive(pid)} == {}
