"""Usage in one place: whose, over which days of which zone, cut every way; chart, table and both exports say the same."""

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.contrib.auth.decorators import login_required
from django.http import HttpResponseBase, QueryDict
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from accounts.models import User
from billing.forms_usage import SPANS, UsageForm
from billing.selectors.usage_cuts import (
    CUTS,
    Line,
    Period,
    Report,
    Scope,
    ledger_total,
    scope_for,
    sum_of,
    usage_chart,
    usage_report,
)
from billing.services.exports import Table
from billing.views.exports import list_response
from billing.views.home import Asked
from config.foundation.clock import now
from config.foundation.money import decimal_usd
from models_catalog.models import Modality

SHOWN = 200
COLUMNS = ["calls", "failed", "input_tokens", "cached_tokens", "output_tokens", "cost_usd"]
# What one account can be cut by; teams and people are for whoever sees more than one.
OWN_CUTS = tuple(cut for cut in CUTS if cut not in ("team", "member"))


@login_required
@require_safe
def usage(request: Asked) -> HttpResponseBase:
    kind = request.GET.get("export")
    asked = _asked(request.user, request.GET, most=None if kind else SHOWN)
    form, period, scope, report = asked.form, asked.period, asked.scope, asked.report
    by, where = report.by, asked.where
    if kind:
        name = f"usage-by-{by}-{period.first}-{period.last}"
        return list_response(request, kind, "usage", _table(asked), saved_as=name)
    chart = usage_chart(request.user, scope, period, where)
    context: dict[str, Any] = {
        "form": form,
        "by": by,
        "by_word": cut_words()[by],
        "cuts": [(cut, cut_words()[cut]) for cut in asked.cuts],
        "spans": [(span, _("%(days)d days") % {"days": span}) for span in SPANS],
        "days": None if form.cleaned_data.get("since") or form.cleaned_data.get("until") else len(period.days()),
        "period": period,
        "scope": scope,
        "report": report,
        "rows": shown_rows(report, scope, period),
        "total": report.total,
        "chart_data": {
            "days": [day.isoformat() for day in chart.days],
            "unit": "USD",
            "series": [{"name": name, "values": chart.by_model[name]} for name in chart.models if any(chart.by_model[name])],
        },
        "check": _check(request, scope, period, report) if where == "here" else None,
        "where": where,
    }
    return render(request, "billing/usage.html", context)


@dataclass(frozen=True, slots=True)
class _Asked:
    """What an address asks for, and the answer."""

    form: UsageForm
    period: Period
    scope: Scope
    cuts: tuple[str, ...]
    where: str
    report: Report


def _asked(actor: User, query: QueryDict, most: int | None = None) -> _Asked:
    form = UsageForm(query, actor=actor, moment=now())
    form.is_valid()
    period, scope = form.period(), scope_for(actor, **form.named())
    cuts = OWN_CUTS if scope.user else CUTS if scope.is_all else tuple(cut for cut in CUTS if cut != "team")
    by = form.cleaned_data.get("by") or "model"
    by = by if by in cuts else "model"
    where = form.cleaned_data.get("where") or "here"
    return _Asked(form, period, scope, cuts, where, usage_report(actor, scope, period, by, where, most))


def table_of(actor: User, query: QueryDict) -> Table:
    """The report as a file, for the address it was asked for with."""
    return _table(_asked(actor, query))


def _table(asked: _Asked) -> Table:
    by = asked.report.by
    return Table([f"{by}_{asked.period.zone}" if by == "day" else by, *COLUMNS], export_rows(asked.report))


def cut_words() -> dict[str, str]:
    return {
        "day": _("day"),
        "model": _("model"),
        "modality": _("modality"),
        "key": _("key"),
        "group": _("group"),
        "team": _("team"),
        "member": _("member"),
    }


def label_of(by: str, line: Line) -> str:
    """The row's name for people; what a call did not have is said in words."""
    if by == "modality":
        return str(dict(Modality.choices).get(line.label, line.label)) or _("none")
    missing = {
        "model": _("no model (refused)"),
        "key": _("no key"),
        "group": _("no group"),
        "team": _("no team"),
        "member": _("no person (keys of teams)"),
    }
    return line.label or missing.get(by, _("none"))


def _share(line: Line, total: int) -> dict[str, Any]:
    """The part of the cost in whole per cent; what rounds to nothing is not told as nothing."""
    percent = round(line.cost_nano * 100 / total) if total > 0 else 0
    return {"percent": percent, "share": f"{percent} %" if percent or line.cost_nano <= 0 else "<1 %"}


def shown_rows(report: Report, scope: Scope, period: Period) -> list[dict[str, Any]]:
    """The first rows with share and link, then one for all others, so that the column still adds up."""
    lines = [line for line in report.rows if line.call_count or line.cost_nano] if report.by == "day" else report.rows
    total = report.total.cost_nano
    rows = [
        {
            "line": line,
            "label": label_of(report.by, line),
            **_share(line, total),
            "url": _calls_of(report.by, line, scope, period),
        }
        for line in lines[:SHOWN]
    ]
    if more := len(lines[SHOWN:]) + report.others_count:
        rest = sum_of([*lines[SHOWN:], report.others])
        label = _("%(count)d more, in the export") % {"count": more}
        rows.append({"line": rest, "label": label, **_share(rest, total)})
    return rows


def export_rows(report: Report) -> list[list[object]]:
    lines = sorted(report.rows, key=lambda line: line.label) if report.by == "day" else report.rows
    return [
        [
            line.label,
            line.call_count,
            line.failed_count,
            line.input_tokens,
            line.cached_tokens,
            line.output_tokens,
            decimal_usd(line.cost_nano),
        ]
        for line in lines
    ]


def _calls_of(by: str, line: Line, scope: Scope, period: Period) -> str:
    """The list of the calls behind a row, where that list can be asked for: one's own, by model or key."""
    if scope.is_all or by not in ("model", "key") or not line.value or line.value == "0":
        return ""
    span = next((days for days in (7, 30, 90) if len(period.days()) <= days), 400)
    return f"{reverse('call_list')}?{urlencode({'period': span, by: line.value})}"


def _check(request: Asked, scope: Scope, period: Period, report: Report) -> dict[str, int] | None:
    """The ledger's own sum beside the table's, when it was asked for: it reads every entry of the period."""
    if request.GET.get("check") != "yes":
        return None
    booked = ledger_total(request.user, scope, period)
    return {"booked": booked, "difference": report.total.cost_nano - booked}
