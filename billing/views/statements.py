"""Statements: one's own and one's teams', the files as they were issued, and finance's desk for issuing them."""

from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import translation
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods, require_safe

from accounts.rights import require
from billing.exports import XLSX
from billing.forms import StatementAskForm
from billing.selectors import statements as selectors
from billing.services.statements import issue_statement, preview_statement, start_runs
from billing.statements.document import document_of
from billing.statements.months import last_ended, parse_month, zone_of
from billing.tasks import continue_statements_task
from billing.views.home import Asked
from config.foundation.clock import now
from config.foundation.errors import NotFound, PortalError

CONTENT_TYPES = {"csv": "text/csv; charset=utf-8", "pdf": "application/pdf", "xlsx": XLSX}


@login_required
@require_safe
def statement_list(request: Asked) -> HttpResponse:
    rows = selectors.statements_for(request.user)
    context = {"rows": rows, "has_teams": any(row.group_id for row in rows), "zone": zone_of(request.user)}
    return render(request, "billing/statement_list.html", context)


@login_required
@require_safe
def statement_detail(request: Asked, statement_id: int) -> HttpResponse:
    statement = selectors.statement_for(request.user, statement_id)
    context = {
        "statement": statement,
        "document": document_of(statement.figures, statement.number, statement.issued_at),
        "files": selectors.file_digests(request.user, statement),
        "languages": {"en": "English", "zh-hans": "简体中文"},
        "language": translation.get_language(),
        "mine": statement.user_id == request.user.pk,
    }
    return render(request, "billing/statement_detail.html", context)


@login_required
@require_safe
def statement_download(request: Asked, statement_id: int, language: str, kind: str) -> HttpResponse:
    file = selectors.statement_file(request.user, statement_id, kind, language)
    response = HttpResponse(bytes(file.content), content_type=CONTENT_TYPES[file.format])
    name = f"statement-{file.statement.number}-{file.language}.{file.format}"
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    response["Cache-Control"] = "no-store"
    response["Content-Digest"] = f"sha-256={file.sha256}"
    return response


@login_required
@require_safe
def statement_desk(request: Asked) -> HttpResponse:
    require(request.user, selectors.ISSUE)
    form = StatementAskForm(request.GET or None)
    form.is_valid()
    month_on = parse_month(request.GET.get("month", "")) or last_ended("UTC", now())
    who = request.GET.get("who", "").strip()
    before = request.GET.get("before", "")
    runs = selectors.statement_runs(request.user, month_on)
    context: dict[str, Any] = {
        "form": form if request.GET else StatementAskForm(initial={"month": f"{month_on:%Y-%m}"}),
        "month": month_on,
        "month_text": f"{month_on:%Y-%m}",
        "who": who,
        "runs": runs,
        "is_running": any(run.finished_at is None for run in runs),
        "page": selectors.issued_statements(request.user, month_on, who, before=int(before[:18]) if before.isdigit() else None),
        "before": before,
    }
    return render(request, "billing/statement_desk.html", context)


@login_required
@require_safe
def statement_preview(request: Asked) -> HttpResponse:
    require(request.user, selectors.ISSUE)
    form = StatementAskForm(request.GET)
    desk = f"{reverse('statement_desk')}?{request.GET.urlencode()}"
    if not form.is_valid() or not form.cleaned_data["who"]:
        messages.error(request, _("Choose a month and name whose statement you want to look at."))
        return redirect(desk)
    try:
        month_on, owner = form.cleaned_data["month"], selectors.statement_owner(request.user, form.cleaned_data["who"])
    except NotFound:
        messages.error(request, _("There is no person and no team of this name."))
        return redirect(desk)
    context = {
        "document": preview_statement(actor=request.user, owner=owner, month_on=month_on),
        "owner": owner,
        "who": form.cleaned_data["who"],
        "month_text": f"{month_on:%Y-%m}",
        "issued": selectors.issued_statements(request.user, month_on, form.cleaned_data["who"]).rows,
    }
    return render(request, "billing/statement_preview.html", context)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def statement_issue(request: Asked) -> HttpResponse:
    """One owner's month, or everybody's when no owner is named; asked without a POST it says what will happen."""
    require(request.user, selectors.ISSUE)
    form = StatementAskForm(request.POST or request.GET)
    if not form.is_valid():
        messages.error(request, _("Choose a month such as 2026-08."))
        return redirect("statement_desk")
    month_on, who = form.cleaned_data["month"], form.cleaned_data["who"]
    desk = f"{reverse('statement_desk')}?month={month_on:%Y-%m}"
    if request.method != "POST":
        return _ask_to_issue(request, f"{month_on:%Y-%m}", desk)
    back = redirect(desk)
    if not who:
        runs = start_runs(actor=request.user, month_on=month_on, again=True)
        for run in runs:
            continue_statements_task.delay(run.pk)
        if runs:
            words = ngettext("Issuing in %(count)d time zone.", "Issuing in %(count)d time zones.", len(runs))
            messages.success(request, words % {"count": len(runs)})
        else:
            messages.error(request, _("The month has not ended anywhere yet. Nothing was issued."))
        return back
    try:
        owner = selectors.statement_owner(request.user, who)
        issued = issue_statement(actor=request.user, owner=owner, month_on=month_on)
    except NotFound:
        messages.error(request, _("There is no such person or team."))
        return back
    except PortalError as refused:
        messages.error(request, _(refused.message))
        return back
    if issued.statement is None:
        messages.info(request, _("There is nothing to state: no entry and no balance."))
        return back
    if issued.status == "present":
        messages.info(request, _("It was issued before and stays as it is."))
    else:
        messages.success(request, _("Statement %(number)s was issued.") % {"number": issued.statement.number})
    return redirect("statement_detail", issued.statement.pk)


def _ask_to_issue(request: Asked, month: str, desk: str) -> HttpResponse:
    """Before everybody's statements are made: they never change afterwards."""
    form = StatementAskForm(initial={"month": month})
    form.fields["month"].widget = forms.HiddenInput()
    del form.fields["who"]
    context = {
        "title": _("Issue %(month)s for everybody") % {"month": month},
        "question": _("One run for each time zone in which the month has ended."),
        "consequences": [
            _("Everybody with an entry in the month or a balance gets a statement with a number of its own."),
            _("Statements that were issued before stay as they are."),
            _("Nobody is charged, and no mail is sent."),
        ],
        "undo": _("None: an issued statement never changes. A correction is an entry of a later month."),
        "submit_label": _("Issue %(month)s for everybody") % {"month": month},
        "back_url": desk,
        "form": form,
    }
    return render(request, "confirm.html", context)
