"""Pages of finance: the whole ledger (read only) and money that came in."""

from functools import partial
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse, HttpResponseBase, QueryDict
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from accounts.models import User
from accounts.rights import require
from billing.forms import LedgerFilterForm, TopUpForm
from billing.house import LedgerFilters, ledger_entries, ledger_overview
from billing.models import AdjustmentRequest
from billing.services.approvals import top_up_or_ask
from billing.services.exports import Table
from billing.services.money import give_test_money
from billing.views.calls import chips
from billing.views.exports import list_response
from billing.views.home import Asked
from config.foundation.errors import PortalError
from config.foundation.money import decimal_usd, format_money

EXPORT_LIMIT = 500_000


@login_required
@require_safe
def ledger(request: Asked) -> HttpResponseBase:
    require(request.user, "ledger.view")
    form = LedgerFilterForm(request.GET)
    filters = _filters(form)
    if kind := request.GET.get("export"):
        return list_response(request, kind, "house-ledger", table_of(request.user, request.GET))
    before = request.GET.get("before", "")
    page = ledger_entries(request.user, filters, before=int(before[:18]) if before.isdigit() else None)
    context = {"form": form, "chips": chips(form), "page": page, "before": before, "overview": ledger_overview(request.user)}
    return render(request, "billing/ledger.html", context)


def table_of(actor: User, query: QueryDict) -> Table:
    """The ledger as a file; raises NotAllowed."""
    require(actor, "ledger.view")
    header = ["entry", "booked_at", "kind", "from", "to", "amount", "currency", "transaction_id", "reason", "by"]
    return Table(header, _export(actor, _filters(LedgerFilterForm(query))))


def _filters(form: LedgerFilterForm) -> LedgerFilters:
    form.is_valid()
    data = getattr(form, "cleaned_data", {})
    return LedgerFilters(
        kind=data.get("kind") or "",
        account_id=data.get("account"),
        person=data.get("person") or "",
        account_kind=data.get("account_kind") or "",
    )


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def top_up(request: Asked) -> HttpResponse:
    require(request.user, "ledger.adjust")
    form = TopUpForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        data = form.cleaned_data
        payer = data["to"]
        try:
            result = (give_test_money if data["is_test"] else partial(top_up_or_ask, currency=data["currency"]))(
                actor=request.user,
                amount_nano=data["amount"],
                reason=data["reason"],
                transaction_id=data["once"],
                **({"user": payer} if isinstance(payer, User) else {"group": payer}),
            )
        except PortalError as refused:
            form.add_error(None, refused.message)
        else:
            if isinstance(result, AdjustmentRequest):
                messages.info(request, _("This top-up needs a second person. Your request waits for one."))
                return redirect("approval_detail", result.pk)
            words = {"amount": format_money(data["amount"], data["currency"]), "who": payer, "entry": result.entry_id}
            if result.status == "posted":
                messages.success(request, _("%(amount)s was booked to %(who)s, entry %(entry)s.") % words)
            else:
                messages.info(
                    request, _("This top-up was booked already as entry %(entry)s. Nothing was booked twice.") % words
                )
            return redirect(f"{reverse('ledger')}?kind={'adjustment' if data['is_test'] else 'top_up'}")
    return render(request, "billing/top_up.html", {"form": form})


def _export(actor: User, filters: LedgerFilters) -> Any:
    before, sent = None, 0
    while sent < EXPORT_LIMIT:
        page = ledger_entries(actor, filters, before=before, limit=500)
        for entry in page.rows:
            yield [
                entry.pk,
                entry.booked_at.isoformat(),
                entry.kind,
                str(entry.from_account),
                str(entry.to_account),
                decimal_usd(entry.amount_nano),
                entry.from_account.currency,
                entry.transaction_id.hex,
                entry.reason,
                entry.actor.username if entry.actor else "system",
            ]
        if not page.next_before:
            return
        sent += len(page.rows)
        before = page.next_before
