"""A real LiteLLM proxy as a data plane, in an environment of its own; for tests and for comparisons (bench).

``installed()`` gives its program, installing the pinned version once for all checkouts and runs of this user; the tests of
litellm as a client library use the same environment.
``start_litellm(...)`` starts the proxy with the adapter, or with a configuration of the caller's.
"""

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from django.conf import settings

from tests.gateway.servers import Server, free_port, start, until

VERSION = "1.106.2"
ADAPTER = Path(settings.BASE_DIR) / "gateway" / "engines" / "litellm"
START_SECONDS = 120
INSTALL_SECONDS = 400
# Not needed, and not under the licence of the rest.
UNWANTED = ("litellm-enterprise",)


def home() -> Path:
    """Where the environment is: LITELLM_HOME, else in the user's folder for what can be fetched again."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(os.environ.get("LITELLM_HOME") or cache / "gateway-portal" / f"litellm-{VERSION}")


def installed() -> Path:
    """The proxy's program. Skips the test when the package index cannot be reached."""
    place = home()
    program = place / "bin" / "litellm"
    done = place / "installed"
    if done.exists():
        return program
    place.parent.mkdir(parents=True, exist_ok=True)
    with (place.parent / "litellm.lock").open("w") as lock:
        # Tests that run side by side install once.
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            _install(place)
            done.touch()
    return program


def _install(place: Path) -> None:
    shutil.rmtree(place, ignore_errors=True)
    python = str(place / "bin" / "python")
    if shutil.which("uv") is not None:
        steps: tuple[list[str], ...] = (
            ["uv", "venv", "--quiet", "--python", sys.executable, str(place)],
            ["uv", "pip", "install", "--quiet", "--compile-bytecode", "--python", python, f"litellm[proxy]=={VERSION}"],
            ["uv", "pip", "uninstall", "--quiet", "--python", python, *UNWANTED],
        )
    else:
        pip = [python, "-m", "pip", "--disable-pip-version-check", "-q"]
        steps = (
            [sys.executable, "-m", "venv", str(place)],
            [*pip, "install", f"litellm[proxy]=={VERSION}"],
            [*pip, "uninstall", "-y", *UNWANTED],
        )
    for step in steps:
        try:
            result = subprocess.run(step, capture_output=True, text=True, timeout=INSTALL_SECONDS, check=False)
        except subprocess.TimeoutExpired:
            pytest.skip(f"litellm {VERSION} could not be installed within {INSTALL_SECONDS} s")
        if result.returncode:
            words = result.stderr.strip().splitlines()[-1:] or ["no reason given"]
            pytest.skip(f"litellm {VERSION} could not be installed: {words[0][:200]}")


def start_litellm(
    portal_url: str,
    token: str,
    spool: Path,
    *,
    config: Path | None = None,
    program: Path | None = None,
    workers: int = 1,
    port: int = 0,
    **environment: str,
) -> Server:
    """The proxy with the portal's adapter, once it lists a model. ``environment``: more variables, such as
    PORTAL_SECRET_UPSTREAM_<id>."""
    port = port or free_port()
    program = program or installed()
    named = {
        # What the portal is told is none of the proxy's: with a database it would want its own tables there.
        **dict.fromkeys(("DATABASE_URL", "REDIS_URL", "DJANGO_SETTINGS_MODULE", "KEY_PEPPERS", "FIELD_KEYS", "SECRET_KEY"), ""),
        "PYTHONPATH": str(ADAPTER),
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "LITELLM_LOG": "ERROR",
        "LITELLM_MODE": "PRODUCTION",
        "NO_DOCS": "True",
        "NO_REDOC": "True",
        "DISABLE_ADMIN_UI": "True",
        "LITELLM_WORKER_STARTUP_HOOKS": "portal_litellm.hooks:start",
        "LITELLM_MASTER_KEY": "sk-never-honoured-" + "0" * 24,
        "PORTAL_URL": portal_url,
        "PORTAL_TOKEN": token,
        "PORTAL_KEY_PEPPERS": settings.KEY_PEPPERS,
        "PORTAL_SPOOL_DIR": str(spool),
        "PORTAL_INSTANCE": "litellm-test",
    }
    arguments = ["--config", str(config or ADAPTER / "portal_litellm" / "proxy_config.yaml")]
    arguments += ["--host", "127.0.0.1", "--port", str(port), "--num_workers", str(workers)]
    return start(arguments, port, "/health/liveliness", START_SECONDS, (str(program),), **{**named, **environment})


def wait_for_models(server: Server, clear: str, name: str) -> None:
    """Return once the proxy serves the model to this key."""

    def is_listed() -> bool:
        answer = httpx.get(f"{server.url}/v1/models", headers={"Authorization": f"Bearer {clear}"}, timeout=10)
        return answer.status_code == 200 and name in {one["id"] for one in answer.json()["data"]}

    until(is_listed, 60, 0.2)


@contextmanager
def spool_folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="litellm-spool-") as folder:
        yield Path(folder)
