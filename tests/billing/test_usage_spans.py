"""Everybody's usage put together from long and short spans equals a count of the log, in every zone and over any days."""

import random
from collections import defaultdict
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

import pytest
import time_machine
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accounts.models import Group, Role, User
from billing.models import RequestLog, UsageAccount, UsageDelta
from billing.selectors.usage_cuts import FIGURES, Period, Report, Scope, sum_of, usage_chart, usage_report
from billing.services import ledger, partitions, usage
from billing.spans import ACCOUNT_SPANS, HOUSE_SPANS, cover
from billing.statements.months import start_of
from keys.models import ApiKey
from tests.billing.helpers import broken, give, key_of, person, rich
from tests.billing.test_usage_cuts import one, rolled_up

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
# Half and quarters of hours, both ends of the calendar, clocks that change by an hour, by half an hour, and at midnight.
EDGES = [
    "UTC", "Asia/Kolkata", "Asia/Kathmandu", "Pacific/Chatham", "Australia/Lord_Howe", "America/St_Johns", "America/New_York",
    "Europe/London", "Pacific/Apia", "Pacific/Pago_Pago", "Asia/Beirut", "Africa/Cairo", "America/Santiago", "America/Havana",
]  # fmt: skip
ZONES = sorted(zone for zone in available_timezones() if zone != "localtime")
# Both changes of the clocks of either half of the world lie in these days.
FIRST, LAST = date(2026, 2, 20), date(2026, 11, 15)


@given(start=st.integers(0, 40 * 96), quarters=st.integers(0, 400 * 96), lengths=st.sampled_from([HOUSE_SPANS, ACCOUNT_SPANS]))
def test_spans_lie_side_by_side_and_are_few(start: int, quarters: int, lengths: tuple[int, ...]) -> None:
    unit = timedelta(minutes=lengths[0])
    begin = datetime(2026, 1, 1, tzinfo=UTC) + start * unit
    end = begin + quarters * unit
    at = begin
    runs = cover(begin, end, lengths)
    for run in runs:
        span = timedelta(minutes=run.minutes)
        assert run.low == at < run.high
        assert (run.low - datetime(1970, 1, 1, tzinfo=UTC)) % span == timedelta(0) == (run.high - run.low) % span
        at = run.high
    assert at == end or not runs
    # No shorter spans than those before and after the first border of a longer one.
    for shorter, longer in zip(lengths, lengths[1:], strict=False):
        assert sum((run.high - run.low) // timedelta(minutes=shorter) for run in runs if run.minutes == shorter) <= 2 * (
            longer // shorter - 1
        )


@pytest.fixture
def year(db: None) -> User:
    """Calls at the borders of days and anywhere in nine months; some folded, some counted, some pending."""
    partitions.ensure_partitions(FIRST - timedelta(days=3), LAST + timedelta(days=3))
    luck = random.Random(7)
    (ada, _a), (bob, _b) = rich("ada", 10**15), rich("bob", 10**15)
    crew = Group.objects.create(code="crew", name="Crew")
    give(ledger.purse_for(group=crew), 10**15)
    robot = ApiKey.objects.create(name="robot", team=crew)
    keys: dict[Any, list[ApiKey]] = {ada: [key_of(ada), key_of(ada)], bob: [key_of(bob)], crew: [robot]}
    days = (LAST - FIRST).days
    moments = [start_of(FIRST + timedelta(days=luck.randrange(days)), luck.choice(EDGES)) for _n in range(90)]
    moments = [at + timedelta(seconds=luck.choice((-1, 0, 1))) for at in moments]
    begins = datetime(FIRST.year, FIRST.month, FIRST.day, tzinfo=UTC)
    moments += [begins + timedelta(seconds=luck.randrange(days * 86400)) for _n in range(60)]
    for n, moment in enumerate(moments):
        payer = luck.choice((ada, bob, crew))
        outcome = "ok" if n % 9 else "cut_stream"
        one(
            payer, moment, 1_000_003 + 7919 * n, luck.choice(keys[payer]), billed_model=f"m{n % 5}", group_code=f"g{n % 2}",
            outcome=outcome,
        )  # fmt: skip
        if n == 70:
            while usage.fold_usage(limit=11):
                pass
            usage.recount(date(2026, 4, 3), date(2026, 6, 17))
    assert UsageDelta.objects.exists()
    assert set(UsageAccount.objects.values_list("minutes", flat=True)) == set(ACCOUNT_SPANS)
    assert broken(NOW) == {}
    return person("ops", Role.OPS)


