"""Finance's pages of money given back for calls: what was, and giving it back after a preview."""

from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from accounts.rights import may, require
from billing.models import AdjustmentRequest
from billing.refund_forms import CallRefundForm
from billing.selectors import refunds as found
from billing.selectors.calls import parse_request_id
from billing.selectors.refunds import ChargedCall
from billing.services.four_eyes import needs_two
from billing.services.refunds import ask_for_refund
from billing.views.codes import show_refusal
from billing.views.home import Asked
from config.foundation.errors import NotFound, PortalError

PAGE = 50


@login_required
@require_safe
def refund_list(request: Asked) -> HttpResponse:
    wanted = request.GET.get("call", "").strip()[:64]
    call_id = parse_request_id(wanted) if wanted else None
    rows = found.call_refunds(request.user, request_id=call_id)
    if wanted and call_id is None:
        rows = rows.none()
    before = request.GET.get("before", "")
    if before.isdecimal():
        rows = rows.filter(pk__lt=int(before[:18]))
    page = list(rows[: PAGE + 1])
    context = {
        "rows": page[:PAGE],
        "wanted": wanted,
        "before": before,
        "older": page[PAGE - 1].pk if len(page) > PAGE else None,
        "may_refund": may(request.user, "ledger.adjust"),
    }
    return render(request, "billing/refund_list.html", context)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def refund_create(request: Asked) -> HttpResponse:
    """First the preview, then the same figures again with ``confirm``; figures that changed meanwhile are shown anew."""
    require(request.user, "ledger.adjust")
    form = CallRefundForm(request.POST or None, initial={"call": request.GET.get("call", "")[:64]})
    sight: ChargedCall | None = None
    has_changed = False
    if request.method == "POST" and form.is_valid():
        data = form.cleaned_data
        sight = _sight(request, form, data["call"], data["amount"])
        has_changed = bool(sight and request.POST.get("confirm") and data["seen"] != _figures(sight))
        if sight is not None and request.POST.get("confirm") and not has_changed:
            try:
                asked = ask_for_refund(
                    actor=request.user,
                    request_id=data["call"],
                    reason=data["reason"],
                    amount_nano=sum(share.next_nano for share in sight.shares),
                    evidence_url=data["evidence"],
                    transaction_id=data["once"],
                )
            except PortalError as refused:
                show_refusal(form, refused)
            else:
                if asked.state == AdjustmentRequest.State.DONE:
                    messages.success(request, _("It was given back and stands in the ledger."))
                else:
                    messages.info(request, _("Your request waits for a second person. Nothing has moved yet."))
                return redirect("approval_detail", asked.pk)
    elif request.method != "POST" and (call_id := parse_request_id(request.GET.get("call", "")[:64])):
        sight = _sight(request, form, call_id, None)
    total = sum(share.next_nano for share in sight.shares) if sight else 0
    context = {
        "form": form,
        "sight": sight,
        "has_changed": has_changed,
        "total": total,
        "seen": _figures(sight) if sight else "",
        "is_ready": bool(form.is_bound and form.is_valid() and total),
        "has_limits": bool(sight and any(share.account.has_limits for share in sight.shares)),
        "needs_two": needs_two(request.user, AdjustmentRequest.Kind.CALL_REFUND, total),
    }
    return render(request, "billing/refund_create.html", context)


def _sight(request: Asked, form: CallRefundForm, call_id: UUID, amount: int | None) -> ChargedCall | None:
    """The call and what would come back, or None with the reason beside the field."""
    try:
        sight = found.charged_call(request.user, call_id, amount)
    except NotFound:
        if form.is_bound:
            form.add_error("call", _("There is no call of this id."))
        return None
    if form.is_bound and not sight.charged_nano:
        form.add_error("call", _("Nothing was charged for this call."))
    elif form.is_bound and not sight.left_nano:
        form.add_error("call", _("All of its charge was given back already."))
    elif form.is_bound and amount is not None and amount > sight.left_nano:
        form.add_error("amount", _("This is more than is left of the call's charge."))
    else:
        return sight
    return None


def _figures(sight: ChargedCall) -> str:
    return ",".join(f"{share.account.pk}:{share.next_nano}" for share in sight.shares)[:200]
