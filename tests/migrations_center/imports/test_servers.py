"""Old gateways on real servers: wrong logins, servers that go away in the middle, and no way to write."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from django.db import connection

from accounts.models import User
from migrations_center.models import ImportedRow, ImportRun, Source
from migrations_center.services import import_engine
from migrations_center.sources import errors
from migrations_center.sources.address import SourceAddress, parse_source
from migrations_center.sources.database import Database
from tests.migrations_center.imports import support
from tests.migrations_center.imports.support import do_import

pytestmark = [pytest.mark.slow, pytest.mark.django_db]


def test_r059_a_server_refuses_every_write(
    one_api_mysql: SourceAddress, new_api_postgres: tuple[SourceAddress, SourceAddress]
) -> None:
    """The transaction is read-only whatever the login may do; nothing of the source changes."""
    for address in (one_api_mysql, new_api_postgres[0]):
        with Database(address) as source, pytest.raises(errors.SourceGone):
            source.all(sa.text("UPDATE users SET quota = 0"))  # type: ignore[arg-type]
        with Database(address) as source:
            assert source.scalar(sa.select(sa.func.sum(source.table("users").c["quota"]))) > 0


def test_one_moment_for_all_tables(new_api_postgres: tuple[SourceAddress, SourceAddress]) -> None:
    """What is written to the source after the first look is not seen: one snapshot for everything."""
    main, _logs = new_api_postgres
    with Database(main) as source:
        before = source.count("options")
        with psycopg.connect(support.conninfo(main.name)) as writer:
            writer.execute("INSERT INTO options (key, value) VALUES ('later', '1')")
        assert source.count("options") == before
        with psycopg.connect(support.conninfo(main.name)) as writer:
            writer.execute("DELETE FROM options WHERE key = 'later'")


def test_a_wrong_password_is_said_without_the_password(mariadb: support.MariaDB, one_api_mysql: SourceAddress) -> None:
    wrong = mariadb.dsn(one_api_mysql.name, "wrong-canary-pass")
    with pytest.raises(errors.SourceRefusedLogin) as refused:
        do_import(parse_source(wrong))
    assert "canary" not in str(refused.value)
    assert refused.value.__suppress_context__ is True
    assert not ImportRun.objects.exists()


def test_a_database_that_is_not_there_is_said(mariadb: support.MariaDB) -> None:
    with pytest.raises(errors.SourceError):
        do_import(mariadb.address("nosuchdatabase"))
    with pytest.raises(errors.SourceUnreachable):
        do_import(parse_source(support.url("no_such_database_here")))


def test_a_server_that_dies_in_the_middle_leaves_nothing_half_imported(
    tmp_path: Path, mariadb: support.MariaDB, monkeypatch: pytest.MonkeyPatch
) -> None:
    """kill -9 of the server after the people were read and before the log rows: a clear error and no row here."""
    import gzip

    server = support.MariaDB(tmp_path / "dying")
    server.folder.mkdir()
    server.start()
    try:
        address = server.load("oneapi", gzip.decompress((support.SAMPLES / "one-api.mysql.sql.gz").read_bytes()))
        _after_reading(monkeypatch, lambda: server.process.kill() if server.process else None)
        with pytest.raises(errors.SourceGone):
            do_import(address)
    finally:
        server.stop()
    _nothing_is_here()


def test_a_connection_that_is_cut_in_the_middle_leaves_nothing_half_imported(
    new_api_postgres: tuple[SourceAddress, SourceAddress], monkeypatch: pytest.MonkeyPatch
) -> None:
    main, logs = new_api_postgres

    def cut() -> None:
        with psycopg.connect(support.conninfo("postgres"), autocommit=True) as admin:
            admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [logs.name])

    _after_reading(monkeypatch, cut)
    with pytest.raises(errors.SourceGone):
        do_import(main, logs)
    _nothing_is_here()


def test_the_log_database_must_be_one(one_api_mysql: SourceAddress, mariadb: support.MariaDB) -> None:
    empty = mariadb.load("emptylogs", b"CREATE TABLE other (id int)")
    with pytest.raises(errors.SourceOfAnotherProduct):
        do_import(one_api_mysql, empty)


def test_source_env_keeps_the_password_out_of_the_process_list(
    portal: Callable[[], AbstractContextManager[str]], mariadb: support.MariaDB, one_api_mysql: SourceAddress
) -> None:
    """R099: neither with --source-env nor with an address on the command line does ``ps`` show the password."""
    dsn = mariadb.dsn(one_api_mysql.name)
    with portal() as name:
        for arguments, extra in ((["--source-env", "OLD_DSN"], {"OLD_DSN": dsn}), ([dsn], {})):
            process = support.start_manage(name, "import_source", *arguments, "--dry-run", "--json", **extra)
            shown = _command_lines(process.pid)
            out, err = process.communicate(timeout=120)
            assert process.returncode == 0, err
            assert '"product": "one_api"' in out
            assert shown
            # The first glances may come before the start over; no later one shows it.
            assert mariadb.password not in shown[-1]


def _command_lines(pid: int) -> list[str]:
    import time

    shown = []
    for _ in range(600):
        try:
            line = Path(f"/proc/{pid}/cmdline").read_bytes().decode()
        except OSError:
            break
        # Empty between the fork and the start of the program, and after its end.
        if line:
            shown.append(line)
        if "-env" in line and len(shown) > 3:
            break
        time.sleep(0.1)
    return shown


def _after_reading(monkeypatch: pytest.MonkeyPatch, act: Callable[[], Any]) -> None:
    original = import_engine.read_facts

    def read(gateway: Any, now: int) -> Any:
        answer = original(gateway, now)
        act()
        return answer

    monkeypatch.setattr(import_engine, "read_facts", read)


def _nothing_is_here() -> None:
    assert not User.objects.exists()
    assert not Source.objects.exists()
    assert not ImportedRow.objects.exists()
    run = ImportRun.objects.get()
    assert run.state == "failed"
    assert run.error == "The database went away while it was being read. Nothing was taken over from this reading."
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM billing_ledgerentry")
        assert cursor.fetchone() == (0,)
