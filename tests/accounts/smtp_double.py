"""A real SMTP server for tests, which can hold, refuse or drop at a chosen step of a chosen mail."""

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

from aiosmtpd.controller import Controller


class Double:
    """Counts what it accepted. ``at_rcpt`` and ``at_data`` may return an answer of their own for the Nth mail."""

    def __init__(self) -> None:
        self.accepted: list[EmailMessage] = []
        self.recipients: Counter[str] = Counter()
        self.connections = 0
        self.rcpt_count = 0
        self.data_count = 0
        self.at_rcpt: Callable[[int, str], str | None] = lambda n, address: None
        self.at_data: Callable[[int, str], str | None] = lambda n, address: None
        self.reached = threading.Event()

    async def handle_HELO(self, server: Any, session: Any, envelope: Any, hostname: str) -> str:
        self.connections += 1
        session.host_name = hostname
        return "250 double"

    async def handle_EHLO(self, server: Any, session: Any, envelope: Any, hostname: str, responses: list[str]) -> list[str]:
        self.connections += 1
        session.host_name = hostname
        return responses

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: list[str]) -> str:
        self.rcpt_count += 1
        answer = self.at_rcpt(self.rcpt_count, address)
        if answer == "hold":
            self.reached.set()
            import asyncio

            await asyncio.sleep(600)
        if answer == "drop":
            server.transport.close()
            return "421 gone"
        if answer:
            return answer
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        self.data_count += 1
        answer = self.at_data(self.data_count, envelope.rcpt_tos[0])
        if answer == "hold":
            self.reached.set()
            import asyncio

            await asyncio.sleep(600)
        if answer == "drop":
            server.transport.close()
            return "421 gone"
        if answer:
            return answer
        self.accepted.append(message_from_bytes(envelope.content, policy=policy.default))  # type: ignore[arg-type]
        self.recipients.update(envelope.rcpt_tos)
        return "250 OK"

    def wait(self, seconds: float = 30) -> None:
        assert self.reached.wait(seconds), "the server never came to the chosen step"


class Running(Controller):
    def factory(self) -> Any:
        server = super().factory()
        server.command_size_limit = 1024
        return server


def start(double: Double) -> Controller:
    controller = Running(double, hostname="127.0.0.1", port=_free_port())
    logging.getLogger("mail.log").setLevel(logging.WARNING)
    controller.start()
    return controller


def _free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def until(condition: Callable[[], bool], seconds: float = 30) -> None:
    """Wait for a condition; fail after ``seconds``."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "the condition did not come true in time"
        time.sleep(0.05)
