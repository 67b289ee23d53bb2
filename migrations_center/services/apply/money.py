"""Money: opening balances, their corrections and the promises of codes, in one transaction that is checked before it ends."""

from typing import Any
from uuid import UUID

from django.db import connection, transaction

from billing.models import LedgerAccount, RedemptionCode
from billing.services.ledger import PRIORITY, Posting, house_account, post_entries
from config.foundation.ids import uuid7_from
from migrations_center.models import ImportedRow
from migrations_center.services.apply.gone import GONE
from migrations_center.services.apply.plan_money import CODE_TABLE, PURSES, CodePlan, PursePlan, stamp
from migrations_center.services.apply.portal import KnownRow, purse_ids, purse_states
from migrations_center.services.apply.steps import BATCH, Apply, batches
from migrations_center.services.apply.tally import CREATED, UPDATED
from migrations_center.services.errors import ControlTotalsMismatch

OPENING, CORRECTION = "opening", "opening_correction"
STEP = "money"
_LIABILITY_SQL = """
SELECT coalesce(sum(CASE WHEN to_account_id = %s THEN amount_nano ELSE -amount_nano END), 0)::bigint
FROM billing_ledgerentry WHERE (to_account_id = %s OR from_account_id = %s) AND kind IN ('opening', 'opening_correction')
"""


def apply_money(work: Apply) -> None:
    """All or nothing: either every account holds what the plan says, or nothing moved at all."""
    work.plan.context.tally.check()
    total = len(work.plan.purses) + len(work.plan.codes)
    work.report(STEP, 0, total)
    with transaction.atomic():
        origin = work.plan.context.origin
        equity = house_account("opening_equity", origin).pk
        _open_purses(work, equity)
        _close_gone(work, equity)
        _write_codes(work, equity, house_account("code_liability", origin).pk)
        _check_purses(work)
    work.report(STEP, total, total)


def _open_purses(work: Apply, equity: int) -> None:
    accounts = _purses(work, [plan for plan in work.plan.purses if plan.state is None])
    postings = []
    for plan in work.plan.purses:
        if not plan.change:
            continue
        account = accounts[(work.user_ids[plan.old_user_id], plan.kind)]
        postings.append(_posting(work, plan, account, equity))
    for part in batches(postings):
        post_entries(part)
    _note_figures(work)


def _note_figures(work: Apply) -> None:
    """Per person, what was opened in all (nano-USD) and its units: the gates of a batch compare that with the ledger."""
    opened: dict[int, int] = {}
    quotas: dict[int, dict[str, str]] = {}
    for plan in work.plan.purses:
        opened[plan.old_user_id] = opened.get(plan.old_user_id, 0) + plan.nano
        quotas.setdefault(plan.old_user_id, {})[plan.kind] = str(plan.quota)
    changed = []
    rows = ImportedRow.objects.filter(source=work.plan.context.source, table="users").exclude(digest=GONE)
    for row in rows.iterator(chunk_size=BATCH):
        user_id = int(row.row_id)
        if user_id in work.plan.context.kept_balances or user_id not in work.plan.people:
            continue
        wanted = {**row.figures, "nano": opened.get(user_id, 0), "quota": quotas.get(user_id, {})}
        if row.figures != wanted:
            row.figures = wanted
            changed.append(row)
    ImportedRow.objects.bulk_update(changed, ["figures"], batch_size=BATCH)


def _posting(work: Apply, plan: PursePlan, account: int, equity: int) -> Posting:
    """An opening the first time, later a correction with the next number; the act's id is the same whoever runs it."""
    state = plan.state
    is_first = state is None or not state.openings
    return Posting(
        transaction_id=act_id(work, "users", plan.old_user_id, plan.kind),
        kind=OPENING if is_first else CORRECTION,
        n=0 if is_first else (state.corrections if state else 0),
        from_account_id=equity if plan.change > 0 else account,
        to_account_id=account if plan.change > 0 else equity,
        amount_nano=abs(plan.change),
        reason=f"snapshot {work.plan.context.snapshot_digest[:16]}",
        actor_id=work.run.started_by_id,
        # A debt of the old gateway stays a debt.
        allow_debt=plan.change < 0,
    )


def act_id(work: Apply, table: str, row_id: object, part: str = "") -> UUID:
    return uuid7_from(stamp(work.plan.context.source), work.plan.context.code, table, row_id, part)


def _purses(work: Apply, plans: list[PursePlan]) -> dict[tuple[int, str], int]:
    """Purses of this origin, the missing ones made. They can be spent at once only where nobody stays on the old side."""
    context = work.plan.context
    LedgerAccount.objects.bulk_create(
        [
            LedgerAccount(
                kind=plan.kind,
                user_id=work.user_ids[plan.old_user_id],
                origin=context.origin,
                is_purse=True,
                is_spendable=not context.lands_on_old_side or work.user_ids[plan.old_user_id] in context.portal.switched,
                priority=PRIORITY[plan.kind],
            )
            for plan in plans
        ],
        ignore_conflicts=True,
        batch_size=BATCH,
    )
    return purse_ids(context.origin)


def _close_gone(work: Apply, equity: int) -> None:
    """People whose row is gone have no balance there: what was opened for them is taken back unless it is used here."""
    context = work.plan.context
    postings = []
    for row_id, known in work.plan.gone.people.items():
        for kind in PURSES:
            state = context.portal.purses.get((int(known.target_id), kind))
            if state is None or not state.opened_nano or state.has_calls or state.held_nano:
                continue
            amount = state.opened_nano
            postings.append(
                Posting(
                    transaction_id=act_id(work, "users", row_id, kind),
                    kind=CORRECTION,
                    n=state.corrections,
                    from_account_id=state.account_id if amount > 0 else equity,
                    to_account_id=equity if amount > 0 else state.account_id,
                    amount_nano=abs(amount),
                    reason="gone from the source",
                    actor_id=work.run.started_by_id,
                )
            )
            ImportedRow.objects.filter(pk=known.pk).update(figures={**known.figures, "nano": 0, "quota": {}})
    post_entries(postings)


