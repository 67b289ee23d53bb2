"""Finance's pages of redemption codes: batches with counts and money, their codes, the one download, and what ends them."""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.rights import may, require
from billing.exports import csv_response
from billing.models import CodeBatch
from billing.money_forms import CodeBatchForm, ReasonForm, RevalueForm
from billing.selectors import codes as found
from billing.services import approvals, code_batches
from billing.services.code_batches import Revaluation
from billing.services.errors import CodesTaken, NumbersChanged
from billing.views.home import Asked
from config.foundation.errors import NotFound, PortalError
from config.foundation.money import decimal_usd, format_usd

PAGE = 50
# verb in the address: state, title, what the button says
VERBS: dict[str, tuple[str, Any, Any]] = {
    "pause": ("disabled", gettext_lazy("Pause codes"), gettext_lazy("Pause them")),
    "resume": ("unused", gettext_lazy("Resume codes"), gettext_lazy("Let them be redeemed again")),
    "void": ("void", gettext_lazy("Void codes"), gettext_lazy("Void them for good")),
}


@login_required
@require_safe
def code_batch_list(request: Asked) -> HttpResponse:
    text = request.GET.get("page", "")
    page = int(text[:6]) if text.isdecimal() else 0
    rows = list(found.batches(request.user)[page * PAGE : (page + 1) * PAGE + 1])
    context = {
        "lines": found.batch_lines(request.user, rows[:PAGE]),
        "totals": found.code_totals(request.user),
        "page": page,
        "newer": str(page - 1) if page else None,
        "older": str(page + 1) if len(rows) > PAGE else None,
        "may_make": may(request.user, "ledger.adjust"),
    }
    return render(request, "billing/code_batch_list.html", context)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def code_batch_create(request: Asked) -> HttpResponse:
    require(request.user, "ledger.adjust")
    form = CodeBatchForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            asked = approvals.ask_for_batch(actor=request.user, new=form.new_batch(), transaction_id=form.cleaned_data["once"])
        except PortalError as refused:
            show_refusal(form, refused)
        else:
            if asked.batch_id:
                return redirect("code_batch_detail", asked.batch_id)
            messages.info(request, _("So much money in codes needs a second person. Your request waits for one."))
            return redirect("approval_detail", asked.pk)
    return render(request, "billing/code_batch_create.html", {"form": form})


@login_required
@require_safe
def code_batch_detail(request: Asked, batch_id: UUID) -> HttpResponse:
    batch = found.batch_for(request.user, batch_id)
    state = request.GET.get("state", "")
    before = request.GET.get("before", "")
    codes = found.codes_of(request.user, batch, state)
    if before.isdecimal():
        codes = codes.filter(pk__lt=int(before[:18]))
    rows = list(codes[: PAGE + 1])
    (line,) = found.batch_lines(request.user, [batch])
    context = {
        "batch": batch,
        "line": line,
        "codes": rows[:PAGE],
        "state": state,
        "before": before,
        "older": rows[PAGE - 1].pk if len(rows) > PAGE else None,
        "is_sealed": found.has_sealed_codes(request.user, batch),
        "may_change": may(request.user, "ledger.adjust"),
    }
    return render(request, "billing/code_batch_detail.html", context)


