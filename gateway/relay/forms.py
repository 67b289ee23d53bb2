"""Forms with files (``multipart/form-data``): kept outside of memory while they come in, sent on with another model's name.

The whole form is there before anything is sent: fields after the file, such as the number of pictures, make the price, and a
field given twice would let the upstream see what was not priced. Up to ``IN_MEMORY`` a form stays in memory, beyond that
in an unnamed temporary file.
"""

import asyncio
import re
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import IO, Any

from gateway.relay.exchange import Exchange

IN_MEMORY = 1024 * 1024
MOST_PARTS = 200
MOST_FIELD_BYTES = 1024 * 1024
CHUNK = 256 * 1024
_BOUNDARY = re.compile(rb'boundary=(?:"([^"\r\n]{1,200})"|([^\s;"]{1,200}))', re.IGNORECASE)
_NAME = re.compile(rb'[;\s]name="([^"\r\n]*)"', re.IGNORECASE)
_FILE = re.compile(rb"[;\s]filename\*?=", re.IGNORECASE)


# Fields of ours that go no further, and those that are read, so that a second one must not say otherwise.
OWN_FIELDS = frozenset({"template", "callback_url"})
ONCE = OWN_FIELDS | {"model", "n", "size", "quality", "stream", "seconds", "duration", "resolution"}


class BadForm(Exception):
    """The body is no form, or names its model twice."""


@dataclass(slots=True)
class Form:
    """A form that came in whole. ``fields`` are its plain fields; ``file_bytes`` the size of its largest file,
    ``files_bytes`` of all of them together."""

    content_type: bytes
    size: int
    store: IO[bytes] = field(repr=False)
    fields: dict[str, Any] = field(default_factory=dict, repr=False)
    model_at: tuple[int, int] = (0, 0)
    file_bytes: int = 0
    files_bytes: int = 0
    file_start: bytes = field(default=b"", repr=False)
    # Names of the files to their number.
    files: dict[str, int] = field(default_factory=dict)
    boundary: bytes = b""
    # Where the parts of fields that are ours begin and end, where the form ends, and fields to be added before that end.
    own_at: list[tuple[int, int]] = field(default_factory=list)
    end_at: int = 0
    added: dict[str, str] = field(default_factory=dict, repr=False)

    def length_with(self, model: str) -> int:
        return sum(len(one) if isinstance(one, bytes) else one[1] - one[0] for one in self._pieces(model))

    async def with_model(self, model: str) -> AsyncIterator[bytes]:
        """The bytes of the form with the model called ``model``, without our own fields; may be asked for again."""
        for one in self._pieces(model):
            if isinstance(one, bytes):
                yield one
                continue
            for part in self._between(*one):
                yield part
                # Disk and line take turns, so that other calls are not kept waiting.
                await asyncio.sleep(0)

    def _pieces(self, model: str) -> list[bytes | tuple[int, int]]:
        """What is sent, in order: bytes, or a stretch of what came in."""
        more = b"".join(self._part(name, value) for name, value in self.added.items())
        changes: list[tuple[int, int, bytes]] = [(*span, b"") for span in self.own_at]
        changes.append((self.end_at, self.end_at, more))
        if self.model_at[1]:
            changes.append((*self.model_at, model.encode()))
        else:
            changes.append((self.end_at, self.end_at, self._part("model", model)))
        found: list[bytes | tuple[int, int]] = []
        at = 0
        for start, end, put in sorted(changes):
            found += [(at, start), put]
            at = end
        return [*found, (at, self.size)]

    def _part(self, name: str, value: str) -> bytes:
        safe = name.replace('"', "").replace("\r", "").replace("\n", "")
        return b'%b\r\nContent-Disposition: form-data; name="%b"\r\n\r\n%b\r\n' % (self.boundary, safe.encode(), value.encode())

    def close(self) -> None:
        self.store.close()

    def _between(self, start: int, end: int) -> Any:
        while start < end:
            self.store.seek(start)
            part = self.store.read(min(CHUNK, end - start))
            if not part:
                return
            start += len(part)
            yield part


