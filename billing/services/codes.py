"""Redeeming codes. Who gets one is decided by one conditional update; the money was a liability since the code was made."""

import uuid
from datetime import timedelta

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Q
from django.utils.translation import gettext as _

from accounts.models import User
from accounts.services import audit
from billing.locks import lock_person_in_batch
from billing.models import CodeGuesses, RedemptionCode
from billing.services.errors import CodeLimitReached, CodeNotUsable, TooManyGuesses
from billing.services.ledger import Posting, house_account, post_entries, purse_for
from config.foundation.clock import now
from config.foundation.errors import NotAllowed
from keys import secrets

_ACTS = uuid.UUID("5c0f4b51-6a29-5a3e-9b3c-0f6b0f1c7d11")
GUESS_WINDOW = timedelta(minutes=10)
# One statement counts and answers, so that guesses sent at once are all counted.
_COUNT_GUESS = """
INSERT INTO billing_codeguesses AS g (user_id, since, count) VALUES (%(user)s, %(now)s, 1)
ON CONFLICT (user_id) DO UPDATE SET
    count = CASE WHEN g.since < %(start)s THEN 1 ELSE g.count + 1 END,
    since = CASE WHEN g.since < %(start)s THEN %(now)s ELSE g.since END
RETURNING count, since
"""


def redeem_code(*, actor: User, presented: str) -> RedemptionCode:
    """Add a code's money to the actor's purse of the code's kind; gives the code, used.

    Raises CodeNotUsable, whatever is wrong with it, CodeLimitReached when the batch allows no more to one person, and
    TooManyGuesses after CODE_GUESSES wrong ones in ten minutes.
    """
    if not actor.is_active:
        raise NotAllowed
    # Counted before the answer is known and taken back when it was right: an error must not undo the count.
    _count_guess(actor)
    code = _claim(actor, presented)
    CodeGuesses.objects.filter(user=actor).delete()
    return code


@transaction.atomic
def _claim(actor: User, presented: str) -> RedemptionCode:
    for digests in code_spellings(presented):
        known = RedemptionCode.objects.filter(digest__in=digests).select_related("batch").first()
        if known is not None:
            return _claim_known(actor, known)
    raise CodeNotUsable


def _claim_known(actor: User, known: RedemptionCode) -> RedemptionCode:
    moment, batch = now(), known.batch
    if batch and batch.max_per_person:
        lock_person_in_batch(actor.pk, batch.pk)
        if RedemptionCode.objects.filter(batch=batch, used_by=actor).count() >= batch.max_per_person:
            raise CodeLimitReached
    usable = RedemptionCode.objects.filter(Q(expires_at=None) | Q(expires_at__gt=moment), pk=known.pk, state="unused")
    if not usable.update(state=RedemptionCode.State.USED, used_at=moment, used_by=actor):
        raise CodeNotUsable
    code = RedemptionCode.objects.get(pk=known.pk)
    if code.amount_nano:
        posting = Posting(
            code_transaction_id(code.pk),
            "code",
            house_account("code_liability", code.origin).pk,
            purse_for(user=actor, kind=code.purse_kind).pk,
            code.amount_nano,
            actor_id=actor.pk,
            reason=code.batch_name[:255],
        )
        post_entries([posting])
    after = {"amount_nano": code.amount_nano, "purse_kind": code.purse_kind}
    audit.record(actor=actor, action="code.redeemed", target=code, after=after)
    return code


def code_spellings(presented: str) -> list[list[bytes]]:
    """What a code may be stored as: as it was typed, then without blanks in capitals, as the portal writes its own."""
    bare = presented.strip()
    tidy = "".join(bare.split()).upper()
    spellings = [bare] if bare == tidy else [bare, tidy]
    return [secrets.candidate_digests(text) for text in spellings if 0 < len(text) <= 128]


def code_transaction_id(code_id: int) -> uuid.UUID:
    """The act of redeeming this code, the same whenever it is asked for."""
    return uuid.uuid5(_ACTS, str(code_id))


def _count_guess(actor: User) -> None:
    moment = now()
    with connection.cursor() as cursor:
        cursor.execute(_COUNT_GUESS, {"user": actor.pk, "now": moment, "start": moment - GUESS_WINDOW})
        count, since = cursor.fetchone()
    if count <= settings.CODE_GUESSES:
        return
    wait = max(60, int((since + GUESS_WINDOW - moment).total_seconds()))
    words = _("Too many codes that do not work. Try again in %(minutes)d minutes; a right code loses nothing by waiting.")
    raise TooManyGuesses(words % {"minutes": -(-wait // 60)}, retry_after=wait)
