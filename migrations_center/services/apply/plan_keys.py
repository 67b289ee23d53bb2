"""Which keys land and in which state; dead ones land dead, so that they are known and never come back. No writes."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from keys import secrets
from keys.models import ApiKey
from migrations_center.rulebook import keys as rules
from migrations_center.rulebook.groups import AUTO
from migrations_center.services.apply.carry import Carried, mark
from migrations_center.services.apply.context import ImportContext
from migrations_center.services.apply.plan_people import PersonPlan
from migrations_center.services.apply.portal import KnownRow, holders_of_secrets
from migrations_center.services.apply.tally import CREATED, UNCHANGED, UPDATED
from migrations_center.sources.records import OldKey, OldUser

TABLE = "tokens"
LATEST = 253402300799


@dataclass(frozen=True)
class KeyPlan:
    old: OldKey
    owner: PersonPlan
    outcome: str
    carried: Carried
    digest: secrets.Digest = field(repr=False)
    known: KnownRow | None
    # An earlier key of the same row id that was another key: it ends.
    replaces: int | None

    @property
    def marks(self) -> dict[str, str]:
        return {"secret": mark(self.digest.digest.hex())}


def plan_keys(context: ImportContext, people: dict[int, PersonPlan]) -> dict[int, KeyPlan]:
    """Plans by old id; refused keys are missing and counted."""
    tally, snapshot = context.tally, context.snapshot
    tally.table(TABLE).read = len(snapshot.keys)
    usable: list[tuple[OldKey, OldUser, secrets.Digest]] = []
    for key in sorted(snapshot.keys, key=lambda key: key.id):
        owner = snapshot.users_by_id.get(key.user_id)
        refusal = _refusal(key, owner, people)
        if refusal or owner is None:
            tally.refuse(TABLE, key.id, refusal or "owner_missing", label=key.name)
            continue
        usable.append((key, owner, secrets.digest_of(key.key)))
    holders = holders_of_secrets([digest.digest for _key, _owner, digest in usable])
    plans: dict[int, KeyPlan] = {}
    given: dict[bytes, int] = {}
    for key, owner, digest in usable:
        plan = _plan(context, key, people[owner.id], digest, holders.get(digest.digest))
        if plan is None or digest.digest in given:
            tally.refuse(TABLE, key.id, "secret_taken", label=key.name)
            continue
        given[digest.digest] = key.id
        context.land(TABLE, plan.outcome, plan.known)
        plans[key.id] = plan
    return plans


def _refusal(key: OldKey, owner: OldUser | None, people: dict[int, PersonPlan]) -> str:
    if owner is None:
        return "owner_missing"
    if owner.id not in people:
        return "owner_refused"
    if not key.key:
        return "secret_empty"
    # The old products read a key up to its first dash, so one with a dash inside never worked.
    if "-" in key.key or len(key.key) > 128:
        return "secret_unusable"
    return ""


def _plan(context: ImportContext, key: OldKey, owner: PersonPlan, digest: secrets.Digest, holder: int | None) -> KeyPlan | None:
    known = context.portal.row(TABLE, key.id)
    replaces: int | None = None
    if known and known.figures.get("secret") not in (None, mark(digest.digest.hex())):
        replaces, known = int(known.target_id), None
    if holder is not None and (known is None or int(known.target_id) != holder):
        return None
    carried = _carried(context, key, owner.old)
    outcome = CREATED if known is None else UNCHANGED if known.digest == carried.digest() else UPDATED
    return KeyPlan(key, owner, outcome, carried, digest, known, replaces)


def state_of(key: OldKey, owner: OldUser, now: int) -> tuple[str, str]:
    """State here and the reason. A disabled owner or a passed time refuse by themselves, so such a key stays as it is."""
    dead = rules.dead_because(key, owner, now)
    if dead in (rules.DELETED, rules.OWNER_DELETED):
        return ApiKey.State.REVOKED, dead
    if dead in (rules.DISABLED, rules.EXHAUSTED):
        return ApiKey.State.DISABLED, dead
    if dead == rules.EXPIRED and not rules.is_expired(key, now):
        return ApiKey.State.DISABLED, dead
    if key.networks_unreadable and not key.networks:
        return ApiKey.State.DISABLED, "networks_unreadable"
    return ApiKey.State.ACTIVE, ""


def _carried(context: ImportContext, key: OldKey, owner: OldUser) -> Carried:
    state, reason = state_of(key, owner, context.now)
    wanted: dict[str, Any] = {
        "name": (key.name or f"key {key.id}")[:191],
        "state": state,
        "state_reason": reason,
        "model_names": None if key.models is None else [name[:255] for name in key.models],
        "networks": list(key.networks),
        "group": context.group_code(key.group) if key.group not in ("", AUTO) else "",
        "auto_group_codes": _auto(context, key, owner),
        "ignores_channel_pin": rules.may_pin(owner),
        "expires_at": moment(key.expired_time) if key.expired_time != -1 else None,
        # A limited key's remainder is a cap, not money: the sum over the keys may exceed the balance.
        "limit_nano": None if key.is_unlimited else context.nano(max(key.remain_quota, 0)),
    }
    return Carried(wanted)


def _auto(context: ImportContext, key: OldKey, owner: OldUser) -> list[str]:
    if key.group != AUTO:
        return []
    if AUTO not in context.groups.usable_by(owner.group):
        # Nobody of this group may use automatic keys: a group that does not exist refuses the call, as the old side did.
        return [context.group_code(AUTO)]
    tried = context.groups.auto_of(owner.group, key.own_auto_groups)
    return [context.group_code(group) for group in tried] or [context.group_code(AUTO)]


def moment(seconds: int) -> datetime:
    """Unix seconds as a time; far beyond the calendar is its end, before 1970 its beginning."""
    return datetime.fromtimestamp(min(max(seconds, 0), LATEST), tz=UTC)
