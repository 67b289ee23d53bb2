"""Pages of creative tasks: the history, one task, those in doubt, and the check of parameters before a call."""

import uuid
from collections.abc import Iterator
from typing import Any

import orjson
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse, HttpResponseBase, QueryDict
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.models import User
from accounts.rights import may, require
from billing.services.exports import Table
from billing.views.calls import chips
from billing.views.exports import list_response
from billing.views.home import Asked
from config.foundation.errors import NotFound, PortalError
from config.foundation.money import decimal_usd
from gateway import selectors_tasks as selectors
from gateway.forms_tasks import DecisionForm, PreflightForm, RefundForm, TaskFilterForm
from gateway.models_tasks import MediaTask, TaskTemplate
from gateway.services import task_decisions as decisions

PAGE_METHODS = ["GET", "HEAD", "POST"]
HEADER = [
    "task_id", "kind", "state", "created_at", "finished_at", "model", "billed_model", "key_tail", "parameters",
    "parameter_hash", "references", "pieces", "seconds", "size", "cost_usd", "failure_code", "failure_reason", "assets_until",
]  # fmt: skip
EXPORT_LIMIT = 200_000


@login_required
@require_safe
def task_list(request: Asked) -> HttpResponseBase:
    form = TaskFilterForm(request.GET, is_staff=may(request.user, selectors.SEARCH))
    form.is_valid()
    filters = form.filters()
    if kind := request.GET.get("export"):
        return list_response(request, kind, "tasks", table_of(request.user, request.GET))
    page = selectors.tasks_for(request.user, filters, request.GET.get("before", ""))
    states = dict(MediaTask.State.choices)
    context = {
        "form": form,
        "chips": [chip for chip in chips(form) if chip["name"] != "period" or form.cleaned_data.get("period") != "30"],
        "page": page,
        "counts": [(code, states[code], page.by_state[code]) for code in MediaTask.State.values if code in page.by_state],
        "before": request.GET.get("before", ""),
        "sees_all": may(request.user, selectors.SEARCH),
        "doubts": selectors.tasks_in_doubt(request.user).count() if may(request.user, selectors.DECIDE) else 0,
    }
    return render(request, "gateway/task_list.html", context)


@login_required
@require_safe
def task_detail(request: Asked, task_id: str) -> HttpResponse:
    task = selectors.task_for(request.user, task_id)
    template = TaskTemplate.objects.filter(pk=task.template_id).first() if task.template_id else None
    context = {
        "task": task,
        "parameters": sorted(task.parameters.items()),
        "template": template,
        "callbacks": selectors.callbacks_of(task),
        "refunded_nano": selectors.refunded_of(task),
        "may_see_route": may(request.user, "calls.inner_route"),
        "may_decide": may(request.user, selectors.DECIDE),
        "may_refund": may(request.user, "ledger.adjust"),
        "may_resend": task.user_id == request.user.pk
        or selectors.leads(request.user, task.team)
        or may(request.user, selectors.DECIDE),
        "call_page": "find_call" if may(request.user, "calls.search") else "call_detail",
        "is_over": task.state in MediaTask.CLOSED,
    }
    return render(request, "gateway/task_detail.html", context)


@login_required
@require_POST
def task_callback_again(request: Asked, task_id: str, delivery_id: uuid.UUID) -> HttpResponse:
    task = selectors.task_for(request.user, task_id)
    delivery = next((one for one in selectors.callbacks_of(task) if one.pk == delivery_id), None)
    if delivery is None:
        raise NotFound
    _try(
        request,
        lambda: decisions.resend_callback(actor=request.user, task=task, delivery=delivery),
        _("The event is sent again, with the same event id."),
    )
    return redirect("task_detail", task.public_id)


@login_required
@require_POST
def task_ask_again(request: Asked, task_id: str) -> HttpResponse:
    task = selectors.task_for(request.user, task_id)
    _try(request, lambda: decisions.ask_again(actor=request.user, task=task), _("Its provider is asked within seconds."))
    return redirect("task_detail", task.public_id)


