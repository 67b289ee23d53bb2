"""Log rows of a server are put aside on disk before anything is written here: if the server goes away, nothing is half-done."""

import pickle
import tempfile
from collections.abc import Iterator
from typing import IO, Self

from migrations_center.sources.records import OldLog


class LogSpool:
    """A file of batches that nobody else can open; it disappears with the process."""

    def __init__(self) -> None:
        self._file: IO[bytes] = tempfile.TemporaryFile(prefix="portal-logs-")  # noqa: SIM115 - closed in __exit__

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def fill(self, batches: Iterator[tuple[int, list[OldLog]]]) -> int:
        rows = 0
        for batch in batches:
            pickle.dump(batch, self._file, protocol=pickle.HIGHEST_PROTOCOL)
            rows += len(batch[1])
        return rows

    def __iter__(self) -> Iterator[tuple[int, list[OldLog]]]:
        self._file.seek(0)
        while True:
            try:
                # Written by this process a moment ago, in a file without a name.
                yield pickle.load(self._file)  # noqa: S301
            except EOFError:
                return
