"""Opening balances and promises, and what a later import corrects. No writes."""

from dataclasses import dataclass

from keys import secrets
from migrations_center.models import Source
from migrations_center.rulebook import money as rules
from migrations_center.services.apply.carry import Carried, mark
from migrations_center.services.apply.context import ImportContext
from migrations_center.services.apply.plan_keys import moment
from migrations_center.services.apply.plan_people import PersonPlan
from migrations_center.services.apply.portal import KnownRow, PurseState, holders_of_codes
from migrations_center.services.apply.tally import CREATED, UNCHANGED, UPDATED, MoneyCount
from migrations_center.sources.records import CODE_UNUSED, CODE_USED, OldCode, OldSubscription

BALANCES, BONUS, SUBSCRIPTIONS, CODES = "balances", "bonus", "subscriptions", "codes"
CODE_TABLE = "redemptions"
SUBSCRIPTION_TABLE = "user_subscriptions"
# Purse kind -> name in the report, and the column that is left out in part.
PURSES = {
    "prepaid": (BALANCES, "users.quota"),
    "bonus": (BONUS, "users.aff_quota"),
    "subscription": (SUBSCRIPTIONS, "user_subscriptions.amount"),
}


@dataclass(frozen=True, slots=True)
class PursePlan:
    """What a purse shall hold of imported money: ``nano`` after this import, ``change`` what is posted for it."""

    old_user_id: int
    kind: str
    quota: int
    nano: int
    change: int
    state: PurseState | None


@dataclass(frozen=True)
class CodePlan:
    old: OldCode
    outcome: str
    carried: Carried
    digest: secrets.Digest
    known: KnownRow | None
    promise: int
    nano: int

    @property
    def marks(self) -> dict[str, str]:
        return {"secret": mark(self.digest.digest.hex())}


def plan_purses(context: ImportContext, people: dict[int, PersonPlan]) -> list[PursePlan]:
    tally = context.tally
    for name, _column in PURSES.values():
        tally.purse(name)
    root = rules.first_root(context.snapshot.users)
    moved: set[int] = set()
    running = _plan_subscriptions(context, people)
    plans: list[PursePlan] = []
    for user in context.snapshot.users:
        balances, bonus = tally.purse(BALANCES), tally.purse(BONUS)
        balances.source += user.quota
        bonus.source += user.bonus_quota
        person = people.get(user.id)
        if person is None:
            balances.refused += user.quota
            bonus.refused += user.bonus_quota
            continue
        grant = 0 if context.options.include_preset_grant else rules.preset_grant(user, context.product, root)
        if grant:
            balances.left_out += grant
            tally.leave_part("users.quota", "preset_grant", row_id=user.id, label=user.username, quota=grant)
            tally.decide("users", "preset_grant", row_id=user.id, label=user.username, quota=grant)
        for kind, quota in (
            ("prepaid", user.quota - grant),
            ("bonus", user.bonus_quota),
            ("subscription", running.get(user.id, 0)),
        ):
            plan = _plan_purse(context, person, kind, quota)
            if plan is not None:
                plans.append(plan)
                if plan.change and person.outcome == UNCHANGED and not context.is_of_this_run(person.known):
                    moved.add(user.id)
    # A person whose row says the same but for the money is a changed one.
    tally.table("users").updated += len(moved)
    return plans


def _plan_purse(context: ImportContext, person: PersonPlan, kind: str, quota: int) -> PursePlan | None:
    """The purse as it shall be; None where there is nothing to hold, or where the balance is decided here by now."""
    user_id = int(person.known.target_id) if person.known else None
    state = context.portal.purses.get((user_id, kind)) if user_id is not None else None
    count = context.tally.purse(PURSES[kind][0])
    nano = context.nano(quota)
    change = nano - (state.opened_nano if state else 0)
    if change and user_id is not None and _is_owned_here(context, user_id):
        _keep(context, person, kind, quota, state, count)
        return None
    count.landed += quota
    count.landed_nano += nano
    if nano < 0:
        context.tally.differ("users", "balance_is_debt", row_id=person.old.id, label=person.old.username, quota=quota)
    if not nano and state is None:
        return None
    return PursePlan(person.old.id, kind, quota, nano, change, state)


def _keep(
    context: ImportContext, person: PersonPlan, kind: str, quota: int, state: PurseState | None, count: MoneyCount
) -> None:
    """The money is being spent here: what the source says now stays outside, what was opened before stays as it is."""
    opened = state.opened_nano if state else 0
    before = int(person.known.figures.get("quota", {}).get(kind, 0)) if person.known else 0
    count.landed += before
    count.landed_nano += opened
    count.left_out += quota - before
    context.kept_balances.add(person.old.id)
    if quota != before:
        row, name = person.old.id, person.old.username
        context.tally.leave_part(PURSES[kind][1], "balance_owned_here", row_id=row, label=name, quota=quota - before)
        context.tally.differ("users", "balance_owned_here", row_id=row, label=name, source=quota, opened=before)


