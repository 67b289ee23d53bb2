"""Copies of keys for data planes, as digests: everything at first, then what changed since a cursor.

The cursor is the oldest transaction that was still running at the last reading. What was committed before it has been told;
everything else is told (again), so a change is never missed, and telling it twice does no harm.
"""

from dataclasses import dataclass
from typing import Any

from django.db import connection, transaction

from config.foundation.errors import InvalidInput
from gateway.contract.loading import KEY_COLUMNS, key_from_row
from gateway.contract.types import KeyView
from gateway.planes.cache import snapshots

PAGE = 500
# Changes are kept for three days; a cursor of two days begins anew.
KEEP_SECONDS = 3 * 86_400
OLDEST_CURSOR_SECONDS = 2 * 86_400

NOW_SQL = """
SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint, pg_snapshot_xmax(pg_current_snapshot())::text::bigint,
       extract(epoch FROM clock_timestamp())::bigint
"""
CHANGED_SQL = """
SELECT DISTINCT key_id FROM gateway_keychange WHERE changed_xid >= %s AND key_id > %s ORDER BY key_id LIMIT %s
"""
ALL_SQL = "SELECT id FROM keys_apikey WHERE id > %s ORDER BY id LIMIT %s"
ROWS_SQL = f"""
SELECT s.digest, {KEY_COLUMNS}, s.pepper_number
FROM keys_keysecret s JOIN keys_apikey k ON k.id = s.key_id
LEFT JOIN accounts_user u ON u.id = k.owner_id
LEFT JOIN gateway_keyoldentry e ON e.key_id = k.id
WHERE k.id = ANY(%s) ORDER BY k.id, s.id
"""  # noqa: S608 - no value of a client is in this text
FORGET_SQL = "DELETE FROM gateway_keychange WHERE changed_at < now() - make_interval(secs => %s)"


@dataclass(frozen=True, slots=True)
class Cursor:
    """``since``: changes of transactions from this number on are told; 0: every key. ``next_since`` takes its place after the
    last page. ``after``: the last key told. ``at``: when it was made, seconds since 1970."""

    since: int
    next_since: int
    after: int
    at: int

    def __str__(self) -> str:
        return f"{self.since}.{self.next_since}.{self.after}.{self.at}"


def key_page(text: str) -> dict[str, Any]:
    """One page: rows by digest, keys that are gone, and the cursor to ask with next. ``has_more``: ask again at once.

    ``is_reset``: this is the first page of everything, so what is not told any more is gone. Raises InvalidInput.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(NOW_SQL)
        oldest, newest, moment = cursor.fetchone()
        given = cursor_from(text)
        is_reset = given is None or given.since > newest or moment - given.at > OLDEST_CURSOR_SECONDS
        if given is None or is_reset:
            given = Cursor(0, oldest, 0, moment)
        elif not given.after:
            given = Cursor(given.since, oldest, 0, moment)
        if given.since:
            cursor.execute(CHANGED_SQL, [given.since, given.after, PAGE])
        else:
            cursor.execute(ALL_SQL, [given.after, PAGE])
        ids = [row[0] for row in cursor.fetchall()]
        cursor.execute(ROWS_SQL, [ids])
        found = [(bytes(row[0]), key_from_row(row), row[-1]) for row in cursor.fetchall()]
    has_more = len(ids) == PAGE
    following = (
        Cursor(given.since, given.next_since, ids[-1], given.at) if has_more else Cursor(given.next_since, 0, 0, given.at)
    )
    there = {key.id for _, key, _ in found}
    return {
        "rows": _rows(found),
        "gone": [key_id for key_id in ids if key_id not in there],
        "is_reset": is_reset,
        "has_more": has_more,
        "cursor": str(following),
    }


def forget_old_changes() -> int:
    """Remove changes that every cursor in use has behind it; gives their number."""
    with connection.cursor() as cursor:
        cursor.execute(FORGET_SQL, [KEEP_SECONDS])
        return int(cursor.rowcount)


def cursor_from(text: str) -> Cursor | None:
    """The cursor in a text, None for none at all; raises InvalidInput."""
    if not text:
        return None
    parts = text.split(".")
    if len(parts) != 4 or any(not part.isdecimal() or len(part) > 18 for part in parts):
        raise InvalidInput("This is no cursor of the key feed. Ask without one to begin anew.")
    return Cursor(*map(int, parts))


def _rows(found: list[tuple[bytes, KeyView, int]]) -> list[dict[str, Any]]:
    snapshot = snapshots.get()
    return [_row(digest, key, number, snapshot) for digest, key, number in found]


def _row(digest: bytes, key: KeyView, number: int, snapshot: Any) -> dict[str, Any]:
    pinned = snapshot.group_code(key.group_id)
    limits = {name: _least(getattr(one, name) for one in key.limits) for name in ("requests", "tokens", "parallel")}
    ends = [moment for moment in (key.expires_at, key.secret_valid_until) if moment is not None]
    return {
        "key_hash": digest.hex(),
        "hash_number": number,
        "key_id": key.id,
        "tail": key.tail,
        "account": {"kind": "team", "id": key.team_id} if key.team_id is not None else {"kind": "user", "id": key.owner_id},
        "group": snapshot.group_code(key.payer_group_id),
        "groups": list(key.auto_group_codes) or [pinned or snapshot.group_code(key.payer_group_id)],
        "status": status_of(key),
        "route": key.route,
        "expires_at": min(ends).isoformat() if ends else None,
        "models": None if key.model_names is None else sorted(key.model_names),
        "networks": [str(network) for network in key.networks],
        "rpm": limits["requests"],
        "tpm": limits["tokens"],
        "parallel": limits["parallel"],
    }


def status_of(key: KeyView) -> str:
    """What a data plane must know of all the states of a key, its secret and its owner."""
    if key.secret_revoked_at is not None or key.state == "revoked":
        return "revoked"
    if key.state == "paused":
        return "paused"
    if key.state != "active":
        return "disabled"
    if key.team_id is None and key.owner_state != "enabled":
        return "account_disabled"
    return "active"


def _least(values: Any) -> int | None:
    given = [value for value in values if value is not None]
    return min(given) if given else None
