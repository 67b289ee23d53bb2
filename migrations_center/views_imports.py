"""Pages of the import wizard: parse, ask, show. A worker does the reading and the writing."""

import json
import uuid
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from accounts.models import User
from accounts.rights import may, require
from accounts.views.common import person, show_refusal
from billing.exports import csv_response
from config.foundation.errors import PortalError
from migrations_center import present_imports, selectors_imports
from migrations_center.forms_imports import ImportDecisionForm, ImportStartForm
from migrations_center.models import ImportIssue, ImportRun
from migrations_center.services import imports

MANAGE = "migrations.manage"
PAGE = 50
SAMPLE = settings.BASE_DIR / "demo" / "one-api.sqlite3"


@login_required
def import_list(request: HttpRequest) -> HttpResponse:
    user = person(request)
    runs = selectors_imports.runs_for(user, before=request.GET.get("before", ""), limit=PAGE + 1)
    context: dict[str, Any] = {
        "runs": [present_imports.list_row(run) for run in runs[:PAGE]],
        "may_manage": may(user, MANAGE),
        "empty_heading": _("No import yet"),
        "empty_text": _("Import a database of One API or New API: you see what would land before anything is written."),
        "newest_url": reverse("import_list") if request.GET.get("before") else "",
    }
    if len(runs) > PAGE:
        context["older_url"] = "?" + urlencode({"before": runs[PAGE - 1].created_at.isoformat()})
    return render(request, "migrations_center/import_list.html", context)


@login_required
def import_start(request: HttpRequest) -> HttpResponse:
    user = person(request)
    require(user, MANAGE)
    form = ImportStartForm(request.POST or None, request.FILES or None)
    if request.method == "POST" and form.is_valid():
        found = form.cleaned_data
        try:
            run = imports.start_run(
                actor=user,
                file=found["file"],
                log_file=found["log_file"],
                dsn=found["address"],
                log_dsn=found["log_address"],
                options={"old_entry": _entry(found["old_entry"])},
            )
        except PortalError as error:
            show_refusal(form, error, source_empty="file", source_address_wrong="address")
        else:
            return redirect("import_run", run.pk)
    context = {"form": form, "sample_form": settings.DEMO and SAMPLE.is_file()}
    return render(request, "migrations_center/import_start.html", context, status=422 if form.errors else 200)


@login_required
@require_POST
def import_sample(request: HttpRequest) -> HttpResponse:
    """The database that ships with the demo, served by the demo upstream: a newcomer's first import."""
    user = person(request)
    require(user, MANAGE)
    if not settings.DEMO or not SAMPLE.is_file():
        raise Http404
    run = imports.start_run(actor=user, file=SAMPLE, options={"upstream": "demo"})
    return redirect("import_run", run.pk)


@login_required
def import_run(request: HttpRequest, run_id: uuid.UUID) -> HttpResponse:
    user = person(request)
    run = selectors_imports.run_for(user, run_id)
    return _run_page(request, user, run, ImportDecisionForm(initial=run.options))


@login_required
def import_progress(request: HttpRequest, run_id: uuid.UUID) -> HttpResponse:
    """The part of the page that changes; once the work is done the whole page is loaded anew."""
    user = person(request)
    run = selectors_imports.run_for(user, run_id)
    page = present_imports.run_page(run, [], may_manage=may(user, MANAGE))
    if not page.is_busy:
        response = HttpResponse()
        response["HX-Refresh"] = "true"
        return response
    return render(request, "migrations_center/_import_progress.html", {"run": run, "page": page})


@login_required
@require_POST
def import_decide(request: HttpRequest, run_id: uuid.UUID) -> HttpResponse:
    """Apply with what the preview was made with, or preview again when a decision changed."""
    user = person(request)
    run = selectors_imports.run_for(user, run_id)
    form = ImportDecisionForm(request.POST)
    if not form.is_valid():
        return _run_page(request, user, run, form, status=422)
    options = {**run.options, **form.cleaned_data, "old_entry": _entry(form.cleaned_data["old_entry"])}
    is_same = all(run.options.get(name) == value for name, value in options.items())
    try:
        if request.POST.get("act") == "apply" and is_same:
            imports.begin_apply(actor=user, run_id=run.pk)
        else:
            imports.preview_again(actor=user, run_id=run.pk, options=options)
            if request.POST.get("act") == "apply":
                messages.info(request, _("Your decisions changed, so here is the preview again. Let it in when it is right."))
    except PortalError as error:
        messages.error(request, error.message)
    return redirect("import_run", run.pk)


