"""Pages of keys: parse, ask, show. A clear secret is in the one answer that made it and is never put in a session."""

import uuid
from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.cache import cache
from django.db import transaction
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.models import User
from config.foundation.clock import now
from config.foundation.errors import PortalError
from keys import allowance, services, services_policy
from keys.forms import ChangeForm, IssueForm, ReasonForm, RotateForm
from keys.models import ApiKey
from keys.selectors import history_of, is_living, key_for, keys_for, secret_for, standing_of
from keys.services_profiles import bind_key

PAGE = 50
# From so many keys on the list has a field to look for one.
MANY = 8
ONCE_SECONDS = 24 * 3600


class Asked(HttpRequest):
    """A request of somebody who is logged in."""

    user: User


@login_required
@require_safe
def key_list(request: Asked) -> HttpResponse:
    chosen = request.GET.get("state", "")
    keys = keys_for(request.user)
    if chosen in ApiKey.State.values:
        keys = keys.filter(state=chosen)
    elif chosen != "all":
        chosen = ""
        keys = keys.exclude(state=ApiKey.State.REVOKED)
    wanted = request.GET.get("q", "").strip()[:100]
    if wanted:
        named = Q(name__icontains=wanted) | Q(secrets__tail=wanted.removeprefix("sk-").lstrip("."))
        keys = keys.filter(pk__in=keys.filter(named).order_by().values("pk"))
    before = request.GET.get("before", "")
    if before.isdigit():
        keys = keys.filter(pk__lt=int(before[:18]))
    found = list(keys.order_by("-pk")[: PAGE + 1])
    rows = found[:PAGE]
    kept = {"state": chosen, "q": wanted}
    allowances = allowance.read([key.pk for key in rows])
    context = {
        "rows": [_row(key, allowances.get(key.pk)) for key in rows],
        "chosen": chosen,
        "states": [("", _("in use")), *ApiKey.State.choices, ("all", _("all"))],
        "q": wanted,
        # A handful is read at a glance.
        "may_search": bool(wanted) or len(rows) >= MANY,
        "older_url": f"?{urlencode({**kept, 'before': rows[-1].pk})}" if len(found) > PAGE else "",
        "newest_url": f"?{urlencode(kept)}" if before else "",
        "may_issue": services_policy.may_issue(request.user),
    }
    return render(request, "keys/key_list.html", context)


@login_required
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def key_issue(request: Asked) -> HttpResponse:
    if request.method == "POST":
        services_policy.require_issuer(request.user)
    form = IssueForm(request.POST or None, actor=request.user)
    if request.method == "POST" and form.is_valid():
        data = form.cleaned_data
        seen = _once(data["once"])
        if seen:
            return _shown_already(request, seen)
        try:
            key, clear = _issue(request.user, form)
        except PortalError as refused:
            field = refused.details.get("field")
            form.add_error(field if field in form.fields else None, refused.message)
        else:
            _remember_once(data["once"], key)
            return render(request, "keys/key_secret.html", {"key": key, "clear": clear})
    context = {"form": form, "may_issue": services_policy.may_issue(request.user)}
    return render(request, "keys/key_issue.html", context, status=200 if context["may_issue"] else 403)


@transaction.atomic
def _issue(actor: User, form: IssueForm) -> tuple[ApiKey, str]:
    data = form.cleaned_data
    key, clear = services.issue_key(
        actor=actor,
        **form.owner_and_team(),
        name=data["name"],
        purpose=data["purpose"],
        model_names=form.chosen_models(),
        networks=data["networks"],
        expires_at=data["ends_on"],
    )
    if profile := form.chosen_profile():
        bind_key(actor=actor, key=key, profile=profile)
    if data["limit"] is not None:
        allowance.set_limit(actor=actor, key=key, limit_nano=data["limit"])
    return key, clear


@login_required
@require_safe
def key_detail(request: Asked, key_id: int) -> HttpResponse:
    key = key_for(request.user, key_id)
    may_manage = services.may_manage(request.user, key)
    at = now()
    context = {
        "key": key,
        "row": _row(key, allowance.read([key.pk]).get(key.pk)),
        "secrets": [{"secret": secret, "is_living": is_living(secret, at)} for secret in key.secrets.all()],
        "history": history_of(key)[:20] if may_manage else [],
        "may_manage": may_manage,
        "may_enable": key.state in (ApiKey.State.DISABLED, ApiKey.State.PAUSED) and services.may_enable(request.user, key),
    }
    return render(request, "keys/key_detail.html", context)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def key_change(request: Asked, key_id: int) -> HttpResponse:
    key = _managed(request, key_id)
    limit = allowance.read([key.pk]).get(key.pk, allowance.Allowance()).limit_nano
    form = ChangeForm(request.POST or None, actor=request.user, key=key, limit_nano=limit)
    if request.method == "POST" and form.is_valid():
        try:
            _change(request.user, key, form, limit)
        except PortalError as refused:
            field = refused.details.get("field")
            form.add_error(field if field in form.fields else None, refused.message)
        else:
            messages.success(request, _("The key was changed. Calls follow the new limits within seconds."))
            return redirect("key_detail", key.pk)
    return render(request, "keys/key_change.html", {"form": form, "key": key})


