"""Client programs that are no part of the project, each in a folder of its own under ``.portal/clients``.

The first test that needs one installs it from the package index in the version named here; later runs find it there. Where
the tool that installs it or the index is missing, the test is skipped and says so.
"""

import fcntl
import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

from tests.gateway.litellm_server import installed

OPENAI_NPM = ("openai", "7.57.0")
CODEX = ("@openai/codex", "0.171.0")
CLAUDE_CODE = ("@anthropic-ai/claude-code", "2.1.197")
# The two command-line clients are several hundred megabytes: they are fetched only when this is set.
BIG_CLIENTS = "PORTAL_TEST_CLI_CLIENTS"
INSTALL_SECONDS = 400
CLIENTS = Path(__file__).parent / "clients"


def npm_package(name: str, version: str) -> Path:
    """The folder whose ``node_modules`` holds the package."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("node and npm are not on this machine")
    folder = _folder(name, version)
    command = ["npm", "install", "--prefix", str(folder), "--no-package-lock", "--no-audit", "--no-fund", f"{name}@{version}"]
    return _installed(folder, command)


class Program:
    """A client program that is told calls and says what came of each; it lives until the block ends."""

    def __init__(self, command: list[str], **environment: str) -> None:
        self._command, self._environment = command, environment

    def __enter__(self) -> "Program":
        self._errors = tempfile.TemporaryFile()
        self._process = subprocess.Popen(
            self._command,
            env={**_plain_environment(), **self._environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()
        self._errors.close()

    def make(self, calls: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Make the calls; one result for each."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(calls) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            self._errors.seek(0)
            raise AssertionError(f"{self._command[0]} ended: {self._errors.read()[-2000:]!r}")
        results: list[dict[str, Any]] = json.loads(line)
        assert len(results) == len(calls)
        return results


def openai_for_node() -> Program:
    folder = npm_package(*OPENAI_NPM)
    # Node looks for packages beside the script, so it is put there.
    script = folder / "calls.mjs"
    fresh = (CLIENTS / "openai_node.mjs").read_bytes()
    if not script.exists() or script.read_bytes() != fresh:
        part = script.with_suffix(f".{os.getpid()}")
        part.write_bytes(fresh)
        part.replace(script)
    return Program(["node", str(script)])


def litellm_library() -> Program:
    """In the environment of the proxy, which is there for other tests anyway."""
    python = installed().parent / "python"
    return Program([str(python), str(CLIENTS / "litellm_calls.py")], LITELLM_LOCAL_MODEL_COST_MAP="True")


def needs_big_client() -> None:
    if not os.environ.get(BIG_CLIENTS):
        pytest.skip(f"set {BIG_CLIENTS}=1 to fetch Codex CLI and Claude Code (some 650 MB) and run them")


def _folder(name: str, version: str) -> Path:
    return Path(settings.VAR_DIR) / "clients" / f"{name.strip('@').replace('/', '-')}-{version}"


def _installed(folder: Path, command: list[str]) -> Path:
    """Install once, whoever comes first; a folder without its mark is a broken attempt and begun anew."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    mark = folder / ".complete"
    with (folder.parent / f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if mark.exists():
            return folder
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        try:
            ended = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_SECONDS, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            pytest.skip(f"{folder.name} cannot be installed here: {type(error).__name__}")
        if ended.returncode:
            pytest.skip(f"{folder.name} cannot be installed here: {ended.stderr.strip()[-200:]}")
        mark.touch()
    return folder


def run_client(command: list[str], *, seconds: float = 60, cwd: Path | None = None, given: str = "", **environment: str) -> str:
    """Run a client to its end with nothing of this machine's settings; returns what it printed, fails with its errors."""
    ended = subprocess.run(
        command,
        env={**_plain_environment(), "HOME": str(cwd or settings.VAR_DIR), **environment},
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )
    assert ended.returncode == 0, f"{command[0]} ended with {ended.returncode}: {(ended.stdout + ended.stderr)[-3000:]}"
    return ended.stdout


def _plain_environment() -> dict[str, str]:
    """Enough to run a program, and nothing that says where anything is."""
    return {name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR") if name in os.environ}
