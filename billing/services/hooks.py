"""Signed web hooks: addresses people set, and the deliveries to them, with attempts, waits that double, and a guard.

A body is signed with HMAC-SHA256 over "<unix time>.<body>"; the event id stays the same at every attempt and at a re-send by
hand, so a receiver can tell a repetition. The guard resolves the name once and connects to that very address: no private,
loopback or link-local one unless HOOK_ALLOW_PRIVATE says so, and no redirect is followed.
"""

import hashlib
import hmac
import http.client
import ipaddress
import secrets
import socket
import ssl
import time
from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import SplitResult, urlsplit

from cryptography.fernet import InvalidToken
from django.conf import settings
from django.db import connection, transaction
from django.utils.translation import gettext as _

from accounts.models import Group, User
from accounts.rights import may
from accounts.services import audit
from accounts.services.teams import is_owner
from billing.models import HookAttempt, HookDelivery, HookEndpoint
from config.foundation.clock import now
from config.foundation.crypto import seal, unseal
from config.foundation.errors import Conflict, InvalidInput, NotAllowed

MOST_ENDPOINTS = 10
MAX_ATTEMPTS = 8
FIRST_WAIT = timedelta(seconds=30)
STALE = timedelta(minutes=2)
SECONDS = 10
BATCH = 20
# An array, not IN: the planner may run a subquery behind IN anew for each row, and would claim more than the limit.
_CLAIM = """
UPDATE billing_hookdelivery SET state = 'sending', claimed_at = %(moment)s, attempts = attempts + 1
WHERE id = ANY (ARRAY(
    SELECT d.id FROM billing_hookdelivery d JOIN billing_hookendpoint e ON e.id = d.endpoint_id AND e.is_active
    WHERE d.state = 'queued' AND d.next_attempt_at <= %(moment)s
    ORDER BY d.next_attempt_at LIMIT %(limit)s FOR UPDATE OF d SKIP LOCKED
)) RETURNING id
"""


class AddressRefused(Exception):
    """The address may not be called; the message is a stable word."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What one attempt gave: a status, or a stable word for what went wrong."""

    http_status: int = 0
    error: str = ""

    @property
    def is_good(self) -> bool:
        return 200 <= self.http_status < 300


@transaction.atomic
def add_endpoint(
    *, actor: User, url: str, user: User | None = None, group: Group | None = None, purpose: str = HookEndpoint.Purpose.ALERTS
) -> tuple[HookEndpoint, str]:
    """A new address and its signing secret in clear, which is not shown again. Raises InvalidInput or NotAllowed."""
    _may_manage(actor, user, group)
    target = clean_url(url)
    if purpose not in HookEndpoint.Purpose.values or (purpose == HookEndpoint.Purpose.TASKS and not (user or group)):
        raise InvalidInput(_("Web hooks of tasks belong to a person or a team."))
    scope = HookEndpoint.objects.filter(user=user, group=group, is_active=True)
    if scope.count() >= MOST_ENDPOINTS:
        raise InvalidInput(_("There are at most 10 web hooks."))
    clear = f"whsec_{secrets.token_urlsafe(32)}"
    endpoint = HookEndpoint.objects.create(
        user=user, group=group, purpose=purpose, url=target, secret_sealed=seal(clear), secret_tail=clear[-4:], created_by=actor
    )
    audit.record(
        actor=actor, action="hook.added", target=endpoint, after={"host": urlsplit(target).hostname, "purpose": str(purpose)}
    )
    return endpoint, clear


@transaction.atomic
def switch_endpoint(*, actor: User, endpoint: HookEndpoint, is_active: bool) -> bool:
    """Turn an address off, or on again. False when it was so already."""
    _may_manage(actor, endpoint.user, endpoint.group)
    done = HookEndpoint.objects.filter(pk=endpoint.pk).exclude(is_active=is_active).update(is_active=is_active)
    if done:
        audit.record(actor=actor, action="hook.switched", target=endpoint, after={"is_active": is_active})
    return bool(done)


def resend_delivery(*, actor: User, delivery: HookDelivery) -> HookDelivery:
    """Send an event once more, with the same event id. Conflict while it waits or is on its way."""
    _may_manage(actor, delivery.endpoint.user, delivery.endpoint.group)
    return send_again(actor=actor, delivery=delivery)


@transaction.atomic
def send_again(*, actor: User, delivery: HookDelivery) -> HookDelivery:
    """The same for callers that have looked at the actor's rights themselves."""
    over = (HookDelivery.State.SENT, HookDelivery.State.FAILED)
    done = HookDelivery.objects.filter(pk=delivery.pk, state__in=over).update(
        state=HookDelivery.State.QUEUED, attempts=0, next_attempt_at=now(), claimed_at=None
    )
    if not done:
        raise Conflict(_("This delivery waits or is on its way already."))
    delivery.refresh_from_db()
    audit.record(actor=actor, action="hook.sent_again", target=delivery, after={"event": delivery.sent_id.hex})
    return delivery


def deliver_due(limit: int = BATCH) -> int:
    """Attempt what is due; gives the number of attempts. Of two workers each delivery is one's."""
    moment = now()
    HookDelivery.objects.filter(state=HookDelivery.State.SENDING, claimed_at__lt=moment - STALE).update(
        state=HookDelivery.State.QUEUED, claimed_at=None
    )
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_CLAIM, {"moment": moment, "limit": limit})
        ids = [row[0] for row in cursor.fetchall()]
    for delivery in HookDelivery.objects.filter(pk__in=ids).select_related("endpoint").order_by("created_at"):
        _attempt(delivery)
    return len(ids)


