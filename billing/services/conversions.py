"""Changing money of one currency into another. Amounts are nano-units of their currency.

Each side is an entry within its own currency, against the house's exchange account of that currency, so every currency sums
to zero by itself. Rounding: amount * numerator / denominator is cut to whole nano-units, and the purse receives it rounded
half-even to the smallest coin; what that takes or gives is booked between the exchange account and "rounding".
"""

import re
from uuid import UUID

from django.db import transaction
from django.utils.translation import gettext as _

from accounts.models import Group, User
from accounts.rights import require
from accounts.services import audit
from billing.models import AdjustmentRequest, CurrencyConversion, LedgerAccount, LedgerEntry
from billing.services import approvals
from billing.services.errors import EntryMismatch, InsufficientBalance
from billing.services.four_eyes import check_two_people
from billing.services.ledger import Posting, house_account, post_entries, purse_for
from config.foundation.errors import InvalidInput
from config.foundation.ids import uuid7

_CURRENCY = re.compile(r"[A-Z]{3}")
CENT = 10_000_000
# Nano-units of the smallest coin where it is not a hundredth.
COINS = {"JPY": 1_000_000_000, "KRW": 1_000_000_000, "VND": 1_000_000_000}
MOST = 2**62


@transaction.atomic
def convert(
    *,
    actor: User,
    from_currency: str,
    to_currency: str,
    amount_nano: int,
    rate_numerator: int,
    rate_denominator: int,
    reason: str,
    user: User | None = None,
    group: Group | None = None,
    transaction_id: UUID | None = None,
    approval: AdjustmentRequest | None = None,
) -> CurrencyConversion:
    """Take ``amount_nano`` from the owner's prepaid purse in the one currency and give its worth to the purse in the other.

    The same ``transaction_id`` converts once. The rate is typed by a person, so ``approval`` is a request that another one
    approved. Raises NotAllowed, InvalidInput, SecondPersonNeeded, InsufficientBalance (the purse is too low) and
    EntryMismatch (the id was used for another conversion).
    """
    require(actor, "ledger.adjust")
    if not reason.strip():
        raise InvalidInput(_("Give a reason."))
    if (user is None) == (group is None):
        raise InvalidInput(_("Say whose money it is: one person's or one team's."))
    received, residue = quote(from_currency, to_currency, amount_nano, rate_numerator, rate_denominator)
    if transaction_id is None or not CurrencyConversion.objects.filter(pk=transaction_id).exists():
        check_two_people(actor, AdjustmentRequest.Kind.CONVERSION, amount_nano, approval)
    act = transaction_id or uuid7()
    facts = {
        "user": user,
        "group": group,
        "from_currency": from_currency,
        "to_currency": to_currency,
        "from_nano": amount_nano,
        "to_nano": received,
        "residue_nano": residue,
        "rate_numerator": rate_numerator,
        "rate_denominator": rate_denominator,
    }
    source = purse_for(user=user, group=group, currency=from_currency).pk
    target = purse_for(user=user, group=group, currency=to_currency).pk
    exchange = house_account("exchange", currency=to_currency).pk
    moves = [(source, house_account("exchange", currency=from_currency).pk, amount_nano), (exchange, target, received)]
    if residue:
        rounding = house_account("rounding", currency=to_currency).pk
        moves.append((exchange, rounding, residue) if residue > 0 else (rounding, exchange, -residue))
    results = post_entries(
        [
            Posting(act, LedgerEntry.Kind.CONVERSION, *move, n=number, reason=reason.strip()[:255], actor_id=actor.pk)
            for number, move in enumerate(moves)
        ]
    )
    if results[0].status == "repeated":
        known = CurrencyConversion.objects.get(pk=act)
        if any(getattr(known, name) != value for name, value in facts.items()):
            raise EntryMismatch
        return known
    done = CurrencyConversion.objects.create(id=act, actor=actor, reason=reason.strip()[:255], **facts)
    audit.record(
        actor=actor,
        action="ledger.converted",
        target=done,
        after={"from_nano": amount_nano, "to_nano": received, "rate": f"{rate_numerator}/{rate_denominator}"},
        reason=reason,
    )
    return done


def received_for(amount_nano: int, numerator: int, denominator: int, currency: str) -> tuple[int, int]:
    """(what the purse receives, the residue): whole numbers only; both together are the exact worth cut to nano-units."""
    worth = amount_nano * numerator // denominator
    coin = COINS.get(currency, CENT)
    coins, rest = divmod(worth, coin)
    if rest * 2 > coin or (rest * 2 == coin and coins % 2):
        coins += 1
    return coins * coin, worth - coins * coin


def quote(from_currency: str, to_currency: str, amount: int, numerator: int, denominator: int) -> tuple[int, int]:
    """(what the purse would receive, the residue); raises InvalidInput, which names the field."""
    if not (_CURRENCY.fullmatch(from_currency) and _CURRENCY.fullmatch(to_currency)) or from_currency == to_currency:
        raise _wrong("to_currency", _("Name two different currencies by their three capital letters."))
    if not 0 < amount < MOST:
        raise _wrong("amount", _("The amount must be greater than zero."))
    if not (0 < numerator < MOST and 0 < denominator < MOST):
        raise _wrong("rate", _("A rate is a fraction of two whole numbers greater than zero."))
    received, residue = received_for(amount, numerator, denominator, to_currency)
    if not 0 < received < MOST:
        raise _wrong("rate", _("At this rate nothing would be received, or more than can be booked."))
    return received, residue


def ask_for_conversion(
    *,
    actor: User,
    purse: LedgerAccount,
    to_currency: str,
    amount_nano: int,
    rate_numerator: int,
    rate_denominator: int,
    reason: str,
    evidence_url: str = "",
    transaction_id: UUID | None = None,
) -> AdjustmentRequest:
    """Ask a second person for a conversion out of this purse. Raises NotAllowed, InvalidInput and InsufficientBalance."""
    require(actor, "ledger.adjust")
    received, _residue = quote(purse.currency, to_currency, amount_nano, rate_numerator, rate_denominator)
    if amount_nano > purse.balance_nano - purse.held_nano:
        text = _("There is not so much in the purse.")
        raise InsufficientBalance(text, fields={"amount": [text]})
    details = {"to_currency": to_currency, "to_nano": received, "numerator": rate_numerator, "denominator": rate_denominator}
    return approvals.ask(
        actor=actor,
        kind=AdjustmentRequest.Kind.CONVERSION,
        amount_nano=amount_nano,
        reason=reason,
        purse=purse,
        details=details,
        evidence_url=evidence_url,
        transaction_id=transaction_id,
    )


def _wrong(field: str, text: str) -> InvalidInput:
    return InvalidInput(text, fields={field: [text]})


def _approved(request: AdjustmentRequest) -> None:
    assert request.purse is not None
    kept = request.details
    convert(
        actor=request.requested_by,
        user=request.purse.user,
        group=request.purse.group,
        from_currency=request.purse.currency,
        to_currency=kept["to_currency"],
        amount_nano=request.amount_nano,
        rate_numerator=kept["numerator"],
        rate_denominator=kept["denominator"],
        reason=request.reason,
        transaction_id=request.transaction_id,
        approval=request,
    )


approvals.register(AdjustmentRequest.Kind.CONVERSION, _approved)
