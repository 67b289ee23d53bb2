"""Invitations: the mailed link, what it opens, and the list of open ones."""

from allauth.account.internal.flows.login import perform_login
from allauth.account.models import Login
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import translation
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from accounts import selectors
from accounts.forms import AcceptForm
from accounts.models import Invitation
from accounts.services import invitations
from accounts.views.common import person, show_refusal
from config.foundation.errors import PortalError

SESSION_KEY = "invitation_digest"


@require_GET
def invitation_open(request: HttpRequest, token: str) -> HttpResponse:
    """The mailed link. The token leaves the address at once, so that no log, history or referrer repeats it."""
    digest = invitations.digest_of(token)
    invitation = invitations.open_invitation(digest=digest)
    request.session[SESSION_KEY] = digest.hex()
    if not request.user.is_authenticated:
        translation.activate(invitation.language)
    return redirect("invitation_accept")


def invitation_accept(request: HttpRequest) -> HttpResponse:
    """Choose a user name and a password, or, with an account, join the team."""
    digest = bytes.fromhex(request.session.get(SESSION_KEY, ""))
    invitation = invitations.open_invitation(digest=digest)
    if request.user.is_authenticated or selectors.has_account(invitation):
        return _join(request, invitation, digest)
    initial = {"language": invitation.language, "time_zone": "UTC", "username": invitation.email.partition("@")[0]}
    form = AcceptForm(request.POST or None, initial=initial)
    if request.method == "POST" and form.is_valid():
        values = {name: form.cleaned_data[name] for name in form.cleaned_data if name != "password_again"}
        try:
            made = invitations.accept(digest=digest, **values)
        except PortalError as error:
            show_refusal(form, error, name_taken="username")
        else:
            del request.session[SESSION_KEY]
            return perform_login(request, Login(user=made, email=made.email))
    return render(request, "accounts/invitation_accept.html", {"form": form, "invitation": invitation})


def _join(request: HttpRequest, invitation: Invitation, digest: bytes) -> HttpResponse:
    if request.method == "POST" and request.user.is_authenticated:
        user = person(request)
        invitations.accept_as(actor=user, digest=digest)
        del request.session[SESSION_KEY]
        messages.success(request, _("You are in the team %(team)s now.") % {"team": invitation.group})
        return redirect("team_list")
    is_theirs = request.user.is_authenticated and person(request).email.lower() == invitation.email.lower()
    return render(request, "accounts/invitation_join.html", {"invitation": invitation, "is_theirs": is_theirs})


@login_required
def invitation_list(request: HttpRequest) -> HttpResponse:
    return render(request, "accounts/invitation_list.html", {"invitations": selectors.invitations_of(person(request))})


@login_required
@require_POST
def invitation_withdraw(request: HttpRequest, invitation_id: int) -> HttpResponse:
    user = person(request)
    invitation = selectors.invitation_for(user, invitation_id)
    invitations.withdraw(actor=user, invitation=invitation)
    messages.success(request, _("The link sent to %(email)s no longer works.") % {"email": invitation.email})
    if invitation.group_id:
        return redirect("team_detail", invitation.group_id)
    return redirect("invitation_list")
