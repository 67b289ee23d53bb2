"""Pages of web hooks. A signing secret is in the one answer that made it."""

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.rights import may
from billing.forms_alerts import HookForm
from billing.models import HookEndpoint
from billing.selectors import alerts as selectors
from billing.services import hooks
from billing.views.home import Asked
from config.foundation.errors import PortalError


@login_required
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def hook_list(request: Asked) -> HttpResponse:
    teams = {f"team-{team.pk}": team for team in selectors.owned_teams(request.user)}
    scopes: list[tuple[str, Any]] = [("me", _("mine")), *teams.items()]
    if may(request.user, "alerts.manage"):
        scopes.append(("house", _("the house")))
    form = HookForm(request.POST or None, scopes=scopes)
    context: dict[str, Any] = {"form": form}
    if request.method == "POST" and form.is_valid():
        scope = form.cleaned_data["scope"]
        whose: dict[str, Any] = {"user": request.user} if scope == "me" else {}
        if scope in teams:
            whose = {"group": teams[scope]}
        try:
            endpoint, clear = hooks.add_endpoint(
                actor=request.user,
                url=form.cleaned_data["url"],
                purpose=form.cleaned_data["purpose"] or HookEndpoint.Purpose.ALERTS,
                **whose,
            )
        except PortalError as refused:
            form.add_error("url", refused.message)
        else:
            context |= {"endpoint": endpoint, "clear": clear, "form": HookForm(scopes=scopes)}
    context["rows"] = selectors.hooks_for(request.user)
    return render(request, "billing/hook_list.html", context)


@login_required
@require_safe
def hook_detail(request: Asked, endpoint_id: int) -> HttpResponse:
    endpoint = selectors.hook_for(request.user, endpoint_id)
    context = {"endpoint": endpoint, "deliveries": selectors.deliveries_of(endpoint)}
    return render(request, "billing/hook_detail.html", context)


@login_required
@require_POST
def hook_switch(request: Asked, endpoint_id: int) -> HttpResponse:
    endpoint = selectors.hook_for(request.user, endpoint_id)
    hooks.switch_endpoint(actor=request.user, endpoint=endpoint, is_active=not endpoint.is_active)
    messages.success(
        request, _("The web hook is off. What waits is kept.") if endpoint.is_active else _("The web hook is on again.")
    )
    return redirect("alert_hook_detail", endpoint.pk)


@login_required
@require_POST
def hook_again(request: Asked, endpoint_id: int, delivery_id: str) -> HttpResponse:
    endpoint = selectors.hook_for(request.user, endpoint_id)
    delivery = selectors.delivery_of(endpoint, delivery_id)
    try:
        hooks.resend_delivery(actor=request.user, delivery=delivery)
    except PortalError as refused:
        messages.error(request, refused.message)
    else:
        messages.success(request, _("The event is sent again, with the same event id."))
    return redirect("alert_hook_detail", endpoint.pk)
