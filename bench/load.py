"""A light load generator in a process of its own: one thread, epoll, requests written as bytes that are ready.

``python -m bench.load PORT CONCURRENCY SECONDS [SPREAD] < requests`` reads requests as a JSON list of texts, sends each
connection's again and again, the first ones over SPREAD seconds instead of all at once, and prints one line of JSON: answers
with 200, seconds, other answers, its own CPU seconds, and for each answer the milliseconds to the first byte of its body and to
its end.
"""

import json
import select
import socket
import sys
import time
from dataclasses import dataclass


@dataclass
class Line:
    """One connection: what it sends, what came back so far, and when."""

    sock: socket.socket
    request: bytes
    got: bytearray
    began: float = 0.0
    first: float = 0.0
    body_at: int = 0
    length: int = -1

    def send(self) -> None:
        self.got.clear()
        self.first, self.body_at, self.length = 0.0, 0, -1
        self.began = time.perf_counter()
        self.sock.sendall(self.request)

    def is_whole(self) -> bool:
        """Read what there is; True when the answer is complete."""
        self.got += self.sock.recv(65536) or self._closed()
        if not self.body_at:
            end = self.got.find(b"\r\n\r\n")
            if end < 0:
                return False
            self.body_at = end + 4
            head = bytes(self.got[:end]).lower()
            at = head.find(b"content-length:")
            self.length = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else -1
        size = len(self.got) - self.body_at
        if size and not self.first:
            self.first = time.perf_counter()
        return size >= self.length if self.length >= 0 else self.got.endswith(b"\r\n0\r\n\r\n")

    def _closed(self) -> bytes:
        raise ConnectionError(f"the server closed the connection after {bytes(self.got[:200])!r}")


def load(port: int, requests: list[bytes], seconds: float, spread: float = 0.0) -> dict[str, object]:
    poll, lines = select.epoll(), {}
    for request in requests:
        sock = socket.create_connection(("127.0.0.1", port))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        lines[sock.fileno()] = Line(sock, request, bytearray())
        poll.register(sock.fileno(), select.EPOLLIN)
    firsts: list[float] = []
    whole: list[float] = []
    others: dict[str, int] = {}
    began, cpu = time.perf_counter(), time.process_time()
    to_begin = [(began + spread * n / len(lines), line) for n, line in enumerate(lines.values())]
    running = len(lines)
    while running:
        while to_begin and to_begin[0][0] <= time.perf_counter():
            to_begin.pop(0)[1].send()
        patience = max(0.0, to_begin[0][0] - time.perf_counter()) if to_begin else 30
        for number, _event in poll.poll(patience):
            line = lines[number]
            if not line.is_whole():
                continue
            now = time.perf_counter()
            status = bytes(line.got[9:12]).decode()
            if status == "200":
                firsts.append(1000 * (line.first - line.began))
                whole.append(1000 * (now - line.began))
            else:
                others[status] = others.get(status, 0) + 1
            if now - began < seconds:
                line.send()
            else:
                running -= 1
    took, used = time.perf_counter() - began, time.process_time() - cpu
    return {"calls": len(whole), "seconds": took, "others": others, "cpu": used, "firsts": firsts, "whole": whole}


if __name__ == "__main__":
    port, concurrency, seconds, spread = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), float(([*sys.argv, "0"])[4])
    texts = [text.encode() for text in json.load(sys.stdin)]
    print(json.dumps(load(port, [texts[n % len(texts)] for n in range(concurrency)], seconds, spread)))
