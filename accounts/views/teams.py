"""Teams: one's own, their members and invitations."""

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from accounts import selectors
from accounts.forms import InvitationForm, ReasonForm, TeamForm
from accounts.models import GroupMembership
from accounts.rights import may, require
from accounts.services import invitations, teams
from accounts.views.common import person, show_refusal
from config.foundation.errors import NotAllowed, PortalError


@login_required
def team_list(request: HttpRequest) -> HttpResponse:
    user = person(request)
    return render(
        request,
        "accounts/team_list.html",
        {"teams": selectors.teams_for(user), "may_create": may(user, "teams.manage")},
    )


@login_required
def team_create(request: HttpRequest) -> HttpResponse:
    user = person(request)
    require(user, "teams.manage")
    form = TeamForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        values = form.cleaned_data
        try:
            team = teams.create_team(actor=user, name=values["name"], code=values["code"], owner=values["owner"])
        except PortalError as error:
            show_refusal(form, error, team_taken="code")
        else:
            messages.success(request, _("The team %(name)s is there.") % {"name": team.name})
            return redirect("team_detail", team.pk)
    return render(request, "accounts/team_create.html", {"form": form})


@login_required
def team_detail(request: HttpRequest, team_id: int) -> HttpResponse:
    user = person(request)
    team = selectors.team_for(user, team_id)
    runs = selectors.runs_team(user, team)
    members = list(selectors.members_of(user, team))
    return render(
        request,
        "accounts/team_detail.html",
        {
            "team": team,
            "members": members,
            "runs": runs,
            "is_member": any(member.user_id == user.pk for member in members),
            "invitations": selectors.invitations_of(user, team) if runs else [],
            "owner_count": sum(member.team_role == GroupMembership.TeamRole.OWNER for member in members),
        },
    )


@login_required
def team_invite(request: HttpRequest, team_id: int) -> HttpResponse:
    user = person(request)
    team = selectors.team_for(user, team_id)
    if not selectors.runs_team(user, team):
        raise NotAllowed(_("Only the owners of the team invite."))
    form = InvitationForm(request.POST or None, team=team, initial={"language": user.language})
    if request.method == "POST" and form.is_valid():
        try:
            invitation = invitations.invite(actor=user, group=team, **form.cleaned_data)
        except PortalError as error:
            show_refusal(form, error, email_taken="email")
        else:
            messages.success(request, _("The invitation to %(email)s is on its way.") % {"email": invitation.email})
            return redirect("team_detail", team.pk)
    return render(request, "accounts/invitation_create.html", {"form": form, "team": team})


@login_required
@require_POST
def team_member_role(request: HttpRequest, team_id: int, person_id: int) -> HttpResponse:
    user = person(request)
    team = selectors.team_for(user, team_id)
    member = selectors.member_of(user, team, person_id)
    membership = teams.set_team_role(actor=user, group=team, person=member, team_role=request.POST.get("team_role", ""))
    messages.success(
        request,
        _("%(name)s is now: %(role)s.") % {"name": member.get_full_name(), "role": membership.get_team_role_display()},
    )
    return redirect("team_detail", team.pk)


@login_required
def team_member_remove(request: HttpRequest, team_id: int, person_id: int) -> HttpResponse:
    """Confirm page; for oneself it is leaving."""
    user = person(request)
    team = selectors.team_for(user, team_id)
    member = selectors.member_of(user, team, person_id)
    if member != user and not selectors.runs_team(user, team):
        raise NotAllowed(_("Only the owners of the team remove somebody."))
    form = ReasonForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        teams.remove_member(actor=user, group=team, person=member, reason=form.cleaned_data["reason"])
        messages.success(request, _("%(name)s is no longer in %(team)s.") % {"name": member.get_full_name(), "team": team.name})
        return redirect("team_list" if member == user else reverse("team_detail", args=[team.pk]))
    return render(
        request,
        "confirm.html",
        {
            "title": _("Take %(name)s out of %(team)s") % {"name": member.get_full_name(), "team": team.name},
            "question": _("The person keeps the account and the keys of their own."),
            "consequences": [
                _("%(name)s no longer sees the team's keys and calls.") % {"name": member.get_full_name()},
                _("Keys of the team go on working: whoever knows one can still use it. Rotate them if that matters."),
            ],
            "undo": _("An owner can invite the person again."),
            "submit_label": _("Take %(name)s out") % {"name": member.get_full_name()},
            "back_url": reverse("team_detail", args=[team.pk]),
            "form": form,
        },
    )
