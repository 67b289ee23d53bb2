"""A mail server that delivers to nobody: every mail becomes a file to read.

Run: ``python -m config.stack.mail_sink --port 8004 --folder FOLDER``.
"""

import argparse
import asyncio
import signal
import sys
from collections.abc import Sequence
from email import message_from_bytes
from email.policy import default
from pathlib import Path
from typing import Any

from aiosmtpd.controller import UnthreadedController

from config.foundation.ids import uuid7


class Sink:
    """Writes each mail whole under a name that sorts by time; a file appears only when it is complete."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802  (the name aiosmtpd calls)
        content: bytes = envelope.original_content or envelope.content
        name = uuid7().hex
        fresh = self.folder / f"{name}.part"
        fresh.write_bytes(content)
        fresh.rename(self.folder / f"{name}.eml")
        subject = message_from_bytes(content, policy=default)["subject"]
        print(f"{name}.eml to {len(envelope.rcpt_tos)}: {subject}", flush=True)
        return "250 kept as a file"


async def serve(port: int, folder: Path) -> None:
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    controller = UnthreadedController(Sink(folder), hostname="127.0.0.1", port=port, loop=loop)
    server = await loop.create_server(controller.factory, host="127.0.0.1", port=port)
    async with server:
        await ended.wait()


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m config.stack.mail_sink")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--folder", type=Path, required=True)
    options = parser.parse_args(arguments)
    options.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    asyncio.run(serve(options.port, options.folder))


if __name__ == "__main__":
    main(sys.argv[1:])
