"""Topping up through the provider, the webhook, and what finance does with payments."""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.models import User
from accounts.rights import may, require
from billing.models import AdjustmentRequest, Payment
from billing.money_forms import ReasonForm
from billing.payment_forms import AssignForm, PaymentStartForm, RefundForm, TransferFileForm, TransferForm
from billing.selectors import payments as found
from billing.services.payments import events, orders, refunds, unmatched
from billing.services.payments.chosen import provider
from billing.views.codes import show_refusal
from billing.views.home import Asked
from config.foundation.errors import PortalError
from config.foundation.money import format_usd

PAGE = 50
# An event of a checkout has a few kilobytes.
LARGEST_EVENT = 256 * 1024


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def payment_start(request: Asked) -> HttpResponse:
    """Choose an amount, then on to the provider's page."""
    chosen = provider()
    form = PaymentStartForm(request.POST or None)
    if chosen and request.method == "POST" and form.is_valid():
        data = form.cleaned_data
        try:
            payment = orders.start_payment(actor=request.user, amount_nano=data["amount"], order_id=data["once"])
        except PortalError as refused:
            show_refusal(form, refused)
        else:
            if payment.state == Payment.State.CREATED and payment.checkout_url:
                return redirect(payment.checkout_url)
            return redirect("payment_detail", payment.pk)
    own = list(found.payments_for(request.user)[:20])
    response = render(request, "billing/payment_start.html", {"form": form, "is_on": chosen is not None, "payments": own})
    if chosen:
        # The browser follows the answer to this form to the provider's page.
        response._csp_update = {"form-action": [chosen.checkout_origin]}  # type: ignore[attr-defined]
    return response


@login_required
@require_safe
def payment_list(request: Asked) -> HttpResponse:
    state, text = request.GET.get("state", ""), request.GET.get("page", "")
    page = int(text[:6]) if text.isdecimal() else 0
    rows = list(found.payments_for(request.user, state, everybody=True)[page * PAGE : (page + 1) * PAGE + 1])
    context = {
        "rows": rows[:PAGE],
        "state": state,
        "states": Payment.State.choices,
        "newer": str(page - 1) if page else None,
        "older": str(page + 1) if len(rows) > PAGE else None,
        "is_on": provider() is not None,
    }
    return render(request, "billing/payment_list.html", context)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def payment_detail(request: Asked, payment_id: UUID) -> HttpResponse:
    """A payment and what happened to it; the post is finance's refund."""
    payment = found.payment_for(request.user, payment_id)
    may_refund = may(request.user, "ledger.adjust")
    if request.method == "POST":
        require(request.user, "ledger.adjust")
    form = RefundForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            return _refund(request, payment, form.cleaned_data)
        except PortalError as refused:
            show_refusal(form, refused)
    context = {
        "payment": payment,
        "is_own": payment.user_id == request.user.pk,
        "refunds": found.refunds_of(payment),
        "strays": list(payment.strays.all()) if may(request.user, "ledger.view") else [],
        "disputes": list(payment.disputes.order_by("opened_at")),
        "left_nano": payment.amount_nano - payment.refunded_nano,
        "may_refund": may_refund and payment.state == Payment.State.PAID and payment.amount_nano > payment.refunded_nano,
        "form": form,
    }
    return render(request, "billing/payment_detail.html", context)