async def read_form(exchange: Exchange, limit: int) -> Form:
    """Take the form off the line; raises BodyTooLarge, ClientGone and BadForm."""
    content_type = exchange.headers.get(b"content-type", b"")
    found = _BOUNDARY.search(content_type)
    if found is None:
        raise BadForm
    store = tempfile.SpooledTemporaryFile(max_size=IN_MEMORY)  # noqa: SIM115 - closed with the call
    try:
        size = 0
        async for part in exchange.parts(limit):
            store.write(part)
            size += len(part)
        form = Form(content_type, size, store)
        boundary = b"--" + (found[1] or found[2])
        if size <= IN_MEMORY:
            store.seek(0)
            _read(form, store.read(), boundary)
        else:
            await asyncio.to_thread(_read, form, _Stored(store, size), boundary)
    except BaseException:
        store.close()
        raise
    return form


class _Stored:
    """A file that is searched and sliced like bytes, with no more than a window of it in memory."""

    def __init__(self, store: IO[bytes], size: int) -> None:
        self._store, self._size = store, size

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, part: slice) -> bytes:
        start, end, _ = part.indices(self._size)
        self._store.seek(start)
        return self._store.read(max(0, end - start))

    def find(self, wanted: bytes, start: int = 0, end: int | None = None) -> int:
        end = self._size if end is None else end
        while start < end:
            window = self[start : min(start + IN_MEMORY + len(wanted), end)]
            at = window.find(wanted)
            if at >= 0:
                return start + at
            start += max(1, len(window) - len(wanted) + 1)
        return -1


def _read(form: Form, whole: "bytes | _Stored", boundary: bytes) -> None:
    """Find the parts; between two delimiters stands a head, an empty line and the value."""
    at = whole.find(boundary)
    if at < 0:
        raise BadForm
    for _ in range(MOST_PARTS):
        start = at + len(boundary)
        if whole[start : start + 2] == b"--":
            form.boundary, form.end_at = boundary, at
            break
        # What follows a delimiter must leave no doubt: a form that two readers read in two ways is refused.
        if whole[start : start + 2] != b"\r\n":
            raise BadForm
        end = whole.find(b"\r\n" + boundary, start)
        head_end = whole.find(b"\r\n\r\n", start, end if end > 0 else len(whole))
        if end < 0 or head_end < 0:
            raise BadForm
        name = _take(form, whole[start:head_end], whole, head_end + 4, end)
        if name in OWN_FIELDS:
            form.own_at.append((at, end + 2))
        at = end + 2
    else:
        raise BadForm


def _take(form: Form, head: bytes, whole: "bytes | _Stored", start: int, end: int) -> str:
    names = _NAME.findall(head)
    if len(names) != 1 or head.lower().count(b"content-disposition:") != 1:
        raise BadForm
    name = names[0].decode("utf-8", "replace")
    if _FILE.search(head):
        if name == "model":
            raise BadForm
        form.files_bytes += end - start
        form.files[name] = form.files.get(name, 0) + 1
        if end - start > form.file_bytes:
            form.file_bytes, form.file_start = end - start, whole[start : min(end, start + 64)]
        return ""
    if name in form.fields and name in ONCE:
        raise BadForm
    if end - start > MOST_FIELD_BYTES:
        raise BadForm
    value = whole[start:end].decode("utf-8", "replace")
    if name == "model":
        form.model_at = (start, end)
    form.fields[name] = _typed(name, value)
    return name


def _typed(name: str, value: str) -> Any:
    word = value.strip()
    # A number longer than that is none that anybody means; what is no switch stays as it came and is refused.
    if name == "n" and word.isascii() and word.isdigit() and len(word) < 20:
        return int(word)
    if name == "stream" and word.lower() in {"true", "false", ""}:
        return word.lower() == "true"
    return value
