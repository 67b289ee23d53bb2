"""A PostgreSQL server that a test may stop and start again as a server; while it is used, Django's connection is to it."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from django.core.management import call_command
from django.db import connection

from config.stack.postgres import PORT, USER, PostgresServer

DATABASE = "test_outage"


class OwnPostgres:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._server: PostgresServer | None = None

    def start(self) -> PostgresServer:
        server = self._server = PostgresServer(self._folder / "postgres", self._folder / "postgres.log")
        server.start()
        return server

    def stop(self) -> None:
        """As a service manager does it: every connection is cut, nobody is let in any more."""
        connection.close()
        if self._server is not None:
            self._server.stop()

    def remove(self) -> None:
        self.stop()
        if self._server is not None:
            data = self._server.data
            shutil.rmtree(data if data.is_relative_to(self._folder) else data.parent, ignore_errors=True)
        shutil.rmtree(self._folder, ignore_errors=True)


@contextmanager
def own_postgres() -> Iterator[OwnPostgres]:
    """Started, with the portal's schema in it."""
    own = OwnPostgres(Path(tempfile.mkdtemp(prefix="gateway-postgres-")))
    before = dict(connection.settings_dict)
    connection.close()
    try:
        sockets = str(own.start().sockets)
        with psycopg.connect(host=sockets, port=PORT, user=USER, dbname="postgres", autocommit=True) as line:
            line.execute(f"CREATE DATABASE {DATABASE}")
        connection.settings_dict.update(NAME=DATABASE, USER=USER, PASSWORD="", HOST=sockets, PORT=PORT)
        call_command("migrate", verbosity=0)
        yield own
    finally:
        connection.close()
        connection.settings_dict.update(before)
        own.remove()