def _write_codes(work: Apply, equity: int, liability: int) -> None:
    plans = work.plan.codes
    for part in batches([plan for plan in plans if plan.outcome == CREATED]):
        _create_codes(work, part)
    postings: list[Posting] = []
    for plan in plans:
        if plan.outcome == CREATED and plan.nano:
            postings.append(_promise(work, plan.old.id, OPENING, 0, plan.nano, equity, liability))
        elif plan.outcome == UPDATED and plan.known:
            postings += _update_code(work, plan, plan.known, equity, liability)
    for row_id, known in work.plan.gone.codes.items():
        if _is_open(known):
            RedemptionCode.objects.filter(pk=known.target_id).update(state=RedemptionCode.State.DISABLED)
            postings += _change_promise(work, row_id, known, 0, "gone", equity, liability)
        else:
            work.update_row(known, "gone", known.figures)
    for part_of in batches(postings):
        post_entries(part_of)


def _is_open(known: KnownRow) -> bool:
    return RedemptionCode.objects.filter(pk=known.target_id, state=RedemptionCode.State.UNUSED).exists()


def _create_codes(work: Apply, plans: list[CodePlan]) -> None:
    codes = RedemptionCode.objects.bulk_create(
        [
            RedemptionCode(
                digest=plan.digest.digest,
                pepper_number=plan.digest.pepper_number,
                tail=plan.digest.tail,
                origin=work.plan.context.origin,
                used_by_id=work.user_ids.get(plan.old.used_user_id),
                **plan.carried.wanted,
            )
            for plan in plans
        ]
    )
    work.remember(
        CODE_TABLE,
        [
            (plan.old.id, "billing.redemptioncode", code.pk, plan.carried.digest(), _code_figures(plan, plan.nano, 0))
            for plan, code in zip(plans, codes, strict=True)
        ],
    )


def _update_code(work: Apply, plan: CodePlan, known: KnownRow, equity: int, liability: int) -> list[Posting]:
    """A code that was redeemed here stays redeemed here, whatever the old gateway says of it now."""
    figures = known.figures
    code = RedemptionCode.objects.get(pk=known.target_id)
    before = figures.get("fields", {})
    current = {name: getattr(code, name) for name in plan.carried.wanted}
    if code.state in (RedemptionCode.State.VOID, RedemptionCode.State.EXPIRED):
        # It ended here and nothing is owed on it any more.
        work.update_row(known, plan.carried.digest(), figures)
        return []
    if code.state == RedemptionCode.State.USED and before["state"][1] != plan.carried.stored()["state"][1]:
        work.update_row(known, plan.carried.digest(), figures)
        return []
    changes = plan.carried.changes(current, before)
    for name, value in changes.items():
        setattr(code, name, value)
    if changes.get("state") == RedemptionCode.State.USED:
        code.used_by_id = work.user_ids.get(plan.old.used_user_id)
    code.save()
    nano = plan.nano if code.state == RedemptionCode.State.UNUSED else 0
    figures = {**figures, "fields": plan.carried.stored(changes, before)}
    moved = KnownRow(known.pk, known.target_id, known.digest, figures, known.first_run_id)
    return _change_promise(work, plan.old.id, moved, nano, plan.carried.digest(), equity, liability)


def _change_promise(
    work: Apply, row_id: object, known: KnownRow, nano: int, digest: str, equity: int, liability: int
) -> list[Posting]:
    before, number = int(known.figures.get("nano", 0)), int(known.figures.get("n", 0))
    change = nano - before
    figures = {**known.figures, "nano": nano, "n": number + (1 if change else 0)}
    work.update_row(known, digest, figures)
    if not change:
        return []
    return [_promise(work, row_id, CORRECTION, number, change, equity, liability)]


def _promise(work: Apply, row_id: object, kind: str, number: int, change: int, equity: int, liability: int) -> Posting:
    return Posting(
        transaction_id=act_id(work, CODE_TABLE, row_id),
        kind=kind,
        n=number,
        from_account_id=equity if change > 0 else liability,
        to_account_id=liability if change > 0 else equity,
        amount_nano=abs(change),
        reason=f"snapshot {work.plan.context.snapshot_digest[:16]}",
        actor_id=work.run.started_by_id,
    )


def _code_figures(plan: CodePlan, nano: int, number: int) -> dict[str, Any]:
    return {**plan.marks, "nano": nano, "n": number, "fields": plan.carried.stored()}


def _check_purses(work: Apply) -> None:
    """After posting, before it counts: every purse holds what was planned. Raises ControlTotalsMismatch and undoes all."""
    states = purse_states(work.plan.context.origin)
    wrong = []
    for plan in work.plan.purses:
        state = states.get((work.user_ids[plan.old_user_id], plan.kind))
        if (state.opened_nano if state else 0) != plan.nano:
            wrong.append(f"{plan.old_user_id}/{plan.kind}")
    if wrong:
        raise ControlTotalsMismatch(f"These accounts do not tie out: {', '.join(wrong[:20])}.", accounts=wrong)


def liability_of(account_id: int) -> int:
    """Nano-USD promised by imported codes of one origin, from the entries."""
    with connection.cursor() as cursor:
        cursor.execute(_LIABILITY_SQL, [account_id] * 3)
        (amount,) = cursor.fetchone()
    return int(amount)
