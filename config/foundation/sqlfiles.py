"""Migrations that run a file of SQL kept beside the app, so that it can be read and reviewed as SQL."""

from pathlib import Path

from django.db import migrations

ROOT = Path(__file__).resolve().parent.parent.parent


def run_sql_file(name: str, reverse: str = migrations.RunSQL.noop) -> migrations.RunSQL:
    """A RunSQL for ``<app>/sql/<file>.sql``; the text is read when the migration runs."""
    return migrations.RunSQL((ROOT / name).read_text(encoding="utf-8"), reverse)
