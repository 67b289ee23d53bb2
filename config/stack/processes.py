"""Child processes that leave nothing behind: each is a process group of its own and is ended with all it started."""

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_PR_SET_PDEATHSIG = 1


@dataclass
class Child:
    """A process under a name, writing to ``log``. ``stop_signal`` asks it to end, ``grace`` is how long it may take, in s."""

    name: str
    command: Sequence[str]
    log: Path
    env: Mapping[str, str] | None = None
    stop_signal: int = signal.SIGTERM
    grace: float = 15.0
    options: dict[str, Any] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None
    # Its number may belong to somebody else by the time of a second stop.
    _is_ended: bool = False

    def start(self) -> None:
        self._is_ended = False
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                list(self.command),
                env=dict(self.env) if self.env is not None else None,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=_end_with_parent if sys.platform == "linux" else None,  # noqa: PLW1509
                **self.options,
            )

    @property
    def exit_code(self) -> int | None:
        """None while it runs (or was never started)."""
        return self.process.poll() if self.process else None

    @property
    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def stop(self) -> None:
        """End it and whatever it started: first by asking, after ``grace`` by force. Safe to call twice."""
        if self.process is None or self._is_ended:
            return
        if self.process.poll() is None:
            self.process.send_signal(self.stop_signal)
            try:
                self.process.wait(self.grace)
            except subprocess.TimeoutExpired:
                self._kill_group()
                self.process.wait()
        self._kill_group()
        self._is_ended = True

    def last_lines(self, count: int = 15) -> str:
        try:
            text = self.log.read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""
        return "\n".join(text.splitlines()[-count:])

    def _kill_group(self) -> None:
        if self.process is None:
            return
        # The child leads its own group, so this reaches the workers that it left behind and nobody else.
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            return


def _end_with_parent() -> None:
    """Runs in the child before its program: the kernel sends it SIGTERM should this process be killed outright."""
    if _libc is not None:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def wait_until(ready: Any, child: Child, seconds: float, every: float = 0.05) -> bool:
    """Ask ``ready()`` until it is true; False when time is up or the child ended."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if ready():
            return True
        if not child.is_running:
            return False
        time.sleep(every)
    return False


_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None
