"""Pages of the entry: how to set up a client, and the support's search for calls."""

from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db.models import F
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import translation
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from accounts.models import User
from accounts.rights import may, require
from billing.explain import BY_CODE, explain_call
from billing.forms import FindForm
from billing.models import RequestLog
from billing.selectors import call_detail, calls_for
from billing.selectors.calls import refunds_of_call
from billing.selectors.repeats import fold, repeats_among
from billing.views.calls import chips, price_lines, steps_of
from config.foundation.clock import now
from gateway.contract.endpoints import ENDPOINTS
from gateway.probes import PROFILES
from gateway.recognise import is_pasted_key, people_like, readings_of
from gateway.selectors import access_by_model, models_open_to
from gateway.setup_cards import cards
from keys.models import ApiKey
from keys.selectors import is_living, key_for, keys_for, standing_of

MOST_KEYS = 50
NO_MODEL = "gpt-4o"
LATEST_USED = F("last_used_at").desc(nulls_last=True)


class Asked(HttpRequest):
    """A request of somebody who is logged in."""

    user: User


@login_required
@require_safe
def setup_guide(request: Asked) -> HttpResponse:
    keys = list(keys_for(request.user).filter(state=ApiKey.State.ACTIVE).order_by(LATEST_USED, "-pk")[:MOST_KEYS])
    wanted = request.GET.get("key", "")
    key = key_for(request.user, int(wanted[:18])) if wanted.isdigit() else next(iter(keys), None)
    models = models_open_to(request.user, key.pk) if key else []
    profile = key.profile if key else None
    if profile and profile.alias in models:
        models = [profile.alias, *(name for name in models if name != profile.alias)]
    model = request.GET.get("model", "")
    model = model if model in models else next(iter(models), NO_MODEL)
    answers = profile.default_model if profile and model == profile.alias else ""
    use = profile.use if profile else ""
    origin = settings.PUBLIC_URL.rstrip("/")
    at = now()
    tails = [secret.tail for secret in key.secrets.all() if is_living(secret, at)] if key else []
    context = {
        "cards": cards(
            origin=origin,
            tail=tails[0] if tails else "",
            model=model,
            served=frozenset(ENDPOINTS),
            use=use,
            answers=answers,
        ),
        "keys": keys,
        "key": key,
        "models": models,
        "model": model,
        "profiles": PROFILES.values(),
    }
    return render(request, "gateway/setup_guide.html", context)


@login_required
@require_safe
def find(request: Asked) -> HttpResponse:
    require(request.user, "calls.search")
    if any(is_pasted_key(str(value)) for value in request.GET.values()):
        # Away from the address with the key in it, so that no history or log keeps it.
        messages.warning(
            request,
            _("That was a whole API key. It was not searched for or kept. Its last four characters are enough."),
        )
        return redirect("find")
    if text := request.GET.get("q", "").strip():
        return _recognised(request, text[:255])
    form = FindForm(request.GET)
    form.is_valid()
    data = getattr(form, "cleaned_data", {})
    person = User.objects.filter(username=data["person"]).first() if data.get("person") else None
    is_asked = any(request.GET.get(name) for name in form.fields)
    context: dict[str, Any] = {
        "form": form,
        "chips": chips(form),
        "person": person,
        "recognised": request.GET.get("as", ""),
        "is_asked": is_asked,
        "before": request.GET.get("before", ""),
    }
    # A name that is nobody's must find nothing, not everybody's calls.
    if is_asked and (person or not data.get("person")):
        page = calls_for(request.user, form.filters(person.pk if person else None), before=request.GET.get("before") or None)
        context |= {"rows": fold(page.rows), "older": page.next_before}
    return render(request, "gateway/find.html", context)


@login_required
@require_safe
def find_call(request: Asked, request_id: str) -> HttpResponse:
    require(request.user, "calls.search")
    call = call_detail(request.user, request_id)
    key = call.key if call.key_id and ApiKey.objects.filter(pk=call.key_id).exists() else None
    person = call.user if call.user_id and User.objects.filter(pk=call.user_id).exists() else None
    language = person.language if person else translation.get_language()
    refunds = refunds_of_call(request.user, call)
    with translation.override(language):
        tell = explain_call(call, refunds).tell
    context = {
        "call": call,
        "why": explain_call(call, refunds),
        "may_refund": may(request.user, "ledger.adjust") and call.cost_nano > 0 and call.origin == "relay",
        "tell": tell,
        "tell_language": language,
        "person": person,
        "key": key,
        "key_standing": standing_of(key) if key else None,
        "steps": steps_of(call, refunds),
        "lines": price_lines(call),
        "may_see_key": may(request.user, "keys.view"),
        "may_see_route": may(request.user, "calls.inner_route"),
        "paid_by": paid_by(call, key),
        "repeat": repeats_among([call]).get(call.id),
    }
    return render(request, "gateway/find_call.html", context)


def paid_by(call: RequestLog, key: ApiKey | None) -> str:
    """Which group or team the call was, or would have been, paid in."""
    if key and key.team:
        return _("team %(name)s") % {"name": key.team}
    return call.group_code or _("no group")


def _recognised(request: Asked, text: str) -> HttpResponse:
    readings = readings_of(request.user, text)
    if not readings:
        context = {"form": FindForm(), "unknown": text, "people": people_like(request.user, text)}
        return render(request, "gateway/find.html", context)
    first = readings[0]
    if first.kind == "task":
        return redirect("task_detail", first.value)
    if first.kind == "id":
        return redirect("find_call", first.value)
    if len(readings) > 1:
        others = ", ".join(reading.word for reading in readings[1:])
        messages.info(request, _("Read as %(kind)s. It could also be: %(others)s.") % {"kind": first.word, "others": others})
    return redirect(f"{reverse('find')}?{urlencode({first.kind: first.value, 'period': '30', 'as': first.kind})}")


@login_required
@require_safe
def key_may_call(request: Asked, key_id: int) -> HttpResponse:
    """What a key may call now, and for the rest the reason, as the unified entry would decide."""
    key = key_for(request.user, key_id)
    sees_all = may(request.user, "keys.view")
    rows: list[dict[str, Any]] = []
    for name, found in access_by_model(request.user, key.pk):
        denial = found.denial
        # A customer is told of models that are open to others only where a fence, the key or the price is the reason.
        if denial is None or sees_all or denial.code != "model_not_available_for_group":
            why = BY_CODE.get(denial.code) if denial else None
            rows.append({"name": name, "is_allowed": denial is None, "denial": denial, "why": why})
    context = {"key": key, "rows": rows, "allowed_count": sum(row["is_allowed"] for row in rows)}
    return render(request, "gateway/key_may_call.html", context)
