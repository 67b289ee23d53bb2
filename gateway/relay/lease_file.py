"""The leases of a relay on its disk, so that the next relay of this machine can go on with them while PostgreSQL is away.

Each process has one file ``<stem>.leases`` beside its spool. Of every lease it says how far the process may have gone:
``kept`` is never less than what was spent and promised, and it is written before a call is admitted that goes beyond. So what
lies above ``kept`` was promised to nobody, whatever was lost in memory. Others take slices of that (``Inheritance``) while they
hold the lock of the process that is gone, and each slice is written as kept before it is used: nothing is taken twice.

A write of the operating system survives ``kill -9``, but not a loss of power: leases are taken up by the same start of the
machine only. Both clocks must say that there is time left.
"""

import logging
import os
import time
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import orjson

from gateway.relay.loan import Loan, Payer
from gateway.relay.spool import owned

logger = logging.getLogger(__name__)

COMPACT_BYTES = 256 * 1024


@cache
def this_start() -> str:
    """Names this start of the machine; empty where it cannot be told, and then nothing is taken up."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


def path_for(folder: Path, stem: str) -> Path:
    return folder / f"{stem}.leases"


class LeaseFile:
    """What the process that was lent the money writes. Not for several threads."""

    def __init__(self, folder: Path, stem: str) -> None:
        self._path = path_for(folder, stem)
        self._file = -1
        self._size = 0
        self._is_off = not this_start()
        self._kept: dict[Any, bytes] = {}

    def keep(self, loan: Loan, kept: int) -> bool:
        """Write that calls may go as far as ``kept``; False when that cannot be written, and so they may not."""
        kept = min(kept, loan.granted)
        if self._is_off:
            loan.kept = loan.granted
            return True
        left = loan.draw_until - time.monotonic()
        value = {
            "lease": loan.id,
            "payer": loan.payer,
            "granted": loan.granted,
            "kept": kept,
            "until": loan.draw_until,
            "ends": time.time() + left,
            "start": this_start(),
        }
        if not self._put(loan, orjson.dumps(value)):
            return False
        loan.kept = kept
        return True

    def drop(self, loan: Loan) -> None:
        """Nobody may draw on this lease any more."""
        if loan.id in self._kept and self._put(loan, orjson.dumps({"lease": loan.id, "gone": True})):
            self._kept.pop(loan.id, None)

    def close(self, *, is_needed: bool) -> None:
        """Leave the file to the next relay, or remove it when there is nothing in it that it could take up."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
        if not is_needed:
            self._path.unlink(missing_ok=True)

    def _put(self, loan: Loan, line: bytes) -> bool:
        self._kept[loan.id] = line
        try:
            if self._file < 0 or self._size > COMPACT_BYTES:
                self._begin()
            else:
                self._write(line)
        except OSError as error:
            return self._give_up(error)
        return True

    def _begin(self) -> None:
        """A new file with what holds now, in the place of the old one."""
        new = self._path.with_suffix(".leases-new")
        file = os.open(new, os.O_CREAT | os.O_WRONLY | os.O_APPEND | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        if self._file >= 0:
            os.close(self._file)
        self._file, self._size = file, 0
        self._write(b"\n".join(self._kept.values()))
        new.replace(self._path)

    def _write(self, line: bytes) -> None:
        whole = line + b"\n"
        written = os.write(self._file, whole)
        self._size += written
        if written < len(whole):
            raise OSError(28, "No space left on device")

    def _give_up(self, error: OSError) -> bool:
        """A file that does not follow what is promised must not be there."""
        logger.warning("Leases cannot be kept in %s (%s): no relay that comes next takes them up.", self._path, error.strerror)
        try:
            self._path.unlink(missing_ok=True)
        except OSError:
            return False
        self.close(is_needed=True)
        self._is_off = True
        return True


@dataclass
class Left:
    """What one process that is gone left of its leases: how much of each nobody was promised, and who took of them."""

    leases: dict[str, dict[str, Any]] = field(default_factory=dict)
    takers: set[str] = field(default_factory=set)
    is_shut: bool = False

    def free(self, lease: str) -> int:
        """What may be taken of a lease now."""
        value = self.leases[lease]
        is_over = time.monotonic() >= value["until"] or time.time() >= value["ends"]
        if self.is_shut or is_over or not value["start"] or value["start"] != this_start():
            return 0
        return max(0, int(value["granted"]) - int(value["kept"]))


def read_left(path: Path) -> Left:
    """The file of a process that is gone. Half a line was written for a call that did not begin any more."""
    left = Left()
    try:
        raw = path.read_bytes()
    except OSError:
        return left
    for line in raw.split(b"\n"):
        try:
            value = orjson.loads(line)
            _apply(left, value)
        except (orjson.JSONDecodeError, KeyError, TypeError, ValueError):
            continue
    return left


def _apply(left: Left, value: dict[str, Any]) -> None:
    if "until" in value:
        user, is_test = value["payer"]
        whole = {name: value[name] for name in ("granted", "kept", "until", "ends", "start")}
        left.leases[value["lease"]] = {**whole, "payer": (int(user), bool(is_test))}
    elif "gone" in value:
        left.leases.pop(value["lease"], None)
    elif "by" in value:
        left.takers.add(value["by"])
        left.leases[value["lease"]]["kept"] = int(value["kept"])
    elif "done" in value:
        left.takers.discard(value["done"])
    elif "shut" in value:
        left.is_shut = True


def append(path: Path, value: dict[str, Any]) -> None:
    """Add a line to the file of a process that is gone, whose lock is held; raises OSError, also when it is cut."""
    # A new line first: the last one may be half.
    whole = b"\n" + orjson.dumps(value) + b"\n"
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
    try:
        if os.write(file, whole) < len(whole):
            raise OSError(28, "No space left on device")
    finally:
        os.close(file)


def shut_for_close(folder: Path, stem: str) -> bool:
    """Let nobody take of these leases any more, whose process's lock is held; whether all who did are through with them.

    Who took and is gone itself is through once its own spool is sent: then its lock file is not there any more."""
    path = path_for(folder, stem)
    if not path.exists():
        return True
    left = read_left(path)
    if not left.is_shut:
        append(path, {"shut": True})
    return not any((folder / f"{taker}.lock").exists() for taker in left.takers)


class Inheritance:
    """What this process takes of the leases of others that are gone, while PostgreSQL cannot lend it any of its own.

    ``by`` is the name of this life of the relay: in its spool the ends of the calls are found should it be gone as well."""

    def __init__(self, folder: Path, by: str) -> None:
        self._folder, self._by = folder, by
        self._loans: dict[Payer, Loan] = {}
        # Not drawn on any more, their calls may run; the process each is of.
        self._stems: dict[str, set[Loan]] = {}
        self._nothing: dict[Payer, float] = {}

    @property
    def open_count(self) -> int:
        return sum(map(len, self._stems.values()))

    def take(self, payer: Payer, amount: int) -> Loan | None:
        """A loan with the amount taken from it, if something is left for this payer; never waits."""
        loan = self._loans.get(payer)
        if loan is not None and time.monotonic() < loan.draw_until and loan.free >= amount:
            loan.take(amount)
            return loan
        return None

    def look(self, payer: Payer, amount: int) -> Loan | None:
        """The same, taking another slice from the disk for it."""
        if not amount or self._nothing.get(payer, 0.0) > time.monotonic():
            return None
        try:
            for path in sorted(self._folder.glob("*.leases")):
                stem = path.name.removesuffix(".leases")
                if stem != self._by and self._slice(path, stem, payer, amount):
                    return self.take(payer, amount)
        except OSError as error:
            logger.warning("The leases in %s cannot be taken up: %s", self._folder, error.strerror)
        self._nothing[payer] = time.monotonic() + 1.0
        return None

    def _slice(self, path: Path, stem: str, payer: Payer, amount: int) -> bool:
        with owned(self._folder, stem) as is_ours:
            if not is_ours:
                return False
            left = read_left(path)
            for lease, value in left.leases.items():
                free = left.free(lease) if value["payer"] == payer else 0
                if free < amount:
                    continue
                # Some of it only: other processes of this machine serve the same payer.
                part = min(free, max(amount, free // 4))
                append(path, {"lease": lease, "kept": value["kept"] + part, "by": self._by})
                self._add(lease, stem, payer, part, value)
                return True
        return False

    def _add(self, lease: str, stem: str, payer: Payer, part: int, value: dict[str, Any]) -> None:
        loan = self._loans.get(payer)
        if loan is not None and str(loan.id) == lease:
            loan.granted += part
            return
        until = min(value["until"], time.monotonic() + value["ends"] - time.time())
        new = self._loans[payer] = Loan.taken_up(lease, payer, part, until)
        self._stems.setdefault(stem, set()).add(new)
        logger.warning("A lease of %s, which is gone, is taken up while PostgreSQL is away.", stem)

    def stop_drawing(self, payer: int | None) -> None:
        """PostgreSQL is back, or something about a payer changed: calls are served from leases of our own again."""
        for one in [*self._loans]:
            if payer is None or one[0] == payer:
                del self._loans[one]

    def tidy(self) -> None:
        """Say of whom all calls are written, so that what is left of the leases is given back."""
        moment = time.monotonic()
        for payer in [one for one, loan in self._loans.items() if moment >= loan.draw_until]:
            del self._loans[payer]
        self._nothing = {payer: until for payer, until in self._nothing.items() if until > moment}
        drawn = {*self._loans.values()}
        for stem, loans in [*self._stems.items()]:
            if loans & drawn or any(loan.calls or loan.unwritten for loan in loans):
                continue
            with owned(self._folder, stem) as is_ours:
                path = path_for(self._folder, stem)
                if not is_ours and (self._folder / f"{stem}.lock").exists():
                    continue
                try:
                    if is_ours and path.exists():
                        append(path, {"done": self._by})
                except OSError:
                    continue
            del self._stems[stem]
