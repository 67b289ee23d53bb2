"""What a statement says, read from the ledger. Amounts are nano-USD, as the owner sees them: what leaves is negative."""

# ruff: noqa: S608  (the parts are constants of this file)

from dataclasses import asdict, dataclass
from datetime import date, datetime
from typing import Any

from django.db import connection

from accounts.models import Group, User
from billing.models import LedgerAccount, Statement, StatementPurse
from billing.statements.months import bounds_of

SECTIONS = ("credits", "usage", "expiry", "adjustments", "earlier")
# Kinds of entries that are not told by their direction. Anything else is a credit when it comes and an adjustment when it goes.
ADJUSTING = ("adjustment", "reversal", "opening_correction", "moved_back", "dispute")
EXPIRING = ("expiry", "expired", "grant_expiry")


@dataclass(frozen=True, slots=True)
class PurseSpan:
    """The entries of one purse that a statement is about."""

    account_id: int
    kind: str
    origin: str
    first_seq: int
    last_seq: int
    opening_entry_id: int
    last_entry_id: int
    opening_nano: int
    closing_nano: int


@dataclass(frozen=True, slots=True)
class Figures:
    """``lines`` has one list for each of ``SECTIONS``; every section's amounts add up to its total."""

    owner: str
    month_on: date
    time_zone: str
    starts_at: datetime
    ends_at: datetime
    currency: str
    purses: tuple[PurseSpan, ...]
    totals: dict[str, int]
    lines: dict[str, list[dict[str, Any]]]
    opening_nano: int
    closing_nano: int
    entry_count: int
    first_entry_id: int | None
    last_entry_id: int | None

    @property
    def is_empty(self) -> bool:
        """Nothing happened and nothing is there."""
        return not self.entry_count and all(span.opening_nano == 0 for span in self.purses)

    def as_json(self) -> dict[str, Any]:
        """What is kept with the statement. Numbers of accounts stay out: the files are made from this."""
        purses = [
            {
                key: value
                for key, value in asdict(span).items()
                if key not in ("account_id", "opening_entry_id", "last_entry_id")
            }
            for span in self.purses
        ]
        return {
            "owner": self.owner,
            "month": f"{self.month_on:%Y-%m}",
            "time_zone": self.time_zone,
            "starts_at": self.starts_at.isoformat(),
            "ends_at": self.ends_at.isoformat(),
            "currency": self.currency,
            "purses": purses,
            "totals": self.totals,
            "lines": self.lines,
            "opening_nano": self.opening_nano,
            "closing_nano": self.closing_nano,
            "entry_count": self.entry_count,
            "first_entry_id": self.first_entry_id,
            "last_entry_id": self.last_entry_id,
        }


# The newest entry of each purse before an instant: walked from the newest one down, so it costs what came after.
_AT = """
SELECT a.id, coalesce(x.seq, 0), coalesce(x.id, 0), coalesce(x.balance, 0)
FROM billing_ledgeraccount a LEFT JOIN LATERAL (
    SELECT * FROM (
        (SELECT e.id, e.from_seq AS seq, e.from_balance_nano AS balance FROM billing_ledgerentry e
         WHERE e.from_account_id = a.id AND e.booked_at < %(moment)s ORDER BY e.id DESC LIMIT 1)
        UNION ALL
        (SELECT e.id, e.to_seq, e.to_balance_nano FROM billing_ledgerentry e
         WHERE e.to_account_id = a.id AND e.booked_at < %(moment)s ORDER BY e.id DESC LIMIT 1)
    ) y ORDER BY y.id DESC LIMIT 1
) x ON true WHERE a.id = ANY (%(accounts)s)
"""
_LEGS = """
WITH span AS (
    SELECT * FROM unnest(%(accounts)s::bigint[], %(after)s::bigint[], %(upto)s::bigint[]) s(account, after, upto)
), legs AS (
    SELECT e.id, e.transaction_id, e.kind, e.effective_at, e.reverses_id, -e.amount_nano AS amount
    FROM span s JOIN billing_ledgerentry e ON e.from_account_id = s.account AND e.id > s.after AND e.id <= s.upto
    UNION ALL
    SELECT e.id, e.transaction_id, e.kind, e.effective_at, e.reverses_id, e.amount_nano
    FROM span s JOIN billing_ledgerentry e ON e.to_account_id = s.account AND e.id > s.after AND e.id <= s.upto
)
"""
_BOOKED = (
    _LEGS
    + """
SELECT l.kind, l.amount > 0 AS comes,
    CASE WHEN o.booked_at < %(starts)s THEN to_char(o.booked_at AT TIME ZONE %(zone)s, 'YYYY-MM') ELSE '' END AS month,
    coalesce(o.kind, '') AS original, count(*), sum(l.amount)
FROM legs l LEFT JOIN billing_ledgerentry o ON o.id = l.reverses_id
WHERE l.kind <> 'charge' GROUP BY 1, 2, 3, 4 ORDER BY 3, 1, 4, 2 DESC"""
)
_CALLED = (
    _LEGS
    + """
, calls AS (
    SELECT transaction_id, min(effective_at) AS at, sum(amount) AS amount FROM legs WHERE kind = 'charge' GROUP BY 1
)
SELECT CASE WHEN c.at < %(starts)s THEN to_char(c.at AT TIME ZONE %(zone)s, 'YYYY-MM') ELSE '' END AS month,
    coalesce(billing_usage_model(l.billed_model, l.asked_model, l.outcome), '') AS model, coalesce(l.modality, '') AS modality,
    count(*), coalesce(sum(l.input_tokens), 0), coalesce(sum(l.cached_tokens), 0), coalesce(sum(l.output_tokens), 0),
    coalesce(sum(l.image_count), 0), coalesce(sum(l.media_ms), 0), coalesce(sum(l.character_count), 0), sum(c.amount)
FROM calls c
LEFT JOIN billing_requestlog l ON l.id = c.transaction_id AND l.started_at = uuid7_time(c.transaction_id)
GROUP BY 1, 2, 3 ORDER BY 1, 3, 11, 2"""
)
_EXTENT = _LEGS + "SELECT count(DISTINCT id), min(id), max(id) FROM legs"


