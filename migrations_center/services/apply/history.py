"""Old log rows become request logs, marked as imported, never charged: COPY into a scratch table, then in one statement
the rows that are new here and their usage counts."""

from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

import orjson
from django.db import connection, transaction
from psycopg.types.json import set_json_dumps

from config.foundation.ids import uuid7_from
from config.foundation.outcomes import Outcome
from migrations_center.models import ImportedRow
from migrations_center.services.apply.plan_history import TABLE, Attribution, attribution, call_types
from migrations_center.services.apply.steps import Apply
from migrations_center.sources.logs import earliest_time, latest_time
from migrations_center.sources.records import LOG_ERROR, OldLog
from migrations_center.sources.schema import NEW_API

COLUMNS = (
    "id", "started_at", "duration_ms", "first_token_ms", "user_id", "key_id", "key_name", "key_tail", "group_code", "endpoint",
    "is_stream", "route", "asked_model", "billed_model", "served_model", "outcome", "http_status", "error_code",
    "input_tokens", "cached_tokens", "cache_write_tokens", "output_tokens", "reasoning_tokens", "usage_source", "held_nano",
    "cost_nano", "price_version_id", "price_detail", "attempts", "client_family", "client_network", "origin", "source_ref",
)  # fmt: skip
# Types for the binary COPY, in the order of COLUMNS.
TYPES = (
    "uuid", "timestamptz", "int4", "int4", "int8", "int8", "varchar", "varchar", "varchar", "varchar",
    "bool", "varchar", "varchar", "varchar", "varchar", "varchar", "int2", "varchar",
    "int4", "int4", "int4", "int4", "int4", "varchar", "int8",
    "int8", "int8", "jsonb", "jsonb", "varchar", "varchar", "varchar", "varchar",
)  # fmt: skip
_SCRATCH_SQL = """
CREATE TEMP TABLE IF NOT EXISTS history_batch (LIKE billing_requestlog INCLUDING DEFAULTS) ON COMMIT DELETE ROWS
"""
_MOVE_SQL = f"""
WITH fresh AS (
    INSERT INTO billing_requestlog ({", ".join(COLUMNS)}) SELECT {", ".join(COLUMNS)} FROM history_batch
    ON CONFLICT DO NOTHING
    RETURNING id, source_ref, price_detail, started_at, user_id, key_id, group_code, billed_model, asked_model, outcome,
        modality, input_tokens, cached_tokens, output_tokens, cost_nano
), counted AS (
    INSERT INTO billing_usagedelta (quarter_at, user_id, key_id, group_code, model_name, modality, origin, call_count,
        failed_count, input_tokens, cached_tokens, output_tokens, cost_nano)
    SELECT billing_usage_quarter(started_at), coalesce(user_id, 0), coalesce(key_id, 0), group_code,
        billing_usage_model(billed_model, asked_model, outcome), modality, 'imported', count(*),
        count(*) FILTER (WHERE outcome <> 'ok'), sum(input_tokens), sum(cached_tokens), sum(output_tokens), sum(cost_nano)
    FROM fresh GROUP BY 1, 2, 3, 4, 5, 6
), late AS (
    INSERT INTO migrations_center_latelog (source_id, user_id, call_id, row_id, units, amount_nano)
    SELECT %(source)s, user_id, id, split_part(source_ref, ':', 2)::bigint, (price_detail ->> 'units')::bigint, cost_nano
    FROM fresh WHERE user_id = ANY (%(switched)s) AND outcome = 'ok' AND cost_nano > 0
    ON CONFLICT DO NOTHING
)
SELECT count(*), coalesce(sum(cost_nano), 0)::bigint FROM fresh
"""  # noqa: S608 - only our own column names are in this text
INT4 = 2**31 - 1
_NO_ATTEMPTS: list[Any] = []


def apply_history(work: Apply, batches: Iterator[tuple[int, list[OldLog]]]) -> int:
    """Write every call row once; returns how many were new. Each batch is one transaction with its counts and its place."""
    writer = HistoryWriter(work)
    writer.ensure_months()
    done, fresh = 0, 0
    total = sum(group.rows for group in work.plan.log_facts.sums)
    for _number, rows in batches:
        fresh += writer.write(rows)
        done += len(rows)
        work.report(TABLE, done, total)
    return fresh


