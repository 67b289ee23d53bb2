"""The figures the answers are made of, in nano-USD. Every one is read from the ledger's side of things, none is kept here."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection
from django.db.models import QuerySet

from billing.models import RequestLog
from billing.selectors.balance import Balance, balance_of, balance_of_group
from config.foundation.clock import now
from gateway.conventions.caller import Caller
from keys import allowance
from keys.models import ApiKey

# Old tools count in units of New API's default: 500,000 to the dollar.
NANO_PER_QUOTA = 2_000
QUOTA_PER_UNIT = 500_000
USED_SPAN = timedelta(days=400)


@dataclass(frozen=True, slots=True)
class KeyMoney:
    """``left_nano`` is what a call with this key could still spend: the allowance of the key or the payer's money, if less."""

    limit_nano: int | None
    spent_nano: int
    left_nano: int


def usd(nano: int) -> float:
    """Dollars as the number these tools expect; nine places survive a double up to millions of dollars."""
    return round(nano / 1_000_000_000, 9)


def quota(nano: int) -> int:
    """Units of an old gateway, rounded down."""
    return nano // NANO_PER_QUOTA


def balance_of_payer(caller: Caller) -> Balance:
    return balance_of(caller.person) if caller.person else balance_of_group(caller.team)  # type: ignore[arg-type]


def keys_of_payer(caller: Caller) -> QuerySet[ApiKey]:
    """Every key the same payer has, newest first."""
    owner = {"owner": caller.person} if caller.person else {"team": caller.team}
    return ApiKey.objects.filter(**owner).prefetch_related("secrets").select_related("group").order_by("-pk")


def money_of_key(caller: Caller) -> KeyMoney:
    asked = allowance.read([caller.key.pk]).get(caller.key.pk, allowance.Allowance())
    available = max(0, balance_of_payer(caller).available_nano)
    left = available if asked.left_nano is None else min(asked.left_nano, available)
    return KeyMoney(asked.limit_nano, asked.spent_nano, left)


def spent_by_payer(caller: Caller) -> int:
    """What all keys of the payer have been charged here, ever."""
    ids = list(keys_of_payer(caller).values_list("pk", flat=True))
    return sum(entry.spent_nano for entry in allowance.read(ids).values())


def calls_of_payer(caller: Caller, since: datetime | None = None, until: datetime | None = None) -> QuerySet[RequestLog]:
    """The payer's calls within a time, newest first; without a time the last 400 days. Those kept from an old gateway too."""
    end = until or now() + timedelta(minutes=5)
    query = RequestLog.objects.filter(started_at__gte=since or end - USED_SPAN, started_at__lt=end)
    query = (
        query.filter(user_id=caller.person.pk)
        if caller.person
        else query.filter(key_id__in=list(keys_of_payer(caller).values_list("pk", flat=True)))
    )
    return query.order_by("-started_at", "-id")


_SINCE = """
SELECT coalesce(sum(cost_nano), 0)::bigint, count(*) FROM billing_requestlog
WHERE key_id = %s AND started_at >= %s AND origin = 'relay'
"""


def spent_since(key_id: int, since: datetime) -> int:
    """What one key has been charged from ``since`` on."""
    with connection.cursor() as cursor:
        cursor.execute(_SINCE, [key_id, since])
        return int(cursor.fetchone()[0])


# One row for each bucket and combination of what is grouped by. The names come from the table below, never from a client.
_BUCKETS = """
SELECT (extract(epoch FROM started_at)::bigint / %(width)s) * %(width)s AS bucket, {columns}
       sum(input_tokens)::bigint, sum(cached_tokens)::bigint, sum(cache_write_tokens)::bigint, sum(output_tokens)::bigint,
       count(*), sum(cost_nano)::bigint
FROM billing_requestlog
WHERE {payer} AND started_at >= %(start)s AND started_at < %(end)s AND origin = 'relay' AND outcome = 'ok'
  AND (%(endpoints)s::text[] IS NULL OR endpoint = ANY (%(endpoints)s))
  AND (%(models)s::text[] IS NULL OR billed_model = ANY (%(models)s))
  AND (%(keys)s::bigint[] IS NULL OR key_id = ANY (%(keys)s))
GROUP BY {numbers} ORDER BY 1
"""
GROUPS = {"user_id": "user_id", "api_key_id": "key_id", "model": "billed_model", "line_item": "billed_model"}


@dataclass(frozen=True, slots=True)
class Bucket:
    """Sums of one span of time, and the values it is grouped by (None where it is not)."""

    start: int
    values: dict[str, str | None]
    input_tokens: int
    cached_tokens: int
    cache_write_tokens: int
    output_tokens: int
    call_count: int
    cost_nano: int


def usage_buckets(
    caller: Caller,
    *,
    start: datetime,
    end: datetime,
    width_seconds: int,
    group_by: Sequence[str],
    endpoints: Sequence[str] | None = None,
    models: Sequence[str] | None = None,
    key_ids: Sequence[int] | None = None,
) -> list[Bucket]:
    """Served calls of the payer in UTC buckets, in order of time."""
    names = [name for name in group_by if name in GROUPS]
    payer = "user_id = %(payer)s" if caller.person else "key_id = ANY (%(payer)s)"
    sql = _BUCKETS.format(
        columns="".join(f"{GROUPS[name]}::text, " for name in names),
        payer=payer,
        numbers=", ".join(str(place) for place in range(1, len(names) + 2)),
    )
    values: dict[str, Any] = {
        "width": width_seconds,
        "start": start,
        "end": end,
        "endpoints": list(endpoints) if endpoints else None,
        "models": list(models) if models else None,
        "keys": list(key_ids) if key_ids else None,
        "payer": caller.person.pk if caller.person else list(keys_of_payer(caller).values_list("pk", flat=True)),
    }
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        rows = cursor.fetchall()
    more = len(names) + 1
    return [Bucket(row[0], dict(zip(names, row[1:more], strict=True)), *(int(figure) for figure in row[more:])) for row in rows]