def signature(secret: str, moment: int, body: bytes) -> str:
    """The header's value: time and HMAC-SHA256 over both, as a receiver checks it."""
    digest = hmac.new(secret.encode(), str(moment).encode() + b"." + body, hashlib.sha256).hexdigest()
    return f"t={moment},v1={digest}"


def _attempt(delivery: HookDelivery) -> None:
    began = time.monotonic()
    answer = _send(delivery)
    values: dict[str, object] = {"state": HookDelivery.State.SENT, "sent_at": now()}
    if not answer.is_good:
        is_last = delivery.attempts >= MAX_ATTEMPTS
        values = {
            "state": HookDelivery.State.FAILED if is_last else HookDelivery.State.QUEUED,
            "next_attempt_at": now() + FIRST_WAIT * 2 ** max(0, delivery.attempts - 1),
        }
    with transaction.atomic():
        HookAttempt.objects.create(
            delivery=delivery,
            http_status=answer.http_status,
            duration_ms=int((time.monotonic() - began) * 1000),
            error=answer.error,
        )
        ours = HookDelivery.objects.filter(pk=delivery.pk, state=HookDelivery.State.SENDING, claimed_at=delivery.claimed_at)
        ours.update(**values)


def _send(delivery: HookDelivery) -> Answer:
    body = delivery.body.encode()
    moment = int(time.time())
    try:
        secret = unseal(bytes(delivery.endpoint.secret_sealed))
        parts = urlsplit(delivery.address)
        line = _Line(parts, _address_of(parts))
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "portal-hooks/1",
            "X-Portal-Event-Id": delivery.sent_id.hex,
            "X-Portal-Signature": signature(secret, moment, body),
        }
        try:
            line.request("POST", (parts.path or "/") + (f"?{parts.query}" if parts.query else ""), body, headers)
            status = line.getresponse().status
        finally:
            line.close()
    except InvalidToken:
        return Answer(error="secret_unreadable")
    except AddressRefused as refused:
        return Answer(error=str(refused))
    except (OSError, http.client.HTTPException, ValueError) as error:
        return Answer(error=type(error).__name__[:64])
    return Answer(status, "" if 200 <= status < 300 else "redirect_refused" if 300 <= status < 400 else "refused")


class _Line(http.client.HTTPConnection):
    """A connection to the address that was checked, whatever the name says by now."""

    def __init__(self, parts: SplitResult, address: str) -> None:
        is_tls = parts.scheme == "https"
        super().__init__(parts.hostname or "", parts.port or (443 if is_tls else 80), timeout=SECONDS)
        self._address, self._is_tls = address, is_tls

    def connect(self) -> None:
        self.sock = socket.create_connection((self._address, self.port), timeout=SECONDS)
        if self._is_tls:
            self.sock = ssl.create_default_context().wrap_socket(self.sock, server_hostname=self.host)


def _address_of(parts: SplitResult) -> str:
    """The address to connect to; AddressRefused when one that the name stands for is not public."""
    port = parts.port or (443 if parts.scheme == "https" else 80)
    found = {str(row[4][0]) for row in socket.getaddrinfo(parts.hostname, port, type=socket.SOCK_STREAM)}
    if not settings.HOOK_ALLOW_PRIVATE and not all(_is_public(address) for address in found):
        raise AddressRefused("address_not_allowed")
    return sorted(found)[0]


def _is_public(address: str) -> bool:
    parsed = ipaddress.ip_address(address.split("%")[0])
    inner = getattr(parsed, "ipv4_mapped", None) or getattr(parsed, "sixtofour", None)
    return parsed.is_global and not parsed.is_multicast and (inner is None or inner.is_global)


def clean_url(url: str) -> str:
    """The address as it is kept; InvalidInput for one that may not be called. The guard looks again when it is sent."""
    url = url.strip()
    refused = InvalidInput(_("Give an address such as https://example.com/hook, without a name or password in it."))
    try:
        parts = urlsplit(url)
        _port = parts.port
    except ValueError:
        raise refused from None
    schemes = ("https", "http") if settings.HOOK_ALLOW_PRIVATE else ("https",)
    has_blank = any(character.isspace() or not character.isprintable() for character in url)
    if parts.scheme not in schemes or not parts.hostname or parts.username or parts.password or has_blank or len(url) > 500:
        raise refused
    if not settings.HOOK_ALLOW_PRIVATE:
        try:
            literal: ipaddress.IPv4Address | ipaddress.IPv6Address | None = ipaddress.ip_address(parts.hostname)
        except ValueError:
            literal = None
        if parts.hostname == "localhost" or (literal is not None and not _is_public(str(literal))):
            raise InvalidInput(_("This address is not a public one."))
    return url


def _may_manage(actor: User, user: User | None, group: Group | None) -> None:
    if user is None and group is None:
        allowed = may(actor, "alerts.manage")
    else:
        allowed = user is not None and user.pk == actor.pk or group is not None and is_owner(actor, group)
    if not allowed:
        raise NotAllowed
