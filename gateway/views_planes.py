"""Pages of data planes: how they do, a token shown once, what is asked of them."""

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.cache import cache
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.crypto import get_random_string
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.rights import may, require
from accounts.views.common import person, show_refusal
from config.foundation.errors import PortalError
from gateway import selectors_planes as selectors
from gateway.forms_planes import PlaneForm, RotateForm
from gateway.models import DataPlane
from gateway.services.planes import RIGHT, allow_secrets, ask_plane, create_plane, revoke_plane, rotate_token

PAGE_METHODS = ["GET", "HEAD", "POST"]
ONCE_SECONDS = 3600


@login_required
@require_safe
def plane_list(request: HttpRequest) -> HttpResponse:
    user = person(request)
    states = selectors.plane_states(user)
    context = {
        "states": states,
        "relays": selectors.relay_states(user),
        "active": sum(one.plane.state == DataPlane.State.ACTIVE for one in states),
        "may_manage": may(user, RIGHT),
    }
    return render(request, "gateway/plane_list.html", context)


@login_required
@require_safe
def plane_detail(request: HttpRequest, plane_id: int) -> HttpResponse:
    user = person(request)
    state = selectors.plane_for(user, plane_id)
    context = {
        "state": state,
        "plane": state.plane,
        "refused": selectors.refused_events(user, state.plane)[:20],
        "differences": selectors.differing_hours(user, state.plane)[:20],
        "may_manage": may(user, RIGHT) and state.plane.state == DataPlane.State.ACTIVE,
    }
    return render(request, "gateway/plane_detail.html", context)


@login_required
@never_cache
@require_http_methods(PAGE_METHODS)
def plane_new(request: HttpRequest) -> HttpResponse:
    user = person(request)
    require(user, RIGHT)
    form = PlaneForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        if _was_done(request):
            return redirect("plane_list")
        try:
            plane, clear = create_plane(actor=user, **form.cleaned_data)
        except PortalError as refused:
            show_refusal(form, refused)
        else:
            _remember(request)
            return render(request, "gateway/plane_token.html", {"plane": plane, "clear": clear})
    context = {"form": form, "once": _once()}
    return render(request, "gateway/plane_new.html", context, status=422 if form.is_bound else 200)


@login_required
@never_cache
@require_http_methods(PAGE_METHODS)
def plane_rotate(request: HttpRequest, plane_id: int) -> HttpResponse:
    user = person(request)
    require(user, RIGHT)
    plane = selectors.plane_for(user, plane_id).plane
    form = RotateForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        if _was_done(request):
            return redirect("plane_detail", plane.pk)
        try:
            clear = rotate_token(actor=user, plane=plane, **form.cleaned_data)
        except PortalError as refused:
            form.add_error(None, refused.message)
        else:
            _remember(request)
            return render(request, "gateway/plane_token.html", {"plane": plane, "clear": clear, "is_rotation": True})
    context = {"form": form, "plane": plane, "once": _once()}
    return render(request, "gateway/plane_rotate.html", context, status=422 if form.is_bound else 200)


@login_required
@require_http_methods(PAGE_METHODS)
def plane_revoke(request: HttpRequest, plane_id: int) -> HttpResponse:
    user = person(request)
    require(user, RIGHT)
    plane = selectors.plane_for(user, plane_id).plane
    if request.method == "POST":
        if revoke_plane(actor=user, plane=plane):
            messages.success(request, _("The data plane is revoked. Its tokens are refused from now on."))
        else:
            messages.info(request, _("The data plane was revoked before, nothing changed."))
        return redirect("plane_detail", plane.pk)
    context = {
        "title": _("Revoke this data plane?"),
        "question": plane.name,
        "consequences": [
            _("Its calls to the portal are refused at once: it takes no new calls of clients."),
            _("Usage it has not reported yet is not paid; what is held for those calls goes back to their owners."),
            _("It cannot be made active again."),
        ],
        "undo": _("Add a new data plane and give its token to the engine."),
        "submit_label": _("Revoke “%(name)s” for good") % {"name": plane.name},
        "back_url": reverse("plane_detail", args=[plane.pk]),
    }
    return render(request, "confirm.html", context)


@login_required
@require_POST
def plane_ask(request: HttpRequest, plane_id: int) -> HttpResponse:
    user = person(request)
    require(user, RIGHT)
    plane = selectors.plane_for(user, plane_id).plane
    try:
        ask_plane(actor=user, plane=plane, wanted=request.POST.get("wanted", ""))
    except PortalError as refused:
        messages.error(request, refused.message)
    else:
        messages.success(request, _("Asked. Each process hears it at its next heartbeat, within ten seconds."))
    return redirect("plane_detail", plane.pk)


@login_required
@require_POST
def plane_secrets(request: HttpRequest, plane_id: int) -> HttpResponse:
    user = person(request)
    require(user, RIGHT)
    plane = selectors.plane_for(user, plane_id).plane
    allowed = request.POST.get("allowed") == "yes"
    allow_secrets(actor=user, plane=plane, allowed=allowed)
    text = (
        _("It may read credentials of upstreams now.") if allowed else _("It may not read credentials of upstreams any more.")
    )
    messages.success(request, text)
    return redirect("plane_detail", plane.pk)


def _once() -> str:
    """A word in the form: a page that is sent again does not make a second token."""
    return get_random_string(24)


def _was_done(request: HttpRequest) -> bool:
    if not cache.get(f"plane-once-{request.POST.get('once', '')[:64]}"):
        return False
    messages.info(request, _("This was done already, and the token was shown then. Lost it? Issue another one."))
    return True


def _remember(request: HttpRequest) -> None:
    cache.set(f"plane-once-{request.POST.get('once', '')[:64]}", True, ONCE_SECONDS)
