"""Pages about routes: which models can be served now, fallback rules, shapes of errors."""

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.models import User
from accounts.rights import may, require
from config.foundation.errors import PortalError
from gateway import selectors_routes as selectors
from gateway.forms_routes import FallbackForm, ProfileForm
from gateway.models import ErrorProfile, FallbackRule
from gateway.services.fallbacks import APPROVE, MANAGE, approve_fallback, end_fallback, propose_fallback
from gateway.services.profiles import RIGHT, set_error_profile

PAGE_METHODS = ["GET", "HEAD", "POST"]


class Asked(HttpRequest):
    """A request of somebody who is logged in."""

    user: User


@login_required
@require_safe
def model_health(request: Asked) -> HttpResponse:
    states = selectors.model_states(request.user)
    order = {"unavailable": 0, "limited": 1, "available": 2}
    context = {
        "states": sorted(states, key=lambda one: (order[one.state], one.model.name)),
        "down": sum(one.state == "unavailable" for one in states),
        "sees_route": may(request.user, "calls.inner_route"),
        "unavailable_count": sum(one.unavailable_count for one in states),
    }
    if may(request.user, "calls.search"):
        context["refused_keys"] = selectors.refused_key_count(request.user)
    return render(request, "gateway/model_health.html", context)


@login_required
@require_safe
def fallback_list(request: Asked) -> HttpResponse:
    rules = list(selectors.fallback_rules(request.user)[:200])
    uses = selectors.fallback_uses(rules)
    context = {
        "rows": [
            {
                "rule": rule,
                "uses": uses.get(rule.pk, 0),
                "when": [FallbackRule.Trigger(one).label for one in rule.triggers],
                "may_approve": rule.state == "proposed"
                and may(request.user, APPROVE)
                and rule.proposed_by_id != request.user.pk,
            }
            for rule in rules
        ],
        "may_manage": may(request.user, MANAGE),
    }
    return render(request, "gateway/fallback_list.html", context)


@login_required
@require_http_methods(PAGE_METHODS)
def fallback_new(request: Asked) -> HttpResponse:
    require(request.user, MANAGE)
    form = FallbackForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            propose_fallback(actor=request.user, **form.cleaned_data)
        except PortalError as refused:
            form.add_error(None, refused.message)
        else:
            messages.success(request, _("The rule waits for somebody else's approval. Until then it does nothing."))
            return redirect("fallback_list")
    context = {
        "form": form,
        "title": _("Propose a fallback rule"),
        "question": _("When one model gives nothing, another one may answer."),
        "consequences": [
            _("The rule is in force only after a second person approved it."),
            _("Every call that uses it is flagged in its record, with both prices."),
            _("A key that may not call the other model does not fall back."),
        ],
        "submit_label": _("Propose the rule"),
        "back_url": reverse("fallback_list"),
        "is_danger": False,
    }
    return render(request, "confirm.html", context)


@login_required
@require_POST
def fallback_approve(request: Asked, rule_id: int) -> HttpResponse:
    rule = get_object_or_404(selectors.fallback_rules(request.user), pk=rule_id)
    try:
        approve_fallback(actor=request.user, rule=rule)
    except PortalError as refused:
        if refused.http_status == 403:
            raise
        messages.error(request, refused.message)
    else:
        messages.success(request, _("The rule is in force. Relays obey within a second."))
    return redirect("fallback_list")


@login_required
@require_POST
def fallback_end(request: Asked, rule_id: int) -> HttpResponse:
    rule = get_object_or_404(selectors.fallback_rules(request.user), pk=rule_id)
    end_fallback(actor=request.user, rule=rule)
    messages.success(request, _("The rule has ended."))
    return redirect("fallback_list")


@login_required
@require_http_methods(PAGE_METHODS)
def error_map(request: Asked) -> HttpResponse:
    context: dict[str, object] = {"cases": selectors.error_cases()}
    if may(request.user, RIGHT):
        form = ProfileForm(request.POST or None)
        if request.method == "POST" and form.is_valid():
            set_error_profile(actor=request.user, **form.cleaned_data)
            messages.success(request, _("Errors are told in this shape from now on. Relays obey within a second."))
            return redirect("error_map")
        context |= {"form": form, "profiles": selectors.error_profiles(request.user)}
    elif request.method == "POST":
        require(request.user, RIGHT)
    mine = selectors.profile_of(request.user)
    context |= {
        "mine": ErrorProfile.Profile(mine).label,
        "changes": selectors.retry_changes(mine),
        "sdks": selectors.SDKS,
    }
    return render(request, "gateway/error_map.html", context)
