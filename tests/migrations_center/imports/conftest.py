"""Servers and databases for the import tests. What cannot be started is said, and CI makes sure that it can be."""

import gzip
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import psycopg
import pytest

from migrations_center.sources.address import SourceAddress, parse_source
from tests.migrations_center.imports import support


@pytest.fixture(scope="session")
def empty_portal(django_db_setup: None) -> Iterator[str]:
    """A migrated portal database that others are copied from."""
    with support.database() as name:
        done = support.manage(name, "migrate", "-v0")
        assert done.returncode == 0, done.stderr
        yield name


@pytest.fixture
def portal(empty_portal: str) -> Callable[[], AbstractContextManager[str]]:
    """Makes portal databases of the test's own."""
    return lambda: support.database(empty_portal)


@pytest.fixture(scope="session")
def mariadb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[support.MariaDB]:
    if not support.MariaDB.is_there():
        if os.environ.get("CI"):
            pytest.fail("CI must have MariaDB: the MySQL sample cannot be loaded without it")
        pytest.skip("no MariaDB or MySQL server on this machine, so the MySQL sample cannot be loaded")
    server = support.MariaDB(tmp_path_factory.mktemp("mariadb"))
    try:
        server.start()
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="session")
def one_api_mysql(mariadb: support.MariaDB) -> SourceAddress:
    return mariadb.load("oneapi", gzip.decompress((support.SAMPLES / "one-api.mysql.sql.gz").read_bytes()))


@pytest.fixture(scope="session")
def new_api_postgres(django_db_setup: None) -> Iterator[tuple[SourceAddress, SourceAddress]]:
    """The New API sample with its log rows in a second database."""
    with support.database() as main, support.database() as logs:
        for name, file in ((main, "new-api.postgres"), (logs, "new-api-log.postgres")):
            _load_dump(name, support.SAMPLES / f"{file}.sql.gz")
        yield parse_source(support.url(main)), parse_source(support.url(logs))


def _load_dump(name: str, path: Path) -> None:
    """Run a plain dump: statements, with rows between ``COPY ... FROM stdin;`` and a line with ``\\.``."""
    statement: list[str] = []
    with psycopg.connect(support.conninfo(name), autocommit=True) as db, gzip.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            if line.startswith("--") and not statement or line.startswith("\\"):
                continue
            if line.startswith("COPY ") and line.rstrip().endswith("FROM stdin;"):
                with db.cursor().copy(line.rstrip().removesuffix(";")) as copy:
                    for row in lines:
                        if row == "\\.\n":
                            break
                        copy.write(row)
                continue
            statement.append(line)
            if line.rstrip().endswith(";"):
                db.execute("".join(statement).encode())
                statement = []
