"""Months of money and calls for the tests of statements."""

import csv
import io
from datetime import UTC, date, datetime
from typing import Any

from django.db import connection, transaction

from accounts.models import Group, User
from billing.models import LedgerEntry, Statement, StatementFile
from billing.services import ledger, partitions
from config.foundation.ids import uuid7
from tests.billing.helpers import person, wants

AUGUST, SEPTEMBER = date(2026, 8, 1), date(2026, 9, 1)
SHANGHAI = "Asia/Shanghai"
IN_OCTOBER = datetime(2026, 10, 5, tzinfo=UTC)


def booked_as(moment: datetime, since: int) -> None:
    """Entries after number ``since`` look as if they had been booked then: the ledger's own clock cannot be turned back."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute("UPDATE billing_ledgerentry SET booked_at = %s WHERE id > %s", [moment, since])
        cursor.execute("SET LOCAL session_replication_role = origin")


def newest() -> int:
    return LedgerEntry.objects.order_by("-pk").values_list("pk", flat=True).first() or 0


def top_up(owner: User | Group, nano: int, booked: datetime, kind: str = "top_up") -> LedgerEntry:
    since = newest()
    purse = ledger.purse_for(**({"user": owner} if isinstance(owner, User) else {"group": owner}))
    house = ledger.house_account("cash" if kind == "top_up" else "adjustment")
    (posted,) = ledger.post_entries([ledger.Posting(uuid7(), kind, house.pk, purse.pk, nano, effective_at=booked)])
    booked_as(booked, since)
    return LedgerEntry.objects.get(pk=posted.entry_id)


def call(owner: User | Group, nano: int, started: datetime, booked: datetime | None = None, **log: Any) -> None:
    since = newest()
    request_id = uuid7(int(started.timestamp() * 1000))
    if isinstance(owner, User):
        ask = wants(owner, nano, call=request_id)
    else:
        ask = ledger.ReserveRequest(request_id, None, owner.pk, None, nano, datetime(2030, 1, 1, tzinfo=UTC), {})
    (held,) = ledger.reserve([ask])
    assert held.status == "held"
    values = {"outcome": "ok", "billed_model": "gpt-4o", "input_tokens": 100, "output_tokens": 20, **log}
    values["user_id"] = owner.pk if isinstance(owner, User) else None
    (ended,) = ledger.record_calls([ledger.CallEvent(request_id, nano, True, "", values)])
    assert ended.status == "recorded"
    booked_as(booked or started, since)


def a_customer(name: str = "ada", zone: str = SHANGHAI) -> User:
    """10 dollars in July; in August 5 more, three calls of two models, and one that began in July."""
    partitions.ensure_partitions(date(2026, 6, 1), date(2026, 10, 1))
    user = person(name, time_zone=zone)
    top_up(user, 10 * 10**9, datetime(2026, 7, 10, tzinfo=UTC))
    call(user, 250_000_001, datetime(2026, 7, 31, 15, 59, 59, tzinfo=UTC))  # 23:59:59 in Shanghai: July
    call(user, 111_000_000, datetime(2026, 7, 31, 16, 0, 0, tzinfo=UTC))  # midnight in Shanghai: August
    top_up(user, 5 * 10**9, datetime(2026, 8, 3, tzinfo=UTC))
    call(user, 222_000_000, datetime(2026, 8, 12, tzinfo=UTC))
    call(
        user,
        40_000_000,
        datetime(2026, 8, 13, tzinfo=UTC),
        billed_model="dall-e-3",
        modality="image",
        image_count=2,
        input_tokens=0,
    )
    return user


def files_of(statement: Statement) -> dict[tuple[str, str], tuple[bytes, str]]:
    rows = StatementFile.objects.filter(statement=statement)
    return {(row.format, row.language): (bytes(row.content), row.sha256) for row in rows}


def amounts_in(content: bytes) -> list[tuple[str, ...]]:
    rows = list(csv.reader(io.StringIO(content.decode("utf-8-sig"))))
    start = next(n for n, row in enumerate(rows) if row and row[-1] in ("Amount in USD", "金额（美元）"))
    end = next(n for n, row in enumerate(rows) if n > start and not row)
    return [tuple(row) for row in rows[start + 1 : end]]
