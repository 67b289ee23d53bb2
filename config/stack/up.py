"""``manage.py up``: from an empty machine to a portal that answers, and back, leaving nothing behind."""

import fcntl
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from config.stack import adopt, keepsakes, lineup, places, static_files
from config.stack.processes import Child
from config.stack.servers import Servers

READY_SECONDS = 120
# A proxy of the environment has no business between us and our own child.
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class UpError(Exception):
    """The stack cannot start or did not stay up; the message says why."""


@dataclass
class Stack:
    """One run. ``start()`` returns when the portal is ready, ``watch()`` when it ends, ``stop()`` ends everything."""

    plan: lineup.Plan
    servers: Servers
    env: dict[str, str]
    kept: dict[str, str]
    running: list[Child] = field(default_factory=list)
    is_stopping: bool = False
    started_at: float = field(default_factory=time.monotonic)

    def start(self) -> None:
        self._check_ports()
        self.say("starting the servers")
        self.servers.start()
        self.env |= self.servers.env
        self._prepare()
        for child in lineup.children(self.plan, self.env):
            self._go_on()
            keep_one_old_log(child.log)
            child.start()
            self.running.append(child)
            self.say(f"{child.name} started")
        adopt.leave_word(self.plan.home, self.env)
        self._wait_until_ready()

    def watch(self) -> None:
        """Returns when asked to stop; raises UpError when a process ended by itself."""
        while not self.is_stopping:
            self._check_children()
            time.sleep(0.2)

    def stop(self) -> None:
        """End all in reverse order. Further signals change nothing: every process gets its time, then force."""
        self.is_stopping = True
        adopt.take_back_word(self.plan.home)
        for child in reversed(self.running):
            self.say(f"ending {child.name}")
            child.stop()
        self.say("ending the servers")
        self.servers.stop()

    def say(self, text: str) -> None:
        print(f"[{time.monotonic() - self.started_at:5.1f} s] {text}", flush=True)

    def ask_to_stop(self, _number: int, _frame: FrameType | None) -> None:
        self.is_stopping = True

    def _check_ports(self) -> None:
        taken = [f"{port} ({name})" for port, name in self.plan.ports().items() if not _is_free(self.plan.host, port)]
        if taken:
            raise UpError(f"in use already: port {', '.join(taken)}. Try another place: make up PORT={self.plan.port + 100}")

    def _prepare(self) -> None:
        self._manage("compiling the message catalogues", "compile_messages")
        # What does not touch the database runs beside the migrations.
        collecting = static_files.start_collecting(self.plan.home, self.env)
        try:
            self._manage("preparing the database", "migrate", "--noinput", "--verbosity", "0")
            if self.plan.demo:
                self._manage("filling in the demo", "seed")
        finally:
            problem = static_files.finish_collecting(self.plan.home, collecting)
        if problem:
            raise UpError(f"collecting the static files failed:\n{problem}")

    def _manage(self, what: str, *command: str) -> None:
        self._go_on()
        self.say(what)
        process = subprocess.Popen(
            [sys.executable, "manage.py", *command],
            env=self.env,
            cwd=places.CHECKOUT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        said = self._said_by(process)
        if process.returncode != 0:
            tail = "\n".join(said.splitlines()[-25:])
            raise UpError(f"{what} failed (manage.py {command[0]}):\n{tail}")

    def _said_by(self, process: "subprocess.Popen[str]") -> str:
        """What a command said, once it has ended. A stop ends it too: each migration is a transaction, and so is the demo."""
        while True:
            try:
                return process.communicate(timeout=0.2)[0]
            except subprocess.TimeoutExpired:
                if self.is_stopping:
                    process.terminate()
                    process.communicate()
                    raise Interrupted from None

    def _wait_until_ready(self) -> None:
        self.say("waiting until everything answers")
        deadline = time.monotonic() + READY_SECONDS
        while not (answer := _ready(self.plan)).is_ready:
            self._go_on()
            self._check_children()
            if time.monotonic() > deadline:
                raise UpError(f"not ready after {READY_SECONDS} s: {answer.text}. Logs are in {self.plan.home / 'logs'}")
            time.sleep(0.2)

    def _check_children(self) -> None:
        for child in self.running:
            if not child.is_running:
                raise UpError(f"{child.name} ended by itself (code {child.exit_code}); its last words:\n{child.last_lines()}")
        if dead := self.servers.dead():
            raise UpError(f"{dead} ended by itself; its log is in {self.plan.home / 'logs'}")

    def _go_on(self) -> None:
        if self.is_stopping:
            raise Interrupted


class Interrupted(Exception):
    """Asked to stop while still starting."""


@dataclass(frozen=True, slots=True)
class Answer:
    is_ready: bool
    text: str


def build(port: int, host: str, demo: bool) -> Stack:
    """The stack of this checkout for the environment we are in."""
    home = places.home()
    kept = keepsakes.load(home)
    own_mail_sink = demo and not os.environ.get("EMAIL_HOST", "").strip()
    plan = lineup.Plan(port=port, host=host, demo=demo, own_mail_sink=own_mail_sink, home=home)
    stack = Stack(plan, Servers(home), {}, kept)
    stack.servers.say = stack.say
    stack.env = _environment(plan, kept)
    return stack


@contextmanager
def only_one(home: Path) -> Iterator[None]:
    """Two stacks on the same data would end each other's servers."""
    with (home / "up.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UpError("the portal of this checkout is running already (in another terminal?)") from None
        yield


def keep_one_old_log(log: Path) -> None:
    if log.exists():
        log.replace(log.with_suffix(".log.1"))


def _environment(plan: lineup.Plan, kept: dict[str, str]) -> dict[str, str]:
    """What the children see: the caller's settings win over ours."""
    ours = keepsakes.settings_in(kept) | {
        "DEMO": "1" if plan.demo else "0",
        "PUBLIC_URL": f"http://localhost:{plan.port}",
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "PYTHONUNBUFFERED": "1",
        "STATIC_COMPRESSION": "0",
    }
    if plan.own_mail_sink:
        ours |= {"EMAIL_HOST": "127.0.0.1", "EMAIL_PORT": str(plan.port + lineup.MAIL)}
    if plan.demo:
        ours |= {
            "DEMO_UPSTREAM_URL": f"http://127.0.0.1:{plan.port + lineup.UPSTREAM}",
            "DEMO_OLD_GATEWAY_URL": f"http://127.0.0.1:{plan.port + lineup.OLD_GATEWAY}",
        }
    outside = {name: value for name, value in os.environ.items() if value.strip() or name not in ours}
    for name in keepsakes.settings_in(kept):
        if f"{name}_FILE" in outside:
            del ours[name]
    return ours | outside | {"DEMO": ours["DEMO"]}


def _is_free(host: str, port: int) -> bool:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
        return True


def _ready(plan: lineup.Plan) -> Answer:
    host = "127.0.0.1" if plan.host in ("0.0.0.0", "") else plan.host  # noqa: S104  (compared, not bound)
    try:
        with _opener.open(f"http://{host}:{plan.port}/readyz", timeout=10) as answer:
            return Answer(answer.status == 200, "ready")
    except urllib.error.HTTPError as refusal:
        return Answer(False, refusal.read().decode(errors="replace"))
    except OSError as error:
        return Answer(False, f"web does not answer ({error})")


def catch_signals(stack: Stack, numbers: Sequence[int] = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)) -> None:
    for number in numbers:
        signal.signal(number, stack.ask_to_stop)
