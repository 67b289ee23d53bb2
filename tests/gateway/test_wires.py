"""The relay's client towards upstreams, against a server that says exactly what a test tells it to."""

import asyncio
import gzip
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
import uvloop

from gateway.relay.wires import (
    MOST_WAITING_BYTES,
    ConnectFailed,
    Disconnected,
    NotHttp,
    Place,
    Reply,
    Wires,
)
from tests.gateway.servers import free_port

HEAD = b"POST /v1/x HTTP/1.1\r\nHost: upstream\r\nContent-Length: 2\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Upstream:
    """Counts connections; for each, ``talk`` says what happens on it."""

    def __init__(self, talk: Talk) -> None:
        self._talk = talk
        self.connections = 0
        self.ended = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            await self._talk(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self.ended.set()
            writer.close()


@asynccontextmanager
async def upstream(talk: Talk) -> AsyncIterator[tuple[Upstream, Wires, Place]]:
    speaker, wires = Upstream(talk), Wires()
    server = await asyncio.start_server(speaker.serve, "127.0.0.1", 0)
    try:
        yield speaker, wires, Place("127.0.0.1", server.sockets[0].getsockname()[1], False)
    finally:
        wires.close()
        server.close()


async def heard(reader: asyncio.StreamReader) -> bytes:
    """One request of those above."""
    head = await reader.readuntil(b"\r\n\r\n")
    return head + await reader.readexactly(2)


def says(*parts: bytes, hangs_up: bool = False) -> Talk:
    """Answers each request with these bytes, each written for itself."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await heard(reader)
            for part in parts:
                writer.write(part)
                await writer.drain()
                await asyncio.sleep(0)
            if hangs_up:
                return

    return talk


async def ask(wires: Wires, place: Place, seconds: float = 5) -> Reply:
    return await wires.post(place, HEAD, b"{}", seconds)


async def whole(wires: Wires, place: Place, seconds: float = 5) -> bytes:
    reply = await ask(wires, place, seconds)
    try:
        return await reply.read()
    finally:
        reply.release()


def test_one_connection_serves_one_call_after_the_other() -> None:
    async def act() -> None:
        async with upstream(says(OK)) as (speaker, wires, place):
            assert [await whole(wires, place) for _ in range(5)] == [b"ok"] * 5
            assert speaker.connections == 1

    uvloop.run(act())


def test_calls_at_once_have_a_connection_each() -> None:
    async def act() -> None:
        async with upstream(says(OK)) as (speaker, wires, place):
            replies = [await ask(wires, place) for _ in range(3)]
            assert [await reply.read() for reply in replies] == [b"ok"] * 3
            for reply in replies:
                reply.release()
                reply.release()
            assert speaker.connections == 3
            assert await whole(wires, place) == b"ok"
            assert speaker.connections == 3

    uvloop.run(act())


def test_a_stream_is_read_whatever_the_line_makes_of_it() -> None:
    head = b"HTTP/1.1 200 OK\r\nX-Word: a\r\nX-Word: b\r\nTransfer-Encoding: chunked\r\n\r\n"
    answer = head + b"3\r\none\r\n5;x=y\r\n two!\r\n0\r\n\r\n"

    async def act(parts: list[bytes]) -> None:
        async with upstream(says(*parts)) as (speaker, wires, place):
            for _ in range(2):
                reply = await ask(wires, place)
                assert (reply.status, reply.headers[b"x-word"]) == (200, b"a")
                assert b"".join([part async for part in reply]) == b"one two!"
                reply.release()
            assert speaker.connections == 1

    uvloop.run(act([answer]))
    uvloop.run(act([answer[at : at + 1] for at in range(len(answer))]))


def test_an_answer_without_a_length_ends_with_its_connection() -> None:
    async def act() -> None:
        async with upstream(says(b"HTTP/1.0 200 OK\r\n\r\nall", b" of it", hangs_up=True)) as (speaker, wires, place):
            assert await whole(wires, place) == b"all of it"
            assert await whole(wires, place) == b"all of it"
            assert speaker.connections == 2

    uvloop.run(act())


@pytest.mark.parametrize("length", [b"Content-Length: 99", b"Transfer-Encoding: chunked"])
def test_a_cut_answer_gives_what_came_and_then_the_error(length: bytes) -> None:
    async def act() -> None:
        talk = says(b"HTTP/1.1 200 OK\r\n%b\r\n\r\n4\r\nsome\r\n" % length, hangs_up=True)
        async with upstream(talk) as (_, wires, place):
            reply = await ask(wires, place)
            assert b"some" in await anext(reply)
            with pytest.raises(Disconnected):
                await reply.read()
            reply.release()

    uvloop.run(act())


def test_a_connection_that_is_to_be_closed_is_not_kept() -> None:
    async def act() -> None:
        talk = says(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok")
        async with upstream(talk) as (speaker, wires, place):
            assert await whole(wires, place) == await whole(wires, place) == b"ok"
            assert speaker.connections == 2

    uvloop.run(act())


def test_signs_that_an_answer_is_coming_are_not_the_answer() -> None:
    async def act() -> None:
        signs = b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Early Hints\r\nRetry-After: 7\r\n\r\n"
        async with upstream(says(*signs, OK)) as (speaker, wires, place):
            for _ in range(2):
                reply = await ask(wires, place)
                assert (reply.status, await reply.read()) == (200, b"ok")
                assert b"retry-after" not in reply.headers
                reply.release()
            assert speaker.connections == 1

    uvloop.run(act())


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-dropbear\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 200_000,
    ],
    ids=["other protocol", "two lengths", "upgrade", "endless head"],
)
def test_what_is_no_answer_is_told_as_that(answer: bytes) -> None:
    async def act() -> None:
        async with upstream(says(answer)) as (_, wires, place):
            with pytest.raises(NotHttp):
                await whole(wires, place)

    uvloop.run(act())


def test_more_than_the_answer_spoils_the_connection_and_not_the_answer() -> None:
    async def act() -> None:
        async with upstream(says(OK + OK)) as (speaker, wires, place):
            assert [await whole(wires, place) for _ in range(2)] == [b"ok"] * 2
            assert speaker.connections == 2

    uvloop.run(act())


def test_a_connection_that_ended_while_it_was_kept_is_not_used() -> None:
    async def act() -> None:
        async with upstream(says(OK, hangs_up=True)) as (speaker, wires, place):
            assert await whole(wires, place) == b"ok"
            await speaker.ended.wait()
            await asyncio.sleep(0.05)
            assert await whole(wires, place) == b"ok"
            assert speaker.connections == 2

    uvloop.run(act())


def test_one_deadline_for_head_and_body() -> None:
    async def act(*parts: bytes) -> None:
        async with upstream(says(*parts)) as (speaker, wires, place):
            with pytest.raises(TimeoutError):
                await whole(wires, place, 0.5)
            await speaker.ended.wait()

    uvloop.run(act())
    uvloop.run(act(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nso far"))


def test_nobody_there() -> None:
    async def act() -> None:
        with pytest.raises(ConnectFailed):
            await ask(Wires(), Place("127.0.0.1", free_port(), False))

    uvloop.run(act())


def test_who_speaks_no_tls_is_not_connected_to() -> None:
    async def act() -> None:
        async with upstream(says(OK)) as (_, wires, place):
            with pytest.raises(ConnectFailed):
                await ask(wires, place._replace(is_tls=True))

    uvloop.run(act())


def test_giving_up_in_the_middle_closes_the_connection() -> None:
    async def act() -> None:
        async with upstream(says(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nso far")) as (speaker, wires, place):
            reply = await ask(wires, place)
            async for _part in reply:
                break
            reply.release()
            await speaker.ended.wait()
        async with upstream(says()) as (speaker, wires, place):
            task = asyncio.create_task(ask(wires, place))
            while not speaker.connections:
                await asyncio.sleep(0.01)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await speaker.ended.wait()

    uvloop.run(act())


def test_a_body_in_parts_and_one_that_is_refused_early() -> None:
    size = 8 * 1024 * 1024
    head = b"POST /v1/x HTTP/1.1\r\nHost: upstream\r\nContent-Length: %d\r\n\r\n" % size
    given = 0

    async def parts() -> AsyncIterator[bytes]:
        nonlocal given
        for _ in range(size // 65536):
            given += 65536
            yield b"x" * 65536

    async def takes(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        assert await reader.readexactly(size) == b"x" * size
        writer.write(OK)
        await reader.read()

    async def refuses(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno")
        await writer.drain()
        await asyncio.sleep(5)

    async def act(talk: Talk, status: int, answer: bytes) -> None:
        async with upstream(talk) as (_, wires, place):
            reply = await wires.post(place, head, parts(), 5)
            assert (reply.status, await reply.read()) == (status, answer)
            reply.release()

    uvloop.run(act(takes, 200, b"ok"))
    assert given == size
    given = 0
    uvloop.run(act(refuses, 413, b"no"))
    assert given < size


def test_a_connection_with_half_a_request_on_it_is_not_kept() -> None:
    size = 16 * 1024 * 1024
    head = b"POST /v1/x HTTP/1.1\r\nHost: upstream\r\nContent-Length: %d\r\n\r\n" % size

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(OK)
        await writer.drain()
        await asyncio.sleep(5)

    async def act() -> None:
        async with upstream(talk) as (speaker, wires, place):
            reply = await wires.post(place, head, b"x" * size, 5)
            assert await reply.read() == b"ok"
            reply.release()
            assert await whole(wires, place) == b"ok"
            assert speaker.connections == 2

    uvloop.run(act())


def test_an_answer_that_comes_packed_is_unpacked() -> None:
    packed = gzip.compress(b"as it was")
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n"

    async def act() -> None:
        async with upstream(says(head % len(packed) + packed)) as (_, wires, place):
            assert await whole(wires, place) == b"as it was"
        async with upstream(says(head % 9 + b"no gzip!!")) as (_, wires, place):
            with pytest.raises(NotHttp):
                await whole(wires, place)

    uvloop.run(act())


def test_what_nobody_reads_is_left_on_the_line() -> None:
    size = 64 * 1024 * 1024
    sent = 0

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await heard(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        for _ in range(size // 65536):
            writer.write(b"x" * 65536)
            await writer.drain()
            sent += 65536
        await reader.read()

    async def act() -> None:
        async with upstream(talk) as (_, wires, place):
            reply = await ask(wires, place, 30)
            before = -1
            while sent != before:
                before = sent
                await asyncio.sleep(0.1)
            assert MOST_WAITING_BYTES <= sent < size
            got = 0
            async for part in reply:
                got += len(part)
            assert got == size
            reply.release()

    uvloop.run(act())
