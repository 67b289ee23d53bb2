"""Pages of use profiles: the list, writing one, taking one away, letting keys follow it."""

from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db import transaction
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.rights import may
from config.foundation.errors import NotAllowed, PortalError
from keys import selectors_profiles as selectors
from keys import services_profiles as services
from keys.forms_profiles import BindForm, ProfileForm
from keys.models import UseProfile
from keys.views import Asked

PAGE_METHODS = ["GET", "HEAD", "POST"]
MOST_KEYS = 200


@login_required
@require_safe
def profile_list(request: Asked) -> HttpResponse:
    context = {
        "profiles": selectors.profiles_for(request.user).order_by("team__name", "name", "pk")[:MOST_KEYS],
        "may_add": may(request.user, "keys.manage") or selectors.teams_to_keep(request.user).exists(),
    }
    return render(request, "keys/profile_list.html", context)


@login_required
@require_http_methods(PAGE_METHODS)
def profile_new(request: Asked) -> HttpResponse:
    if not may(request.user, "keys.manage") and not selectors.teams_to_keep(request.user).exists():
        raise NotAllowed(_("Owners of the team and the operators keep its profiles."))
    form = ProfileForm(request.POST or None, actor=request.user)

    def act() -> UseProfile:
        return services.create_profile(
            actor=request.user, team=form.cleaned_data["team"], figures=form.figures(), **form.values()
        )

    return _form_page(request, form, act, _("New use profile"), _("Save the profile"), reverse("profile_list"))


@login_required
@require_http_methods(PAGE_METHODS)
def profile_change(request: Asked, profile_id: int) -> HttpResponse:
    profile = _kept(request, profile_id)
    form = ProfileForm(request.POST or None, actor=request.user, profile=profile)

    def act() -> UseProfile:
        return services.change_profile(actor=request.user, profile=profile, figures=form.figures(), **form.values())

    back = reverse("profile_detail", args=[profile.pk])
    return _form_page(request, form, act, _("Change the profile"), _("Save the profile"), back)


@login_required
@require_http_methods(PAGE_METHODS)
def profile_remove(request: Asked, profile_id: int) -> HttpResponse:
    profile = _kept(request, profile_id)
    if request.method == "POST":
        try:
            services.remove_profile(actor=request.user, profile=profile)
        except PortalError as refused:
            messages.error(request, refused.message)
            return redirect("profile_detail", profile_id)
        messages.success(request, _("The profile is gone."))
        return redirect("profile_list")
    context = {
        "title": _("Take this profile away?"),
        "question": profile.name,
        "consequences": [
            _("Only a profile that no key follows can be taken away."),
            _("Calls made with it stay in the lists."),
        ],
        "undo": _("Write it again under the same name."),
        "submit_label": _("Take “%(name)s” away") % {"name": profile.name},
        "back_url": reverse("profile_detail", args=[profile.pk]),
    }
    return render(request, "confirm.html", context)


@login_required
@require_POST
def profile_bind(request: Asked, profile_id: int) -> HttpResponse:
    profile = selectors.profile_for(request.user, profile_id)
    form = BindForm(request.POST, keys=selectors.keys_to_bind(request.user, profile)[:MOST_KEYS])
    if form.is_valid():
        try:
            with transaction.atomic():
                chosen = [form.found[pk] for pk in form.cleaned_data["keys"]]
                count = sum(services.bind_key(actor=request.user, key=key, profile=profile) for key in chosen)
        except PortalError as refused:
            messages.error(request, refused.message)
        else:
            said = ngettext("%(count)d key follows the profile now.", "%(count)d keys follow the profile now.", count)
            messages.success(request, said % {"count": count})
    else:
        messages.error(request, _("Tick the keys that shall follow the profile."))
    return redirect("profile_detail", profile_id)


def _kept(request: Asked, profile_id: int) -> UseProfile:
    profile = selectors.profile_for(request.user, profile_id)
    if not services.may_keep(request.user, profile.team):
        raise NotAllowed(_("Owners of the team and the operators keep its profiles."))
    return profile


def _form_page(request: Asked, form: forms.Form, act: Any, title: str, submit_label: str, back_url: str) -> HttpResponse:
    if request.method == "POST" and form.is_valid():
        try:
            profile = act()
        except PortalError as refused:
            field = refused.details.get("field")
            form.add_error(field if field in form.fields else None, refused.message)
        else:
            messages.success(request, _("Saved. Calls and set-up cards follow within seconds; no client has to be changed."))
            return redirect("profile_detail", profile.pk)
    context = {
        "form": form,
        "title": title,
        "submit_label": submit_label,
        "back_url": back_url,
        "back_label": _("Use profiles"),
    }
    return render(request, "_form_page.html", context)
