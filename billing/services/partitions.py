"""Month partitions of the request log."""

from datetime import date, timedelta

from django.db import connection

from config.foundation.clock import now


def ensure_partitions(first: date | None = None, last: date | None = None) -> int:
    """Make the partitions from ``first`` to ``last`` (by default this month and the next 18); gives how many were missing."""
    today = now().date()
    with connection.cursor() as cursor:
        cursor.execute("SELECT billing_ensure_partitions(%s, %s)", [first or today, last or today + timedelta(days=550)])
        return int(cursor.fetchone()[0])
