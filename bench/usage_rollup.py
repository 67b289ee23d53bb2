"""Folding new calls into the roll-ups, and counting every roll-up again from the request log.

New rows are folded beside the least such work can cost: one GROUP BY of the same rows into one table without any index.
Both take turns over equal batches, so that a busy machine slows both. ``--rows`` chooses how many calls lie in the log
(10,000,000 is the headline), ``--new`` how many are folded, ``--batch`` how many at a time.
Makes a database of its own and removes it.
"""

import argparse
import os
import statistics
import time
from datetime import UTC, date, datetime, timedelta

from django.db.models import Sum

from bench.ledger import own_database
from bench.usage_rows import DAYS, fill, parser, run, timed
from billing.models import UsageCube
from billing.services import usage

DELTAS = """
INSERT INTO billing_usagedelta (quarter_at, user_id, key_id, group_code, model_name, modality, origin, call_count, failed_count,
    input_tokens, cached_tokens, output_tokens, cost_nano)
SELECT billing_usage_quarter(started_at), user_id, key_id, group_code, billed_model, modality, origin, 1,
    CASE WHEN outcome <> 'ok' THEN 1 ELSE 0 END, input_tokens, cached_tokens, output_tokens, cost_nano
FROM billing_requestlog WHERE started_at >= %(since)s ORDER BY started_at OFFSET %(skip)s LIMIT %(batch)s
"""
NEWEST = "SELECT started_at FROM billing_requestlog ORDER BY started_at DESC OFFSET %s LIMIT 1"
# The least a roll-up can cost: one aggregate of the same rows into one table without any index.
RAW = """
CREATE TABLE bench_rollup AS SELECT quarter_at, user_id, key_id, group_code, model_name, modality, sum(call_count) AS calls,
    sum(input_tokens) AS input, sum(output_tokens) AS output, sum(cost_nano) AS cost
FROM billing_usagedelta GROUP BY 1, 2, 3, 4, 5, 6
"""


def fold(since: datetime, new: int, batch: int) -> None:
    """The calls since then, oldest first: each batch is written, added up once into a plain table, and folded."""
    ratios, raw_took, fold_took = [], 0.0, 0.0
    for skip in range(0, new, batch):
        run(DELTAS, {"since": since, "skip": skip, "batch": batch})
        run("VACUUM ANALYZE billing_usagedelta")
        raw = timed(RAW)
        run("DROP TABLE bench_rollup")
        began = time.perf_counter()
        while usage.fold_usage(batch):
            pass
        took = time.perf_counter() - began
        ratios.append(raw / took)
        raw_took, fold_took = raw_took + raw, fold_took + took
    print(
        f"{new:,} new rows folded into every roll-up, {batch:,} at a time: {fold_took:.1f} s ({new / fold_took:,.0f}/s); raw "
        f"GROUP BY into one plain table: {raw_took:.1f} s ({new / raw_took:,.0f}/s); ratio {raw_took / fold_took:.2f} "
        f"(median of batches {statistics.median(ratios):.2f}); load {os.getloadavg()[0]:.1f}",
        flush=True,
    )


def recount(days: list[date], name: str) -> int:
    """Day by day, as ``manage.py usage_recount`` does it."""
    began = time.perf_counter()
    calls = sum(usage.recount(day, day) for day in days)
    took = time.perf_counter() - began
    print(f"{calls:,} calls counted {name}: {took:.1f} s ({calls / took:,.0f}/s); load {os.getloadavg()[0]:.1f}", flush=True)
    return calls


def main(options: argparse.Namespace) -> None:
    with own_database():
        until = datetime.now(UTC)
        fill(options.rows, until)
        days = [(until - timedelta(days=back)).date() for back in range(DAYS, -1, -1)]
        newest = run(NEWEST, [min(options.new or options.rows // 10, options.rows - 1)])[0][0]
        since = datetime(newest.year, newest.month, newest.day, tzinfo=UTC) + timedelta(days=1)
        counted = recount([day for day in days if day < since.date()], "into empty roll-ups")
        run("VACUUM ANALYZE")
        fold(since, options.rows - counted, options.batch)
        folded = UsageCube.objects.aggregate(calls=Sum("call_count"))["calls"]
        assert folded == options.rows == recount(days, "again over what is there"), folded
        print(f"{UsageCube.objects.count():,} rows of the finest roll-up")


if __name__ == "__main__":
    arguments = parser(__doc__ or "")
    arguments.add_argument("--new", type=int, default=0, help="about how many rows to fold, a tenth of all if not said")
    arguments.add_argument("--batch", type=int, default=50_000, help="rows folded at a time, %(default)s if not said")
    main(arguments.parse_args())
