"""A person's calls: the list, one call, and the list as CSV."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse, HttpResponseBase, QueryDict
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from accounts.models import User
from accounts.rights import may
from billing.explain import explain_call
from billing.forms import CallFilterForm
from billing.models import CallRefund, RequestLog
from billing.selectors import CallFilters, calls_for
from billing.selectors import call_detail as call_seen_by
from billing.selectors.calls import refunds_of_call
from billing.selectors.repeats import fold, repeat_of, repeats_among
from billing.services.exports import Table
from billing.views.exports import list_response
from billing.views.home import Asked
from config.foundation.money import decimal_usd

# More rows than a person reads; the export says when it stopped there.
EXPORT_LIMIT = 200_000
HEADER = [
    "request_id", "started_at", "asked_model", "billed_model", "served_model", "key_name", "key_tail", "outcome", "http_status",
    "error_code", "input_tokens", "cached_tokens", "output_tokens", "cost_usd", "duration_ms",
]  # fmt: skip


@login_required
@require_safe
def call_list(request: Asked) -> HttpResponseBase:
    form = CallFilterForm(request.GET)
    form.is_valid()
    filters = own(request.user, form.filters())
    if kind := request.GET.get("export"):
        return list_response(request, kind, "calls", table_of(request.user, request.GET))
    page = calls_for(request.user, filters, before=request.GET.get("before") or None)
    context = {
        "form": form,
        "chips": chips(form),
        "rows": fold(page.rows),
        "older": page.next_before,
        "before": request.GET.get("before", ""),
    }
    return render(request, "billing/call_list.html", context)


@login_required
@require_safe
def call_repeats(request: Asked, request_id: str) -> HttpResponse:
    """One case: the same call again and again, each with its own line."""
    found = repeat_of(request.user, request_id)
    if found is None:
        return redirect("call_detail", request_id)
    case, rows = found
    is_staff = may(request.user, "calls.search")
    context = {
        "case": case,
        "rows": rows,
        "call": rows[0],
        "target": "find_call" if is_staff else "call_detail",
        "is_staff": is_staff,
    }
    return render(request, "billing/call_repeats.html", context)


@login_required
@require_safe
def call_detail(request: Asked, request_id: str) -> HttpResponse:
    call = call_seen_by(request.user, request_id)
    # Staff look at other people's calls in the search, where only what they need is shown; links of desks lead there too.
    if may(request.user, "calls.search") and call.user_id != request.user.pk:
        return redirect("find_call", call.id.hex)
    refunds = refunds_of_call(request.user, call)
    context = {
        "call": call,
        "why": explain_call(call, refunds),
        "lines": price_lines(call),
        "steps": steps_of(call, refunds),
        "refunds": refunds,
        "repeat": repeats_among([call]).get(call.id),
    }
    return render(request, "billing/call_detail.html", context)


def table_of(actor: User, query: QueryDict) -> Table:
    """The list as a file, for the address it was asked for with."""
    form = CallFilterForm(query)
    form.is_valid()
    return Table(HEADER, export_rows(actor, own(actor, form.filters())))


def own(person: User, filters: CallFilters) -> CallFilters:
    """Staff may see everybody's calls; this page shows theirs. Others see their own and their teams' by the selector."""
    return replace(filters, user_id=person.pk) if may(person, "calls.search") else filters


def chips(form: Any) -> list[dict[str, Any]]:
    """Filters that are on, as label and value; each chip's link is the page without it."""
    data = getattr(form, "cleaned_data", {})
    found = []
    for name, field in form.fields.items():
        value = data.get(name)
        if value in (None, "") or (name == "period" and value == "7"):
            continue
        word = dict(getattr(field, "choices", [])).get(value, value)
        found.append({"name": name, "label": field.label or _("Key"), "value": word})
    return found


def steps_of(call: RequestLog, refunds: Sequence[CallRefund] = ()) -> list[dict[str, Any]]:
    """What happened to the call and when, in milliseconds after it arrived."""
    steps: list[dict[str, Any]] = [{"ms": 0, "look": "good", "text": _("received")}]
    if call.held_nano:
        steps.append({"ms": None, "look": "good", "text": _("held"), "nano": call.held_nano})
    if call.first_token_ms is not None:
        steps.append({"ms": call.first_token_ms, "look": "good", "text": _("first part of the answer")})
    look = "good" if call.outcome == "ok" else "bad"
    steps.append({"ms": call.duration_ms, "look": look, "text": call.get_outcome_display(), "status": call.http_status})
    if call.cost_nano:
        steps.append({"ms": None, "look": "good", "text": _("settled"), "nano": call.cost_nano})
    steps += [{"ms": None, "look": "good", "text": _("given back"), "nano": x.amount_nano, "at": x.created_at} for x in refunds]
    return steps


def price_lines(call: RequestLog) -> list[dict[str, Any]]:
    """The arithmetic of the charge, one line a part, with words a person knows."""
    words = {
        "input": _("input tokens"),
        "cached": _("cached input tokens"),
        "cache_write": _("cache write tokens"),
        "output": _("output tokens"),
        "call": _("the call"),
        "items": _("items"),
        "item": _("items"),
        "image": _("images"),
        "reasoning": _("reasoning tokens"),
        "audio_input": _("audio input tokens"),
        "audio_output": _("audio output tokens"),
        "video": _("seconds of video"),
        "audio": _("seconds of sound"),
        "characters": _("characters"),
        "images": _("images"),
        "minimum": _("minimum price"),
    }
    lines = call.price_detail.get("lines") or []
    return [{**line, "word": words.get(str(line.get("name")), str(line.get("name")).replace("_", " "))} for line in lines]


def export_rows(actor: User, filters: CallFilters) -> Iterator[list[object]]:
    """Every filtered call up to EXPORT_LIMIT, a page at a time."""
    before, sent = None, 0
    while True:
        page = calls_for(actor, filters, before=before, limit=200)
        for call in page.rows:
            yield export_row(call)
        sent += len(page.rows)
        if not page.next_before:
            return
        if sent >= EXPORT_LIMIT:
            yield [_("The export stops here: narrow the filters for older calls.")]
            return
        before = page.next_before


def export_row(call: RequestLog) -> list[object]:
    return [
        call.id.hex,
        call.started_at.isoformat(),
        call.asked_model,
        call.billed_model,
        call.served_model,
        call.key_name,
        call.key_tail,
        call.outcome,
        call.http_status,
        call.error_code,
        call.input_tokens,
        call.cached_tokens,
        call.output_tokens,
        decimal_usd(call.cost_nano),
        call.duration_ms,
    ]
