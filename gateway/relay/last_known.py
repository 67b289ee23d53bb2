"""The last configuration and keys a relay read, on its disk: with them it starts and answers while PostgreSQL is away.

What is kept are the rows as they were read: credentials of upstreams stay sealed with the field keys, keys are digests. The
configuration is one file for all relays of this machine, each process has a file of the keys it knows. What is older than
``RELAY_MAX_STALE_SECONDS`` is not used.
"""

import base64
import hashlib
import logging
import os
import time
from collections.abc import Callable, Iterable
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson

from gateway.contract.loading import Cursor, load_snapshot
from gateway.contract.snapshot import Snapshot

logger = logging.getLogger(__name__)

FORGET_SECONDS = 86_400.0
_TAGS: dict[str, Callable[[str], Any]] = {
    "~decimal": Decimal,
    "~time": datetime.fromisoformat,
    "~date": date.fromisoformat,
    "~bytes": base64.b64decode,
}


class Recording:
    """A cursor that keeps every answer it gave."""

    def __init__(self, cursor: Cursor) -> None:
        self._cursor = cursor
        self._query = ""
        self.answers: list[tuple[str, list[Any]]] = []

    def execute(self, query: Any, params: Any = None, /) -> Any:
        self._query = str(query)
        return self._cursor.execute(query, params)

    def fetchall(self) -> list[Any]:
        rows = self._cursor.fetchall()
        self.answers.append((_mark(self._query), rows))
        return rows

    def fetchone(self) -> Any:
        raise NotImplementedError("the configuration is read with fetchall")


class Replaying:
    """A cursor that gives the same answers again, to the same questions only."""

    def __init__(self, answers: list[Any]) -> None:
        self._answers = iter(answers)
        self._query = ""

    def execute(self, query: Any, params: Any = None, /) -> None:
        self._query = str(query)

    def fetchall(self) -> list[Any]:
        mark, rows = next(self._answers, ("", []))
        if mark != _mark(self._query):
            raise ValueError("the configuration was written by another version of the relay")
        return [tuple(row) for row in rows]

    def fetchone(self) -> Any:
        raise NotImplementedError("the configuration is read with fetchall")


class LastKnown:
    """``folder`` is the relay's state folder. Nothing here raises for a disk that does not do its part: that is only logged."""

    def __init__(self, folder: Path, stem: str) -> None:
        self._config = folder / "config.json"
        self._keys = folder / f"keys-{stem}.json"
        self._folder = folder
        self._kept = b""
        self._is_warned = False

    def keep_config(self, answers: list[tuple[str, list[Any]]]) -> None:
        """Write the configuration, or only that it still holds. Blocks: run it in a thread."""
        try:
            raw = _dumps(answers)
            if raw == self._kept and self._config.exists():
                os.utime(self._config)
                return
            _replace(self._config, raw)
            self._kept = raw
        except (OSError, TypeError) as error:
            self._warn(self._config, error)

    def config(self) -> tuple[Snapshot, float] | None:
        """The configuration and its age in seconds, or None."""
        try:
            age = time.time() - self._config.stat().st_mtime
            answers = _tagged(orjson.loads(self._config.read_bytes()))
            return load_snapshot(Replaying(answers)), max(0.0, age)
        except FileNotFoundError:
            return None
        except OSError as error:
            self._warn(self._config, error)
        except (ValueError, TypeError, LookupError, StopIteration) as error:
            logger.warning("The kept configuration %s cannot be used: %s", self._config, type(error).__name__)
        return None

    def keep_keys(self, rows: Iterable[tuple[float, Any]]) -> None:
        """Write (time read, row) of every key that is known. Blocks: run it in a thread."""
        try:
            _replace(self._keys, _dumps([*rows]))
        except (OSError, TypeError) as error:
            self._warn(self._keys, error)

    def known_keys(self) -> list[tuple[float, Any]]:
        """What every process of this machine knew, as ``keep_keys`` took it, oldest first."""
        found: list[tuple[float, Any]] = []
        for path in self._folder.glob("keys-*.json"):
            try:
                if time.time() - path.stat().st_mtime > FORGET_SECONDS:
                    path.unlink()
                    continue
                found += [(read_at, tuple(row)) for read_at, row in _tagged(orjson.loads(path.read_bytes()))]
            except OSError as error:
                self._warn(path, error)
            except (ValueError, TypeError) as error:
                logger.warning("The kept keys %s cannot be used: %s", path, type(error).__name__)
        return sorted(found, key=lambda one: one[0])

    def _warn(self, path: Path, error: OSError | TypeError) -> None:
        if not self._is_warned:
            said = error.strerror if isinstance(error, OSError) else type(error).__name__
            logger.warning("%s cannot be kept or read: %s", path, said)
        self._is_warned = True


def _mark(query: str) -> str:
    return hashlib.sha256(query.encode()).hexdigest()[:16]


def _replace(path: Path, raw: bytes) -> None:
    """The new text or the old one, never half of it, readable for the owner only."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    new = path.with_suffix(f".{os.getpid()}.new")
    file = os.open(new, os.O_CREAT | os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(file, "wb") as out:
            out.write(raw)
        new.replace(path)
    except OSError:
        new.unlink(missing_ok=True)
        raise


def _dumps(value: Any) -> bytes:
    return orjson.dumps(value, default=_plain, option=orjson.OPT_PASSTHROUGH_DATETIME)


def _plain(value: Any) -> Any:
    match value:
        case datetime():
            return {"~time": value.isoformat()}
        case date():
            return {"~date": value.isoformat()}
        case Decimal():
            return {"~decimal": str(value)}
        case bytes() | memoryview():
            return {"~bytes": base64.b64encode(bytes(value)).decode()}
    raise TypeError(type(value).__name__)


def _tagged(value: Any) -> Any:
    if isinstance(value, list):
        return [_tagged(one) for one in value]
    if isinstance(value, dict):
        if len(value) == 1:
            ((name, inner),) = value.items()
            if name in _TAGS:
                return _TAGS[name](inner)
        return {name: _tagged(one) for name, one in value.items()}
    return value
