"""Read-only access to one database of an old gateway: SQLite file, PostgreSQL or MySQL/MariaDB, over SQLAlchemy Core.

The source is never written: a file is opened ``mode=ro&immutable=1`` (a file with an unfinished journal beside it is read
from a private copy), a server in one read-only, repeatable-read transaction, so that all tables are of one moment.
"""

import hashlib
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

import sqlalchemy as sa
from sqlalchemy.pool import NullPool
from sqlalchemy.sql import quoted_name

from migrations_center.sources.address import SourceAddress
from migrations_center.sources.errors import (
    SourceAddressWrong,
    SourceChanged,
    SourceDamaged,
    SourceEmpty,
    SourceError,
    SourceGone,
    SourceMissing,
    SourceNotDatabase,
    SourceRefusedLogin,
    SourceUnreachable,
)

BATCH = 5_000
CONNECT_SECONDS = 10
# SQLSTATE classes and MySQL error numbers that mean "wrong login".
_LOGIN_STATES = ("28000", "28P01")
_LOGIN_NUMBERS = (1044, 1045, 1698)


class Database:
    """An open source; use as a context manager. Every failure is one of our errors, without the driver's words."""

    def __init__(self, address: SourceAddress) -> None:
        self.address = address
        self._copy: Path | None = None
        self._file_digest = ""
        self._columns: dict[str, frozenset[str]] = {}

    def __enter__(self) -> Self:
        try:
            self._open()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        for name in ("_connection", "_engine"):
            thing = self.__dict__.pop(name, None)
            if thing is not None:
                # A server that is gone cannot be said good-bye to; that is no news here.
                with suppress(Exception):
                    thing.close() if name == "_connection" else thing.dispose()
        if self._copy is not None:
            shutil.rmtree(self._copy, ignore_errors=True)
            self._copy = None

    def _open(self) -> None:
        opening = True
        try:
            if self.address.is_file:
                self._engine = self._file_engine()
            else:
                self._engine = self._server_engine()
            self._connection = self._engine.connect()
            if self.address.kind == "mysql":
                self._connection.exec_driver_sql("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")
            opening = False
            if self.address.is_file:
                self._check_file()
            self._tables = frozenset(sa.inspect(self._connection).get_table_names())
        except SourceError:
            raise
        except (sa.exc.SQLAlchemyError, sqlite3.Error, OSError) as error:
            raise self._translate(error, opening=opening) from None
        if not self._tables:
            raise SourceEmpty

    def _file_engine(self) -> sa.Engine:
        path = self.address.path
        assert path is not None
        try:
            if not path.is_file():
                raise SourceMissing(f"There is no file {path.name}.")
            if path.stat().st_size == 0:
                raise SourceEmpty
            self._file_digest = file_digest(path)
            path = self._private_copy(path)
            _check_header(path)
        except OSError:
            raise SourceMissing(f"The file {self.address.public} cannot be opened.") from None
        mode = "mode=ro&immutable=1" if self._copy is None else "mode=rw"
        uri = f"file:{quote(str(path.resolve()))}?{mode}"

        def connect() -> sqlite3.Connection:
            connection = sqlite3.connect(uri, uri=True, check_same_thread=False, isolation_level=None)
            connection.execute("PRAGMA query_only = 1")
            # Old text may hold bytes that are no UTF-8; they are shown as replacement characters, not an error.
            connection.text_factory = lambda raw: raw.decode("utf-8", "replace")
            return connection

        return sa.create_engine("sqlite://", creator=connect, poolclass=NullPool)

    def _private_copy(self, path: Path) -> Path:
        """The file itself, or a copy with its journal when one is unfinished: without it the newest rows would be missing."""
        beside = [path.with_name(path.name + suffix) for suffix in ("-wal", "-journal")]
        beside = [extra for extra in beside if extra.is_file() and extra.stat().st_size]
        if not beside:
            return path
        self._copy = Path(tempfile.mkdtemp(prefix="portal-source-"))
        for original in [path, *beside]:
            shutil.copyfile(original, self._copy / original.name)
        return self._copy / path.name

    def _server_engine(self) -> sa.Engine:
        connect_args: dict[str, Any] = {"connect_timeout": CONNECT_SECONDS}
        if self.address.kind == "mysql":
            connect_args |= {
                "charset": "utf8mb4",
                "read_timeout": 600,
                "init_command": "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY",
            }
            return sa.create_engine(self.address.url(), connect_args=connect_args, poolclass=NullPool, hide_parameters=True)
        connect_args["options"] = "-c default_transaction_read_only=on -c statement_timeout=0"
        return sa.create_engine(
            self.address.url(),
            connect_args=connect_args,
            poolclass=NullPool,
            hide_parameters=True,
            isolation_level="REPEATABLE READ",
            execution_options={"postgresql_readonly": True},
        )

    def _check_file(self) -> None:
        answer = self._connection.exec_driver_sql("PRAGMA quick_check(1)").scalar()
        if answer != "ok":
            raise SourceDamaged

    def verify_unchanged(self) -> None:
        """Raises SourceChanged when the file is not byte for byte what was opened; servers are guarded by their snapshot."""
        if self.address.path is None:
            return
        try:
            now = file_digest(self.address.path)
        except OSError:
            raise SourceGone from None
        if now != self._file_digest:
            raise SourceChanged

    @property
    def file_digest(self) -> str:
        """SHA-256 of the file when it was opened; empty for a server."""
        return self._file_digest

    @property
    def tables(self) -> frozenset[str]:
        return self._tables

    def columns(self, table: str) -> frozenset[str]:
        if table not in self._columns:
            with self.guarded():
                found = sa.inspect(self._connection).get_columns(table) if table in self._tables else []
            self._columns[table] = frozenset(column["name"] for column in found)
        return self._columns[table]

    def table(self, name: str) -> sa.TableClause:
        """The table with the columns it really has, names always quoted (``group`` and ``key`` are reserved words)."""
        return sa.table(
            quoted_name(name, quote=True), *(sa.column(quoted_name(column, quote=True)) for column in self.columns(name))
        )

    def count(self, table: str) -> int:
        return int(self.scalar(sa.select(sa.func.count()).select_from(self.table(table))))

    def scalar(self, statement: sa.Select[Any]) -> Any:
        with self.guarded():
            return self._connection.execute(statement).scalar()

    def all(self, statement: sa.Select[Any]) -> list[dict[str, Any]]:
        """Every row of a statement with a small answer."""
        with self.guarded():
            return [dict(row) for row in self._connection.execute(statement).mappings()]

    def stream(self, statement: sa.Select[Any], size: int = BATCH) -> Iterator[list[dict[str, Any]]]:
        """Rows in batches over a server-side cursor, so that memory does not grow with the table."""
        with self.guarded():
            result = self._connection.execution_options(yield_per=size).execute(statement)
            for part in result.mappings().partitions(size):
                yield [dict(row) for row in part]

    @contextmanager
    def guarded(self) -> Iterator[None]:
        """Turns whatever the driver raises into one of our errors."""
        try:
            yield
        except (sa.exc.SQLAlchemyError, sqlite3.Error) as error:
            raise self._translate(error, opening=False) from None

    def _translate(self, error: Exception, *, opening: bool) -> SourceError:
        original = getattr(error, "orig", None) or error
        if isinstance(error, sa.exc.ArgumentError):
            return SourceAddressWrong()
        if self.address.is_file:
            return SourceDamaged()
        state = getattr(original, "sqlstate", None)
        number = original.args[0] if original.args and isinstance(original.args[0], int) else 0
        # psycopg gives no state for a refused connection; the words of libpq are stable since decades.
        words = str(original).lower() if opening else ""
        if (
            state in _LOGIN_STATES
            or number in _LOGIN_NUMBERS
            or "authentication failed" in words
            or "no password supplied" in words
        ):
            return SourceRefusedLogin()
        return SourceUnreachable() if opening else SourceGone()

    def __repr__(self) -> str:
        return f"Database({self.address.public})"


def file_digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _check_header(path: Path) -> None:
    """A SQLite file says in its first page how long it is; a shorter one was cut off."""
    with path.open("rb") as stream:
        header = stream.read(100)
    if not header.startswith(b"SQLite format 3\x00") or len(header) < 100:
        raise SourceNotDatabase
    page = int.from_bytes(header[16:18], "big")
    page = 65536 if page == 1 else page
    pages = int.from_bytes(header[28:32], "big")
    if header[24:28] == header[92:96] and path.stat().st_size < page * pages:
        raise SourceDamaged
