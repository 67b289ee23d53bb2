"""Pages of the fences: price tiers, tiers of models, how far up a group may go."""

from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from accounts.rights import may, require
from billing.forms_fences import FenceForm, ModelTierForm, TiersForm
from billing.selectors import fences as selectors
from billing.services import fences as services
from billing.views.home import Asked
from config.foundation.errors import PortalError
from config.foundation.money import format_usd

PAGE_METHODS = ["GET", "HEAD", "POST"]


@login_required
@require_safe
def fence_list(request: Asked) -> HttpResponse:
    require(request.user, "fences.view")
    context = {
        "tiers": selectors.price_tiers(request.user),
        "models": selectors.tiered_models(request.user),
        "groups": selectors.fenced_groups(request.user),
        "may_manage": may(request.user, "fences.manage"),
    }
    return render(request, "billing/fence_list.html", context)


@login_required
@require_http_methods(PAGE_METHODS)
def fence_tiers(request: Asked) -> HttpResponse:
    require(request.user, "fences.manage")
    held = selectors.price_tiers(request.user)
    initial = {f"tier_{number}": format_usd(nano).removeprefix("$") for number, nano in held}
    form = TiersForm(request.POST or None, initial=initial)

    def act() -> str:
        services.set_price_tiers(actor=request.user, starts=form.starts())
        return _("The tiers were changed. Calls follow within seconds.")

    return _form_page(request, form, act, title=_("Price tiers"), submit_label=_("Save the tiers"))


@login_required
@require_http_methods(PAGE_METHODS)
def fence_group(request: Asked, group_id: int) -> HttpResponse:
    group, fence = selectors.group_to_fence(request.user, group_id)
    initial = {"highest_tier": fence.highest_tier, "also_allowed": "\n".join(fence.also_allowed)} if fence else {}
    form = FenceForm(request.POST or None, initial=initial)

    def act() -> str:
        services.set_group_fence(actor=request.user, group=group, **form.cleaned_data)
        return _("The fence of %(group)s was changed. Calls follow within seconds.") % {"group": group}

    title = _("Fence of %(group)s") % {"group": group}
    return _form_page(request, form, act, title=title, submit_label=_("Save the fence"))


@login_required
@require_http_methods(PAGE_METHODS)
def fence_model(request: Asked, model_id: int) -> HttpResponse:
    model, number = selectors.model_to_tier(request.user, model_id)
    form = ModelTierForm(request.POST or None, initial={"number": number})

    def act() -> str:
        services.set_model_tier(actor=request.user, model=model, number=form.cleaned_data["number"])
        return _("The tier of %(model)s was changed. Calls follow within seconds.") % {"model": model}

    title = _("Tier of %(model)s") % {"model": model}
    return _form_page(request, form, act, title=title, submit_label=_("Save the tier"))


def _form_page(request: Asked, form: forms.Form, act: Any, **page: str) -> HttpResponse:
    if request.method == "POST" and form.is_valid():
        try:
            done = act()
        except PortalError as refused:
            field = refused.details.get("field")
            form.add_error(field if field in form.fields else None, refused.message)
        else:
            messages.success(request, done)
            return redirect("fence_list")
    context = {"form": form, "back_url": reverse("fence_list"), "back_label": _("Fences"), **page}
    return render(request, "_form_page.html", context)