@login_required
@require_http_methods(PAGE_METHODS)
def task_refund(request: Asked, task_id: str) -> HttpResponse:
    require(request.user, "ledger.adjust")
    task = selectors.task_for(request.user, task_id)
    form = RefundForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            decisions.refund_task(actor=request.user, task=task, **form.cleaned_data)
        except PortalError as refused:
            form.add_error(None, refused.message)
        else:
            messages.success(request, _("What the task cost went back. A task is refunded once."))
            return redirect("task_detail", task.public_id)
    context = {
        "form": form,
        "title": _("Refund this task"),
        "question": _("All that is left of its charge goes back to the purses it came from."),
        "consequences": [
            _("A task is refunded once; doing it again changes nothing."),
            _("The task stays in the history with its cost and the refund beside it."),
        ],
        "submit_label": _("Refund the task"),
        "back_url": reverse("task_detail", args=[task.public_id]),
    }
    return render(request, "confirm.html", context)


@login_required
@require_safe
def task_desk(request: Asked) -> HttpResponse:
    tasks = list(selectors.tasks_in_doubt(request.user)[:200])
    context = {"tasks": tasks, "held_nano": sum(task.held_nano for task in tasks)}
    return render(request, "gateway/task_desk.html", context)


@login_required
@require_http_methods(PAGE_METHODS)
def task_decide(request: Asked, task_id: str) -> HttpResponse:
    require(request.user, selectors.DECIDE)
    task = selectors.task_for(request.user, task_id)
    initial = {"size": task.delivered_size or task.parameters.get("size", ""), "seconds": task.parameters.get("seconds")}
    form = DecisionForm(request.POST or None, initial=initial)
    if request.method == "POST" and form.is_valid():
        data = form.cleaned_data
        try:
            match data["decision"]:
                case "link":
                    decisions.link_task(
                        actor=request.user, task=task, upstream_task_id=data["upstream_task_id"], note=data["note"]
                    )
                case "settle":
                    decisions.settle_task(
                        actor=request.user, task=task, seconds=data["seconds"], size=data["size"], note=data["note"]
                    )
                case _:
                    decisions.release_task(actor=request.user, task=task, note=data["note"])
        except PortalError as refused:
            form.add_error(None, refused.message)
        else:
            messages.success(request, _("The task stands as you decided."))
            return redirect("task_detail", task.public_id)
    return render(request, "gateway/task_decide.html", {"form": form, "task": task})


@login_required
@require_http_methods(PAGE_METHODS)
def task_preflight(request: Asked) -> HttpResponse:
    models = selectors.media_models(request.user)
    form = PreflightForm(request.POST or None, models=models, initial={"parameters": "{}", "model": request.GET.get("model")})
    context: dict[str, Any] = {"form": form, "has_models": bool(models)}
    if request.method == "POST" and form.is_valid():
        context["found"] = selectors.preflight(request.user, form.cleaned_data["model"], form.wanted())
    return render(request, "gateway/task_preflight.html", context)


def table_of(actor: User, query: QueryDict) -> Table:
    """The history as a file, for the address it was asked for with."""
    form = TaskFilterForm(query, is_staff=may(actor, selectors.SEARCH))
    form.is_valid()
    return Table(HEADER, _export(actor, form.filters()))


def _try(request: Asked, act: Any, said: str) -> None:
    try:
        act()
    except PortalError as refused:
        if refused.http_status == 403:
            raise
        messages.error(request, refused.message)
    else:
        messages.success(request, said)


def _export(actor: User, filters: selectors.TaskFilters) -> Iterator[list[object]]:
    rows = selectors.all_tasks_for(actor, filters)[: EXPORT_LIMIT + 1].iterator(chunk_size=500)
    for number, task in enumerate(rows):
        if number == EXPORT_LIMIT:
            yield [_("The export stops here: narrow the filters for older tasks.")]
            return
        yield [
            task.public_id,
            task.kind,
            task.state,
            task.created_at.isoformat(),
            task.finished_at.isoformat() if task.finished_at else "",
            task.asked_model,
            task.billed_model,
            task.key_tail,
            orjson.dumps(task.parameters).decode(),
            task.parameters_hash,
            task.reference_count,
            task.item_count,
            task.delivered_ms / 1000,
            task.delivered_size,
            decimal_usd(task.cost_nano),
            task.failure_code,
            task.failure_reason,
            task.assets_expire_at.isoformat() if task.assets_expire_at else "",
        ]