class HistoryWriter:
    """Turns log rows into request logs. One per apply: it knows the ids of people, groups and keys."""

    def __init__(self, work: Apply) -> None:
        self.work = work
        context = work.plan.context
        self.context = context
        self.types = call_types(context.product)
        self.find: Attribution = attribution(context, work.key_ids)
        self.groups = {user.id: context.group_code(user.group) for user in context.snapshot.users}
        self.nano = context.nano
        self.ratio = context.nano(1) if context.per_unit == int(context.per_unit) and 10**9 % int(context.per_unit) == 0 else 0
        self.earliest, self.latest = earliest_time(), latest_time(context.now)

    def ensure_months(self) -> None:
        """A partition for every month of the source's rows."""
        if self.context.log_span is None:
            return
        first, last = (datetime.fromtimestamp(edge, tz=UTC).date() for edge in self.context.log_span)
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT billing_ensure_partitions(%s, %s)", [first, max(last, date(first.year, first.month, 1))])

    def write(self, rows: list[OldLog]) -> int:
        records = [self.record(row) for row in rows if self.is_history(row)]
        if not records:
            return 0
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(_SCRATCH_SQL)
            copy_rows(cursor, records)
            cursor.execute(_MOVE_SQL, {"source": self.context.source.pk, "switched": list(self.context.portal.switched)})
            fresh, _cost = cursor.fetchone()
            if fresh:
                self._count(int(fresh))
        return int(fresh)

    def is_history(self, row: OldLog) -> bool:
        return row.type in self.types and self.earliest <= row.created_at <= self.latest and row.quota >= 0

    def record(self, row: OldLog) -> tuple[Any, ...]:
        context = self.context
        key = self.find.key_of(row)
        is_error = row.type == LOG_ERROR
        started = datetime.fromtimestamp(row.created_at, tz=UTC)
        group = context.group_code(row.group) if context.product == NEW_API else self.groups.get(row.user_id, "")
        detail: dict[str, Any] = {"formula": context.product, "units": str(row.quota), "quota_per_unit": context.unit}
        if row.figures:
            detail["figures"] = row.figures
        if row.request_id:
            detail["old_request_id"] = row.request_id[:64]
        return (
            self.id_of(row),
            started,
            min(max(row.duration_ms, 0), INT4),
            row.first_token_ms if row.first_token_ms is None else min(row.first_token_ms, INT4),
            self.work.user_ids.get(row.user_id),
            key[0] if key else None,
            row.token_name[:191],
            key[1] if key else "",
            group,
            row.request_path[:64],
            row.is_stream,
            "old",
            self.find.asked_of(row)[:255],
            row.model_name[:255],
            row.served_model[:255],
            Outcome.UPSTREAM_ERROR.value if is_error else Outcome.OK.value,
            row.http_status if 0 <= row.http_status < 1000 and is_error else (500 if is_error else 200),
            row.error_code[:64],
            _tokens(row.prompt_tokens),
            _tokens(row.cached_tokens),
            _tokens(row.cache_write_tokens),
            _tokens(row.completion_tokens),
            0,
            "upstream" if row.prompt_tokens or row.completion_tokens else "none",
            0,
            row.quota * self.ratio if self.ratio else self.nano(row.quota),
            None,
            detail,
            _NO_ATTEMPTS,
            "",
            row.network,
            "imported",
            f"{context.source.pk}:{row.id}",
        )

    def id_of(self, row: OldLog) -> UUID:
        """The same row, read again or from a copy of the table, meets itself; a reused number does not meet another row."""
        facts = f"{row.user_id}:{row.quota}:{row.prompt_tokens}:{row.completion_tokens}:{row.model_name}"
        return uuid7_from(row.created_at * 1000, self.context.code, TABLE, row.id, facts)

    def _count(self, fresh: int) -> None:
        """How many rows of this source are here, in the transaction that wrote them."""
        known, _made = ImportedRow.objects.get_or_create(
            source=self.context.source,
            table=TABLE,
            row_id="*",
            defaults={
                "target_type": "billing.requestlog",
                "target_id": "",
                "digest": "",
                "first_run": self.work.run,
                "last_run": self.work.run,
                "figures": {"rows": 0},
            },
        )
        run = str(self.work.run.pk)
        of_run = int(known.figures.get("run_rows", 0)) if known.figures.get("run") == run else 0
        known.figures = {"rows": int(known.figures.get("rows", 0)) + fresh, "run": run, "run_rows": of_run + fresh}
        known.last_run = self.work.run
        known.save(update_fields=["figures", "last_run"])


def copy_rows(cursor: Any, records: list[tuple[Any, ...]], table: str = "history_batch") -> None:
    """Binary COPY of finished records, into the scratch table or a table of the same columns."""
    with cursor.copy(f"COPY {table} ({', '.join(COLUMNS)}) FROM STDIN (FORMAT BINARY)") as copy:
        set_json_dumps(orjson.dumps, cursor.cursor)
        copy.set_types(TYPES)
        for record in records:
            copy.write_row(record)


def _tokens(count: int) -> int:
    return min(max(count, 0), INT4)
