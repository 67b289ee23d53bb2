"""Folding new calls into the roll-ups, and counting every roll-up again from the request log.

New rows are folded beside the least such work can cost: one GROUP BY of the same rows into one table without any index.
Both take turns over equal batches, so that a busy machine slows both. ``--rows`` chooses how many calls lie in the log
(10,000,000 is the headline), ``--new`` how many are folded, ``--batch`` how many at a time.
Makes a database of its own and removes it.
"""

import argparse
import statistics
import time
from datetime import UTC, datetime

from bench.ledger import own_database
from bench.usage_rows import DAYS, fill, parser, run, timed
from billing.models import UsageCube
from billing.services import usage

DELTAS = """
INSERT INTO billing_usagedelta (hour_at, user_id, key_id, group_code, model_name, modality, origin, call_count, failed_count,
    input_tokens, cached_tokens, output_tokens, cost_nano)
SELECT billing_usage_hour(started_at), user_id, key_id, group_code, billed_model, modality, origin, 1,
    CASE WHEN outcome <> 'ok' THEN 1 ELSE 0 END, input_tokens, cached_tokens, output_tokens, cost_nano
FROM billing_requestlog ORDER BY started_at DESC OFFSET %(skip)s LIMIT %(new)s
"""
# The least a roll-up can cost: one aggregate of the same rows into one table without any index.
RAW = """
CREATE TABLE bench_rollup AS SELECT hour_at, user_id, key_id, group_code, model_name, modality, sum(call_count) AS calls,
    sum(input_tokens) AS input, sum(output_tokens) AS output, sum(cost_nano) AS cost
FROM billing_usagedelta GROUP BY 1, 2, 3, 4, 5, 6
"""


def fold(new: int, batch: int) -> None:
    """Each batch is written, added up once into a plain table, and folded."""
    ratios, raw_took, fold_took = [], 0.0, 0.0
    for skip in range(0, new, batch):
        run(DELTAS, {"skip": skip, "new": batch})
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
        f"(median of batches {statistics.median(ratios):.2f})",
        flush=True,
    )


def recount(rows: int, until: datetime, name: str) -> None:
    """Day by day, as ``manage.py usage_recount`` does it."""
    began = time.perf_counter()
    calls = 0
    for back in range(DAYS, -1, -1):
        day = datetime.fromtimestamp(until.timestamp() - 86400 * back, UTC).date()
        calls += usage.recount(day, day)
    took = time.perf_counter() - began
    assert calls == rows, (calls, rows)
    print(f"every roll-up counted {name}: {took:.1f} s ({rows / took:,.0f} calls/s)", flush=True)


def main(options: argparse.Namespace) -> None:
    with own_database():
        until = datetime.now(UTC)
        fill(options.rows, until)
        recount(options.rows, until, "from the log into empty tables")
        recount(options.rows, until, "again over what is there")
        run("VACUUM ANALYZE")
        fold(min(options.new, options.rows), options.batch)
        print(f"{UsageCube.objects.count():,} rows of the finest roll-up", flush=True)


if __name__ == "__main__":
    arguments = parser(__doc__ or "")
    arguments.add_argument("--new", type=int, default=500_000, help="rows to fold, %(default)s if not said")
    arguments.add_argument("--batch", type=int, default=50_000, help="rows folded at a time, %(default)s if not said")
    main(arguments.parse_args())
