"""People, for staff: who is there, what they may do, and changes by administrators."""

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _

from accounts import selectors
from accounts.forms import InvitationForm, ReasonForm, RoleForm
from accounts.models import Role, User
from accounts.rights import may, require
from accounts.services import invitations, people
from accounts.views.common import person, show_refusal
from config.foundation.errors import PortalError


@login_required
def person_list(request: HttpRequest) -> HttpResponse:
    user = person(request)
    filters: dict[str, Any] = {name: request.GET.get(name, "").strip() for name in ("text", "state", "role", "group", "after")}
    page = selectors.people_for(user, **filters)
    return render(
        request,
        "accounts/person_list.html",
        {
            "page": page,
            "filters": filters,
            "counts": selectors.people_count(user),
            "states": User.State.choices,
            "roles": Role.choices,
            "may_invite": may(user, "people.manage"),
            "is_filtered": any(filters[name] for name in ("text", "state", "role", "group")),
        },
    )


@login_required
def person_detail(request: HttpRequest, person_id: int) -> HttpResponse:
    user = person(request)
    require(user, "people.view")
    shown = selectors.person_for(user, person_id)
    return render(
        request,
        "accounts/person_detail.html",
        {
            "shown": shown,
            "memberships": selectors.teams_of(shown),
            "events": selectors.audit_of(user, shown),
            "may_change": may(user, "people.manage"),
        },
    )


@login_required
def invitation_create(request: HttpRequest) -> HttpResponse:
    user = person(request)
    require(user, "people.manage")
    form = InvitationForm(request.POST or None, initial={"language": user.language})
    if request.method == "POST" and form.is_valid():
        try:
            invitation = invitations.invite(actor=user, **form.cleaned_data)
        except PortalError as error:
            show_refusal(form, error, email_taken="email")
        else:
            messages.success(request, _("The invitation to %(email)s is on its way.") % {"email": invitation.email})
            return redirect("invitation_list")
    return render(request, "accounts/invitation_create.html", {"form": form, "team": None})


@login_required
def person_role(request: HttpRequest, person_id: int) -> HttpResponse:
    user = person(request)
    require(user, "people.manage")
    shown = selectors.person_for(user, person_id)
    form = RoleForm(request.POST or None, initial={"role": shown.role})
    if request.method == "POST" and form.is_valid():
        try:
            people.set_role(actor=user, person=shown, **form.cleaned_data)
        except PortalError as error:
            show_refusal(form, error)
        else:
            messages.success(
                request, _("%(name)s is now: %(role)s.") % {"name": shown.get_full_name(), "role": shown.get_role_display()}
            )
            return redirect("person_detail", shown.pk)
    context = {
        "title": _("Change the role of %(name)s") % {"name": shown.get_full_name()},
        "question": _("A role decides which pages and actions are open to a person."),
        "consequences": [
            _("The new role counts from the next click on."),
            _("Administrators, operations, support and finance need a second factor before they see a staff page."),
        ],
        "undo": _("Change the role again."),
        "submit_label": _("Change the role"),
    }
    return _confirm(request, shown, form, context)


@login_required
def person_disable(request: HttpRequest, person_id: int) -> HttpResponse:
    context = {
        "question": _("Disabled people keep their data and their balance."),
        "consequences": [
            _("They can no longer log in; open pages end at the next click."),
            _("Calls with keys they own are refused."),
        ],
        "undo": _("Enable the person again: the same password and keys work."),
    }
    return _state_page(request, person_id, people.disable_person, _("Disable %(name)s"), _("%(name)s is disabled."), context)


@login_required
def person_enable(request: HttpRequest, person_id: int) -> HttpResponse:
    context = {
        "question": _("The person gets back what the account had."),
        "consequences": [_("They can log in again."), _("Their active keys are accepted again.")],
        "undo": _("Disable the person again."),
        "is_danger": False,
    }
    return _state_page(request, person_id, people.enable_person, _("Enable %(name)s"), _("%(name)s is enabled."), context)


def _state_page(
    request: HttpRequest, person_id: int, change: Any, label: str, done: str, context: dict[str, Any]
) -> HttpResponse:
    user = person(request)
    require(user, "people.manage")
    shown = selectors.person_for(user, person_id)
    form = ReasonForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            change(actor=user, person=shown, reason=form.cleaned_data["reason"])
        except PortalError as error:
            show_refusal(form, error)
        else:
            messages.success(request, done % {"name": shown.get_full_name()})
            return redirect("person_detail", shown.pk)
    said = label % {"name": shown.get_full_name()}
    return _confirm(request, shown, form, {"title": said, "submit_label": said, **context})


def _confirm(request: HttpRequest, shown: User, form: Any, context: dict[str, Any]) -> HttpResponse:
    back = reverse("person_detail", args=[shown.pk])
    return render(request, "confirm.html", {"form": form, "back_url": back, **context})
