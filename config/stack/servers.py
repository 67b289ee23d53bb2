"""PostgreSQL and Valkey together: what the environment names is used, what it does not name is started."""

import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from config.stack import places
from config.stack.postgres import PostgresServer
from config.stack.redis import RedisServer

Say = Callable[[str], None]


@dataclass
class Servers:
    """``env`` holds DATABASE_URL and REDIS_URL once ``start()`` is through."""

    folder: Path
    is_temporary: bool = False
    is_durable: bool = True
    say: Say = print
    outside: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    env: dict[str, str] = field(default_factory=dict)
    postgres: PostgresServer | None = None
    redis: RedisServer | None = None

    def start(self) -> None:
        """Raises StartError, PlaceError or binaries.NotFound; what was started by then is ended again."""
        logs = places.private_folder(self.folder / "logs")
        try:
            self._start_postgres(logs)
            self._start_redis(logs)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        for server in (self.redis, self.postgres):
            if server:
                server.stop()

    def dead(self) -> str:
        """The name of a server of ours that ended by itself, empty while all is well."""
        for server in (self.postgres, self.redis):
            if server and server.child and not server.child.is_running:
                return server.child.name
        return ""

    def _start_postgres(self, logs: Path) -> None:
        if self._given("DATABASE_URL"):
            self.say("PostgreSQL: the one of DATABASE_URL")
            return
        self.postgres = PostgresServer(self.folder / "postgres", logs / "postgres.log", self.is_temporary, self.is_durable)
        self.postgres.start()
        assert self.postgres.programs
        assert self.postgres.identity
        programs = self.postgres.programs
        self.say(f"PostgreSQL {programs.major} ({programs.origin}), running as {self.postgres.identity.name}")
        self.env["DATABASE_URL"] = self.postgres.url

    def _start_redis(self, logs: Path) -> None:
        if self._given("REDIS_URL"):
            self.say("Valkey: the one of REDIS_URL")
            return
        self.redis = RedisServer(self.folder / "valkey", logs / "valkey.log", self.is_temporary)
        self.redis.start()
        self.say(f"Valkey ({self.redis.origin}) on port {self.redis.port}")
        self.env["REDIS_URL"] = self.redis.url

    def _given(self, name: str) -> bool:
        return bool(self.outside.get(name, "").strip() or self.outside.get(f"{name}_FILE", "").strip())


def temporary_folder() -> Path:
    return Path(tempfile.mkdtemp(prefix="portal-test-"))


def remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
