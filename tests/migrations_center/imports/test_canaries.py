"""R099: no secret of an old gateway rests anywhere: not in a dump of the database, not in the logs, not in the cache."""

import logging
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import psycopg
import pytest
import redis
from django.conf import settings

from migrations_center.sources.address import SourceAddress
from migrations_center.sources.database import Database
from tests.migrations_center.imports import support
from tests.migrations_center.imports.support import sample, totals

pytestmark = [pytest.mark.slow, pytest.mark.django_db]
SAMPLES = ["one-api", "new-api"]


def planted(name: str) -> Iterator[str]:
    """Every secret of a sample: keys, codes, management tokens, clear passwords, upstream credentials, option secrets."""
    known = totals(name)
    people = known.get("people") or known["users"]
    yield from (person["password"] for person in people if person.get("password"))
    yield from (row["key"].removeprefix("sk-") for row in known.get("keys") or known["tokens"])
    yield from (row["key"] for row in known.get("codes") or known["redemption_codes"])
    import sqlite3

    with sqlite3.connect(f"file:{sample(name)}?mode=ro&immutable=1", uri=True) as db:
        yield from (row[0] for row in db.execute("SELECT access_token FROM users WHERE access_token <> ''"))
        for (credential,) in db.execute("SELECT `key` FROM channels"):
            yield from credential.split("\n")
        yield from (row[0] for row in db.execute("SELECT `value` FROM options WHERE `value` LIKE '%canary%'"))
    yield "canary"


@pytest.mark.parametrize("name", SAMPLES)
def test_no_secret_is_in_a_dump_of_the_database_or_in_what_was_said(
    name: str, portal: Callable[[], AbstractContextManager[str]]
) -> None:
    """The whole database as text, and everything the command wrote to its two streams at the most talkative level."""
    with portal() as database:
        done = support.manage(database, "import_source", str(sample(name)), "--json", "--verbosity", "3", LOG_LEVEL="DEBUG")
        assert done.returncode == 0, done.stderr
        text = dump(database) + done.stdout + done.stderr
    assert "billing_requestlog" in text
    assert text.count("imported") > 4000
    hits = [secret for secret in planted(name) if secret in text]
    assert hits == []


def test_a_dsn_password_is_nowhere(
    portal: Callable[[], AbstractContextManager[str]], mariadb: support.MariaDB, one_api_mysql: SourceAddress
) -> None:
    """T13, after a success and after a refused login."""
    words = ("import_source", "--source-env", "OLD")
    with portal() as database:
        good = support.manage(database, *words, OLD=mariadb.dsn(one_api_mysql.name), LOG_LEVEL="DEBUG")
        assert good.returncode == 0, good.stderr
        bad = support.manage(
            database,
            "import_source",
            "--source-env",
            "OLD",
            OLD=mariadb.dsn(one_api_mysql.name, "other-canary"),
            LOG_LEVEL="DEBUG",
        )
        assert bad.returncode == 1
        assert "[source_login_refused]" in bad.stderr
        text = dump(database) + good.stdout + good.stderr + bad.stdout + bad.stderr
    assert mariadb.password not in text
    assert "other-canary" not in text


def test_the_driver_says_nothing_about_the_login(mariadb: support.MariaDB, one_api_mysql: SourceAddress, caplog: Any) -> None:
    with caplog.at_level(logging.DEBUG), Database(one_api_mysql) as source:
        source.count("users")
        shown = repr(source) + repr(source._engine) + repr(source.__dict__)
    assert mariadb.password not in shown + caplog.text


def test_task_arguments_are_ids(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    """What goes to the broker for an import by address is the run's id and nothing else."""
    from migrations_center import tasks
    from migrations_center.services import imports

    monkeypatch.setattr(settings, "VAR_DIR", tmp_path)
    sent: list[tuple[Any, ...]] = []
    monkeypatch.setattr(tasks.preview_import_task, "delay", lambda *args: sent.append(args))
    monkeypatch.setattr(imports.transaction, "on_commit", lambda act: act())
    run = imports.start_run(actor=None, dsn="mysql://reader:task-canary@127.0.0.1:9/x")
    assert sent == [(str(run.pk),)]
    store = redis.Redis.from_url(settings.REDIS_URL)
    held = b"".join(store.dump(found) or b"" for found in store.scan_iter("*"))
    assert b"task-canary" not in held


def dump(database: str) -> str:
    """The database as ``pg_dump`` writes it; where that is missing, every row of every table as text."""
    tool = shutil.which("pg_dump")
    if tool:
        here = support.server()
        command = [tool, "--no-owner", "-d", database]
        command += [
            f"--{name}={here[key]}" for name, key in (("host", "host"), ("port", "port"), ("username", "user")) if key in here
        ]
        env = {**os.environ, "PGPASSWORD": str(here.get("password", ""))}
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=env, timeout=120)
        if done.returncode == 0:
            return done.stdout
    with psycopg.connect(support.conninfo(database)) as db:
        tables = [
            row[0]
            for row in db.execute("SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace")
        ]
        rows = (row[0] for table in tables for row in db.execute(f'SELECT t::text FROM "{table}" t'))
        return "\n".join([*tables, *rows])