def _is_owned_here(context: ImportContext, user_id: int) -> bool:
    """A batch moved the person here, or they called something here already."""
    if user_id in context.portal.switched:
        return True
    purses = [context.portal.purses.get((user_id, kind)) for kind in PURSES]
    return any(purse and (purse.held_nano or purse.has_calls) for purse in purses)


def _plan_subscriptions(context: ImportContext, people: dict[int, PersonPlan]) -> dict[int, int]:
    """Units left of running subscriptions per person; every row is counted."""
    tally = context.tally
    count = tally.purse(SUBSCRIPTIONS)
    running: dict[int, int] = {}
    if not rules.has_subscriptions(context.product) or SUBSCRIPTION_TABLE not in context.snapshot.counts:
        return running
    tally.table(SUBSCRIPTION_TABLE).read = len(context.snapshot.subscriptions)
    for row in context.snapshot.subscriptions:
        rest, reason = rules.subscription_rest(row, context.now)
        left = max(row.amount_total - row.amount_used, 0) if row.amount_total else 0
        count.source += left
        if row.user_id not in people:
            count.refused += left
            tally.refuse(SUBSCRIPTION_TABLE, row.id, "owner_missing")
        elif reason:
            count.left_out += left
            tally.leave(SUBSCRIPTION_TABLE, reason, row_id=row.id, quota=left)
            if reason == "subscription_unlimited":
                tally.decide(SUBSCRIPTION_TABLE, reason, row_id=row.id, **_names(context, row))
        else:
            running[row.user_id] = running.get(row.user_id, 0) + rest
            tally.land(SUBSCRIPTION_TABLE, UNCHANGED if context.portal.row("users", row.user_id) else CREATED)
    return running


def _names(context: ImportContext, row: OldSubscription) -> dict[str, str]:
    return {"label": context.snapshot.users_by_id[row.user_id].username}


def plan_codes(context: ImportContext) -> list[CodePlan]:
    """Codes land by digest. Only what may still be redeemed is a promise; the others land in their state, without money."""
    tally, count = context.tally, context.tally.purse(CODES)
    rows = context.snapshot.codes
    if CODE_TABLE not in context.snapshot.counts:
        return []
    tally.table(CODE_TABLE).read = len(rows)
    digests = {code.id: secrets.digest_of(code.key) for code in rows if code.key}
    holders = holders_of_codes([digest.digest for digest in digests.values()])
    plans = []
    for code in sorted(rows, key=lambda code: code.id):
        count.source += code.quota
        plan = _plan_code(context, code, digests.get(code.id), holders)
        if isinstance(plan, str):
            count.refused += code.quota
            tally.refuse(CODE_TABLE, code.id, plan, label=code.name)
            continue
        plans.append(plan)
        context.land(CODE_TABLE, plan.outcome, plan.known)
        _, reason = rules.code_promise(code, context.now)
        count.landed += plan.promise
        count.landed_nano += plan.nano
        if code.quota != plan.promise:
            count.left_out += code.quota - plan.promise
            tally.leave_part("redemptions.quota", reason or "code_negative", row_id=code.id, label=code.name, quota=code.quota)
    return plans


def _plan_code(
    context: ImportContext, code: OldCode, digest: secrets.Digest | None, holders: dict[bytes, int]
) -> CodePlan | str:
    """The plan, or why the row is refused."""
    if digest is None:
        return "secret_empty"
    known = context.portal.row(CODE_TABLE, code.id)
    holder = holders.get(digest.digest)
    if known and known.figures.get("secret") not in (None, mark(digest.digest.hex())):
        return "id_reused"
    if holder is not None and (known is None or int(known.target_id) != holder):
        return "secret_taken"
    promise, _reason = rules.code_promise(code, context.now)
    nano = context.nano(promise)
    carried = _carried_code(context, code)
    outcome = CREATED if known is None else UNCHANGED if known.digest == carried.digest() else UPDATED
    return CodePlan(code, outcome, carried, digest, known, promise, nano)


def _carried_code(context: ImportContext, code: OldCode) -> Carried:
    state = {CODE_UNUSED: "unused", CODE_USED: "used"}.get(code.status, "disabled")
    if code.is_deleted or (state == "unused" and rules.code_promise(code, context.now)[1] == "code_expired"):
        # The ledger owes on every unused code, and nothing is owed on these.
        state = "disabled"
    return Carried(
        {
            "state": state,
            "amount_nano": context.nano(max(code.quota, 0)),
            "batch_name": code.name[:191],
            "expires_at": moment(code.expired_time) if code.expired_time else None,
            "used_at": moment(code.redeemed_time) if code.redeemed_time else None,
        }
    )


def stamp(source: Source) -> int:
    """The time inside the ids of this source's entries: milliseconds of its first import, so they are the same each time."""
    return int(source.created_at.timestamp() * 1000)
