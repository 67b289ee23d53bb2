"""One Valkey (or Redis) of our own on a free loopback port, with a password that only its files and its users know."""

import secrets
import socket
from dataclasses import dataclass
from pathlib import Path

import redis

from config.stack import places
from config.stack.binaries import find_redis
from config.stack.postgres import StartError
from config.stack.processes import Child, wait_until


@dataclass
class RedisServer:
    """A broker and cache whose content may be lost at any moment; kept data only save work that waits in a queue."""

    data: Path
    log: Path
    is_temporary: bool = False
    child: Child | None = None
    port: int = 0
    origin: str = ""
    _password: str = ""

    @property
    def url(self) -> str:
        return f"redis://:{self._password}@127.0.0.1:{self.port}/0"

    def start(self) -> None:
        program, self.origin = find_redis()
        places.private_folder(self.data)
        # Between asking for a free port and using it somebody else may take it: then try another.
        for _ in range(5):
            self._password = secrets.token_urlsafe(24)
            self.port = free_port()
            settings = self.data / "server.conf"
            places.write_private(settings, self._settings())
            self.child = Child("redis", [str(program), str(settings)], self.log, grace=15)
            self.child.start()
            if wait_until(self._answers, self.child, 20):
                return
            self.child.stop()
        assert self.child
        raise StartError(f"Valkey did not start ({self.origin}):\n{self.child.last_lines()}")

    def stop(self) -> None:
        if self.child:
            self.child.stop()

    def _settings(self) -> str:
        lines = [
            "bind 127.0.0.1",
            f"port {self.port}",
            f"requirepass {self._password}",
            f'dir "{self.data}"',
            "daemonize no",
            "appendonly no",
            'save ""' if self.is_temporary else "save 60 1",
        ]
        return "\n".join(lines) + "\n"

    def _answers(self) -> bool:
        try:
            with redis.Redis.from_url(self.url, socket_timeout=2) as client:
                return bool(client.ping())
        except redis.RedisError:
            return False


def free_port() -> int:
    """A loopback port that nobody listens on right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
