"""The desk of money that belongs to nobody yet: kept in suspense, then assigned to somebody or sent back. Nano-USD."""

import csv
import io
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import UUID

from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from accounts.models import Group, User
from accounts.rights import require
from accounts.services import audit
from billing.locks import lock_row
from billing.models import AdjustmentRequest, IncomingPayment, Payment, PaymentRefund
from billing.services import approvals
from billing.services.errors import AlreadyDecided, SecondPersonNeeded
from billing.services.four_eyes import check_two_people
from billing.services.ledger import Posting, house_account, post_entries, purse_for
from billing.services.payments.orders import CENT
from billing.services.payments.provider import EventFacts
from config.foundation.clock import now
from config.foundation.errors import Conflict, InvalidInput, NotFound
from config.foundation.ids import uuid7
from config.foundation.money import parse_usd

RIGHT = "ledger.adjust"
State, Source, Why = IncomingPayment.State, IncomingPayment.Source, IncomingPayment.Why
MOST_ROWS = 5000
MOST_MINOR = 10**13


@dataclass(frozen=True, slots=True)
class Transfer:
    """One incoming transfer of a bank statement; ``amount_minor`` in the smallest unit of its currency."""

    reference: str
    amount_minor: int
    currency: str
    payer: str
    received_at: datetime


@dataclass(slots=True)
class ImportedTransfers:
    """``refused`` holds (line, why)."""

    written: int = 0
    known: int = 0
    refused: list[tuple[int, str]] = field(default_factory=list)


def keep_stray(provider_name: str, facts: EventFacts, why: str, payment: Payment | None) -> IncomingPayment:
    """Money of a provider that fits no order: into suspense, in the caller's transaction."""
    return _keep(
        IncomingPayment(
            pk=uuid7(),
            source=Source.PROVIDER,
            provider=provider_name,
            reference=facts.payment_id or facts.event_id,
            why=why,
            amount_minor=facts.amount_minor,
            currency=facts.currency,
            payer=facts.payer,
            received_at=now(),
            payment=payment,
        ),
        None,
    )


@transaction.atomic
def enter_transfer(*, actor: User, transfer: Transfer) -> IncomingPayment:
    """A bank transfer as finance saw it; its reference is taken once. Raises Conflict for one that is known."""
    require(actor, RIGHT)
    if not transfer.reference.strip() or not 0 < transfer.amount_minor <= MOST_MINOR or len(transfer.currency) != 3:
        raise InvalidInput(_("A transfer has a reference, an amount and a currency."))
    row = IncomingPayment(
        pk=uuid7(),
        source=Source.TRANSFER,
        reference=transfer.reference.strip()[:191],
        why=Why.TRANSFER,
        amount_minor=transfer.amount_minor,
        currency=transfer.currency.upper(),
        payer=transfer.payer.strip()[:191],
        received_at=transfer.received_at,
        created_by=actor,
    )
    try:
        with transaction.atomic():
            return _keep(row, actor)
    except IntegrityError:
        raise Conflict(_("A transfer of this reference is known already.")) from None


def import_transfers(*, actor: User, text: str) -> ImportedTransfers:
    """A CSV with the columns date, amount, currency, payer, reference. Each good row is written, each other one named."""
    require(actor, RIGHT)
    done = ImportedTransfers()
    reader = csv.DictReader(io.StringIO(text.lstrip("\ufeff")))
    missing = {"date", "amount", "currency", "payer", "reference"} - {
        str(name).strip().lower() for name in reader.fieldnames or ()
    }
    if missing:
        raise InvalidInput(_("The file has no column %(name)s.") % {"name": ", ".join(sorted(missing))})
    for number, row in enumerate(reader, start=2):
        if number > MOST_ROWS:
            done.refused.append((number, _("A file has at most 5,000 rows.")))
            break
        try:
            enter_transfer(actor=actor, transfer=_transfer_of(row))
        except InvalidInput as refused:
            done.refused.append((number, refused.message))
        except Conflict:
            done.known += 1
        else:
            done.written += 1
    return done


@transaction.atomic
def assign(
    *,
    actor: User,
    incoming: IncomingPayment,
    reason: str,
    user: User | None = None,
    group: Group | None = None,
    worth_nano: int | None = None,
    approval: AdjustmentRequest | None = None,
) -> IncomingPayment:
    """Give the money to a person or a team (suspense to the prepaid purse). ``worth_nano`` for another currency.

    Raises AlreadyDecided, InvalidInput, and SecondPersonNeeded for a large amount.
    """
    require(actor, RIGHT)
    locked = _open_one(incoming, reason)
    if locked.booked_nano is None:
        if not worth_nano or worth_nano <= 0:
            raise InvalidInput(
                _("Say what it is worth in US dollars."), fields={"worth": [_("Say what it is worth in US dollars.")]}
            )
        check_two_people(actor, AdjustmentRequest.Kind.ASSIGN, worth_nano, approval)
        _into_suspense(locked, worth_nano, actor)
    else:
        check_two_people(actor, AdjustmentRequest.Kind.ASSIGN, locked.booked_nano, approval)
    amount = locked.booked_nano or 0
    purse = purse_for(user=user, group=group)
    words = f"{locked.get_source_display()} {locked.reference}"[:255]
    posting = Posting(locked.pk, "top_up", _suspense(), purse.pk, amount, n=1, reason=words, actor_id=actor.pk)
    (booked,) = post_entries([posting])
    locked.user, locked.group = user, group
    _close(actor, locked, State.ASSIGNED, reason)
    if locked.payment and locked.payment.state == Payment.State.UNMATCHED:
        Payment.objects.filter(pk=locked.payment.pk).update(closed_at=now())
    after = {"amount_nano": amount, "entry": booked.entry_id, "to": str(purse)}
    audit.record(actor=actor, action="incoming.assigned", target=locked, after=after, reason=reason)
    return locked


