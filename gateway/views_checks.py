"""Pages of an access check: start it, watch it, read what came of it."""

from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_POST, require_safe

from accounts.views.common import person
from config.foundation.errors import PortalError
from gateway import selectors, services
from gateway.models import AccessCheck
from gateway.probes import PROFILES

ADVICE = {
    "refused": gettext_lazy("The entry refused the call. The code says why; the call is in your list of calls."),
    "unreachable": gettext_lazy("Nothing answers at the entry's address. Ask your administrator; no call was made."),
    "timeout": gettext_lazy("No answer within a minute. The model may be slow or away; try another one."),
    "not-json": gettext_lazy("The answer was no JSON: something between the client and the entry changes it."),
    "not-streaming": gettext_lazy(
        "The answer came in one piece at the end: a proxy on the way collects it. Turn its buffering off."
    ),
    "stream-not-ended": gettext_lazy(
        "The stream never said that it is over, so clients keep waiting. The upstream or a proxy holds it open."
    ),
    "stream-cut": gettext_lazy(
        "The connection broke in the middle of the stream. Try again; if it repeats, ask your administrator."
    ),
}


@login_required
@require_POST
def access_check_start(request: HttpRequest) -> HttpResponse:
    key = request.POST.get("key", "")
    try:
        check = services.start_check(
            actor=person(request),
            key_id=int(key[:18]) if key.isdecimal() else 0,
            profile=request.POST.get("profile", ""),
            model=request.POST.get("model", ""),
        )
    except PortalError as error:
        if error.http_status in (403, 404):
            raise
        messages.error(request, error.message)
        return redirect("setup_guide")
    return redirect("access_check", check.pk)


@login_required
@require_safe
def access_check(request: HttpRequest, check_id: UUID) -> HttpResponse:
    return render(request, "gateway/access_check.html", _context(selectors.check_for(person(request), check_id)))


@login_required
@require_safe
def access_check_result(request: HttpRequest, check_id: UUID) -> HttpResponse:
    return render(request, "gateway/_access_check.html", _context(selectors.check_for(person(request), check_id)))


def _context(check: AccessCheck) -> dict[str, object]:
    lines = [
        {
            **result,
            "name": _("Streamed call") if result["is_stream"] else _("Plain call"),
            "advice": ADVICE.get(result["cause"], ""),
        }
        for result in check.results
    ]
    profile = PROFILES.get(check.profile)
    return {
        "check": check,
        "profile": profile,
        "lines": lines,
        "is_busy": check.state in (AccessCheck.State.WAITING, AccessCheck.State.RUNNING),
        "back_url": f"{reverse('setup_guide')}?key={check.key_id}",
    }
