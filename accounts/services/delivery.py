"""Speaks SMTP to the mail server, one connection a batch, so that a killed worker never causes a second copy.

A row is claimed (``sending``), then addressed, then marked ``handed_over`` and committed, and only then the text leaves. A
worker that dies before the mark has sent nothing: its row returns to the queue. One that dies after the mark may have been
heard by the server: its row stays ``handed_over`` and waits for a person who decides to send it again.
"""

import logging
import re
import smtplib
import ssl
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP as SMTP_POLICY
from email.utils import parseaddr

from cryptography.fernet import InvalidToken
from django.conf import settings
from django.db import connection, transaction

from accounts.models import OutboundMail
from accounts.services.sealed_text import opened
from config.foundation.clock import now
from config.foundation.redaction import mask

logger = logging.getLogger(__name__)

STALE = timedelta(minutes=2)
BATCH = 20
MAX_ATTEMPTS = 8
FIRST_WAIT = timedelta(minutes=1)
# One sender at a time holds this lock of its own database connection; it ends with the connection, killed or not.
SENDER_LOCK = 7_402_118_551

# As an array the subquery runs once. Behind IN the planner may run it anew for each row, and each time it skips what it has
# locked: more would be claimed than the limit.
_CLAIM = """
UPDATE accounts_outboundmail SET state = 'sending', claimed_at = %(moment)s, attempts = attempts + 1
WHERE id = ANY (ARRAY(
    SELECT id FROM accounts_outboundmail WHERE state = 'queued' AND next_attempt_at <= %(moment)s
    ORDER BY next_attempt_at, created_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED
))
RETURNING id
"""


@dataclass(slots=True)
class SendResult:
    """Counts of one sending; ``busy`` is True when another sender was at work and this one did nothing."""

    sent: int = 0
    retried: int = 0
    failed: int = 0
    uncertain: int = 0
    busy: bool = False

    @property
    def tried(self) -> int:
        return self.sent + self.retried + self.failed + self.uncertain


class Refused(Exception):
    """The server's answer to one mail; ``permanent`` when trying again is pointless."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(f"{code} {text}")
        self.permanent = code >= 500


class Uncertain(Exception):
    """The text left and no answer came back."""


def send_due(limit: int = BATCH) -> SendResult:
    """Send up to ``limit`` waiting mails, no more than MAIL_PER_MINUTE in any minute and one sender at a time."""
    result = SendResult()
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", [SENDER_LOCK])
        if not cursor.fetchone()[0]:
            result.busy = True
            return result
    try:
        give_back_stale()
        rows = _claim(min(limit, BATCH, _allowed_now()))
        if rows:
            _send_batch(rows, result)
    finally:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_unlock(%s)", [SENDER_LOCK])
    return result


def give_back_stale() -> int:
    """Rows that a dead worker claimed and never handed over return to the queue; after too many attempts they fail."""
    moment = now()
    stale = OutboundMail.objects.filter(state=OutboundMail.State.SENDING, claimed_at__lt=moment - STALE)
    with transaction.atomic(durable=True):
        stale.filter(attempts__gte=MAX_ATTEMPTS).update(
            state=OutboundMail.State.FAILED, last_error="The sender broke off at every attempt."
        )
        return stale.update(state=OutboundMail.State.QUEUED, claimed_at=None, next_attempt_at=moment)


def _allowed_now() -> int:
    moment = now()
    if not OutboundMail.objects.filter(state=OutboundMail.State.QUEUED, next_attempt_at__lte=moment).exists():
        return 0
    since = moment - timedelta(minutes=1)
    left = (OutboundMail.State.SENT, OutboundMail.State.HANDED_OVER)
    recent = OutboundMail.objects.filter(state__in=left, claimed_at__gt=since).count()
    return max(0, settings.MAIL_PER_MINUTE - recent)


def _claim(limit: int) -> list[OutboundMail]:
    if limit <= 0:
        return []
    with transaction.atomic(durable=True), connection.cursor() as cursor:
        cursor.execute(_CLAIM, {"moment": now(), "limit": limit})
        ids = [row[0] for row in cursor.fetchall()]
    return list(OutboundMail.objects.filter(id__in=ids).order_by("next_attempt_at", "created_at"))


@contextmanager
def _server() -> Iterator[smtplib.SMTP]:
    kind = smtplib.SMTP_SSL if settings.EMAIL_USE_SSL else smtplib.SMTP
    server = kind(settings.EMAIL_HOST, settings.EMAIL_PORT, timeout=settings.EMAIL_TIMEOUT)
    try:
        server.ehlo_or_helo_if_needed()
        if settings.EMAIL_USE_TLS:
            server.starttls(context=ssl.create_default_context())
            server.ehlo_or_helo_if_needed()
        if settings.EMAIL_HOST_USER:
            server.login(settings.EMAIL_HOST_USER, settings.EMAIL_HOST_PASSWORD)
        yield server
    finally:
        try:
            server.quit()
        except (smtplib.SMTPException, OSError):
            server.close()


def _send_batch(rows: list[OutboundMail], result: SendResult) -> None:
    """All rows over one connection; what the connection's end leaves unspoken goes back without losing an attempt."""
    waiting = list(rows)
    try:
        with _server() as server:
            while waiting:
                if len(waiting) < len(rows):
                    server.rset()
                _send_one(server, waiting[0], result)
                waiting.pop(0)
    except Uncertain as error:
        _note(waiting.pop(0), _said(error))
        result.uncertain += 1
        _give_back_rest(waiting, result)
    except (smtplib.SMTPException, OSError) as error:
        logger.warning("mail server: %s", type(error).__name__)
        unreachable = len(waiting) == len(rows)
        spoken, rest = (waiting, []) if unreachable else (waiting[:1], waiting[1:])
        for mail in spoken:
            _give_back(mail, _said(error), counts=True)
            result.retried += 1
        _give_back_rest(rest, result)


