"""The relay's spool: the ends of its calls on the local disk from before the answer's last byte until PostgreSQL has them.

Each process has files of its own in ``<RELAY_STATE_DIR>/spool``: a lock file that it holds for as long as it lives, and
segments of lines. A write of the operating system survives ``kill -9``; the disk is told to keep it (``fsync``) every
``RELAY_SPOOL_SYNC_MS``. What a process that is gone left behind is sent by the next one that looks (``gateway.relay.replay``).

A line is one letter and a JSON object: ``E`` the end of a call as ``billing_record`` takes it, ``O`` a call on a lease that
runs for longer than ``RELAY_SPOOL_SYNC_MS``. A segment is removed once nothing in it is needed any more. It holds what the
request log holds: no prompt, no answer, no secret.
"""

import fcntl
import logging
import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

logger = logging.getLogger(__name__)

SEGMENT_BYTES = 4 * 1024 * 1024
# A segment that holds nothing needed is emptied once it is this large.
EMPTY_BYTES = 1024 * 1024
END, OPEN = b"E", b"O"
_UNSAFE = re.compile(r"[^A-Za-z0-9_-]")


def stem_for(name: str) -> str:
    """The name of one life of a relay: what its files begin with, and who its leases are lent by."""
    return f"{_UNSAFE.sub('_', name)[:60]}.{time.time_ns() // 1000:x}-{os.getpid()}"


