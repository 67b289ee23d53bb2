"""Pages of parameter templates: the list, one with its versions, writing one, running one."""

from typing import Any

import orjson
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.models import User
from config.foundation.errors import NotAllowed, PortalError
from gateway import selectors_tasks as selectors
from gateway.forms_tasks import RunForm, TemplateForm
from gateway.services import templates
from gateway.services.template_runs import PATHS, run_template
from keys.models import ApiKey
from keys.selectors import keys_for
from keys.services import may_manage

PAGE_METHODS = ["GET", "HEAD", "POST"]


class Asked(HttpRequest):
    """A request of somebody who is logged in."""

    user: User


@login_required
@require_safe
def template_list(request: Asked) -> HttpResponse:
    rows = [{"template": one, "newest": next(iter(one.versions.all()), None)} for one in selectors.templates_for(request.user)]
    context = {"rows": rows, "may_write": selectors.teams_led_by(request.user).exists()}
    return render(request, "gateway/template_list.html", context)


@login_required
@require_safe
def template_detail(request: Asked, template_id: int) -> HttpResponse:
    template = selectors.template_for(request.user, template_id)
    versions = [{"version": one, "text": _text(one.parameters)} for one in template.versions.all()]
    newest = template.versions.all()[0] if versions else None
    body = orjson.dumps({"template": f"{template.name}@{newest.number}" if newest else template.name, "prompt": "..."}).decode()
    origin = settings.PUBLIC_URL.rstrip("/")
    example = (
        f"curl {origin}{PATHS[template.kind]} -H 'Authorization: Bearer $KEY' -H 'Content-Type: application/json' -d '{body}'"
    )
    context = {
        "template": template,
        "versions": versions,
        "may_write": selectors.leads(request.user, template.team),
        "may_run": template.is_active and bool(_keys(request.user)),
        "example": example,
    }
    return render(request, "gateway/template_detail.html", context)


@login_required
@require_http_methods(PAGE_METHODS)
def template_new(request: Asked) -> HttpResponse:
    teams = selectors.teams_led_by(request.user)
    if not teams.exists():
        raise NotAllowed
    form = TemplateForm(
        request.POST or None, models=selectors.media_models(request.user), teams=teams, initial={"parameters": "{}"}
    )
    if request.method == "POST" and form.is_valid():
        try:
            template = templates.create_template(actor=request.user, **form.cleaned_data)
        except PortalError as refused:
            _add(form, refused)
        else:
            messages.success(request, _("The template is there. Programs call it by its name."))
            return redirect("template_detail", template.pk)
    return render(request, "gateway/template_form.html", {"form": form, "template": None})


@login_required
@require_http_methods(PAGE_METHODS)
def template_edit(request: Asked, template_id: int) -> HttpResponse:
    template = selectors.template_for(request.user, template_id)
    if not selectors.leads(request.user, template.team):
        raise NotAllowed
    newest = selectors.version_of(template)
    initial = {"model_name": newest.model_name, "parameters": _text(newest.parameters)}
    names = sorted({*selectors.media_models(request.user), newest.model_name})
    form = TemplateForm(request.POST or None, models=names, initial=initial)
    if request.method == "POST" and form.is_valid():
        try:
            version = templates.edit_template(actor=request.user, template=template, **form.cleaned_data)
        except PortalError as refused:
            _add(form, refused)
        else:
            messages.success(
                request, _("Version %(number)s is the newest. Earlier ones still run.") % {"number": version.number}
            )
            return redirect("template_detail", template.pk)
    return render(request, "gateway/template_form.html", {"form": form, "template": template, "number": newest.number + 1})


@login_required
@require_POST
def template_switch(request: Asked, template_id: int) -> HttpResponse:
    template = selectors.template_for(request.user, template_id)
    templates.switch_template(actor=request.user, template=template, is_active=not template.is_active)
    messages.success(request, _("The template is out of use.") if template.is_active else _("The template is in use again."))
    return redirect("template_detail", template.pk)


@login_required
@never_cache
@require_http_methods(PAGE_METHODS)
def template_run(request: Asked, template_id: int, number: int) -> HttpResponse:
    template = selectors.template_for(request.user, template_id)
    version = selectors.version_of(template, number)
    form = RunForm(request.POST or None, keys=_keys(request.user))
    context: dict[str, Any] = {"form": form, "template": template, "version": version, "text": _text(version.parameters)}
    if request.method == "POST" and form.is_valid():
        data = form.cleaned_data
        try:
            run = run_template(actor=request.user, version=version, key_id=data["key"], prompt=data["prompt"])
        except PortalError as refused:
            form.add_error(None, refused.message)
        else:
            if run.error:
                form.add_error(None, run.error)
            elif not run.pictures and not run.addresses:
                messages.success(request, _("The task was handed over. It is paid when it is completed."))
                return redirect("task_detail", run.task_id)
            context["run"] = run
    return render(request, "gateway/template_run.html", context)


def _keys(actor: User) -> list[tuple[int, str]]:
    """Active keys the person manages: those that may pay for a run."""
    found = keys_for(actor).filter(state=ApiKey.State.ACTIVE, route=ApiKey.Route.NEW)[:100]
    return [(key.pk, f"{key.name} ({key.team or key.owner})") for key in found if may_manage(actor, key)]


def _text(parameters: dict[str, Any]) -> str:
    return orjson.dumps(parameters, option=orjson.OPT_INDENT_2).decode()


def _add(form: TemplateForm, refused: PortalError) -> None:
    fields = refused.details.get("fields") or {}
    known = {name: texts for name, texts in fields.items() if name in form.fields}
    for name, texts in known.items():
        form.add_error(name, texts)
    if not known:
        form.add_error(None, refused.message)