def read_figures(owner: User | Group, month_on: date, zone: str, currency: str = "USD") -> Figures:
    """The month as the ledger has it now. It goes on where the newest statement ended, to the entry."""
    starts_at, ends_at = bounds_of(month_on, zone)
    previous = latest_statement(owner, currency)
    if previous is not None:
        # After a change of zone a month begins where the one before ended, so that nothing is told twice or never.
        starts_at = max(starts_at, previous.ends_at)
    spans = _spans(owner, currency, starts_at, ends_at)
    values: dict[str, Any] = {
        "accounts": [span.account_id for span in spans],
        "after": [span.opening_entry_id for span in spans],
        "upto": [span.last_entry_id for span in spans],
        "starts": starts_at,
        "zone": zone,
    }
    lines: dict[str, list[dict[str, Any]]] = {section: [] for section in SECTIONS}
    with connection.cursor() as cursor:
        cursor.execute(_BOOKED, values)
        for kind, comes, month, original, count, nano in cursor.fetchall():
            line = {"kind": kind, "count": int(count), "nano": int(nano), **({"month": month} if month else {})}
            lines[_section(kind, comes, month)].append({**line, **({"original": original} if original else {})})
        cursor.execute(_CALLED, values)
        for month, model, modality, calls, taken, cached, given, images, length, letters, nano in cursor.fetchall():
            line = {"model": model, "modality": modality, "count": int(calls), "input_tokens": int(taken)}
            line |= {"cached_tokens": int(cached), "output_tokens": int(given), "nano": int(nano)}
            line |= {"image_count": int(images), "media_ms": int(length), "character_count": int(letters)}
            lines["earlier" if month else "usage"].append({"kind": "charge", **({"month": month} if month else {}), **line})
        cursor.execute(_EXTENT, values)
        entries, first, last = cursor.fetchone()
    return Figures(
        owner=str(owner),
        month_on=month_on,
        time_zone=zone,
        starts_at=starts_at,
        ends_at=ends_at,
        currency=currency,
        purses=tuple(spans),
        totals={section: sum(line["nano"] for line in lines[section]) for section in SECTIONS},
        lines=lines,
        opening_nano=sum(span.opening_nano for span in spans),
        closing_nano=sum(span.closing_nano for span in spans),
        entry_count=int(entries),
        first_entry_id=first,
        last_entry_id=last,
    )


def latest_statement(owner: User | Group, currency: str = "USD") -> Statement | None:
    statements = Statement.objects.filter(currency=currency, **owner_is(owner))
    return statements.order_by("-month_on").first()


def owner_is(owner: User | Group) -> dict[str, Any]:
    """The condition that picks rows of this owner."""
    return {"user": owner, "group": None} if isinstance(owner, User) else {"group": owner, "user": None}


def _section(kind: str, comes: bool, month: str) -> str:
    if month:
        return "earlier"
    if kind in EXPIRING:
        return "expiry"
    if kind in ADJUSTING or not comes:
        return "adjustments"
    return "credits"


def _spans(owner: User | Group, currency: str, starts_at: datetime, ends_at: datetime) -> list[PurseSpan]:
    purses = LedgerAccount.objects.filter(is_purse=True, currency=currency, **owner_is(owner))
    accounts = {purse.pk: purse for purse in purses.order_by("priority", "pk")}
    ids = list(accounts)
    before: dict[int, tuple[int, int, int]] = {}
    # DISTINCT ON: the newest statement's row of each purse.
    known = StatementPurse.objects.filter(account_id__in=ids).order_by("account_id", "-pk").distinct("account_id")
    for row in known:
        before[row.account_id] = (row.last_seq, row.last_entry_id, row.closing_nano)
    fresh = [pk for pk in ids if pk not in before]
    before |= _at(fresh, starts_at)
    after = _at(ids, ends_at)
    spans = []
    for pk, purse in accounts.items():
        # A clock that was set back may show less than was stated already: then nothing is new.
        end = max(after[pk], before[pk])
        start = before[pk]
        spans.append(PurseSpan(pk, purse.kind, purse.origin, start[0] + 1, end[0], start[1], end[1], start[2], end[2]))
    return spans


def _at(accounts: list[int], moment: datetime) -> dict[int, tuple[int, int, int]]:
    """Of each purse: place, entry and balance of its newest entry before the moment."""
    if not accounts:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(_AT, {"accounts": accounts, "moment": moment})
        return {row[0]: (int(row[1]), int(row[2]), int(row[3])) for row in cursor.fetchall()}
