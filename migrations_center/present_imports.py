"""What the import pages show of a run: words and rows made from its report, without a query of their own."""

import hashlib
import json
from dataclasses import dataclass, field
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from migrations_center.models import ImportIssue, ImportRun
from migrations_center.reasons import reason_text

State = ImportRun.State
BUSY = {State.READING, State.APPLYING, State.STOPPING}
MONEY_LABELS = {
    "balances": gettext_lazy("Balances"),
    "bonus": gettext_lazy("Invite bonus"),
    "subscriptions": gettext_lazy("Rest of subscriptions"),
    "codes": gettext_lazy("Unspent redemption codes"),
    "history": gettext_lazy("Calls in the log (history, no money)"),
}
TABLE_LABELS = {
    "users": gettext_lazy("People"),
    "tokens": gettext_lazy("Keys"),
    "channels": gettext_lazy("Upstreams"),
    "abilities": gettext_lazy("Routing table"),
    "redemptions": gettext_lazy("Redemption codes"),
    "options": gettext_lazy("Settings, prices"),
    "logs": gettext_lazy("Log rows"),
    "top_ups": gettext_lazy("Payments"),
    "tasks": gettext_lazy("Tasks"),
    "midjourneys": gettext_lazy("Image jobs"),
    "quota_data": gettext_lazy("Hourly statistics"),
    "user_subscriptions": gettext_lazy("Subscriptions"),
}


@dataclass
class RunPage:
    """Everything the run's page needs; ``tables`` is empty while the source is still being read."""

    title: str
    lede: str
    steps: list[dict[str, Any]]
    is_busy: bool
    may_stop: bool
    may_apply: bool
    is_applied: bool
    ties_out: bool
    ties_word: str
    unit_line: str
    apply_label: str
    report_digest: str
    rate: str = ""
    progress: list[dict[str, Any]] = field(default_factory=list)
    totals: list[dict[str, Any]] = field(default_factory=list)
    tables: list[dict[str, Any]] = field(default_factory=list)
    reasons: list[dict[str, Any]] = field(default_factory=list)
    decisions: list[str] = field(default_factory=list)


def run_title(run: ImportRun) -> str:
    """``One API: Old Gateway``, or that the source is not known yet."""
    if run.source:
        product, name = run.source.get_product_display(), run.source.name
        return name if product in name else f"{product}: {name}"
    product = dict(_products()).get(str(run.report.get("product", "")), "")
    return product or _("Import of %(day)s") % {"day": f"{run.created_at:%Y-%m-%d %H:%M}"}


def run_page(run: ImportRun, reasons: list[dict[str, Any]], *, may_manage: bool) -> RunPage:
    """``reasons``: rows of kind, table, reason and count of the run's issues."""
    report = run.report or {}
    totals = [_total_row(name, figures) for name, figures in _in_order(report.get("totals", {}), MONEY_LABELS)]
    ties_out = bool(totals) and all(row["ties_out"] for row in totals)
    people = report.get("tables", {}).get("users", {})
    tokens = report.get("tables", {}).get("tokens", {})
    done = run.state == State.APPLIED
    return RunPage(
        title=run_title(run),
        lede=_lede(run, people, tokens),
        steps=_steps(run),
        is_busy=run.state in BUSY,
        may_stop=may_manage and run.state in {State.READING, State.APPLYING},
        may_apply=may_manage and run.state in {State.PREVIEWED, State.STOPPED, State.FAILED} and bool(totals),
        is_applied=done,
        ties_out=ties_out,
        ties_word=_("tie out") if ties_out else _("do not tie out"),
        unit_line=_unit_line(report),
        apply_label=_apply_label(run, int(people.get("landed", 0))),
        report_digest=report_digest(report) if done else "",
        rate=_rate(run),
        progress=_progress(run),
        totals=totals,
        tables=[_table_row(name, figures) for name, figures in _in_order(report.get("tables", {}), TABLE_LABELS)],
        reasons=[{**row, **_reason_words(row)} for row in reasons],
        decisions=[_decision(line) for line in report.get("decisions", [])],
    )


