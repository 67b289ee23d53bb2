"""Batches of redemption codes: made, downloaded once, paused, voided, given another value, ended by their time.

An unused code is owed to whoever holds it, so every act here moves the liability in the same transaction: issued from
``promotion_cost`` (bonus codes) or ``codes_for_sale`` (prepaid codes) to ``code_liability``; back again when a code is
paused or voided; to ``breakage`` when it runs out. Amounts are nano-USD.
"""

import secrets as dice
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import Q, QuerySet
from django.utils.translation import gettext as _

from accounts.models import User
from accounts.rights import require
from accounts.services import audit
from billing.locks import lock_codes, lock_row
from billing.models import AdjustmentRequest, CodeBatch, RedemptionCode
from billing.services.errors import CodesTaken, NumbersChanged
from billing.services.four_eyes import check_two_people
from billing.services.ledger import Posting, house_account, post_entries
from config.foundation.clock import now
from config.foundation.crypto import seal, unseal
from config.foundation.errors import Conflict, InvalidInput, NotFound
from config.foundation.ids import uuid7
from keys.secrets import digest_of

RIGHT = "ledger.adjust"
# No letter or digit that could be read as another one: 32 signs, 16 of them are 80 bits.
ALPHABET = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"
GROUPS, GROUP_LENGTH = 4, 4
MOST_CODES = 10_000
MOST_NANO = 10**12
State = RedemptionCode.State
EXPIRY_BATCH = 1000


@dataclass(frozen=True, slots=True)
class NewBatch:
    """What a batch is made from; ``prefix`` begins every code."""

    name: str
    count: int
    amount_nano: int
    purse_kind: str
    prefix: str = ""
    expires_at: datetime | None = None
    max_per_person: int | None = None
    note: str = ""

    def checked(self) -> "NewBatch":
        """Itself; raises InvalidInput with the field that is wrong."""
        wrong: dict[str, list[str]] = {}
        if not self.name.strip():
            wrong["name"] = [_("A batch has a name.")]
        if not 1 <= self.count <= MOST_CODES:
            wrong["count"] = [_("A batch has 1 to 10,000 codes.")]
        if not 0 < self.amount_nano <= MOST_NANO:
            wrong["amount"] = [_("A code is worth more than 0 and at most 1,000 US dollars.")]
        if self.purse_kind not in CodeBatch.PurseKind.values:
            wrong["purse_kind"] = [_("The purse is bonus or prepaid.")]
        if len(self.prefix) > 12 or not (self.prefix == "" or (self.prefix.isascii() and self.prefix.isalnum())):
            wrong["prefix"] = [_("At most 12 letters and digits.")]
        if self.expires_at and self.expires_at <= now():
            wrong["expires_at"] = [_("This time is over already.")]
        if self.max_per_person is not None and not 1 <= self.max_per_person <= 1000:
            wrong["max_per_person"] = [_("1 to 1,000, or nothing.")]
        if wrong:
            raise InvalidInput(_("Some fields cannot be used as they are."), fields=wrong)
        return self


@dataclass(frozen=True, slots=True)
class Revaluation:
    """What giving a batch another value does: ``difference_nano`` is what the liability grows by (negative: shrinks)."""

    count: int
    paused_count: int
    old_nano: int
    new_nano: int
    difference_nano: int


@transaction.atomic
def create_batch(
    *, actor: User, new: NewBatch, batch_id: UUID | None = None, approval: AdjustmentRequest | None = None
) -> CodeBatch:
    """Make the codes and book what is owed on them; the same ``batch_id`` makes them once.

    Raises NotAllowed, InvalidInput, or SecondPersonNeeded for more money than one person may give out.
    """
    require(actor, RIGHT)
    new.checked()
    check_two_people(actor, AdjustmentRequest.Kind.CODE_BATCH, new.count * new.amount_nano, approval)
    known = CodeBatch.objects.filter(pk=batch_id).first() if batch_id else None
    if known is not None:
        if (known.name, known.code_count, known.amount_nano) != (new.name.strip(), new.count, new.amount_nano):
            raise Conflict(_("This batch was made already, with other figures."))
        return known
    clear = _fresh_codes(new)
    batch = _write_batch(actor, new, batch_id, clear)
    _write_codes(batch, clear)
    contra, owed = contra_of(batch), house_account("code_liability").pk
    total = new.count * new.amount_nano
    post_entries([Posting(batch.pk, "code_issued", contra, owed, total, reason=batch.name, actor_id=actor.pk)])
    after = {"codes": new.count, "amount_nano": new.amount_nano, "purse_kind": new.purse_kind, "total_nano": total}
    audit.record(actor=actor, action="code_batch.created", target=batch, after=after, reason=new.note)
    return batch


