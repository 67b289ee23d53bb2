"""The outbox: a mail is written as a row in the transaction of its cause, and sent later by ``delivery``."""

import zoneinfo
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.conf import settings
from django.db import transaction
from django.template.exceptions import TemplateDoesNotExist
from django.template.loader import render_to_string
from django.utils import timezone, translation

from accounts.models import OutboundMail, User
from accounts.rights import require
from accounts.services import audit
from accounts.services.delivery import SendResult, send_due
from accounts.services.sealed_text import sealed
from config.foundation.clock import now
from config.foundation.errors import Conflict

__all__ = ["SendResult", "cancel_mail", "queue_mail", "queue_text", "resend_mail", "send_due", "speaking_to"]


@contextmanager
def speaking_to(user: User | None, language: str | None = None) -> Iterator[str]:
    """The person's language and time zone for the length of the block; gives the language."""
    language = language or (user.language if user else settings.LANGUAGE_CODE)
    try:
        zone = zoneinfo.ZoneInfo(user.time_zone if user else "UTC")
    except (zoneinfo.ZoneInfoNotFoundError, ValueError):
        zone = zoneinfo.ZoneInfo("UTC")
    with translation.override(language), timezone.override(zone):
        yield language


@transaction.atomic
def queue_mail(
    *,
    user: User | None,
    kind: str,
    dedupe_key: str,
    template: str,
    context: dict[str, Any],
    language: str | None = None,
    to_address: str | None = None,
    secrets: dict[str, str] | None = None,
) -> OutboundMail | None:
    """Write one mail from ``templates/emails/<template>.{subject.txt,txt,html}`` in the person's language and zone.

    Returns None when there is no address to write to. A mail with the same ``dedupe_key`` is written once: a repetition
    returns the row that is there. ``secrets`` are context values (links with a token) that the row keeps sealed only.
    """
    address = to_address or (user.email if user else "")
    if not address:
        return None
    with speaking_to(user, language) as spoken:
        values = {
            **context,
            **{name: sealed(clear) for name, clear in (secrets or {}).items()},
            "person": user,
            "time_zone": timezone.get_current_timezone_name(),
            "PUBLIC_URL": settings.PUBLIC_URL.rstrip("/"),
        }
        subject = render_to_string(f"emails/{template}.subject.txt", values)
        text = render_to_string(f"emails/{template}.txt", values)
        try:
            html: str = render_to_string(f"emails/{template}.html", {**values, "language": spoken})
        except TemplateDoesNotExist:
            html = ""
    return queue_text(
        user=user, address=address, kind=kind, dedupe_key=dedupe_key, language=spoken, subject=subject, text=text, html=html
    )


def queue_text(
    *, user: User | None, address: str, kind: str, dedupe_key: str, language: str, subject: str, text: str, html: str = ""
) -> OutboundMail:
    """Write one finished mail; the row with this ``dedupe_key``, new or old, comes back."""
    row = OutboundMail(
        user=user,
        to_address=address,
        kind=kind,
        language=language,
        subject=" ".join(subject.split())[:255],
        text=text.strip() + "\n",
        html=html.strip(),
        dedupe_key=dedupe_key,
    )
    OutboundMail.objects.bulk_create([row], ignore_conflicts=True)
    return OutboundMail.objects.get(dedupe_key=dedupe_key)


@transaction.atomic
def resend_mail(*, actor: User | None, mail: OutboundMail, reason: str = "") -> OutboundMail:
    """Put a failed mail, or one whose delivery is uncertain, back into the queue; Conflict for any other."""
    if actor:
        require(actor, "mail.manage")
    again = (OutboundMail.State.FAILED, OutboundMail.State.HANDED_OVER, OutboundMail.State.CANCELLED)
    before = {"state": mail.state, "attempts": mail.attempts, "last_error": mail.last_error}
    moment = now()
    count = OutboundMail.objects.filter(pk=mail.pk, state=mail.state, state__in=again).update(
        state=OutboundMail.State.QUEUED, attempts=0, next_attempt_at=moment, claimed_at=None, last_error=""
    )
    if not count:
        raise Conflict("Only a mail that failed, was cancelled or was not confirmed can be sent again.")
    mail.refresh_from_db()
    audit.record(
        actor=actor,
        action="mail.send_again",
        target=mail,
        before=before,
        after={"state": mail.state},
        reason=reason,
        label=mail.kind,
    )
    return mail


@transaction.atomic
def cancel_mail(*, actor: User | None, mail: OutboundMail, reason: str = "") -> bool:
    """Take a mail that still waits out of the queue; False when it is on its way or gone already."""
    if actor:
        require(actor, "mail.manage")
    count = OutboundMail.objects.filter(pk=mail.pk, state=OutboundMail.State.QUEUED).update(state=OutboundMail.State.CANCELLED)
    if count:
        audit.record(
            actor=actor,
            action="mail.cancel",
            target=mail,
            before={"state": "queued"},
            after={"state": "cancelled"},
            reason=reason,
            label=mail.kind,
        )
    return bool(count)
