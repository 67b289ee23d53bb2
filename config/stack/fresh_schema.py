"""What an empty database is filled from: ``config/stack/schema.sql``, a picture of the schema after all migrations.

Applying more than a hundred migrations one by one takes most of a minute, since Django renders every model anew for each
of their steps; loading the picture takes seconds. The picture records the migrations it contains as applied, so one that
has fallen behind only leaves more of them to ``migrate``. ``make schema`` draws it again.
"""

import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

from django.db import connection, transaction

from config.stack.binaries import find_postgres

SCHEMA = Path(__file__).resolve().parent / "schema.sql"
PLAIN_SCHEMA = "public"
# Months are made for the day on which the picture is loaded, types and permissions by what follows every migrate.
MADE_LATER = ("--exclude-table=billing_requestlog_2*",)
WITHOUT_ROWS = ("--exclude-table-data=django_content_type", "--exclude-table-data=auth_permission")
MAKE_MONTHS = "SELECT billing_ensure_partitions((now() - interval '3 months')::date, (now() + interval '18 months')::date)"
# Any number, as long as two that start at once take the same.
LOCK = 7_340_212
_BODY_STARTS = re.compile(r" +AS (?P<tag>\$\w*\$)")
_APPLIED = re.compile(r"INSERT INTO public\.django_migrations VALUES \(\d+, ('[^']+', '[^']+'), '[^']+'\);")


def load_if_empty() -> bool:
    """Fill the database from the picture if it holds no table at all; says whether it did. All of it or nothing."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s), current_schema()", [LOCK])
        (_, schema) = cursor.fetchone()
        if schema != PLAIN_SCHEMA or connection.introspection.table_names(cursor):
            return False
        cursor.execute("SET LOCAL check_function_bodies = false")
        cursor.execute(SCHEMA.read_text(encoding="utf-8"))
        cursor.execute(MAKE_MONTHS)
    return True


def draw() -> None:
    """Write the picture of the database, to which every migration has been applied and nothing else happened.

    Raises subprocess.CalledProcessError when pg_dump refuses.
    """
    settings = connection.get_connection_params()
    env = {"PGPASSWORD": settings.get("password", "")}
    where = [f"--host={settings['host']}", f"--port={settings['port']}", f"--username={settings['user']}"]
    # Of the same place as the server: pg_dump refuses a server newer than itself.
    program = find_postgres(_major_of_the_server()).folder / "pg_dump"
    options = ("--no-owner", "--no-privileges", "--inserts", f"--schema={PLAIN_SCHEMA}", *MADE_LATER, *WITHOUT_ROWS)
    done = subprocess.run(
        [program, *where, *options, settings["dbname"]], env=env, capture_output=True, text=True, check=True, timeout=300
    )
    SCHEMA.write_text("\n".join(_without_asides(done.stdout.splitlines())) + "\n", encoding="utf-8")


def _major_of_the_server() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SHOW server_version_num")
        return int(cursor.fetchone()[0]) // 10_000


def _without_asides(lines: Sequence[str]) -> list[str]:
    """What differs between versions of pg_dump, between sessions and between days has no place in the picture."""
    kept: list[str] = []
    body_ends_with = ""
    for line in lines:
        # A function's own text stays as it is, empty lines and remarks too.
        if body_ends_with:
            kept.append(line)
            if line.startswith(body_ends_with) or line.endswith(f"{body_ends_with};"):
                body_ends_with = ""
            continue
        if (start := _BODY_STARTS.match(line)) and line.count(start["tag"]) == 1:
            body_ends_with = start["tag"]
        is_aside = line.startswith(("--", "SET ", "\\", "SELECT pg_catalog.set_config", f"CREATE SCHEMA {PLAIN_SCHEMA}"))
        if is_aside or line.startswith("COMMENT ON SCHEMA") or not line.strip():
            continue
        kept.append(_APPLIED.sub(r"INSERT INTO public.django_migrations (app, name, applied) VALUES (\1, now());", line))
    return [line for line in kept if "'public.django_migrations_id_seq'" not in line]
