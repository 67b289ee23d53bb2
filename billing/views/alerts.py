"""Pages of alerts: what was told, one of them with its figures, and what one wants to be told."""

import uuid
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from accounts.rights import may
from billing.alerting import words
from billing.forms_alerts import AlertFilterForm, MailChoiceForm, RuleForm
from billing.models import AlertEvent, AlertKind, AlertRule
from billing.models.alerts import PERSONAL
from billing.selectors import alerts as selectors
from billing.services import alerts
from billing.views.calls import chips
from billing.views.home import Asked
from config.foundation.errors import PortalError
from keys.selectors import key_for


@login_required
@require_safe
def alert_list(request: Asked) -> HttpResponse:
    form = AlertFilterForm(request.GET)
    form.is_valid()
    data = getattr(form, "cleaned_data", {})
    is_staff = may(request.user, "alerts.view")
    is_all = is_staff and request.GET.get("of", "all") == "all"
    filters = selectors.AlertFilters(is_all, data.get("kind") or "", data.get("phase") or "")
    page = selectors.alerts_for(request.user, filters, before=_id(request.GET.get("before", "")))
    context = {
        "form": form,
        "chips": chips(form),
        "rows": [_row(event) for event in page.rows],
        "page": page,
        "before": request.GET.get("before", ""),
        "is_staff_view": is_staff,
        "is_all": is_all,
    }
    return render(request, "billing/alert_list.html", context)


@login_required
@require_safe
def alert_detail(request: Asked, event_id: str) -> HttpResponse:
    event = selectors.alert_for(request.user, event_id)
    context = {**_row(event), "paused_key": selectors.paused_key_of(request.user, event)}
    return render(request, "billing/alert_detail.html", context)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def alert_choices(request: Asked) -> HttpResponse:
    """Own rules, those of teams one owns, of one key (``?key=``), and the mails of the house."""
    user = request.user
    rules = [selectors.rule_in_force(kind, user=user) for kind in PERSONAL]
    rules += [selectors.rule_in_force(kind, group=team) for team in selectors.owned_teams(user) for kind in PERSONAL]
    if request.GET.get("key", "").isdigit():
        rules.append(selectors.rule_in_force(AlertKind.ODD_SPEND, key=key_for(user, int(request.GET["key"][:18]))))
    chosen = request.POST.get("rule", "")
    forms = [RuleForm(request.POST if chosen == _name(rule) else None, rule=rule, prefix=_name(rule)) for rule in rules]
    choices = selectors.mail_choices(user)
    mails = MailChoiceForm(request.POST if chosen == "mails" else None, choices=choices) if choices else None
    if mails is not None and mails.is_bound and mails.is_valid():
        alerts.choose_mails(actor=user, choices=mails.cleaned_data)
        messages.success(request, _("Your choice of mails is saved."))
        return redirect(request.get_full_path())
    for form in forms:
        if form.is_bound and form.is_valid() and _saved(request, form):
            return redirect(request.get_full_path())
    context = {"mine": [f for f in forms if f.rule.user], "mails": mails, "hooks_of": user}
    context["others"] = [f for f in forms if not f.rule.user]
    return render(request, "billing/alert_choices.html", context)


def _saved(request: Asked, form: RuleForm) -> bool:
    try:
        rule = alerts.set_rule(actor=request.user, **form.values())
    except PortalError as refused:
        form.add_error("thresholds", refused.message)
        return False
    told = ", ".join(words.threshold_text(rule.kind, one) for one in rule.thresholds)
    if rule.is_enabled:
        messages.success(request, _("Saved. You are told at: %(thresholds)s.") % {"thresholds": told})
    else:
        messages.success(request, _("Saved. Nothing is told about this."))
    return True


def _row(event: AlertEvent) -> dict[str, Any]:
    return {
        "event": event,
        "said": words.of(event),
        "at": words.threshold_text(event.kind, event.threshold),
        "look": "good" if event.phase == AlertEvent.Phase.RESOLVED else "warn",
    }


def _name(rule: AlertRule) -> str:
    scope = f"t{rule.group_id}" if rule.group_id else f"k{rule.key_id}" if rule.key_id else "me"
    return f"{rule.kind}-{scope}"


def _id(text: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(text)
    except ValueError:
        return None
