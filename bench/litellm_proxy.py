"""LiteLLM's proxy with an in-memory ``custom_auth``, to stand beside the relay: installed once, of one version, in a folder of
its own under ``.portal/bench``. Without the package index it is left out, with a word about it."""

import json
import os
import secrets
import subprocess
import sys
from pathlib import Path

from config.stack import places
from tests.gateway.servers import Server, free_port, start

VERSION = "1.106.2"
FOLDER = places.CHECKOUT / ".portal" / "bench" / f"litellm-{VERSION}"
AUTH = """
import json, os
from litellm.proxy._types import UserAPIKeyAuth
KEYS = set(json.loads(os.environ["KEYS"]))

async def user_api_key_auth(request, api_key):
    if api_key not in KEYS:
        raise Exception("no such key")
    return UserAPIKeyAuth(api_key=api_key)
"""
CONFIG = """
model_list:
  - model_name: demo-chat
    litellm_params:
      model: openai/demo-chat
      api_base: {upstream}/v1
      api_key: upstream
general_settings:
  custom_auth: bench_auth.user_api_key_auth
"""


def _install(python: Path) -> str:
    """ "" when it is there, else why not."""
    if not python.exists():
        FOLDER.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run([sys.executable, "-m", "venv", str(FOLDER)], check=True, capture_output=True)
    look = f"from importlib.metadata import version; assert version('litellm') == '{VERSION}'; import fastapi, orjson"
    known = subprocess.run([str(python), "-c", look], capture_output=True, check=False)
    if known.returncode == 0:
        return ""
    command = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", f"litellm[proxy]=={VERSION}"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=400)
    except subprocess.TimeoutExpired:
        return "the package index did not answer in time"
    return "" if done.returncode == 0 else (done.stderr.strip().splitlines() or ["pip failed"])[-1][:160]


def start_litellm(upstream: str, keys: list[str]) -> Server | str:
    """The running proxy with one worker, or why there is none."""
    python = FOLDER / "bin" / "python"
    why = _install(python)
    if why:
        return why
    work = FOLDER / "work"
    work.mkdir(exist_ok=True)
    (work / "bench_auth.py").write_text(AUTH, encoding="utf-8")
    (work / "config.yaml").write_text(CONFIG.format(upstream=upstream), encoding="utf-8")
    port = free_port()
    environment = {
        "KEYS": json.dumps(keys),
        "LITELLM_MASTER_KEY": "sk-" + secrets.token_hex(32),
        "LITELLM_LOG": "ERROR",
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "LITELLM_MODE": "PRODUCTION",
        "PYTHONPATH": str(work),
        "PATH": f"{FOLDER / 'bin'}:{os.environ['PATH']}",
    }
    arguments = ["--config", str(work / "config.yaml"), "--host", "127.0.0.1", "--port", str(port), "--num_workers", "1"]
    arguments += ["--telemetry", "False"]
    try:
        return start(
            arguments,
            port,
            "/health/liveliness",
            150,
            ("env", "-u", "DATABASE_URL", "-u", "REDIS_URL", str(FOLDER / "bin" / "litellm")),
            **environment,
        )
    except AssertionError as error:
        return f"it did not start: {str(error).splitlines()[-1][:160]}"