@login_required
@require_safe
def unmatched_list(request: Asked) -> HttpResponse:
    state = request.GET.get("state", "open")
    text = request.GET.get("page", "")
    page = int(text[:6]) if text.isdecimal() else 0
    rows = list(found.incoming_for(request.user, state)[page * PAGE : (page + 1) * PAGE + 1])
    count, nano = found.incoming_open(request.user)
    context = {
        "rows": rows[:PAGE],
        "state": state,
        "count": count,
        "nano": nano,
        "newer": str(page - 1) if page else None,
        "older": str(page + 1) if len(rows) > PAGE else None,
        "events": found.events_that_wait(request.user),
        "may_work": may(request.user, "ledger.adjust"),
    }
    return render(request, "billing/unmatched_list.html", context)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def unmatched_create(request: Asked) -> HttpResponse:
    """Enter one transfer, or bring a file of them."""
    require(request.user, "ledger.adjust")
    is_file = "import" in request.POST
    form = TransferForm(request.POST if request.method == "POST" and not is_file else None)
    file_form = TransferFileForm(request.POST if is_file else None, request.FILES if is_file else None)
    done = None
    try:
        if is_file and file_form.is_valid():
            done = unmatched.import_transfers(actor=request.user, text=file_form.cleaned_data["file"])
        elif request.method == "POST" and not is_file and form.is_valid():
            unmatched.enter_transfer(actor=request.user, transfer=form.transfer())
            messages.success(request, _("The transfer waits for its owner, and lies in the suspense account."))
            return redirect("unmatched_list")
    except PortalError as refused:
        show_refusal(file_form if is_file else form, refused)
    return render(request, "billing/unmatched_create.html", {"form": form, "file_form": file_form, "done": done})


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def unmatched_detail(request: Asked, incoming_id: UUID) -> HttpResponse:
    """Assign it or send it back."""
    incoming = found.incoming_one(request.user, incoming_id)
    if request.method == "POST":
        require(request.user, "ledger.adjust")
    is_return = "return" in request.POST
    form = AssignForm(request.POST if request.method == "POST" and not is_return else None)
    return_form = ReasonForm(request.POST if is_return else None, prefix="back")
    try:
        if is_return and return_form.is_valid():
            unmatched.give_back(actor=request.user, incoming=incoming, reason=return_form.cleaned_data["reason"])
            messages.success(request, _("It goes back to the payer."))
            return redirect("unmatched_detail", incoming.pk)
        if request.method == "POST" and not is_return and form.is_valid():
            return _assign(request, incoming, form.cleaned_data)
    except PortalError as refused:
        show_refusal(return_form if is_return else form, refused)
    context = {
        "incoming": incoming,
        "is_open": incoming.state == "open" and may(request.user, "ledger.adjust"),
        "refunds": list(incoming.refunds.order_by("created_at")),
        "form": form,
        "return_form": return_form,
    }
    return render(request, "billing/unmatched_detail.html", context)


@csrf_exempt
@require_POST
def payment_webhook(request: HttpRequest, provider_name: str) -> JsonResponse:
    """The provider's events. 200 means stored: what it says is done now or by the next run of the task."""
    try:
        body = request.body
        if len(body) > LARGEST_EVENT:
            return JsonResponse({"error": {"code": "too_large", "message": "The event is too large."}}, status=413)
        signature = request.headers.get("Stripe-Signature", "")
        events.receive(provider_name=provider_name, body=body, signature=signature)
    except UnicodeDecodeError:
        return JsonResponse({"error": {"code": "invalid_input", "message": "Not UTF-8."}}, status=400)
    except PortalError as refused:
        return JsonResponse({"error": {"code": refused.code, "message": refused.message}}, status=refused.http_status)
    return JsonResponse({"received": True})


def _refund(request: Asked, payment: Payment, data: dict[str, Any]) -> HttpResponse:
    if data["with_debt"]:
        asked = refunds.ask_for_debt(actor=request.user, payment=payment, amount_nano=data["amount"], reason=data["reason"])
        return redirect("approval_detail", asked.pk)
    refunds.refund_payment(
        actor=request.user, payment=payment, amount_nano=data["amount"], reason=data["reason"], refund_id=data["once"]
    )
    messages.success(request, _("%(amount)s goes back to the payer.") % {"amount": format_usd(data["amount"])})
    return redirect("payment_detail", payment.pk)


def _assign(request: Asked, incoming: Any, data: dict[str, Any]) -> HttpResponse:
    payer = data["to"]
    owner = {"user": payer} if isinstance(payer, User) else {"group": payer}
    done = unmatched.assign_or_ask(
        actor=request.user, incoming=incoming, reason=data["reason"], worth_nano=data["worth"], **owner
    )
    if isinstance(done, AdjustmentRequest):
        messages.info(request, _("So large an amount needs a second person. Your request waits for one."))
        return redirect("approval_detail", done.pk)
    messages.success(request, _("It was booked to %(who)s.") % {"who": payer})
    return redirect("unmatched_detail", incoming.pk)
