"""Advisory locks for decisions that span rows; they end with the transaction."""

from django.db import connection

PLAN_SPACE = 7403


def lock_plan(source_id: int) -> None:
    """One change of the plan of a source, or of the order of its waves, at a time; only inside a transaction."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [PLAN_SPACE, source_id])