def _give_back_rest(rows: list[OutboundMail], result: SendResult) -> None:
    for mail in rows:
        _give_back(mail, "", counts=False)
        result.retried += 1


def _send_one(server: smtplib.SMTP, mail: OutboundMail, result: SendResult) -> None:
    """One mail through the dialogue. Raises Uncertain, or the connection's own error when the text never left."""
    try:
        message = _message(mail)
        _address(server, mail)
        _hand_over(server, mail, message)
    except Refused as refusal:
        _refuse(mail, refusal, result)
    except (MessageError, ValueError, IndexError, InvalidToken) as error:
        _finish(mail, OutboundMail.State.FAILED, f"The mail cannot be written: {type(error).__name__}")
        result.failed += 1
    else:
        _finish(mail, OutboundMail.State.SENT, "")
        result.sent += 1


def _address(server: smtplib.SMTP, mail: OutboundMail) -> None:
    sender = parseaddr(settings.DEFAULT_FROM_EMAIL)[1]
    options = [] if mail.to_address.isascii() else ["SMTPUTF8"]
    if options and not server.has_extn("smtputf8"):
        raise Refused(553, "the mail server takes no address beyond ASCII")
    _expect(*server.mail(sender, options), wanted=250)
    code, text = server.rcpt(mail.to_address)
    _expect(251 if code == 250 else code, text, wanted=251)


def _hand_over(server: smtplib.SMTP, mail: OutboundMail, message: bytes) -> None:
    """Send the text, after the mark that it may have arrived."""
    _expect(*server.docmd("DATA"), wanted=354)
    with transaction.atomic(durable=True):
        ours = OutboundMail.objects.filter(pk=mail.pk, state=OutboundMail.State.SENDING, claimed_at=mail.claimed_at)
        marked = ours.update(state=OutboundMail.State.HANDED_OVER)
    if not marked:
        # Breaking off is the only way to end an opened DATA without a mail.
        server.close()
        raise smtplib.SMTPServerDisconnected("the row was taken by another sender")
    try:
        server.send(re.sub(rb"(?m)^\.", b"..", message) + b".\r\n")
        code, text = server.getreply()
    except (smtplib.SMTPException, OSError) as error:
        raise Uncertain(_said(error)) from None
    if code < 200:
        raise Uncertain(f"unreadable answer {text.decode(errors='replace')}")
    _expect(code, text, wanted=250)


