"""The spans of time that the whole house's usage is kept in: short and long ones, each made of whole ones of the next shorter.

A period is put together from the longest that fit, so that a month is a handful of rows of each key wherever it begins. Spans
are counted from 1970 in UTC; today every zone's days begin on a quarter of an hour.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

HOUR, DAY = 60, 1440
QUARTER = timedelta(minutes=15)
# In minutes. By model, group and kind there are few rows, so also quarters of hours; by person and key there are many.
HOUSE_SPANS = (15, HOUR, 240, DAY)
ACCOUNT_SPANS = (HOUR, 240, DAY, 10 * DAY, 60 * DAY)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Run:
    """Spans of one length, one after the other, from ``low`` up to ``high``."""

    minutes: int
    low: datetime
    high: datetime


def bin_of(minutes: int, moment: str) -> str:
    """SQL for the beginning of the span that a moment lies in."""
    return f"date_bin('{minutes} minutes', {moment}, timestamptz 'epoch')"


def round_up(moment: datetime, length: timedelta) -> datetime:
    return -(-(moment - _EPOCH) // length) * length + _EPOCH


def round_down(moment: datetime, length: timedelta) -> datetime:
    return (moment - _EPOCH) // length * length + _EPOCH


def cover(start: datetime, end: datetime, lengths: Sequence[int]) -> list[Run]:
    """The fewest spans that are ``start`` to ``end`` together; both lie on the border of a shortest one."""
    if not lengths or start >= end:
        return []
    *shorter, longest = lengths
    low, high = (turn(moment, timedelta(minutes=longest)) for turn, moment in ((round_up, start), (round_down, end)))
    if low >= high:
        return cover(start, end, shorter)
    return [*cover(start, low, shorter), Run(longest, low, high), *cover(high, end, shorter)]
