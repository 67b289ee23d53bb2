"""A person's purses and what moved them, redeeming a code, and the prices of the models they may call."""

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse, HttpResponseBase, QueryDict
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from accounts.models import User
from billing.catalogue import models_with_prices
from billing.forms import RedeemForm
from billing.models import LedgerAccount, LedgerEntry
from billing.price_words import component_word
from billing.selectors import Balance, LedgerLine, balance_of, ledger_lines
from billing.services.codes import redeem_code
from billing.services.errors import CodeLimitReached, CodeNotUsable, TooManyGuesses
from billing.services.exports import Table
from billing.views.exports import list_response
from billing.views.home import Asked
from config.foundation.money import decimal_usd, format_usd

PAGE = 50
EXPORT_LIMIT = 200_000


@login_required
@require_safe
def billing(request: Asked) -> HttpResponseBase:
    person = request.user
    without_calls = request.GET.get("calls") != "yes"
    if kind := request.GET.get("export"):
        return list_response(request, kind, "ledger", table_of(person, request.GET))
    before = request.GET.get("before", "")
    number = int(before[:18]) if before.isdigit() else None
    found = ledger_lines(person, person, before=number, limit=PAGE + 1, without_calls=without_calls)
    lines = found[:PAGE]
    balance = balance_of(person)
    context = {
        "balance": balance,
        "purses": purse_lines(balance),
        "lines": [line_words(line) for line in lines],
        "without_calls": without_calls,
        "older": lines[-1].entry_id if len(found) > PAGE else None,
        "before": before,
        "form": RedeemForm(),
    }
    return render(request, "billing/billing.html", context)


def table_of(person: User, query: QueryDict) -> Table:
    """One's own movements as a file."""
    header = ["entry", "booked_at", "effective_at", "kind", "purse", "origin", "amount_usd", "balance_usd", "reason"]
    return Table(header, _export(person, query.get("calls") != "yes"))


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def code_redeem(request: Asked) -> HttpResponse:
    form = RedeemForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            code = redeem_code(actor=request.user, presented=form.cleaned_data["code"])
        except (CodeLimitReached, TooManyGuesses) as refused:
            form.add_error("code", refused.message)
        except CodeNotUsable:
            form.add_error("code", _("This code is not known, was used, was withdrawn or has run out. Nothing was changed."))
        else:
            amount = {"amount": format_usd(code.amount_nano)}
            if code.purse_kind == "bonus":
                messages.success(request, _("%(amount)s was added to your bonus purse.") % amount)
            else:
                messages.success(request, _("%(amount)s was added to your prepaid purse.") % amount)
            return redirect("billing")
    return render(request, "billing/code_redeem.html", {"form": form})


@login_required
@require_safe
def model_list(request: Asked) -> HttpResponse:
    wanted = request.GET.get("q", "").strip()[:100]
    rows = models_with_prices(request.user)
    shown = [row for row in rows if wanted.lower() in row.model.name.lower()] if wanted else rows
    lines = [{"row": row, "others": [(component_word(name), nano) for name, nano in row.others.items()]} for row in shown]
    return render(request, "billing/model_list.html", {"lines": lines, "count": len(rows), "q": wanted})


def purse_lines(balance: Balance) -> list[dict[str, Any]]:
    """Purses with what each kind is, in words."""
    words = {
        "bonus": _("Given to you; used first."),
        "subscription": _("From a subscription; used after a bonus."),
        "prepaid": _("Paid by you or for you; used after what was given."),
        "postpaid": _("Paid afterwards, up to a credit limit; used last."),
        "test": _("For keys of purpose test alone; they use nothing else."),
    }
    return [
        {
            "row": row,
            "word": LedgerAccount.Kind(row.kind).label,
            "what": words.get(row.kind, ""),
            "origin": row.origin.removeprefix("import:"),
        }
        for row in balance.purses
    ]


def line_words(line: LedgerLine) -> dict[str, Any]:
    """A ledger line with what it is, in words."""
    words = {
        "opening": _("Your balance at the old gateway, carried over."),
        "opening_correction": _("A later import corrected the balance carried over."),
        "top_up": _("Money paid in."),
        "code": _("A redemption code."),
        "charge": _("A call."),
        "refund": _("Money given back for a call."),
        "adjustment": _("A correction by the operators."),
        "reversal": _("An entry taken back."),
        "paid_back": _("A payment given back to you."),
        "dispute": _("A payment that is disputed at the bank."),
        "conversion": _("Money of another currency."),
        "moved_back": _("The rest went back to the old entry with you."),
    }
    return {
        "line": line,
        "kind": LedgerEntry.Kind(line.kind).label,
        "what": words.get(line.kind, ""),
        "purse": LedgerAccount.Kind(line.purse_kind).label,
    }


def _export(person: Any, without_calls: bool) -> Any:
    before, sent = None, 0
    while sent < EXPORT_LIMIT:
        lines = ledger_lines(person, person, before=before, limit=500, without_calls=without_calls)
        for line in lines:
            yield [
                line.entry_id,
                line.booked_at.isoformat(),
                line.effective_at.isoformat(),
                line.kind,
                line.purse_kind,
                line.origin,
                decimal_usd(line.amount_nano),
                decimal_usd(line.balance_nano),
                line.reason,
            ]
        if len(lines) < 500:
            return
        sent += len(lines)
        before = lines[-1].entry_id