class Spool:
    """Not for several threads, except ``sync``. ``error`` says why nothing can be written; then no call may be admitted."""

    def __init__(self, folder: Path, stem: str) -> None:
        self.folder, self.stem = folder, stem
        self.error = "not open"
        self._lock = -1
        self._file = -1
        self._number = 0
        self._size = 0
        # Lines of each segment that are still needed, and the segments in which a call has lines.
        self._needed: dict[int, int] = {}
        # By the number of a call's id, which is found faster than the id.
        self._lines: dict[int, list[int]] = {}
        self._unwritten: dict[int, bytes] = {}
        # Calls that began and are not written yet: most end before they need to be.
        self._begun: dict[int, Callable[[], bytes]] = {}
        self._is_torn = False
        self._is_dirty = False
        self._retired: list[int] = []

    def open(self) -> None:
        """Take the lock and begin the first segment; what is wrong is said in ``error`` and in the log."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            if self._lock < 0:
                # Locked before it has its name: whoever finds the name without a lock on it finds a process that is gone.
                first = self.folder / f"{self.stem}.new"
                self._lock = os.open(first, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                first.rename(self.folder / f"{self.stem}.lock")
            if self._file < 0:
                self._begin()
            self.error = ""
        except OSError as error:
            self._failed(error)

    def close(self, *, is_needed: bool = False) -> None:
        """Leave the files to whoever comes next if something in them is still needed; else remove them."""
        self.sync()
        for segment in [*self._needed]:
            if not self._needed[segment]:
                self._path(segment).unlink(missing_ok=True)
        if self._lock >= 0 and not self._lines and not is_needed:
            (self.folder / f"{self.stem}.lock").unlink(missing_ok=True)
        for file in (self._file, self._lock):
            if file >= 0:
                os.close(file)
        self._file = self._lock = -1
        self.error = "closed"

    @property
    def waiting(self) -> int:
        """Calls with something on the disk that PostgreSQL does not have yet."""
        return len(self._lines)

    def opened(self, call: UUID, line: Callable[[], bytes]) -> bool:
        """A call begins on a lease, and is written by the next ``keep_begun`` if it still runs then; False when nothing can be
        written, and so the call may not begin."""
        if self.error:
            return False
        self._begun[call.int] = line
        return True

    def keep_begun(self) -> None:
        """Write the calls that run, all at once."""
        if self.error or not self._begun:
            return
        try:
            self._write(b"\n".join(OPEN + line() for line in self._begun.values()))
        except OSError as error:
            self._failed(error)
            return
        for call in self._begun:
            self._note(call)
        self._begun.clear()

    def ended(self, call: UUID, line: bytes) -> None:
        """The end of a call; one that cannot be written now is tried again by ``repair``."""
        self._begun.pop(call.int, None)
        self._append(call.int, END + line)

    def done(self, call: UUID) -> None:
        """PostgreSQL has the end of the call: its lines are not needed any more."""
        self._unwritten.pop(call.int, None)
        for segment in self._lines.pop(call.int, ()):
            left = self._needed[segment] = self._needed[segment] - 1
            if left:
                continue
            if segment != self._number:
                del self._needed[segment]
                self._path(segment).unlink(missing_ok=True)
            elif self._size > EMPTY_BYTES and not self._unwritten:
                os.ftruncate(self._file, 0)
                self._size = 0

    def refuse(self, line: bytes) -> None:
        """Keep for people what PostgreSQL will not take."""
        try:
            with (self.folder / "refused.jsonl").open("ab") as kept:
                kept.write(line + b"\n")
        except OSError as error:
            logger.error("A refused end of a call could not be kept in %s: %s", self.folder, error.strerror)

    def repair(self) -> None:
        """Try again to write what could not be written."""
        if not self.error or self.error == "closed":
            return
        if self._file < 0:
            self.open()
            if self.error:
                return
        try:
            for call, line in [*self._unwritten.items()]:
                self._write(line)
                self._note(call)
                del self._unwritten[call]
            # An empty line, to see whether there is room again.
            self._is_torn = True
            self._write(b"")
        except OSError as error:
            self._failed(error)
            return
        logger.warning("The spool %s can be written again.", self.folder)
        self.error = ""

    def sync(self) -> None:
        """Have the disk keep what was written."""
        try:
            while self._retired:
                file = self._retired.pop()
                os.fsync(file)
                os.close(file)
            if self._is_dirty and self._file >= 0:
                self._is_dirty = False
                os.fsync(self._file)
        except OSError as error:
            self._failed(error)

    def _append(self, call: int, line: bytes) -> None:
        if self.error:
            self._unwritten[call] = line
            return
        try:
            if self._size > SEGMENT_BYTES:
                self._begin()
            self._write(line)
        except OSError as error:
            self._unwritten[call] = line
            self._failed(error)
            return
        self._note(call)

    def _note(self, call: int) -> None:
        self._needed[self._number] += 1
        self._lines.setdefault(call, []).append(self._number)

    def _write(self, line: bytes) -> None:
        # After half a line, a new one begins: the half is told apart when it is read.
        whole = (b"\n" if self._is_torn else b"") + (line + b"\n" if line else b"")
        written = os.write(self._file, whole)
        self._size += written
        self._is_dirty = True
        if written < len(whole):
            self._is_torn = True
            raise OSError(28, "No space left on device")
        self._is_torn = False

    def _begin(self) -> None:
        file = os.open(self._path(self._number + 1), os.O_CREAT | os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC, 0o600)
        if self._file >= 0:
            self._retired.append(self._file)
            if not self._needed.get(self._number):
                self._needed.pop(self._number, None)
                self._path(self._number).unlink(missing_ok=True)
        self._file, self._number, self._size = file, self._number + 1, 0
        self._needed[self._number] = 0

    def _path(self, segment: int) -> Path:
        return self.folder / f"{self.stem}.{segment}.spool"

    def _failed(self, error: OSError) -> None:
        if not self.error or self.error == "not open":
            logger.error(
                "The spool %s cannot be written (%s): no call is admitted until it can.", self.folder, error.strerror or error
            )
        self.error = error.strerror or str(error)


@contextmanager
def owned(folder: Path, stem: str, *, makes_lock: bool = False) -> Iterator[bool]:
    """Whether the process of that name is gone, and its files are ours until the end of this. Without a lock file nothing of it
    is left, or (``makes_lock``) it had none."""
    path = folder / f"{stem}.lock"
    try:
        lock = os.open(path, os.O_RDWR | os.O_CLOEXEC | (os.O_CREAT if makes_lock else 0), 0o600)
    except OSError as error:
        if makes_lock or not isinstance(error, FileNotFoundError):
            logger.error("The lock file %s cannot be opened (%s); what it guards stays.", path, error.strerror)
        yield False
        return
    try:
        is_ours = _locks(lock)
        yield is_ours
    finally:
        os.close(lock)


def _locks(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    # One that was removed meanwhile guards nothing.
    return os.fstat(file).st_nlink > 0
