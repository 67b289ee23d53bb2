"""Finance's pages of conversions: what was converted, and asking for one after a preview."""

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from accounts.models import User
from accounts.rights import may, require
from billing.models import AdjustmentRequest, LedgerAccount
from billing.refund_forms import ConversionForm
from billing.selectors import refunds as found
from billing.services.conversions import ask_for_conversion, quote
from billing.views.codes import show_refusal
from billing.views.home import Asked
from config.foundation.errors import InvalidInput, PortalError
from config.foundation.money import format_money

PAGE = 50


@login_required
@require_safe
def conversion_list(request: Asked) -> HttpResponse:
    text = request.GET.get("page", "")
    page = int(text[:6]) if text.isdecimal() else 0
    rows = list(found.conversions(request.user)[page * PAGE : (page + 1) * PAGE + 1])
    context = {
        "rows": rows[:PAGE],
        "purses": found.purses_not_in_dollars(request.user),
        "newer": str(page - 1) if page else None,
        "older": str(page + 1) if len(rows) > PAGE else None,
        "may_convert": may(request.user, "ledger.adjust"),
    }
    return render(request, "billing/conversion_list.html", context)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def conversion_create(request: Asked) -> HttpResponse:
    """First the preview, then the same figures again with ``confirm``."""
    require(request.user, "ledger.adjust")
    known = {name: request.GET.get(name, "")[:191] for name in ("to", "from_currency") if request.GET.get(name)}
    form = ConversionForm(request.POST or None, initial=known)
    plan: dict[str, Any] | None = None
    if request.method == "POST" and form.is_valid():
        try:
            plan = _plan(request.user, form.cleaned_data)
            if request.POST.get("confirm") and form.cleaned_data["seen"] == plan["seen"]:
                asked = _ask(request.user, form.cleaned_data, plan["purse"])
                messages.info(request, _("Your request waits for a second person. Nothing has moved yet."))
                return redirect("approval_detail", asked.pk)
        except PortalError as refused:
            plan = None
            show_refusal(form, refused)
    return render(request, "billing/conversion_create.html", {"form": form, "plan": plan})


def _plan(actor: User, data: dict[str, Any]) -> dict[str, Any]:
    """What would leave the one purse and come into the other; raises InvalidInput, which names the field."""
    rate = data["rate"]
    received, residue = quote(data["from_currency"], data["to_currency"], data["amount"], rate.numerator, rate.denominator)
    purse = found.prepaid_purse(actor, data["to"], data["from_currency"])
    if purse is None or data["amount"] > purse.balance_nano - purse.held_nano:
        has = format_money(purse.balance_nano if purse else 0, data["from_currency"])
        text = _("There is %(has)s in the purse.") % {"has": has}
        raise InvalidInput(text, fields={"amount": [text]})
    return {
        "purse": purse,
        "received_nano": received,
        "residue_nano": residue,
        "after_nano": purse.balance_nano - data["amount"],
        "seen": f"{purse.pk}:{data['amount']}:{data['to_currency']}:{received}",
    }


def _ask(actor: User, data: dict[str, Any], purse: LedgerAccount) -> AdjustmentRequest:
    rate = data["rate"]
    return ask_for_conversion(
        actor=actor,
        purse=purse,
        to_currency=data["to_currency"],
        amount_nano=data["amount"],
        rate_numerator=rate.numerator,
        rate_denominator=rate.denominator,
        reason=data["reason"],
        evidence_url=data["evidence"],
        transaction_id=data["once"],
    )
