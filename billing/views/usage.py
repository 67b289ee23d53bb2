"""Usage by day and model, with its chart, its tables and their export."""

from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpResponseBase
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from billing.dashboard import chart_data
from billing.exports import csv_response
from billing.selectors import UsageChart, usage_by_day
from billing.views.home import Asked
from config.foundation.money import decimal_usd

SPANS = (7, 30, 90, 365)
HEADER = ["day_utc", "calls", "failed", "input_tokens", "cached_tokens", "output_tokens", "cost_usd"]


@login_required
@require_safe
def usage(request: Asked) -> HttpResponseBase:
    asked = request.GET.get("days", "")
    days = int(asked) if asked.isdigit() and int(asked) in SPANS else 30
    chart = usage_by_day(request.user, request.user, days)
    if request.GET.get("export") == "csv":
        return csv_response(f"usage-{days}-days", HEADER, ([*_row(day)] for day in chart.days))
    context = {
        "days": days,
        "spans": [(span, _("%(days)d days") % {"days": span}) for span in SPANS],
        "chart": chart,
        "chart_data": chart_data(chart),
        "models": by_model(chart),
        "filled": [day for day in reversed(chart.days) if day.call_count],
    }
    return render(request, "billing/usage.html", context)


def by_model(chart: UsageChart) -> list[dict[str, Any]]:
    """Cost by model of the chart with its share of the whole, dearest first."""
    total = chart.total.cost_nano
    rows = []
    for name in chart.models:
        nano = chart.total.by_model.get(name, 0)
        if not name and not nano:
            continue  # refused calls, which no model was billed for
        rows.append({"name": name, "nano": nano, "percent": round(nano * 100 / total) if total > 0 else 0})
    return rows


def _row(day: Any) -> list[object]:
    return [
        day.day.isoformat(),
        day.call_count,
        day.failed_count,
        day.input_tokens,
        day.cached_tokens,
        day.output_tokens,
        decimal_usd(day.cost_nano),
    ]
