"""Sends what relays that are gone left in their spools. Safe to run twice and from several processes at once.

The ends of calls are charged like any others; PostgreSQL knows those it has. A call that began on a lease and has no end was
cut off with its process: it is logged as such and costs nothing. Then what the process had lent is given back.
"""

import contextlib
import logging
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import orjson
import psycopg

from billing.services.leases import CLOSE_SOURCES_SQL
from billing.services.ledger import RECORD_SQL
from config.foundation.outcomes import Outcome
from gateway.relay.bare_end import bare_end
from gateway.relay.database import NOT_NOW, connection_arguments
from gateway.relay.lease_file import path_for, shut_for_close
from gateway.relay.spool import END, OPEN, owned

logger = logging.getLogger(__name__)

MOST_AT_ONCE = 300


@dataclass
class Leftover:
    """What one process left: ends as JSON, calls without an end, lines that make no sense, files that cannot be read."""

    stem: str
    files: list[Path]
    ends: dict[str, bytes] = field(default_factory=dict)
    opens: dict[str, dict[str, Any]] = field(default_factory=dict)
    broken_lines: int = 0
    unreadable: list[Path] = field(default_factory=list)
    is_alive: bool = False
    # How PostgreSQL answered, by status.
    answers: dict[str, int] = field(default_factory=dict)


def replay(folder: Path) -> list[Leftover]:
    """Send everything that processes left which are gone; gives what was found. Raises psycopg.Error: then nothing is removed
    that was not sent."""
    gone = [stem for stem in _stems(folder) if _is_gone(folder, stem)]
    if not gone:
        return []
    found: dict[str, Leftover] = {}
    # Connected first: while a lock is held nobody can take up what is left of the leases.
    with psycopg.connect(**connection_arguments(statement_seconds=30)) as line:
        # Those again that wait for the calls of others, which may be sent by now.
        for stem in gone + [stem for stem in gone if path_for(folder, stem).exists()]:
            with owned(folder, stem, makes_lock=stem not in found) as is_ours:
                if is_ours:
                    left = read(folder, stem)
                    _send(line, folder, left)
                    found.setdefault(stem, left)
    return [*found.values()]


def _is_gone(folder: Path, stem: str) -> bool:
    with owned(folder, stem, makes_lock=True) as is_ours:
        return is_ours


class Behind(NamedTuple):
    """Calls of processes that are gone and were not sent yet, and how long the oldest file of theirs has been there."""

    calls: int
    oldest_seconds: float


def left_behind(folder: Path) -> Behind:
    """For the page of relays: quick while all is well, as there are no files then."""
    calls, oldest = 0, 0.0
    for stem in _stems(folder):
        # Half a line is nobody's; a file that cannot be read counts as one call.
        left = None if not any(folder.glob(f"{stem}.*.spool")) or not _is_gone(folder, stem) else read(folder, stem)
        if left is None:
            continue
        found = len(left.ends.keys() | left.opens.keys()) + len(left.unreadable)
        calls += found
        for path in left.files if found else ():
            with contextlib.suppress(FileNotFoundError):
                oldest = max(oldest, time.time() - path.stat().st_mtime)
    return Behind(calls, oldest)


def survey(folder: Path) -> list[Leftover]:
    """What lies in the spool, of processes that live too; nothing is sent."""
    found = []
    for stem in _stems(folder):
        with owned(folder, stem, makes_lock=True) as is_ours:
            left = read(folder, stem)
            left.is_alive = not is_ours
            found.append(left)
    return found


def read(folder: Path, stem: str) -> Leftover:
    """Everything readable of one process; half a last line and lines that make no sense are counted and left out."""
    files = sorted(folder.glob(f"{stem}.*.spool"), key=lambda path: int(path.name.split(".")[-2]))
    left = Leftover(stem, files)
    for path in files:
        try:
            raw = path.read_bytes()
        except FileNotFoundError:
            continue
        except OSError as error:
            logger.error("The spool file %s cannot be read (%s); it stays where it is.", path, error.strerror)
            left.unreadable.append(path)
            continue
        for line in raw.split(b"\n"):
            if line and not _take(left, line):
                left.broken_lines += 1
    if left.broken_lines:
        logger.error("%d lines of the spool of %s are cut or make no sense; the others are sent.", left.broken_lines, stem)
    return left


def _take(left: Leftover, line: bytes) -> bool:
    try:
        value = orjson.loads(line[1:])
        call = str(value["request_id"])
    except (orjson.JSONDecodeError, TypeError, KeyError):
        return False
    if line[:1] == END:
        left.ends.setdefault(call, line[1:])
    elif line[:1] == OPEN:
        left.opens[call] = value
    else:
        return False
    return True


def _send(line: "psycopg.Connection[Any]", folder: Path, left: Leftover) -> None:
    lines = [*left.ends.values(), *(_cut_off(value) for call, value in left.opens.items() if call not in left.ends)]
    for start in range(0, len(lines), MOST_AT_ONCE):
        batch = lines[start : start + MOST_AT_ONCE]
        for nth, (_, status, _) in enumerate(_record(line, batch)):
            if status == "refused":
                _keep_refused(folder, batch[nth])
                if bare := bare_end(batch[nth]):
                    status = _record(line, [bare])[0][1]
            left.answers[status] = left.answers.get(status, 0) + 1
    # What others took of its leases is spent by calls that must be written first.
    is_through = shut_for_close(folder, left.stem)
    if is_through:
        line.execute(CLOSE_SOURCES_SQL, ([left.stem],))
    if lines:
        logger.warning("The spool of %s, which is gone, was sent: %d ends of calls, %s.", left.stem, len(lines), left.answers)
    for path in left.files:
        if path not in left.unreadable:
            path.rename(path.with_suffix(".broken")) if left.broken_lines else path.unlink(missing_ok=True)
    if is_through and not left.unreadable:
        path_for(folder, left.stem).unlink(missing_ok=True)
        (folder / f"{left.stem}.lock").unlink(missing_ok=True)


def _record(line: "psycopg.Connection[Any]", batch: list[bytes]) -> list[tuple[Any, str, str]]:
    try:
        return line.execute(RECORD_SQL, ((b"[" + b",".join(batch) + b"]").decode(),)).fetchall()
    except NOT_NOW:
        raise
    except psycopg.Error as error:
        if len(batch) == 1:
            logger.error("An end of a call in the spool cannot be written: %s", error.sqlstate)
            return [(None, "refused", error.sqlstate or "")]
        return [row for one in batch for row in _record(line, [one])]


def _cut_off(value: dict[str, Any]) -> bytes:
    """The end of a call that was cut off with its relay."""
    log = {**value["log"], "outcome": Outcome.TIMEOUT.value, "http_status": 504, "error_code": "hold_expired"}
    return orjson.dumps({**value, "cost_nano": 0, "hold": True, "reason": "relay_gone", "log": log})


def _keep_refused(folder: Path, line: bytes) -> None:
    with (folder / "refused.jsonl").open("ab") as kept:
        kept.write(line + b"\n")


def _stems(folder: Path) -> list[str]:
    names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    stems = {name.removesuffix(".lock") for name in names if name.endswith(".lock")}
    return sorted(stems | {name.rsplit(".", 2)[0] for name in names if name.endswith(".spool")})