def _expect(code: int, text: bytes, *, wanted: int) -> None:
    if code == wanted:
        return
    if code in (421, -1):
        raise smtplib.SMTPServerDisconnected(f"{code} {text.decode(errors='replace')}")
    raise Refused(code, text.decode(errors="replace"))


def _refuse(mail: OutboundMail, refusal: Refused, result: SendResult) -> None:
    if refusal.permanent or mail.attempts >= MAX_ATTEMPTS:
        _finish(mail, OutboundMail.State.FAILED, _said(refusal))
        result.failed += 1
    else:
        _give_back(mail, _said(refusal), counts=True)
        result.retried += 1


def _give_back(mail: OutboundMail, error: str, *, counts: bool) -> None:
    """Back to the queue with a wait that doubles; the last attempt fails instead. Rows that are no longer ours stay."""
    if counts and mail.attempts >= MAX_ATTEMPTS:
        values: dict[str, object] = {"state": OutboundMail.State.FAILED, "last_error": error}
    else:
        attempts = mail.attempts if counts else mail.attempts - 1
        wait = FIRST_WAIT * 2 ** max(0, attempts - 1) if counts else timedelta(0)
        values = {
            "state": OutboundMail.State.QUEUED,
            "attempts": attempts,
            "next_attempt_at": now() + wait,
            "claimed_at": None,
            "last_error": error if counts else mail.last_error,
        }
    # Refused after the text left is a clear answer too, hence both states.
    held = (OutboundMail.State.SENDING, OutboundMail.State.HANDED_OVER)
    with transaction.atomic(durable=True):
        OutboundMail.objects.filter(pk=mail.pk, state__in=held, claimed_at=mail.claimed_at).update(**values)


def _finish(mail: OutboundMail, state: str, error: str) -> None:
    sent_at = now() if state == OutboundMail.State.SENT else None
    with transaction.atomic(durable=True):
        OutboundMail.objects.filter(pk=mail.pk, claimed_at=mail.claimed_at).update(
            state=state, sent_at=sent_at, last_error=error
        )


def _note(mail: OutboundMail, error: str) -> None:
    with transaction.atomic(durable=True):
        OutboundMail.objects.filter(pk=mail.pk, state=OutboundMail.State.HANDED_OVER).update(last_error=error)


def _said(error: BaseException) -> str:
    return mask(str(error) or type(error).__name__)[:500]


def message_id(mail_id: uuid.UUID) -> str:
    """The Message-ID of a row: the same at every attempt, so that a mail client can tell a repetition."""
    domain = parseaddr(settings.DEFAULT_FROM_EMAIL)[1].rpartition("@")[2] or "localhost"
    return f"<{mail_id.hex}@{domain}>"


def _message(mail: OutboundMail) -> bytes:
    name, sender = parseaddr(settings.DEFAULT_FROM_EMAIL)
    message = EmailMessage(policy=SMTP_POLICY.clone(utf8=not mail.to_address.isascii()))
    message["From"] = Address(display_name=name, addr_spec=sender)
    message["To"] = Address(addr_spec=mail.to_address)
    message["Subject"] = mail.subject
    message["Date"] = mail.created_at
    message["Message-ID"] = message_id(mail.pk)
    message["Auto-Submitted"] = "auto-generated"
    message["Content-Language"] = mail.language
    message.set_content(opened(mail.text), cte="quoted-printable" if mail.text.isascii() else "base64")
    if mail.html:
        message.add_alternative(opened(mail.html, for_html=True), subtype="html", cte="base64")
    text = message.as_bytes()
    return text if text.endswith(b"\r\n") else text + b"\r\n"