@transaction.atomic
def _change(actor: User, key: ApiKey, form: ChangeForm, limit: int | None) -> None:
    data = form.cleaned_data
    services.rename_key(actor=actor, key=key, name=data["name"], purpose=data["purpose"])
    bind_key(actor=actor, key=key, profile=form.chosen_profile())
    services.set_key_limits(
        actor=actor, key=key, model_names=form.chosen_models(), networks=data["networks"], expires_at=data["ends_on"]
    )
    if key.team is not None:
        services.set_key_member(actor=actor, key=key, member=form.chosen_member())
    if data["limit"] != limit:
        allowance.set_limit(actor=actor, key=key, limit_nano=data["limit"])


@login_required
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def key_rotate(request: Asked, key_id: int) -> HttpResponse:
    key = _managed(request, key_id)
    form = RotateForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        seen = _once(form.cleaned_data["once"])
        if seen:
            return _shown_already(request, seen)
        hours = form.cleaned_data["overlap_hours"]
        clear = services.rotate_key(actor=request.user, key=key, overlap_hours=hours)
        _remember_once(form.cleaned_data["once"], key)
        ending = key.secrets.filter(revoked_at=None, valid_until__gt=now()).order_by("-created_at").first()
        return render(request, "keys/key_secret.html", {"key": key, "clear": clear, "is_rotation": True, "ending": ending})
    tails = ", ".join(f"sk-...{tail}" for tail in services.living_secrets(key).values_list("tail", flat=True))
    context = {"form": form, "key": key, "living_tails": tails}
    return render(request, "keys/key_rotate.html", context)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def key_disable(request: Asked, key_id: int) -> HttpResponse:
    key = _managed(request, key_id)
    return _confirmed(
        request,
        key,
        act=services.disable_key,
        done=_("The key is disabled. Calls with it are refused from now on."),
        again=_("The key was not active, nothing changed."),
        title=_("Disable this key?"),
        submit_label=_("Disable “%(name)s”") % {"name": key.name},
        consequences=[
            _("Calls with this key are refused with 401 within seconds."),
            _("Calls that run now are finished and charged."),
            _("Secrets, limits and history stay."),
        ],
        undo=_("Enable it again on its page."),
    )


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def key_revoke(request: Asked, key_id: int) -> HttpResponse:
    key = _managed(request, key_id)
    count = services.living_secrets(key).count()
    return _confirmed(
        request,
        key,
        act=services.revoke_key,
        done=_("The key is revoked for good."),
        again=_("The key was revoked before, nothing changed."),
        title=_("Revoke this key?"),
        submit_label=_("Revoke “%(name)s” for good") % {"name": key.name},
        consequences=[
            ngettext(
                "%(count)d valid secret ends within seconds; calls with it get 401.",
                "%(count)d valid secrets end within seconds; calls with them get 401.",
                count,
            )
            % {"count": count},
            _("Its calls and charges stay in the lists."),
        ],
        undo=_("There is none: you would issue a new key. To stop it for a while, disable it instead."),
    )


@login_required
@require_POST
def key_enable(request: Asked, key_id: int) -> HttpResponse:
    key = key_for(request.user, key_id)
    if services.enable_key(actor=request.user, key=key):
        messages.success(request, _("The key is enabled. Calls with it are accepted within seconds."))
    else:
        messages.info(request, _("The key was active already."))
    return redirect("key_detail", key.pk)


@login_required
@require_POST
def key_secret_revoke(request: Asked, key_id: int, secret_id: int) -> HttpResponse:
    secret = secret_for(request.user, key_id, secret_id)
    if services.revoke_secret(actor=request.user, secret=secret):
        messages.success(request, _("The secret ending in %(tail)s no longer works.") % {"tail": secret.tail})
    else:
        messages.info(request, _("That secret had ended before."))
    return redirect("key_detail", key_id)


def _managed(request: Asked, key_id: int) -> ApiKey:
    key = key_for(request.user, key_id)
    services.require_manage(request.user, key)
    return key


def _confirmed(request: Asked, key: ApiKey, *, act: Any, done: str, again: str, **page: Any) -> HttpResponse:
    form = ReasonForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            changed = act(actor=request.user, key=key, reason=form.cleaned_data["reason"])
        except PortalError as refused:
            form.add_error("reason", refused.message)
        else:
            messages.success(request, done) if changed else messages.info(request, again)
            return redirect("key_detail", key.pk)
    page |= {"form": form, "question": key.name, "back_url": reverse("key_detail", args=[key.pk])}
    return render(request, "confirm.html", page)


def _row(key: ApiKey, allowed: allowance.Allowance | None) -> dict[str, Any]:
    at = now()
    living = [secret for secret in key.secrets.all() if is_living(secret, at)]
    ending = [secret for secret in living if secret.valid_until]
    return {
        "key": key,
        "standing": standing_of(key),
        "tails": [secret.tail for secret in (living or list(key.secrets.all())[:1])],
        "allowance": allowed,
        "ending": max(ending, key=lambda secret: secret.valid_until or at) if ending else None,
    }


def _once_name(once: uuid.UUID) -> str:
    return f"keys:once:{once.hex}"


def _once(once: uuid.UUID) -> int:
    """Id of the key that this very form made before, else 0: a reloaded page must not issue a second one."""
    return int(cache.get(_once_name(once), 0))


def _remember_once(once: uuid.UUID, key: ApiKey) -> None:
    cache.set(_once_name(once), key.pk, ONCE_SECONDS)


def _shown_already(request: Asked, key_id: int) -> HttpResponse:
    messages.info(
        request, _("This was done already, and the secret was shown then. Lost it? Rotate the key: the old secret can overlap.")
    )
    return redirect("key_detail", key_id)
