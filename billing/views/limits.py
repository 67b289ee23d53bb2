"""Pages of limits: everything that may stop the calls of a key, a person, a team or a member, and the form to set it."""

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from accounts import selectors as people
from accounts.models import Group, User
from accounts.rights import may
from billing.forms_limits import LimitsForm
from billing.selectors.limit_lines import key_lines, members_lines, own_lines
from billing.selectors.mixed_keys import DAYS, mixed_keys
from billing.services.budgets import zone_of
from billing.services.limits import set_limits
from billing.views.home import Asked
from config.foundation.errors import NotAllowed, NotFound, PortalError
from keys.selectors import key_for
from keys.services_limits import Subject, may_limit

PAGE_METHODS = ["GET", "HEAD", "POST"]


@login_required
@require_http_methods(PAGE_METHODS)
def limits_key(request: Asked, key_id: int) -> HttpResponse:
    key = key_for(request.user, key_id)
    return _form_page(request, Subject(key=key), key.name, reverse("key_detail", args=[key.pk]))


@login_required
@require_http_methods(PAGE_METHODS)
def limits_person(request: Asked, person_id: int) -> HttpResponse:
    person = people.person_for(request.user, person_id)
    return _form_page(request, Subject(user=person), str(person), reverse("person_detail", args=[person.pk]))


@login_required
@require_http_methods(PAGE_METHODS)
def limits_group(request: Asked, group_id: int) -> HttpResponse:
    group = _group(request.user, group_id)
    return _form_page(request, Subject(group=group), str(group), reverse("limits_team", args=[group.pk]))


@login_required
@require_http_methods(PAGE_METHODS)
def limits_member(request: Asked, group_id: int, person_id: int) -> HttpResponse:
    team = people.team_for(request.user, group_id)
    member = people.member_of(request.user, team, person_id)
    title = f"{member} / {team}"
    return _form_page(request, Subject(user=member, group=team), title, reverse("limits_team", args=[team.pk]))


@login_required
@require_safe
def limits_team(request: Asked, group_id: int) -> HttpResponse:
    """The limits of a team or price class and of its members, with the way to each form."""
    group = _group(request.user, group_id)
    is_team = group.kind == Group.Kind.TEAM
    sees_members = is_team and (people.runs_team(request.user, group) or may(request.user, "keys.view"))
    lines = members_lines(request.user, group) if sees_members else {}
    members = list(group.memberships.select_related("user").order_by("user__username")) if sees_members else []
    context = {
        "group": group,
        "lines": own_lines(request.user, group=group),
        "sees_members": sees_members,
        "members": [{"person": one.user, "lines": lines.get(one.user_id, [])} for one in members],
        "may_set": may_limit(request.user, Subject(group=group)),
        "may_set_members": bool(members) and may_limit(request.user, Subject(user=members[0].user, group=group)),
        "back_url": reverse("team_detail", args=[group.pk]) if is_team else reverse("group_quota"),
    }
    return render(request, "billing/limits_team.html", context)


def _group(actor: User, group_id: int) -> Group:
    group = people.groups_for(actor).filter(pk=group_id).first()
    if group is None:
        raise NotFound
    return group


def _form_page(request: Asked, subject: Subject, name: str, back_url: str) -> HttpResponse:
    if not may_limit(request.user, subject):
        raise NotAllowed(_("Only who runs this key or team, and the operators, may set its limits."))
    whose: dict[str, Any] = {"key": subject.key, "user": subject.user, "group": subject.group}
    payer_user, payer_group = subject.user, subject.group
    if subject.key:
        payer_user, payer_group = subject.key.owner, subject.key.team
    zone = zone_of(user=payer_user.pk if payer_user else None, group=payer_group.pk if payer_group else None)
    form = LimitsForm(request.POST or None, lines=own_lines(request.user, **whose), zone=zone)
    if request.method == "POST" and form.is_valid():
        try:
            set_limits(actor=request.user, subject=subject, limits=form.limits())
        except PortalError as refused:
            field = refused.details.get("field")
            form.add_error(field if field in form.fields else None, refused.message)
        else:
            messages.success(request, _("The limits of %(name)s were changed. Calls follow within seconds.") % {"name": name})
            return redirect(back_url)
    context = {
        "form": form,
        "name": name,
        "back_url": back_url,
        "lines": key_lines(subject.key) if subject.key else own_lines(request.user, **whose),
    }
    return render(request, "billing/limits_form.html", context)


@login_required
@require_safe
def limits_mixed_keys(request: Asked) -> HttpResponse:
    """Keys that seem to serve several purposes at once."""
    rows = mixed_keys(request.user)
    counts = {"mixed_count": sum(row.is_mixed for row in rows), "unsaid_count": sum(row.is_unsaid for row in rows)}
    context = {"rows": rows, **counts, "days": DAYS}
    return render(request, "billing/mixed_keys.html", context)
