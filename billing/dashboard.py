"""The figures of a person's home page, from the roll-ups. Amounts are nano-USD, days are UTC days."""

from dataclasses import dataclass
from datetime import UTC, timedelta

from accounts.models import User
from billing.selectors import Balance, UsageChart, UsageDay, balance_of, usage_by_day
from config.foundation.clock import now

PACE_DAYS = 7
CHART_DAYS = 30


@dataclass(frozen=True, slots=True)
class Home:
    """``lasts_days`` is None when nothing was spent lately; ``month_change`` in whole per cent, None without a month before."""

    balance: Balance
    waiting_nano: int
    lasts_days: int | None
    today: UsageDay
    month_nano: int
    month_calls: int
    month_change: int | None
    chart: UsageChart
    failed_percent: str
    has_calls: bool

    @property
    def month_drop(self) -> int:
        """The change without its sign, for "n % less"."""
        return abs(self.month_change or 0)


def home_of(user: User) -> Home:
    balance = balance_of(user)
    chart = usage_by_day(user, user, CHART_DAYS)
    today_on = now().astimezone(UTC).date()
    long = usage_by_day(user, user, 62)
    month = [day for day in long.days if (day.day.year, day.day.month) == (today_on.year, today_on.month)]
    last_end = month[0].day - timedelta(days=1)
    # The same days of the month before, so that the 3rd is not compared with a whole month.
    before = [
        day
        for day in long.days
        if (day.day.year, day.day.month) == (last_end.year, last_end.month) and day.day.day <= today_on.day
    ]
    month_nano, before_nano = sum(day.cost_nano for day in month), sum(day.cost_nano for day in before)
    calls, failed = chart.total.call_count, chart.total.failed_count
    return Home(
        balance=balance,
        waiting_nano=sum(purse.balance_nano for purse in balance.purses if not purse.is_spendable),
        lasts_days=_lasts(balance.available_nano, chart),
        today=chart.days[-1],
        month_nano=month_nano,
        month_calls=sum(day.call_count for day in month),
        month_change=round((month_nano - before_nano) * 100 / before_nano) if before_nano > 0 else None,
        chart=chart,
        failed_percent=f"{failed * 100 / calls:.1f}" if calls else "",
        has_calls=calls > 0 or any(day.call_count for day in long.days),
    )


def _lasts(available_nano: int, chart: UsageChart) -> int | None:
    spent = sum(day.cost_nano for day in chart.days[-PACE_DAYS:])
    if spent <= 0 or available_nano <= 0:
        return None
    return available_nano * PACE_DAYS // spent


def chart_data(chart: UsageChart) -> dict[str, object]:
    """What ``static/js/chart.js`` draws: nano-USD by model and day, dearest model first."""
    return {
        "days": [day.day.isoformat() for day in chart.days],
        "unit": "USD",
        "series": [
            {"name": name, "values": [day.by_model.get(name, 0) for day in chart.days]}
            for name in chart.models
            if chart.total.by_model.get(name)
        ],
    }
