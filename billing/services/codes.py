"""Redeeming codes. Who gets one is decided by one conditional update; the money was a liability since the code was made."""

import uuid

from django.db import transaction
from django.db.models import Q

from accounts.models import User
from accounts.services import audit
from billing.models import RedemptionCode
from billing.services.errors import CodeNotUsable
from billing.services.ledger import Posting, house_account, post_entries, purse_for
from config.foundation.clock import now
from config.foundation.errors import NotAllowed
from keys import secrets

_ACTS = uuid.UUID("5c0f4b51-6a29-5a3e-9b3c-0f6b0f1c7d11")


@transaction.atomic
def redeem_code(*, actor: User, presented: str) -> int:
    """Add a code's money to the actor's prepaid purse; gives nano-USD. Raises CodeNotUsable, whatever is wrong with it."""
    if not actor.is_active:
        raise NotAllowed
    moment = now()
    mine = RedemptionCode.objects.filter(digest__in=code_digests(presented))
    usable = mine.filter(Q(expires_at=None) | Q(expires_at__gt=moment), state=RedemptionCode.State.UNUSED)
    if not usable.update(state=RedemptionCode.State.USED, used_at=moment, used_by=actor):
        raise CodeNotUsable
    code = mine.get()
    if code.amount_nano:
        posting = Posting(
            code_transaction_id(code.pk),
            "code",
            house_account("code_liability", code.origin).pk,
            purse_for(user=actor).pk,
            code.amount_nano,
            actor_id=actor.pk,
            reason=code.batch_name[:255],
        )
        post_entries([posting])
    audit.record(actor=actor, action="code.redeemed", target=code, after={"amount_nano": code.amount_nano})
    return code.amount_nano


def code_digests(presented: str) -> list[bytes]:
    """What a code may be stored as. Codes keep their dashes: they are not keys."""
    bare = presented.strip()
    return secrets.candidate_digests(bare) if 0 < len(bare) <= 128 else []


def code_transaction_id(code_id: int) -> uuid.UUID:
    """The act of redeeming this code, the same whenever it is asked for."""
    return uuid.uuid5(_ACTS, str(code_id))
