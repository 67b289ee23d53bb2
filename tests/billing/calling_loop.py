"""Reserves and records calls for one person until it is killed; started by ``test_at_once``."""

import os
import sys
from datetime import UTC, datetime, timedelta

import django

django.setup()

import psycopg  # noqa: E402

from billing.services.ledger import (  # noqa: E402
    RECORD_SQL,
    RESERVE_SQL,
    CallEvent,
    ReserveRequest,
    record_payload,
    reserve_payload,
)
from config.foundation.ids import uuid7  # noqa: E402


def main(dsn: str, user_id: int) -> None:
    with psycopg.connect(dsn, autocommit=True, application_name="calling_loop") as line:
        print("calling", flush=True)
        while True:
            calls = [uuid7() for _ in range(5)]
            expires = datetime.now(UTC) + timedelta(minutes=5)
            line.execute(
                RESERVE_SQL,
                [reserve_payload([ReserveRequest(call, user_id, None, None, 1000, expires, {}) for call in calls])],
            )
            # The last one of each round is never reported, so that a kill at any moment leaves some money held.
            line.execute(RECORD_SQL, [record_payload([CallEvent(call, 700, True) for call in calls[:-1]])])


if __name__ == "__main__":
    main(os.environ["CALLING_LOOP_DSN"], int(sys.argv[1]))
