"""The page of the keys of a wave: choices, confirmations by the relays, and who was seen on the new side."""

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.http import require_http_methods, require_POST

from accounts.rights import may
from accounts.views.common import person, show_refusal
from config.foundation.errors import PortalError
from migrations_center import selectors_keys, selectors_waves
from migrations_center.forms_keys import KeyChoiceForm
from migrations_center.models import Wave
from migrations_center.present_waves import WITHHELD
from migrations_center.services import continuity
from migrations_center.services.continuity import OPEN_STATES, RIGHT
from migrations_center.views_waves import for_change

BEFORE = (*OPEN_STATES, Wave.State.NOTIFIED)
FILTERS = {
    "": gettext_lazy("all"),
    "unseen": gettext_lazy("not seen on new"),
    "flagged": gettext_lazy("used at the old side"),
    "missing": gettext_lazy("not confirmed"),
}


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def wave_keys(request: HttpRequest, wave_id: int) -> HttpResponse:
    actor = person(request)
    wave = selectors_waves.wave_for(actor, wave_id)
    lines = selectors_keys.lines_of(actor, wave)
    is_open = wave.state in OPEN_STATES and may(actor, RIGHT)
    form = KeyChoiceForm(request.POST or None, key_ids=[line.key.pk for line in lines if line.is_live])
    if request.method == "POST":
        for_change(request, wave_id)
        if form.is_valid():
            try:
                changed = continuity.choose(
                    actor=actor,
                    wave=wave,
                    key_ids=[int(key_id) for key_id in form.cleaned_data["keys"]],
                    choice=form.cleaned_data["choice"],
                    overlap_hours=form.cleaned_data["overlap_hours"],
                    reason=form.cleaned_data["reason"],
                )
            except PortalError as error:
                show_refusal(form, error)
            else:
                said = ngettext("%(count)s key is chosen for anew.", "%(count)s keys are chosen for anew.", changed)
                messages.success(request, said % {"count": changed})
                return redirect("wave_keys", wave.pk)
    shown = request.GET.get("show", "")
    context = {
        "wave": wave,
        "lines": [line for line in lines if _is_shown(line, shown)],
        "key_count": len(lines),
        "adoption": selectors_keys.adoption_of(lines),
        "missing": [(one.key_name, one.relay, WITHHELD[one.reason]) for line in lines for one in line.missing],
        "form": form,
        "is_open": is_open,
        "is_before": wave.state in BEFORE,
        "may_ask": wave.state in (Wave.State.READY, Wave.State.NOTIFIED) and may(actor, RIGHT),
        "filters": FILTERS.items(),
        "shown": shown,
    }
    return render(request, "migrations_center/wave_keys.html", context, status=422 if form.errors else 200)


@login_required
@require_POST
def wave_keys_ask(request: HttpRequest, wave_id: int) -> HttpResponse:
    user, wave = for_change(request, wave_id)
    count = continuity.ask_relays(actor=user, wave=wave)
    said = ngettext("The relays were asked for %(count)s key.", "The relays were asked for %(count)s keys.", count)
    messages.success(request, said % {"count": count} + " " + _("They answer within a few seconds."))
    return redirect("wave_keys", wave.pk)


def _is_shown(line: selectors_keys.KeyLine, shown: str) -> bool:
    if shown == "unseen":
        return line.counts and line.adopted_at is None
    if shown == "flagged":
        return line.old_use is not None
    return bool(line.missing) if shown == "missing" else True