def report_digest(report: dict[str, Any]) -> str:
    """SHA-256 of the report as canonical JSON, hex: what finance signs."""
    return hashlib.sha256(json.dumps(report, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()).hexdigest()


def list_row(run: ImportRun) -> dict[str, Any]:
    tables = run.report.get("tables", {})
    balances = run.report.get("totals", {}).get("balances", {})
    return {
        "run": run,
        "title": run_title(run),
        "people": tables.get("users", {}).get("landed"),
        "keys": tables.get("tokens", {}).get("landed"),
        "landed_nano": int(balances["landed_nano_usd"]) if "landed_nano_usd" in balances else None,
    }


def issue_row(issue: ImportIssue) -> dict[str, Any]:
    return {
        "kind_label": issue.get_kind_display(),
        "table": issue.table,
        "row_id": issue.row_id,
        "label": issue.label,
        "text": reason_text(issue.reason, issue.detail),
    }


def _in_order(found: dict[str, Any], known: dict[str, Any]) -> list[tuple[str, Any]]:
    """What people look for first; tables and sums that have no words of their own come last, by name."""
    places = {name: place for place, name in enumerate(known)}
    return sorted(found.items(), key=lambda pair: (places.get(pair[0], len(places)), pair[0]))


def _products() -> list[tuple[str, str]]:
    return [("one_api", "One API"), ("new_api", "New API")]


def _lede(run: ImportRun, people: dict[str, Any], tokens: dict[str, Any]) -> str:
    if not people:
        return _("The source is being read; it is never written to.")
    figures = {"people": f"{people.get('read', 0):,}", "keys": f"{tokens.get('read', 0):,}"}
    if run.state == State.APPLIED:
        return _("Let in: %(people)s people and %(keys)s keys were read; what became of each row is below.") % figures
    return _("This holds %(people)s people and %(keys)s keys. Read only: nothing has been written yet.") % figures


def _steps(run: ImportRun) -> list[dict[str, Any]]:
    labels = [_("1 Source"), _("2 Preview"), _("3 Decide"), _("4 Apply"), _("5 Result")]
    at = {
        State.READING: 1, State.PREVIEWED: 2, State.STOPPED: 3, State.APPLYING: 3, State.STOPPING: 3,
        State.APPLIED: 4, State.FAILED: 3 if run.report else 1, State.REFUSED: 2,
    }[State(run.state)]  # fmt: skip
    return [
        {"label": label, "is_current": i == at, "look": "done" if i < at else "now" if i == at else "next"}
        for i, label in enumerate(labels)
    ]


def _unit_line(report: dict[str, Any]) -> str:
    if not report:
        return ""
    unit = report.get("unit", {})
    per_dollar = unit.get("quota_per_unit", unit) if isinstance(unit, dict) else unit
    shown = f"{int(per_dollar):,}" if str(per_dollar).isdecimal() else per_dollar
    return _("%(units)s units of the old gateway are one dollar.") % {"units": shown}


def _apply_label(run: ImportRun, count: int) -> str:
    if run.state in {State.STOPPED, State.FAILED}:
        return _("Go on with the import")
    return ngettext("Let in %(count)s person", "Let in %(count)s people", count) % {"count": f"{count:,}"}


def _progress(run: ImportRun) -> list[dict[str, Any]]:
    return [
        {
            "label": str(TABLE_LABELS.get(name, name)),
            "done": int(step.get("done", 0)),
            "total": max(int(step.get("total", 0)), 1),
        }
        for name, step in (run.progress or {}).items()
        if isinstance(step, dict)
    ]


def _rate(run: ImportRun) -> str:
    """Rows a second and the time left, from the progress and the time since the start."""
    steps = _progress(run)
    if not steps or not run.heartbeat_at or run.state not in BUSY:
        return ""
    done, total = sum(step["done"] for step in steps), sum(step["total"] for step in steps)
    began = run.progress.get("began_at")
    seconds = run.heartbeat_at.timestamp() - float(began) if began else 0.0
    if done <= 0 or seconds <= 0:
        return ""
    per_second = done / seconds
    return _("%(rate)s rows a second, about %(left)s s left") % {
        "rate": f"{per_second:,.0f}",
        "left": f"{max(total - done, 0) / per_second:,.0f}",
    }


def _total_row(name: str, figures: dict[str, Any]) -> dict[str, Any]:
    source, landed = int(figures["source_quota"]), int(figures["landed_quota"])
    left_out, refused = int(figures["left_out_quota"]), int(figures["refused_quota"])
    return {
        "label": MONEY_LABELS.get(name, name),
        "source_quota": source,
        "landed_quota": landed,
        "left_out_quota": left_out,
        "refused_quota": refused,
        "difference": source - landed - left_out - refused,
        "landed_nano_usd": int(figures["landed_nano_usd"]),
        "ties_out": bool(figures["ties_out"]),
    }


def _table_row(name: str, figures: dict[str, Any]) -> dict[str, Any]:
    created, updated, landed = (int(figures.get(word, 0)) for word in ("created", "updated", "landed"))
    return {
        "name": name,
        "label": TABLE_LABELS.get(name, ""),
        "read": figures.get("read", 0),
        "created": created,
        "updated": updated,
        "unchanged": landed - created - updated,
        "left_out": figures.get("left_out", 0),
        "refused": figures.get("refused", 0),
    }


def _reason_words(row: dict[str, Any]) -> dict[str, Any]:
    return {"kind_label": ImportIssue.Kind(row["kind"]).label, "text": reason_text(row["reason"], {})}


def _decision(line: Any) -> str:
    return reason_text(line["reason"], line) if isinstance(line, dict) else str(line)
