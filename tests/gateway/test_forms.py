"""Reading forms: cut at any place, in memory or in a file, and refused where two readers could read them in two ways."""

import asyncio
from typing import Any
from uuid import uuid4

import pytest

from gateway.relay import forms
from gateway.relay.exchange import BodyTooLarge, Exchange
from gateway.relay.forms import BadForm, Form, read_form

BOUNDARY = "xX-bound"


def part(name: str, value: bytes, *, filename: str = "", extra: str = "") -> bytes:
    file = f'; filename="{filename}"' if filename else ""
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"{file}{extra}\r\n'
    return head.encode() + b"\r\n" + value + b"\r\n"


END = f"--{BOUNDARY}--\r\n".encode()
FILE = b"RIFF\x00\r\n--not the boundary\r\n\r\n" + bytes(range(256)) * 20
WHOLE = part("file", FILE, filename="a.wav") + part("model", b"whisper-1") + part("n", b"2") + part("stream", b"true") + END


def read(body: bytes, cuts: tuple[int, ...] = (), limit: int = 10**7, boundary: str = BOUNDARY) -> Form:
    places = [0, *cuts, len(body)]
    pieces = [body[a:b] for a, b in zip(places, places[1:], strict=False)]
    messages = [{"type": "http.request", "body": piece, "more_body": n < len(pieces) - 1} for n, piece in enumerate(pieces)]
    incoming = iter(messages)

    async def receive() -> Any:
        return next(incoming)

    async def send(message: Any) -> None:
        raise AssertionError("nothing is to be answered here")

    headers = [(b"content-type", f"multipart/form-data; boundary={boundary}".encode())]
    exchange = Exchange({"type": "http", "headers": headers}, receive, send, uuid4())
    return asyncio.run(read_form(exchange, limit))


def sent_on(form: Form, model: str) -> bytes:
    async def collect() -> bytes:
        return b"".join([piece async for piece in form.with_model(model)])

    return asyncio.run(collect())


@pytest.mark.parametrize("in_memory", [10**7, 10])
def test_a_form_is_the_same_wherever_it_is_cut_and_only_its_model_changes(in_memory: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(forms, "IN_MEMORY", in_memory)
    wanted = WHOLE.replace(b"whisper-1", b"the-upstreams-name")
    for place in range(0, len(WHOLE), 97):
        form = read(WHOLE, (place,))
        assert form.fields == {"model": "whisper-1", "n": 2, "stream": True}
        assert (form.file_bytes, form.file_start) == (len(FILE), FILE[:64])
        for _ in range(2):
            assert sent_on(form, "the-upstreams-name") == wanted
        assert form.length_with("the-upstreams-name") == len(wanted)
        form.close()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no form at all",
        WHOLE.replace(END, b""),
        part("model", b"a") + part("model", b"b") + END,
        part("model", b"a") + part("n", b"1") + part("n", b"9") + END,
        part("model", b"a", filename="model") + END,
        part("model", b"a", extra='; name="other"') + END,
        part("x", b"a").replace(b'name="x"', b"name=model") + END,
        part("model", b"a", extra='\r\nContent-Disposition: form-data; name="model"') + END,
        part("model", b"a") + b"--" + BOUNDARY.encode() + b"Y\r\n\r\nx\r\n" + END,
        part("model", b"a" * 2_000_000) + END,
        part("x", b"") * 300 + END,
    ],
)
def test_a_form_that_leaves_a_doubt_is_refused(body: bytes):
    with pytest.raises(BadForm):
        read(body)


def test_a_form_that_is_too_large_or_has_no_boundary_is_refused():
    with pytest.raises(BodyTooLarge):
        read(WHOLE, (100, 2000), limit=4000)
    with pytest.raises(BadForm):
        read(WHOLE, boundary="")