@login_required
@require_POST
def import_stop(request: HttpRequest, run_id: uuid.UUID) -> HttpResponse:
    user = person(request)
    run = selectors_imports.run_for(user, run_id)
    if imports.request_stop(actor=user, run_id=run.pk):
        messages.info(request, _("It stops after the current step. What is done stays done; go on whenever you like."))
    return redirect("import_run", run.pk)


@login_required
def import_report(request: HttpRequest, run_id: uuid.UUID) -> HttpResponse:
    report = selectors_imports.run_report(person(request), run_id)
    body = json.dumps(report, ensure_ascii=False, indent=1, sort_keys=True)
    response = HttpResponse(body, content_type="application/json; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="import-{run_id.hex[:12]}.json"'
    return response


@login_required
def import_issues(request: HttpRequest, run_id: uuid.UUID) -> HttpResponseBase:
    user = person(request)
    run = selectors_imports.run_for(user, run_id)
    chosen = {name: request.GET.get(name, "") for name in ("kind", "table", "reason")}
    if request.GET.get("export") == "csv":
        found = selectors_imports.all_issues_for(user, run_id, **chosen).iterator(chunk_size=1000)
        rows = (list(present_imports.issue_row(issue).values()) for issue in found)
        return csv_response(f"import-{run_id.hex[:12]}", ["what", "table", "row", "name", "why"], rows)
    after = request.GET.get("after", "")
    issues = selectors_imports.issues_for(user, run_id, **chosen, after=int(after) if after.isdigit() else 0, limit=PAGE + 1)
    context: dict[str, Any] = {
        "run": run,
        "run_title": present_imports.run_title(run),
        "rows": [present_imports.issue_row(issue) for issue in issues[:PAGE]],
        "chips": _chips(chosen),
        "csv_query": urlencode({**chosen, "export": "csv"}),
        "empty_heading": _("No such row"),
        "empty_text": _("Nothing of this import was left out, refused or different in this way."),
        "newest_url": "?" + urlencode(chosen) if after else "",
    }
    if len(issues) > PAGE:
        context["older_url"] = "?" + urlencode({**chosen, "after": issues[PAGE - 1].pk})
    return render(request, "migrations_center/import_issues.html", context)


def _run_page(request: HttpRequest, user: User, run: ImportRun, form: ImportDecisionForm, status: int = 200) -> HttpResponse:
    reasons = selectors_imports.reasons_of(user, run.pk)
    page = present_imports.run_page(run, reasons, may_manage=may(user, MANAGE))
    context = {"run": run, "page": page, "decision_form": form}
    if page.is_applied and run.source_id and may(user, MANAGE):
        context["plan_url"] = f"{reverse('plan_create')}?source={run.source_id}"
    return render(request, "migrations_center/import_run.html", context, status=status)


def _chips(chosen: dict[str, str]) -> list[dict[str, Any]]:
    chips = [{"label": _("All"), "query": "", "is_on": not any(chosen.values())}]
    for kind in ImportIssue.Kind:
        on = chosen["kind"] == kind.value
        chips.append({"label": kind.label, "query": urlencode({"kind": kind.value}), "is_on": on})
    for name in ("table", "reason"):
        if chosen[name]:
            rest = {key: value for key, value in chosen.items() if value and key != name}
            word = present_imports.reason_text(chosen[name], {}) if name == "reason" else chosen[name]
            chips.append({"label": f"{word} ×", "query": urlencode(rest), "is_on": True})
    return chips


def _entry(address: str) -> str:
    """The old entry's address as the relay joins it: without /v1 at the end."""
    return address.rstrip("/").removesuffix("/v1")
