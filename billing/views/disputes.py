"""The desk of disputed payments: what waits, until when, what finance did, and how it ended."""

from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from accounts.rights import may, require
from billing.models import PaymentDispute
from billing.payment_forms import DisputeNoteForm
from billing.selectors import payments as found
from billing.services.payments import disputes
from billing.views.codes import show_refusal
from billing.views.home import Asked
from config.foundation.errors import PortalError

PAGE = 50


@login_required
@require_safe
def dispute_list(request: Asked) -> HttpResponse:
    state, text = request.GET.get("state", ""), request.GET.get("page", "")
    page = int(text[:6]) if text.isdecimal() else 0
    rows = list(found.disputes_for(request.user, state)[page * PAGE : (page + 1) * PAGE + 1])
    count, nano = found.disputes_open(request.user)
    context = {
        "rows": rows[:PAGE],
        "state": state,
        "states": PaymentDispute.State.choices,
        "count": count,
        "nano": nano,
        "newer": str(page - 1) if page else None,
        "older": str(page + 1) if len(rows) > PAGE else None,
    }
    return render(request, "billing/dispute_list.html", context)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def dispute_detail(request: Asked, dispute_id: UUID) -> HttpResponse:
    """One dispute; the post keeps a note, or with ``verb`` ask fetches its state from the provider."""
    dispute = found.dispute_one(request.user, dispute_id)
    is_asking = request.POST.get("verb") == "ask"
    if request.method == "POST":
        require(request.user, "ledger.adjust")
    form = DisputeNoteForm(request.POST if request.method == "POST" and not is_asking else None, initial={"note": dispute.note})
    try:
        if is_asking:
            now_is = disputes.ask_provider(actor=request.user, dispute=dispute)
            messages.info(request, _("The provider says: %(state)s.") % {"state": now_is.get_state_display()})
            return redirect("dispute_detail", dispute.pk)
        if request.method == "POST" and form.is_valid():
            disputes.write_note(actor=request.user, dispute=dispute, text=form.cleaned_data["note"])
            messages.success(request, _("The note is kept."))
            return redirect("dispute_detail", dispute.pk)
    except PortalError as refused:
        if is_asking:
            messages.error(request, refused.message)
            return redirect("dispute_detail", dispute.pk)
        show_refusal(form, refused)
    context = {"dispute": dispute, "form": form, "may_work": may(request.user, "ledger.adjust")}
    return render(request, "billing/dispute_detail.html", context)
