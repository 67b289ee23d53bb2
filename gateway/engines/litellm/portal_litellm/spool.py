"""Usage events on disk until the portal has them, and which calls are open: what a kill -9 leaves is reported afterwards.

A line is written in one system call, so a killed process loses none that it wrote. Lines: ``open`` at admission, ``event``,
``ack`` when the portal took (or finally refused) it, ``drop`` for a call that ended without one, ``tally`` at the head of a
file. Replaying the file gives the state. When the file has grown, what is still needed moves to a new one.
"""

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Event = dict[str, Any]
Place = tuple[str, int]

COMPACT_BYTES = 4 * 1024 * 1024
MOST_SLOTS = 64
TALLY_HOURS = 26


class Spool:
    """One process's share of the folder, locked as long as it lives."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.slot, self._lock = _lock_slot(folder)
        self.opened: dict[str, Event] = {}
        self.pending: dict[str, Event] = {}
        self.tallies: dict[Place, list[int]] = {}
        # Lent to this process and not given back.
        self.leases: set[str] = set()
        self._path = self.folder / "spool.jsonl"
        self._replay()
        self._file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._size = os.fstat(self._file).st_size
        if self._size:
            self.compact()

    def open(self, request_id: str, facts: Event) -> None:
        """A call begins. ``facts`` are the fields every event of it has."""
        self.opened[request_id] = facts
        self._write({"t": "open", "id": request_id, "at": time.time(), "f": facts})

    def drop(self, request_id: str) -> None:
        """A call ended and there is nothing to report of it."""
        if self.opened.pop(request_id, None) is not None:
            self._write({"t": "drop", "id": request_id})

    def lend(self, lease_id: str) -> None:
        """Money is asked for under this id."""
        self.leases.add(lease_id)
        self._write({"t": "lend", "id": lease_id})

    def unlend(self, lease_id: str) -> None:
        """It was given back, or there was none."""
        if lease_id in self.leases:
            self.leases.remove(lease_id)
            self._write({"t": "unlend", "id": lease_id})

    def add(self, event: Event) -> None:
        """An event to be sent; the final one of a call closes it."""
        self._take(event)
        self._write({"t": "event", "e": event})

    def ack(self, event_ids: list[str]) -> None:
        known = [one for one in event_ids if self.pending.pop(one, None) is not None]
        if known:
            self._write({"t": "ack", "ids": known})
        if self._size > COMPACT_BYTES:
            self.compact()

    def batch(self, most: int) -> list[Event]:
        return [event for event, _ in zip(self.pending.values(), range(most), strict=False)]

    def oldest_seconds(self) -> int:
        """Age of the oldest event that waits."""
        oldest = next(iter(self.pending.values()), None)
        return max(0, int(time.time() - oldest.get("_at", time.time()))) if oldest else 0

    def compact(self) -> None:
        """A new file with what is still needed takes the place of the old one."""
        fresh = self._path.with_suffix(".new")
        self._forget_old_tallies()
        lines: list[Event] = [{"t": "tally", "rows": [[*place, *counts] for place, counts in self.tallies.items()]}]
        lines += [{"t": "open", "id": one, "f": facts} for one, facts in self.opened.items()]
        lines += [{"t": "lend", "id": one} for one in sorted(self.leases)]
        # Their figures are in the tallies already.
        lines += [{"t": "event", "e": event, "counted": True} for event in self.pending.values()]
        with fresh.open("wb") as file:
            os.fchmod(file.fileno(), 0o600)
            file.writelines(_line(line) for line in lines)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self._path)
        old, self._file = self._file, os.open(self._path, os.O_WRONLY | os.O_APPEND)
        os.close(old)
        self._size = os.fstat(self._file).st_size

    def lost_calls(self) -> list[tuple[str, Event]]:
        """Calls that an earlier process left open."""
        return list(self.opened.items())

    def orphans(self) -> Iterator["Spool"]:
        """Shares that no living process has, opened; close each when it is taken over."""
        for slot in range(MOST_SLOTS):
            folder = self.folder.parent / f"slot-{slot}"
            if slot == self.slot or not (folder / "spool.jsonl").exists():
                continue
            with contextlib.suppress(BlockingIOError, OSError):
                yield Spool(folder)

    def close(self) -> None:
        os.close(self._file)
        os.close(self._lock)

    def _take(self, event: Event, *, counted: bool = False) -> None:
        event.setdefault("_at", time.time())
        self.pending[event["event_id"]] = event
        if not event.get("is_final", True):
            return
        self.opened.pop(event["request_id"], None)
        if not counted and event["outcome"] != "unknown":
            place = (_hour_of(event["request_id"]), int(event.get("channel_id") or 0))
            usage = event.get("usage") or {}
            counts = self.tallies.setdefault(place, [0, 0, 0])
            counts[0] += 1
            counts[1] += usage.get("input", 0)
            counts[2] += usage.get("output", 0)

    def _replay(self) -> None:
        if not self._path.exists():
            return
        with self._path.open("rb") as file:
            for raw in file:
                # The last line may be cut off where the machine itself stopped.
                with contextlib.suppress(ValueError, KeyError):
                    self._apply(json.loads(raw))

    def _apply(self, line: Event) -> None:
        kind = line["t"]
        if kind == "open":
            self.opened[line["id"]] = line["f"]
        elif kind == "drop":
            self.opened.pop(line["id"], None)
        elif kind == "event":
            self._take(line["e"], counted=bool(line.get("counted")))
        elif kind == "ack":
            for one in line["ids"]:
                self.pending.pop(one, None)
        elif kind == "lend":
            self.leases.add(line["id"])
        elif kind == "unlend":
            self.leases.discard(line["id"])
        elif kind == "tally":
            self.tallies = {(row[0], row[1]): row[2:] for row in line["rows"]}

    def _write(self, line: Event) -> None:
        data = _line(line)
        os.write(self._file, data)
        self._size += len(data)

    def _forget_old_tallies(self) -> None:
        limit = time.strftime("%Y-%m-%dT%H:00:00+00:00", time.gmtime(time.time() - TALLY_HOURS * 3600))
        self.tallies = {place: counts for place, counts in self.tallies.items() if place[0] >= limit}


def _line(value: Event) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode() + b"\n"


def _hour_of(request_id: str) -> str:
    """The hour (UTC) inside a UUIDv7."""
    seconds = int(request_id.replace("-", "")[:12], 16) // 1000
    return time.strftime("%Y-%m-%dT%H:00:00+00:00", time.gmtime(seconds))


def _lock_slot(folder: Path) -> tuple[Path, int, int]:
    """A folder ``slot-N`` that no other living process has; or the one given, if it is such a folder."""
    given = folder.name.removeprefix("slot-")
    slots = [int(given)] if folder.name.startswith("slot-") and given.isdigit() else range(MOST_SLOTS)
    parent = folder.parent if isinstance(slots, list) else folder
    for slot in slots:
        path = parent / f"slot-{slot}"
        path.mkdir(parents=True, exist_ok=True)
        handle = os.open(path / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            continue
        return path, slot, handle
    raise BlockingIOError("every share of the spool folder is in use")
