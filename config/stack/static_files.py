"""Collects the static files when they changed since the last start; compressing them takes seconds."""

import hashlib
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from config.stack import places


@dataclass
class Collecting:
    """A collection on its way, with the digest of what it collects."""

    process: subprocess.Popen[bytes]
    output: IO[bytes]
    digest: str


def start_collecting(home: Path, env: Mapping[str, str]) -> Collecting | None:
    """None when the collected files are those of the sources."""
    digest = sources_digest()
    if (places.CHECKOUT / "staticfiles").is_dir() and _read(home / "static.digest") == digest:
        return None
    output = tempfile.TemporaryFile()  # noqa: SIM115  (closed by finish_collecting)
    process = subprocess.Popen(
        [sys.executable, "manage.py", "collectstatic", "--noinput", "--clear", "--verbosity", "0"],
        env=dict(env),
        cwd=places.CHECKOUT,
        stdout=output,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    return Collecting(process, output, digest)


def finish_collecting(home: Path, collecting: Collecting | None) -> str:
    """Wait for the end; what it said when it failed, else an empty text."""
    if collecting is None:
        return ""
    code = collecting.process.wait()
    with collecting.output as output:
        output.seek(0)
        said = output.read().decode(errors="replace")
    if code != 0:
        return said or f"code {code}"
    places.write_private(home / "static.digest", collecting.digest)
    return ""


def sources_digest(checkout: Path = places.CHECKOUT) -> str:
    """Changes when a file under ``static/`` or the list of packages does."""
    digest = hashlib.sha256((checkout / "requirements" / "base.txt").read_bytes())
    for path in sorted((checkout / "static").rglob("*")):
        if path.is_file():
            digest.update(f"{path.relative_to(checkout)} {path.stat().st_size} ".encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except FileNotFoundError:
        return ""