def assign_or_ask(
    *,
    actor: User,
    incoming: IncomingPayment,
    reason: str,
    user: User | None = None,
    group: Group | None = None,
    worth_nano: int | None = None,
    transaction_id: UUID | None = None,
) -> IncomingPayment | AdjustmentRequest:
    """Assign it; what is too large for one person comes back as a request that waits for a second. The same
    ``transaction_id`` asks once."""
    try:
        return assign(actor=actor, incoming=incoming, reason=reason, user=user, group=group, worth_nano=worth_nano)
    except SecondPersonNeeded:
        return approvals.ask(
            actor=actor,
            kind=AdjustmentRequest.Kind.ASSIGN,
            purse=purse_for(user=user, group=group),
            amount_nano=incoming.booked_nano or worth_nano or 0,
            reason=reason,
            details={"incoming": str(incoming.pk), "worth_nano": worth_nano},
            transaction_id=transaction_id,
        )


@transaction.atomic
def give_back(*, actor: User, incoming: IncomingPayment, reason: str) -> IncomingPayment:
    """Return it to the payer (suspense to cash): through the provider it came by, or as a transfer that finance makes."""
    from billing.services.payments import refunds

    require(actor, RIGHT)
    locked = _open_one(incoming, reason)
    # A second attempt after a refusal of the provider is an act of its own; a transfer goes back once, under its own id.
    act = uuid7() if locked.source == Source.PROVIDER else locked.pk
    entry_id = None
    if locked.booked_nano:
        cash = house_account("cash").pk
        posting = Posting(act, "paid_back", _suspense(), cash, locked.booked_nano, reason=reason[:255], actor_id=actor.pk)
        (booked,) = post_entries([posting])
        entry_id = booked.entry_id
    _close(actor, locked, State.RETURNED, reason)
    after = {"amount_minor": locked.amount_minor, "currency": locked.currency, "entry": entry_id}
    audit.record(actor=actor, action="incoming.returned", target=locked, after=after, reason=reason)
    if locked.source == Source.PROVIDER:
        # For another currency there is no dollar figure; the provider is told the received amount.
        PaymentRefund.objects.create(
            pk=act,
            incoming=locked,
            amount_nano=locked.booked_nano or locked.amount_minor * CENT,
            reason=reason[:255],
            entry_id=entry_id,
            asked_by=actor,
        )
        transaction.on_commit(lambda: refunds.send_quietly(act))
    return locked


def _keep(row: IncomingPayment, actor: User | None) -> IncomingPayment:
    row.save(force_insert=True)
    if row.currency == "USD":
        _into_suspense(row, row.amount_minor * CENT, actor)
    after = {"amount_minor": row.amount_minor, "currency": row.currency, "why": row.why}
    audit.record(actor=actor, action="incoming.kept", target=row, after=after)
    return row


def _into_suspense(row: IncomingPayment, amount_nano: int, actor: User | None) -> None:
    cash, actor_id = house_account("cash").pk, actor.pk if actor else None
    posting = Posting(row.pk, "unmatched", cash, _suspense(), amount_nano, reason=row.reference[:255], actor_id=actor_id)
    post_entries([posting])
    row.booked_nano = amount_nano
    row.save(update_fields=["booked_nano"])


def _suspense() -> int:
    """A suspense account of its own: what calls left in theirs is worked at another desk."""
    return house_account("suspense", "payments").pk


def _open_one(incoming: IncomingPayment, reason: str) -> IncomingPayment:
    if not reason.strip():
        raise InvalidInput(_("Give a reason."))
    locked = lock_row(IncomingPayment, incoming.pk)
    if locked is None:
        raise NotFound
    if locked.state != State.OPEN:
        raise AlreadyDecided(_("This payment was worked already."))
    return locked


def _close(actor: User, locked: IncomingPayment, state: str, reason: str) -> None:
    locked.state, locked.closed_by, locked.closed_at, locked.reason = state, actor, now(), reason.strip()[:255]
    locked.save()


def _transfer_of(row: dict[str, str | None]) -> Transfer:
    cells = {str(name).strip().lower(): (value or "").strip() if isinstance(value, str) else "" for name, value in row.items()}
    try:
        moment = datetime.fromisoformat(cells["date"])
        amount = parse_usd(cells["amount"])
    except ValueError:
        raise InvalidInput(_("The date is like 2026-05-31 and the amount like 10 or 2.50.")) from None
    if amount % CENT or not cells["currency"].isalpha() or "\x00" in "".join(cells.values()):
        raise InvalidInput(_("A transfer has a reference, an amount and a currency."))
    received = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return Transfer(cells["reference"], amount // CENT, cells["currency"], cells["payer"], received)


def _assign_approved(request: AdjustmentRequest) -> None:
    assert request.purse is not None
    assign(
        actor=request.requested_by,
        incoming=IncomingPayment.objects.get(pk=UUID(request.details["incoming"])),
        reason=request.reason,
        user=request.purse.user,
        group=request.purse.group,
        worth_nano=request.details["worth_nano"],
        approval=request,
    )


approvals.register(AdjustmentRequest.Kind.ASSIGN, _assign_approved)
