"""The outbox and the audit trail, for those who run the portal."""

import uuid
from datetime import datetime
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from accounts import selectors
from accounts.models import OutboundMail
from accounts.rights import may
from accounts.services.mail import resend_mail
from accounts.services.sealed_text import hidden
from accounts.views.common import person


@login_required
def mail_list(request: HttpRequest) -> HttpResponse:
    user = person(request)
    filters: dict[str, Any] = {name: request.GET.get(name, "").strip() for name in ("state", "kind", "text")}
    rows = selectors.mails_for(user, **filters, before=_moment(request.GET.get("before", "")))
    shown = rows[: selectors.PAGE]
    return render(
        request,
        "accounts/mail_list.html",
        {
            "mails": shown,
            "before": shown[-1].created_at.isoformat() if len(rows) > selectors.PAGE else "",
            "is_first": "before" not in request.GET,
            "filters": filters,
            "counts": selectors.mail_counts(user),
            "states": OutboundMail.State.choices,
        },
    )


@login_required
def mail_detail(request: HttpRequest, mail_id: uuid.UUID) -> HttpResponse:
    user = person(request)
    mail = selectors.mail_for(user, mail_id)
    return render(
        request,
        "accounts/mail_detail.html",
        {
            "mail": mail,
            "text": hidden(mail.text, _("[a link that only its reader gets]")),
            "may_resend": may(user, "mail.manage")
            and mail.state in (OutboundMail.State.FAILED, OutboundMail.State.HANDED_OVER, OutboundMail.State.CANCELLED),
        },
    )


@login_required
@require_POST
def mail_resend(request: HttpRequest, mail_id: uuid.UUID) -> HttpResponse:
    user = person(request)
    mail = resend_mail(actor=user, mail=selectors.mail_for(user, mail_id))
    messages.success(request, _("The mail to %(address)s waits to be sent again.") % {"address": mail.to_address})
    return redirect("mail_detail", mail.pk)


@login_required
def audit_list(request: HttpRequest) -> HttpResponse:
    user = person(request)
    filters: dict[str, Any] = {name: request.GET.get(name, "").strip() for name in ("action", "who", "target")}
    before = request.GET.get("before", "")
    rows = selectors.audit_for(user, **filters, before_id=int(before) if before.isdigit() else None)
    shown = rows[: selectors.PAGE]
    return render(
        request,
        "accounts/audit_list.html",
        {
            "events": shown,
            "before": shown[-1].pk if len(rows) > selectors.PAGE else "",
            "is_first": not before,
            "filters": filters,
        },
    )


def _moment(text: str) -> datetime | None:
    try:
        return parse_datetime(text.replace(" ", "+"))
    except ValueError:
        return None
