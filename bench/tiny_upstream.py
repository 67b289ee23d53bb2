"""An upstream that costs next to nothing, so that what is measured is what stands before it.

``python -m bench.tiny_upstream --port N`` answers every POST with the same completion: at once, or when the request asks
for a stream, first after 20 ms and then a word every 10 ms, twenty of them, with the usage at the end.
"""

import argparse
import asyncio
import json

import uvloop

WORDS = 20
FIRST_AFTER, EACH_AFTER = 0.020, 0.010
USAGE = {"prompt_tokens": 40, "completion_tokens": 12, "total_tokens": 52}
COMPLETION = {
    "id": "chatcmpl-tiny",
    "object": "chat.completion",
    "created": 1700000000,
    "model": "demo-chat",
    "choices": [
        {"index": 0, "message": {"role": "assistant", "content": "Always the same words."}, "finish_reason": "stop"},
    ],
    "usage": USAGE,
}


def _answer(body: bytes, kind: bytes = b"application/json") -> bytes:
    return b"HTTP/1.1 200 OK\r\ncontent-type: %s\r\ncontent-length: %d\r\n\r\n%s" % (kind, len(body), body)


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def _event(**fields: object) -> bytes:
    head = {"id": "chatcmpl-tiny", "object": "chat.completion.chunk", "created": 1700000000, "model": "demo-chat"}
    return _chunk(b"data: " + json.dumps({**head, **fields}).encode() + b"\n\n")


PLAIN = _answer(json.dumps(COMPLETION).encode())
LISTED = _answer(b'{"object": "list", "data": [{"id": "demo-chat", "object": "model"}]}')
STREAM_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
WORD = _event(choices=[{"index": 0, "delta": {"content": "word "}, "finish_reason": None}])
LAST = _event(choices=[{"index": 0, "delta": {}, "finish_reason": "stop"}]) + _event(choices=[], usage=USAGE)
LAST += _chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n"


class Speaker(asyncio.Protocol):
    """One connection, one request at a time."""

    def __init__(self) -> None:
        self.got = b""
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        self.got += data
        head, found, body = self.got.partition(b"\r\n\r\n")
        if not found:
            return
        lower = head.lower()
        at = lower.find(b"content-length:")
        if at >= 0 and len(body) < int(lower[at + 15 :].split(b"\r\n", 1)[0]):
            return
        self.got = b""
        assert self.transport
        if b'"stream":true' in body.replace(b" ", b""):
            asyncio.get_running_loop().call_later(FIRST_AFTER, self.say, WORDS)
        else:
            self.transport.write(PLAIN if head.startswith(b"POST") else LISTED)

    def say(self, left: int) -> None:
        assert self.transport
        if self.transport.is_closing():
            return
        if not left:
            self.transport.write(LAST)
            return
        self.transport.write(STREAM_HEAD + WORD if left == WORDS else WORD)
        asyncio.get_running_loop().call_later(EACH_AFTER, self.say, left - 1)


async def serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Speaker, "127.0.0.1", port, backlog=512)
    await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    uvloop.run(serve(parser.parse_args().port))
