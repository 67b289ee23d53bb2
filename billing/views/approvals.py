"""Pages of the four eyes: asking for an act with money, deciding, the override and its review."""

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.models import User
from accounts.rights import may, require
from billing.models import AdjustmentRequest
from billing.money_forms import AdjustmentForm, DecisionForm, ReasonForm
from billing.selectors import approvals as found
from billing.services import approvals, four_eyes
from billing.services.ledger import purse_for
from billing.views.codes import show_refusal
from billing.views.home import Asked
from config.foundation.errors import PortalError

PAGE = 50


@login_required
@require_safe
def approval_list(request: Asked) -> HttpResponse:
    state = request.GET.get("state", "")
    rows = found.requests_for(request.user, state)
    before = request.GET.get("before", "")
    if before.isdecimal():
        rows = rows.filter(pk__lt=int(before[:18]))
    page = list(rows[: PAGE + 1])
    overrides = [(row, found.is_running(row)) for row in found.overrides_due(request.user)]
    context = {
        "rows": page[:PAGE],
        "state": state,
        "states": AdjustmentRequest.State.choices,
        "before": before,
        "older": page[PAGE - 1].pk if len(page) > PAGE else None,
        "open_count": found.open_count(request.user),
        "overrides": overrides,
        "may_override": may(request.user, "ledger.override"),
        "may_ask": may(request.user, "ledger.adjust"),
    }
    return render(request, "billing/approval_list.html", context)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def approval_detail(request: Asked, request_id: int) -> HttpResponse:
    """One request; ``verb`` of the post is approve, refuse or withdraw."""
    asked = found.request_for(request.user, request_id)
    form = DecisionForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            _decide(request, asked, request.POST.get("verb", ""), form.cleaned_data["note"])
        except PortalError as refused:
            form.add_error(None, refused.message)
        else:
            return redirect("approval_detail", asked.pk)
        asked = found.request_for(request.user, request_id)
    is_own = asked.requested_by_id == request.user.pk
    context = {
        "asked": asked,
        "form": form,
        "is_open": asked.state == AdjustmentRequest.State.OPEN,
        "is_own": is_own,
        "override": four_eyes.active_override(request.user) if is_own else None,
        "may_approve": may(request.user, "ledger.approve"),
    }
    return render(request, "billing/approval_detail.html", context)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def adjustment_create(request: Asked) -> HttpResponse:
    require(request.user, "ledger.adjust")
    initial = {"kind": "reversal", "entry": request.GET["entry"]} if request.GET.get("entry", "").isdecimal() else {}
    form = AdjustmentForm(request.POST or None, initial=initial)
    if request.method == "POST" and form.is_valid():
        try:
            asked = _ask(request.user, form.cleaned_data)
        except PortalError as refused:
            show_refusal(form, refused)
        else:
            if asked.state == AdjustmentRequest.State.DONE:
                messages.success(request, _("It is done and stands in the ledger."))
            else:
                messages.info(request, _("Your request waits for a second person. Nothing has moved yet."))
            return redirect("approval_detail", asked.pk)
    return render(request, "billing/adjustment_create.html", {"form": form})


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def override_open(request: Asked) -> HttpResponse:
    require(request.user, "ledger.override")
    form = ReasonForm(request.POST or None)
    back = reverse("approval_list")
    if request.method == "POST" and form.is_valid():
        try:
            override = four_eyes.open_override(actor=request.user, reason=form.cleaned_data["reason"])
        except PortalError as refused:
            show_refusal(form, refused)
        else:
            messages.warning(request, _("The override runs for 30 minutes. Everything done with it is reviewed afterwards."))
            return redirect("override_detail", override.pk)
    context = {
        "title": _("Act without a second person"),
        "question": _("For an emergency in which nobody else can be asked."),
        "consequences": [
            _("For 30 minutes you may approve what you asked for yourself. It ends by itself."),
            _("Each approval names the override, here and in the audit trail."),
            _("Somebody else has to review it, whether you used it or not. Until then you get no other one."),
        ],
        "undo": _("You can end it at any time; the review stays due."),
        "submit_label": _("Open the override for 30 minutes"),
        "back_url": back,
        "form": form,
    }
    return render(request, "billing/override_open.html", context)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def override_detail(request: Asked, override_id: int) -> HttpResponse:
    override = found.override_for(request.user, override_id)
    form = DecisionForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            four_eyes.review_override(actor=request.user, override=override, note=form.cleaned_data["note"])
        except PortalError as refused:
            form.add_error(None, refused.message)
        else:
            messages.success(request, _("The review is kept."))
            return redirect("approval_list")
    context = {
        "override": override,
        "requests": list(override.requests.select_related("purse__user", "purse__group").order_by("pk")),
        "is_running": found.is_running(override),
        "is_own": override.user_id == request.user.pk,
        "form": form,
    }
    return render(request, "billing/override_detail.html", context)


@login_required
@require_POST
def override_close(request: Asked, override_id: int) -> HttpResponse:
    override = found.override_for(request.user, override_id)
    four_eyes.close_override(actor=request.user, override=override)
    messages.success(request, _("The override has ended. Its review is due."))
    return redirect("approval_list")


def _decide(request: Asked, asked: AdjustmentRequest, verb: str, note: str) -> None:
    if verb == "approve":
        approvals.approve(actor=request.user, request=asked, note=note)
        messages.success(request, _("Approved and done."))
    elif verb == "refuse":
        approvals.refuse(actor=request.user, request=asked, note=note)
        messages.success(request, _("Refused. Nothing has moved."))
    elif verb == "withdraw":
        approvals.withdraw(actor=request.user, request=asked)
        messages.success(request, _("Withdrawn. Nothing has moved."))


def _ask(actor: User, data: dict[str, Any]) -> AdjustmentRequest:
    common = {
        "actor": actor,
        "kind": data["kind"],
        "reason": data["reason"],
        "evidence_url": data["evidence"],
        "transaction_id": data["once"],
    }
    if data["kind"] == AdjustmentRequest.Kind.REVERSAL:
        entry = data["entry_row"]
        details = {"allow_debt": data["allow_debt"]}
        return approvals.ask(**common, entry=entry, amount_nano=entry.amount_nano, details=details)
    payer = data["to"]
    owner = {"user": payer} if isinstance(payer, User) else {"group": payer}
    purse = purse_for(**owner, kind=data["purse_kind"] or "prepaid", currency=data["currency"] or "USD")
    return approvals.ask(**common, purse=purse, amount_nano=data["amount"])