@login_required
@require_POST
def code_batch_download(request: Asked, batch_id: UUID) -> HttpResponseBase:
    """The clear codes as CSV, in the one response that may hold them."""
    batch = found.batch_for(request.user, batch_id)
    try:
        clear = code_batches.take_codes(actor=request.user, batch=batch)
    except CodesTaken as refused:
        messages.error(request, refused.message)
        return redirect("code_batch_detail", batch.pk)
    until = batch.expires_at.isoformat() if batch.expires_at else ""
    rows = ([code, decimal_usd(batch.amount_nano), batch.purse_kind, until] for code in clear)
    return csv_response(f"codes-{batch.pk}", ["code", "amount_usd", "purse", "redeem_until"], rows)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def code_batch_change(request: Asked, batch_id: UUID, verb: str) -> HttpResponse:
    """Pause, resume or void the batch, or one code of it (``?code=``)."""
    require(request.user, "ledger.adjust")
    if verb not in VERBS:
        raise NotFound
    state, title, label = VERBS[verb]
    batch = found.batch_for(request.user, batch_id)
    codes = found.codes_of(request.user, batch)
    one = request.GET.get("code", "")
    if one:
        codes = codes.filter(pk=int(one[:18]) if one.isdecimal() else 0)
        if not codes:
            raise NotFound
    back = reverse("code_batch_detail", args=[batch.pk])
    form = ReasonForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            count = code_batches.set_codes_state(
                actor=request.user, codes=codes.select_related(None), to=state, reason=form.cleaned_data["reason"]
            )
        except PortalError as refused:
            show_refusal(form, refused)
        else:
            words = ngettext("%(count)d code was changed.", "%(count)d codes were changed.", count)
            messages.success(request, words % {"count": count})
            return redirect(back)
    context = {
        "title": title,
        "question": batch.name,
        "consequences": _consequences(verb),
        "undo": "" if verb == "void" else _("Pausing and resuming undo each other."),
        "submit_label": label,
        "back_url": back,
        "form": form,
        "is_danger": verb == "void",
    }
    return render(request, "billing/code_batch_change.html", context)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def code_batch_revalue(request: Asked, batch_id: UUID) -> HttpResponse:
    """First post: the dry run. Second post, with its numbers: the act."""
    require(request.user, "ledger.adjust")
    batch = found.batch_for(request.user, batch_id)
    form, plan = RevalueForm(request.POST or None), None
    if request.method == "POST" and form.is_valid():
        data = form.cleaned_data
        try:
            plan = code_batches.plan_revaluation(actor=request.user, batch=batch, amount_nano=data["amount"])
            if data["seen"] and "confirm" in request.POST:
                return _revalue(request, batch, data)
        except NumbersChanged as refused:
            form.add_error(None, refused.message)
        except PortalError as refused:
            show_refusal(form, refused)
    seen = _numbers(plan) if plan else ""
    return render(request, "billing/code_batch_revalue.html", {"batch": batch, "form": form, "plan": plan, "seen": seen})


def _revalue(request: Asked, batch: CodeBatch, data: dict[str, Any]) -> HttpResponse:
    expected = Revaluation(*(int(number) for number in data["seen"].split(",")))
    asked = approvals.ask_for_revaluation(
        actor=request.user, batch=batch, amount_nano=data["amount"], expected=expected, reason=data["reason"]
    )
    if asked.state == asked.State.OPEN:
        messages.info(request, _("So much money in codes needs a second person. Your request waits for one."))
        return redirect("approval_detail", asked.pk)
    messages.success(
        request, _("Every open code of the batch is worth %(amount)s now.") % {"amount": format_usd(data["amount"])}
    )
    return redirect("code_batch_detail", batch.pk)


def _numbers(plan: Revaluation) -> str:
    return ",".join(
        str(number) for number in (plan.count, plan.paused_count, plan.old_nano, plan.new_nano, plan.difference_nano)
    )


def _consequences(verb: str) -> list[str]:
    if verb == "resume":
        return [
            _("Paused codes can be redeemed again, and what they are worth is owed again."),
            _("Used, void and expired codes stay what they are."),
        ]
    lines = [
        _("Codes that nobody used can no longer be redeemed. Their holders are told that the code does not work."),
        _("What was owed on them is released by an entry in the ledger."),
        _("What was redeemed already stays in the purses."),
    ]
    if verb == "void":
        lines.append(_("A void code never comes back."))
    return lines


def show_refusal(form: Any, refused: PortalError) -> None:
    """A service's refusal beside the field it is about, or above the form."""
    named = refused.details.get("fields", {})
    for name, texts in named.items():
        form.add_error(name if name in form.fields else None, texts)
    if not named:
        form.add_error(None, refused.message)