@transaction.atomic
def take_codes(*, actor: User, batch: CodeBatch) -> list[str]:
    """The clear codes, once: they are no longer kept when this has been committed. Raises CodesTaken."""
    require(actor, RIGHT)
    locked = lock_row(CodeBatch, batch.pk)
    if locked is None or locked.sealed_codes is None:
        raise CodesTaken
    clear = unseal(bytes(locked.sealed_codes)).split("\n")
    locked.sealed_codes, locked.exported_at, locked.exported_by = None, now(), actor
    locked.save(update_fields=["sealed_codes", "exported_at", "exported_by"])
    audit.record(actor=actor, action="code_batch.downloaded", target=locked, after={"codes": len(clear)})
    return clear


@transaction.atomic
def set_codes_state(*, actor: User, codes: QuerySet[RedemptionCode], to: str, reason: str) -> int:
    """Pause ("disabled"), resume ("unused") or void codes; gives how many changed. Used and ended ones stay as they are.

    Raises InvalidInput without a reason, and for pausing codes of an old gateway: their imports decide that.
    """
    require(actor, RIGHT)
    if not reason.strip():
        raise InvalidInput(_("Give a reason."))
    sources = {State.DISABLED: [State.UNUSED], State.UNUSED: [State.DISABLED], State.VOID: [State.UNUSED, State.DISABLED]}
    if to not in sources:
        raise InvalidInput(_("Codes are paused, resumed or voided."))
    found = lock_codes(codes.filter(state__in=sources[State(to)]))
    if to != State.VOID and any(code.batch_id is None for code in found):
        raise InvalidInput(_("Codes of an old gateway can be voided, not paused: its next import would decide again."))
    found = [code for code in found if code.batch_id or code.state == State.UNUSED]
    if to == State.UNUSED:
        found = [code for code in found if code.expires_at is None or code.expires_at > now()]
    return _change_state(actor, found, to, reason)


def expire_codes(limit: int = EXPIRY_BATCH) -> int:
    """End codes whose time is over and book what was owed on them to breakage; gives their number. Safe to run twice."""
    late = RedemptionCode.objects.filter(expires_at__lte=now())
    due = late.filter(Q(state=State.UNUSED) | Q(state=State.DISABLED, batch__isnull=False))
    with transaction.atomic():
        return _change_state(None, lock_codes(due, limit), State.EXPIRED, "")


def plan_revaluation(*, actor: User, batch: CodeBatch, amount_nano: int) -> Revaluation:
    """The dry run: what the new value would change, and nothing is written."""
    require(actor, RIGHT)
    _check_value(amount_nano)
    open_codes = RedemptionCode.objects.filter(batch=batch, state__in=[State.UNUSED, State.DISABLED])
    return _revaluation(list(open_codes), amount_nano)


@transaction.atomic
def revalue_batch(
    *,
    actor: User,
    batch: CodeBatch,
    amount_nano: int,
    expected: Revaluation,
    reason: str,
    approval: AdjustmentRequest | None = None,
) -> Revaluation:
    """Give the codes that nobody used another value; raises NumbersChanged when the dry run no longer holds."""
    require(actor, RIGHT)
    _check_value(amount_nano)
    if not reason.strip():
        raise InvalidInput(_("Give a reason."))
    locked = lock_row(CodeBatch, batch.pk)
    if locked is None:
        raise NotFound
    found = lock_codes(RedemptionCode.objects.filter(batch=locked, state__in=[State.UNUSED, State.DISABLED]))
    done = _revaluation(found, amount_nano)
    if done != expected:
        raise NumbersChanged
    check_two_people(actor, AdjustmentRequest.Kind.REVALUE, max(done.difference_nano, 0), approval)
    RedemptionCode.objects.filter(pk__in=[code.pk for code in found]).update(amount_nano=amount_nano)
    before, locked.amount_nano = locked.amount_nano, amount_nano
    locked.save(update_fields=["amount_nano"])
    owed, contra = house_account("code_liability").pk, contra_of(locked)
    if done.difference_nano:
        source, target = (contra, owed) if done.difference_nano > 0 else (owed, contra)
        kind = "code_issued" if done.difference_nano > 0 else "code_ended"
        act = approval.transaction_id if approval else uuid7()
        amount = abs(done.difference_nano)
        post_entries([Posting(act, kind, source, target, amount, reason=locked.name, actor_id=actor.pk)])
    audit.record(
        actor=actor,
        action="code_batch.revalued",
        target=locked,
        before={"amount_nano": before},
        after={"amount_nano": amount_nano, "codes": done.count, "difference_nano": done.difference_nano},
        reason=reason,
    )
    return done


def contra_of(batch: CodeBatch) -> int:
    """The account of the house that a batch is issued from."""
    return house_account("promotion_cost" if batch.purse_kind == CodeBatch.PurseKind.BONUS else "codes_for_sale").pk


def _fresh_codes(new: NewBatch) -> list[str]:
    head = [new.prefix.upper()] if new.prefix else []
    made: set[str] = set()
    while len(made) < new.count:
        parts = ["".join(dice.choice(ALPHABET) for _sign in range(GROUP_LENGTH)) for _part in range(GROUPS)]
        made.add("-".join([*head, *parts]))
    return sorted(made)


