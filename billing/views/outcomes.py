"""What a call costs by how it ended: the table for staff, and the page for everybody."""

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from accounts.rights import may, require
from billing.models import OutcomeRule
from billing.outcome_rules import EVENTS, FIXED, OutcomeRules
from billing.price_forms import OutcomeGroupForm, OutcomeRulesForm
from billing.selectors.outcomes import history_of, outcome_rules_for, outcome_table
from billing.services.outcomes import change_outcome_rules, withdraw_outcome_rules
from billing.views.home import Asked
from config.foundation.errors import PortalError


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def outcome_rules(request: Asked) -> HttpResponse:
    require(request.user, "prices.manage" if request.method == "POST" else "prices.view")
    group_form = OutcomeGroupForm(request.GET)
    group = group_form.cleaned_data.get("group") if group_form.is_valid() else None
    code = group.code if group else ""
    table = outcome_table(request.user)
    rules = table.rules_for(code)
    form = OutcomeRulesForm(request.POST or None, rules=rules)
    if request.method == "POST":
        answer = _write(request, form, code)
        if answer is not None:
            return answer
    context = {
        "group_form": group_form,
        "group": group,
        "is_own": code in table.by_group,
        "own_groups": sorted(table.by_group),
        "form": form,
        "rows": [_row(event, rules, form) for event in EVENTS],
        "history": history_of(request.user, code),
        "may_change": may(request.user, "prices.manage"),
    }
    return render(request, "billing/outcome_rules.html", context)


def _write(request: Asked, form: OutcomeRulesForm, code: str) -> HttpResponse | None:
    """Do what was asked; None shows the page again with what is wrong."""
    try:
        if "withdraw" in request.POST:
            withdraw_outcome_rules(actor=request.user, group_code=code)
            messages.success(request, _("The group follows the table of everybody again, for calls that begin from now on."))
        elif not form.is_valid():
            return None
        else:
            change_outcome_rules(actor=request.user, group_code=code, cells=form.cells(), note=form.cleaned_data["note"])
            messages.success(request, _("The table was changed, for calls that begin from now on."))
    except PortalError as refused:
        form.add_error(None, refused.message)
        return None
    query = f"?{urlencode({'group': code})}" if code else ""
    return redirect(f"{reverse('outcome_rules')}{query}")


@login_required
@require_safe
def failed_calls(request: Asked) -> HttpResponse:
    rules = outcome_rules_for(request.user)
    return render(request, "billing/failed_calls.html", {"rows": [_row(event, rules) for event in EVENTS]})


def _row(event: str, rules: OutcomeRules, form: OutcomeRulesForm | None = None) -> dict[str, Any]:
    actions = OutcomeRule.Action
    found: dict[str, Any] = {
        "event": event,
        "word": OutcomeRule.Event(event).label,
        "is_fixed": event in FIXED,
        "reported": actions(rules.action(event, is_counted=False)),
        "counted": actions(rules.action(event, is_counted=True)),
    }
    if form is not None and event not in FIXED:
        found["fields"] = [form[f"{event}-reported"], form[f"{event}-counted"]]
    return found
