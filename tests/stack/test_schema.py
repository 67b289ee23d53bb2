"""An empty database filled from the picture is the one that every migration, one by one, makes."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.db.migrations.loader import MigrationLoader
from psycopg import sql

from config.stack import fresh_schema
from config.stack.places import CHECKOUT

# Everything that makes up a schema, one line of text each; a month's partition carries the names of the day it was made on.
CONTENT = """
WITH mine AS (
    SELECT c.oid, c.relname, c.relkind, c.reloptions, c.relpersistence FROM pg_class c
    WHERE c.relnamespace = 'public'::regnamespace AND c.relname !~ '^billing_requestlog_2'
)
SELECT format('%s %s %s %s', relkind, relname, relpersistence, reloptions) FROM mine
UNION ALL SELECT format('column %s %s %s %s %s %s %s %s', m.relname,
    row_number() OVER (PARTITION BY m.oid ORDER BY a.attnum), a.attname, format_type(a.atttypid, a.atttypmod),
    a.attnotnull, a.attidentity, a.attgenerated, pg_get_expr(d.adbin, d.adrelid))
    FROM mine m JOIN pg_attribute a ON a.attrelid = m.oid AND a.attnum > 0 AND NOT a.attisdropped
    LEFT JOIN pg_attrdef d ON d.adrelid = m.oid AND d.adnum = a.attnum
UNION ALL SELECT format('constraint %s %s %s', m.relname, k.conname, pg_get_constraintdef(k.oid))
    FROM mine m JOIN pg_constraint k ON k.conrelid = m.oid
UNION ALL SELECT format('index %s %s %s', i.indisvalid, i.indisprimary, pg_get_indexdef(i.indexrelid))
    FROM mine m JOIN pg_index i ON i.indexrelid = m.oid
UNION ALL SELECT format('trigger %s %s', t.tgenabled, pg_get_triggerdef(t.oid))
    FROM mine m JOIN pg_trigger t ON t.tgrelid = m.oid AND NOT t.tgisinternal
UNION ALL SELECT format('statistics %s', pg_get_statisticsobjdef(s.oid))
    FROM mine m JOIN pg_statistic_ext s ON s.stxrelid = m.oid
UNION ALL SELECT format('view %s %s', m.relname, pg_get_viewdef(m.oid)) FROM mine m WHERE m.relkind IN ('v', 'm')
UNION ALL SELECT format('function %s', pg_get_functiondef(p.oid)) FROM pg_proc p
    WHERE p.pronamespace = 'public'::regnamespace AND p.prokind IN ('f', 'p')
UNION ALL SELECT format('migration %s %s', app, name) FROM django_migrations
UNION ALL SELECT format('rule %s', to_jsonb(r) - 'created_at') FROM billing_outcomerule r
UNION ALL SELECT format('content type %s %s', app_label, model) FROM django_content_type
UNION ALL SELECT format('permission %s', codename) FROM auth_permission
UNION ALL SELECT format('partitions %s %s', count(*), min(relname)) FROM pg_class WHERE relname ~ '^billing_requestlog_\\d+$'
"""


@contextmanager
def empty_database(name: str) -> Iterator[str]:
    settings = connection.get_connection_params() | {"dbname": "postgres"}
    server = psycopg.connect(**{key: settings[key] for key in ("host", "port", "user", "dbname")}, autocommit=True)
    name = f"{name}_{os.getpid()}"
    try:
        server.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        yield urlunsplit(urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{name}"))
    finally:
        server.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))
        server.close()


def migrate(url: str, *options: str) -> str:
    command = [sys.executable, "manage.py", "migrate", *options]
    done = subprocess.run(command, cwd=CHECKOUT, env={**os.environ, "DATABASE_URL": url}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def content(url: str) -> set[str]:
    with psycopg.connect(url) as own:
        return {_plain(line) for (line,) in own.execute(CONTENT)}


def _plain(line: str) -> str:
    """A condition that PostgreSQL has read from its own words is written with other brackets and casts of the same texts."""
    return re.sub(r"::(character varying|text)(\[\])?|[()]", "", line)


@pytest.mark.slow
def test_the_picture_is_what_the_migrations_make():
    with empty_database("quick") as quick, empty_database("steps") as steps:
        assert "was filled from" in migrate(quick)
        assert "was filled from" not in migrate(steps, "--one-by-one")
        from_picture, from_steps = content(quick), content(steps)
        assert sorted(from_steps - from_picture) == [], "in the migrations only: run make schema"
    assert sorted(from_picture - from_steps) == [], "in the picture only: run make schema"


def test_the_picture_holds_every_migration():
    text = fresh_schema.SCHEMA.read_text()
    missing = [key for key in MigrationLoader(None).disk_migrations if f"({key[0]!r}, {key[1]!r}, now())" not in text]
    assert not missing, "run make schema"


@pytest.mark.django_db
def test_a_database_with_tables_is_left_alone():
    assert not fresh_schema.load_if_empty()
    with pytest.raises(CommandError, match="not empty"):
        call_command("write_schema")


def test_the_picture_holds_no_day_and_no_person():
    text = fresh_schema.SCHEMA.read_text()
    assert "billing_requestlog_20" not in text
    assert "INSERT INTO public.accounts_user " not in text