def named(call: RequestLog, by: str, day: date) -> str:
    return {
        "key": str(call.key_id or 0),
        "member": str(call.user_id or 0),
        "team": "crew" if call.user_id is None else "",
        "model": call.billed_model,
        "day": day.isoformat(),
    }[by]


def figures(report: Report) -> dict[str, tuple[int, ...]]:
    return {row.value: tuple(getattr(row, name) for name in FIGURES) for row in report.rows if row.call_count}


@time_machine.travel(NOW, tick=False)
def test_R029_any_days_of_any_zone_equal_a_count_of_the_log(year: User) -> None:
    calls = list(RequestLog.objects.all())

    @given(
        zone=st.sampled_from(EDGES) | st.sampled_from(ZONES),
        first=st.dates(FIRST, LAST),
        days=st.integers(1, 3) | st.integers(1, 300),
        by=st.sampled_from(["key", "member", "team", "model", "day"]),
    )
    @settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    def equal(zone: str, first: date, days: int, by: str) -> None:
        period = Period(first, first + timedelta(days=days - 1), zone)
        wanted: dict[str, tuple[int, ...]] = defaultdict(lambda: (0,) * 6)
        for call in calls:
            day = call.started_at.astimezone(ZoneInfo(zone)).date()
            if period.first <= day <= period.last:
                one_call = (1, int(call.outcome != "ok"), call.input_tokens, call.cached_tokens, call.output_tokens)
                name = named(call, by, day)
                wanted[name] = tuple(a + b for a, b in zip(wanted[name], (*one_call, call.cost_nano), strict=True))
        assert figures(usage_report(year, Scope(), period, by)) == wanted
        if by == "day":
            chart = usage_chart(year, Scope(), period)
            sums = {day.isoformat(): sum(chart.by_model[name][n] for name in chart.models) for n, day in enumerate(chart.days)}
            assert {day: cost for day, cost in sums.items() if cost} == {day: row[-1] for day, row in wanted.items()}

    equal()


@time_machine.travel(NOW, tick=False)
def test_the_dearest_rows_are_named_and_the_others_summed(year: User) -> None:
    period = Period(FIRST, LAST, "Asia/Kolkata")
    for by in ("key", "member", "team", "model", "group"):
        every = usage_report(year, Scope(), period, by)
        assert every.others_count == 0
        for most in (1, 2, len(every.rows), len(every.rows) + 1):
            some = usage_report(year, Scope(), period, by, most=most)
            assert some.rows == every.rows[:most]
            assert some.others == sum_of(every.rows[most:])
            assert some.others_count == len(every.rows[most:])
            assert some.total == every.total


@time_machine.travel(NOW, tick=False)
def test_R029_one_day_counted_again_leaves_the_long_spans_right(year: User) -> None:
    while usage.fold_usage():
        pass
    before = rolled_up()
    day = date(2026, 7, 14)
    UsageAccount.objects.filter(begins_at__date=day, minutes__lte=1440).update(cost_nano=7)
    for length in (10, 60):
        began = day - timedelta(days=length)
        UsageAccount.objects.filter(minutes=length * 1440, begins_at__date__lte=day, begins_at__date__gt=began).delete()
    usage.recount(day, day)
    assert rolled_up() == before
    assert broken(NOW) == {}