def _write_batch(actor: User, new: NewBatch, batch_id: UUID | None, clear: list[str]) -> CodeBatch:
    try:
        with transaction.atomic():
            return CodeBatch.objects.create(
                id=batch_id or uuid7(),
                name=new.name.strip(),
                purse_kind=new.purse_kind,
                amount_nano=new.amount_nano,
                code_count=new.count,
                expires_at=new.expires_at,
                max_per_person=new.max_per_person,
                note=new.note.strip(),
                sealed_codes=seal("\n".join(clear)),
                created_by=actor,
            )
    except IntegrityError:
        raise InvalidInput(
            _("Some fields cannot be used as they are."), fields={"name": [_("There is a batch of this name already.")]}
        ) from None


def _write_codes(batch: CodeBatch, clear: list[str]) -> None:
    rows = []
    for code in clear:
        found = digest_of(code)
        rows.append(
            RedemptionCode(
                batch=batch,
                digest=found.digest,
                pepper_number=found.pepper_number,
                tail=found.tail,
                purse_kind=batch.purse_kind,
                batch_name=batch.name,
                amount_nano=batch.amount_nano,
                expires_at=batch.expires_at,
            )
        )
    RedemptionCode.objects.bulk_create(rows, batch_size=1000)


def _change_state(actor: User | None, codes: Collection[RedemptionCode], to: str, reason: str) -> int:
    """Write the state of locked codes, one entry for each account they were owed from, and one line of the trail a batch."""
    if not codes:
        return 0
    act, postings = uuid7(), []
    for n, ((_origin, source, target), part) in enumerate(sorted(_flows(codes, to).items())):
        total = sum(code.amount_nano for code in part)
        kind = "code_issued" if to == State.UNUSED else "code_ended"
        words = (reason or f"{len(part)} codes")[:255]
        if total:
            actor_id = actor.pk if actor else None
            postings.append(Posting(act, kind, source, target, total, n=n, reason=words, actor_id=actor_id))
    RedemptionCode.objects.filter(pk__in=[code.pk for code in codes]).update(state=to)
    if to == State.VOID:
        # What was never downloaded is worth nothing now; it need not be kept.
        whole = CodeBatch.objects.filter(pk__in={code.batch_id for code in codes if code.batch_id})
        whole.exclude(codes__state__in=[State.UNUSED, State.DISABLED]).update(sealed_codes=None)
    post_entries(postings)
    _record_change(actor, codes, to, reason)
    return len(codes)


def _flows(codes: Collection[RedemptionCode], to: str) -> dict[tuple[str, int, int], list[RedemptionCode]]:
    """Codes by (origin, from account, to account) of the money that their change moves; paused ones owe nothing."""
    batches = CodeBatch.objects.in_bulk({code.batch_id for code in codes if code.batch_id})
    breakage = house_account("breakage").pk
    flows: dict[tuple[str, int, int], list[RedemptionCode]] = {}
    for code in codes:
        owed = house_account("code_liability", code.origin).pk
        contra = contra_of(batches[code.batch_id]) if code.batch_id else breakage
        if to == State.UNUSED:
            flow = (code.origin, contra, owed)
        elif code.state == State.UNUSED:
            flow = (code.origin, owed, breakage if to == State.EXPIRED else contra)
        else:
            continue
        flows.setdefault(flow, []).append(code)
    return flows


def _record_change(actor: User | None, codes: Collection[RedemptionCode], to: str, reason: str) -> None:
    verbs = {State.DISABLED: "paused", State.UNUSED: "resumed", State.VOID: "voided", State.EXPIRED: "expired"}
    action = f"code.{verbs[State(to)]}"
    batches = CodeBatch.objects.in_bulk({code.batch_id for code in codes if code.batch_id})
    for batch in batches.values():
        part = [code for code in codes if code.batch_id == batch.pk]
        after = {
            "codes": len(part),
            "amount_nano": sum(code.amount_nano for code in part),
            "tails": [c.tail for c in part[:20]],
        }
        audit.record(actor=actor, action=action, target=batch, after=after, reason=reason)
    for code in codes:
        if code.batch_id is None:
            before = {"state": code.state}
            audit.record(actor=actor, action=action, target=code, before=before, after={"state": to}, reason=reason)


def _revaluation(codes: Collection[RedemptionCode], amount_nano: int) -> Revaluation:
    live = [code for code in codes if code.state == State.UNUSED]
    old = sum(code.amount_nano for code in live)
    new = len(live) * amount_nano
    return Revaluation(len(live), len(codes) - len(live), old, new, new - old)


def _check_value(amount_nano: int) -> None:
    if not 0 < amount_nano <= MOST_NANO:
        raise InvalidInput(
            _("Some fields cannot be used as they are."),
            fields={"amount": [_("A code is worth more than 0 and at most 1,000 US dollars.")]},
        )
