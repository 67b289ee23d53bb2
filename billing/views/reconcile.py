"""Pages of reconciliation: how it stands, the runs, the differences, and the desk for money nobody could book by itself."""

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.models import User
from accounts.rights import may
from billing.desk_words import fact_rows, reason_words
from billing.forms_reconcile import DecideForm, DeskActForm, DeskFilterForm, StateForm
from billing.models import DeskItem, Difference
from billing.selectors import reconcile as selectors
from billing.services import desk, reconcile
from billing.services.reconcile.words import title_of
from billing.views.alerts import _id
from billing.views.calls import chips
from billing.views.home import Asked
from config.foundation.errors import NotFound, PortalError
from config.foundation.money import format_usd


@login_required
@require_safe
def reconcile_list(request: Asked) -> HttpResponse:
    form = StateForm(request.GET or {"state": "open"})
    form.is_valid()
    state = getattr(form, "cleaned_data", {}).get("state", "")
    rows = list(selectors.differences_for(request.user, state=state, before=_number(request.GET.get("before", ""))))
    context = {
        "standing": selectors.standing(request.user),
        "runs": selectors.recent_runs(request.user, 8),
        "rows": [(row, title_of(row.check_code)) for row in rows[: selectors.PAGE]],
        "next_before": rows[selectors.PAGE - 1].pk if len(rows) > selectors.PAGE else "",
        "before": request.GET.get("before", ""),
        "form": form,
        "chips": chips(form),
        "may_decide": may(request.user, "reconcile.decide"),
    }
    return render(request, "billing/reconcile_list.html", context)


@login_required
@require_POST
def reconcile_start(request: Asked) -> HttpResponse:
    from billing.tasks import execute_reconciliation_task

    try:
        run = reconcile.begin_run(actor=request.user, scope=request.POST.get("scope", ""))
    except PortalError as refused:
        if refused.http_status == 403:
            raise
        messages.error(request, refused.message)
        return redirect("reconcile_list")
    execute_reconciliation_task.delay(run.pk.hex)
    return redirect("reconcile_run", run.pk.hex)


@login_required
@require_safe
def reconcile_run(request: Asked, run_id: str) -> HttpResponse:
    wanted = _id(run_id)
    if wanted is None:
        raise NotFound(_("There is no such reconciliation."))
    run = selectors.run_for(request.user, wanted)
    results = [{**one, "says": title_of(str(one["code"]))} for one in run.results]
    return render(request, "billing/reconcile_run.html", {"run": run, "results": results})


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def reconcile_difference(request: Asked, difference_id: int) -> HttpResponse:
    difference = selectors.difference_for(request.user, difference_id)
    form = DecideForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        data = form.cleaned_data
        act: dict[str, Any] = {"actor": request.user, "difference": difference, "reason": data["reason"]}
        try:
            if data["act"] == "fix":
                reconcile.fix_by_entry(entry_id=data["entry"], **act)
            else:
                (reconcile.explain if data["act"] == "explain" else reconcile.write_off)(**act)
        except PortalError as refused:
            if refused.http_status == 403:
                raise
            form.add_error(None, refused.message)
        else:
            messages.success(request, _("The difference is decided: %(state)s.") % {"state": difference.get_state_display()})
            return redirect("reconcile_list")
    may_decide = may(request.user, "reconcile.decide") and difference.state == Difference.State.OPEN
    context = {"difference": difference, "says": title_of(difference.check_code), "form": form, "may_decide": may_decide}
    return render(request, "billing/reconcile_difference.html", context)


@login_required
@require_safe
def desk_list(request: Asked) -> HttpResponse:
    form = DeskFilterForm(request.GET or {"state": "open"})
    form.is_valid()
    data = getattr(form, "cleaned_data", {})
    kind, state = data.get("kind", ""), data.get("state", "")
    before = _number(request.GET.get("before", ""))
    rows = list(selectors.desk_items_for(request.user, kind=kind, state=state, before=before))
    context = {
        "rows": rows[: selectors.PAGE],
        "next_before": rows[selectors.PAGE - 1].pk if len(rows) > selectors.PAGE else "",
        "before": request.GET.get("before", ""),
        "form": form,
        "chips": chips(form),
        "counts": selectors.desk_counts(request.user),
    }
    return render(request, "billing/desk_list.html", context)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def desk_item(request: Asked, item_id: int) -> HttpResponse:
    item = selectors.desk_item_for(request.user, item_id)
    form = DeskActForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            done = _act(request.user, item, form.cleaned_data)
        except PortalError as refused:
            if refused.http_status == 403:
                raise
            form.add_error(None, refused.message)
        else:
            messages.success(request, done)
            return redirect("desk_item", item.pk)
    may_act = may(request.user, "ledger.adjust") and item.state == DeskItem.State.OPEN
    words = {"reason": reason_words(item.reason), "facts": fact_rows(item.details)}
    return render(request, "billing/desk_item.html", {"item": item, "form": form, "may_act": may_act, **words})


def _act(actor: User, item: DeskItem, data: dict[str, Any]) -> str:
    if data["act"] == "write_off":
        desk.write_off_desk_item(actor=actor, item=item, reason=data["reason"])
        return _("%(amount)s was written off: the operator bears it.") % {"amount": format_usd(item.amount_nano)}
    if data["act"] == "ignore":
        desk.ignore_desk_item(actor=actor, item=item, reason=data["reason"])
        return _("The item is set aside. No money moved.")
    payer = data["payer"]
    who = {"user": payer} if isinstance(payer, User) else {"group": payer} if payer else {}
    desk.settle_desk_item(actor=actor, item=item, reason=data["reason"], amount_nano=data["amount"], **who)
    return _("%(amount)s was charged, once.") % {"amount": format_usd(item.settled_nano or 0)}


def _number(text: str) -> int | None:
    return int(text[:18]) if text.isascii() and text.isdigit() else None
