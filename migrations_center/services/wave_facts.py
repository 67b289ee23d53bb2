"""Reads what the gates, the notices and the switch need to know of a source's people, keys, purses and models."""

import uuid
from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from datetime import timedelta

from django.db import connection
from django.db.models import Max, Q, QuerySet, Sum

from accounts.models import User
from billing.models import LedgerAccount, LedgerEntry, RequestLog
from config.foundation.clock import now
from gateway.contract.loading import load_key, load_snapshot
from gateway.contract.resolve import resolve
from gateway.contract.snapshot import Snapshot
from gateway.contract.types import Ask, KeyView
from keys.models import ApiKey
from migrations_center.models import ImportedRow, ImportRun, Source, Wave, WaveMember
from migrations_center.plans.gates import MemberFacts, ModelFact, WaveFacts

# How far back a person's calls tell which models they need.
USED_DAYS = 30
USER_TYPE = User._meta.label_lower
KEY_TYPE = ApiKey._meta.label_lower


def origin_of(source: Source) -> str:
    """The origin of purses that came from this source."""
    return f"import:{source.code}"


def people_of(source: Source) -> QuerySet[User]:
    """People that an import of this source made or met."""
    ids = ImportedRow.objects.filter(source=source, target_type=USER_TYPE).values_list("target_id", flat=True)
    return User.objects.filter(pk__in=[int(found) for found in ids])


def key_ids_of(source: Source, user_ids: Collection[int] | None = None) -> list[int]:
    """Keys that came from this source, of these people or of everybody."""
    found = ImportedRow.objects.filter(source=source, target_type=KEY_TYPE).values_list("target_id", flat=True)
    keys = ApiKey.objects.filter(pk__in=[int(key_id) for key_id in found])
    if user_ids is not None:
        keys = keys.filter(owner_id__in=list(user_ids))
    return list(keys.order_by("pk").values_list("pk", flat=True))


def purses_of(source: Source, user_ids: Collection[int]) -> QuerySet[LedgerAccount]:
    """The purses these people brought from the source, in the order they are locked."""
    return LedgerAccount.objects.filter(is_purse=True, origin=origin_of(source), user_id__in=list(user_ids)).order_by("pk")


def charged_here(source: Source, user_ids: Collection[int]) -> set[int]:
    """Who has paid for a call here from what they brought from the source."""
    purses = {"from_account__user_id__in": list(user_ids), "from_account__origin": origin_of(source)}
    charges = LedgerEntry.objects.filter(kind=LedgerEntry.Kind.CHARGE, **purses)
    return set(charges.values_list("from_account__user_id", flat=True).distinct())


def spent_ever(purse_ids: Collection[int]) -> int:
    """Calls paid from these purses less what was given back for calls, nano-USD, over all time."""
    if not purse_ids:
        return 0
    ids = list(purse_ids)
    kinds = LedgerEntry.Kind
    calls = Q(kind__in=(kinds.CHARGE, kinds.REFUND)) | Q(kind=kinds.REVERSAL, reverses__kind=kinds.CHARGE)
    entries = LedgerEntry.objects.filter(calls)
    out = entries.filter(from_account_id__in=ids).aggregate(total=Sum("amount_nano"))["total"] or 0
    back = entries.filter(to_account_id__in=ids).aggregate(total=Sum("amount_nano"))["total"] or 0
    return int(out - back)


def closed_net(purse_id: int) -> int:
    """What closings took out of a purse and no later switch put back, nano-USD; negative for a debt that was closed."""
    moved = LedgerEntry.objects.filter(kind=LedgerEntry.Kind.MOVED_BACK)
    out = moved.filter(from_account_id=purse_id).aggregate(total=Sum("amount_nano"))["total"] or 0
    back = moved.filter(to_account_id=purse_id).aggregate(total=Sum("amount_nano"))["total"] or 0
    return int(out - back)


def wave_facts(wave: Wave) -> WaveFacts:
    """Everything the gates look at."""
    source = wave.plan.source
    run = last_run(source)
    moment = now()
    return WaveFacts(
        now=moment,
        planned_at=wave.planned_at,
        has_old_entry=source.old_entry_id is not None,
        source_ties_out=bool(run) and ties_out(run),
        read_at=run.created_at if run else None,
        ownerless_keys=tuple(ownerless_keys(source)),
        members=tuple(_member_facts(wave)),
    )


def last_run(source: Source) -> ImportRun | None:
    """The newest reading of the source that was carried over."""
    return source.runs.filter(state=ImportRun.State.APPLIED).order_by("-created_at").first()


def ties_out(run: ImportRun | None) -> bool:
    """Whether every total of a run's report ties out."""
    totals = (run.report or {}).get("totals", {}) if run else {}
    return bool(totals) and all(part.get("ties_out", False) for part in totals.values() if isinstance(part, dict))


def ownerless_keys(source: Source) -> list[str]:
    """Names of keys that work and belong to nobody."""
    ids = key_ids_of(source)
    keys = ApiKey.objects.filter(pk__in=ids, owner=None, team=None, state=ApiKey.State.ACTIVE)
    return [key.name or f"#{key.pk}" for key in keys.order_by("pk")]


def _member_facts(wave: Wave) -> list[MemberFacts]:
    source = wave.plan.source
    members = list(wave.members.exclude(state=WaveMember.State.BACK).select_related("user").order_by("user__username"))
    ids = [member.user_id for member in members]
    expected, booked = expected_balances(source, ids), booked_balances(source, ids)
    charged = charged_here(source, ids) - moved_before(ids)
    keys = live_keys(source, ids)
    models = used_models(ids)
    decide = Decider()
    return [
        MemberFacts(
            user_id=member.user_id,
            username=member.user.username,
            is_enabled=member.user.is_active,
            has_address=bool(member.user.email),
            expected_nano=expected.get(member.user_id),
            booked_nano=booked.get(member.user_id, 0),
            live_key_count=len(keys[member.user_id]),
            charged_here=member.user_id in charged,
            models=tuple(decide.models(keys[member.user_id], models[member.user_id])),
        )
        for member in members
    ]


def moved_before(user_ids: Collection[int]) -> set[int]:
    """Who was on the new side in a wave and came back: their charges here are explained by that wave."""
    back = WaveMember.objects.filter(user_id__in=list(user_ids), state=WaveMember.State.BACK, switched_at__isnull=False)
    return set(back.values_list("user_id", flat=True))


def booked_balances(source: Source, user_ids: Collection[int]) -> dict[int, int]:
    """Per person: openings and their corrections in the purses of this source, nano-USD."""
    kinds = (LedgerEntry.Kind.OPENING, LedgerEntry.Kind.OPENING_CORRECTION)
    booked: dict[int, int] = defaultdict(int)
    entries = LedgerEntry.objects.filter(kind__in=kinds)
    purses = {"origin": origin_of(source), "is_purse": True, "user_id__in": list(user_ids)}
    for side, sign in (("to_account", 1), ("from_account", -1)):
        where = {f"{side}__{name}": value for name, value in purses.items()}
        rows = entries.filter(**where).values_list(f"{side}__user_id").annotate(total=Sum("amount_nano")).order_by()
        for user_id, total in rows:
            booked[user_id] += sign * total
    return dict(booked)


def expected_balances(source: Source, user_ids: Collection[int]) -> dict[int, int]:
    """Per person: what the figures of the source say, nano-USD."""
    wanted = [str(user_id) for user_id in user_ids]
    rows = ImportedRow.objects.filter(source=source, target_type=USER_TYPE, target_id__in=wanted)
    expected: dict[int, int] = {}
    for row in rows:
        if "nano" in row.figures:
            expected[int(row.target_id)] = int(row.figures["nano"])
    return expected


def live_keys(source: Source, user_ids: Collection[int]) -> dict[int, list[ApiKey]]:
    """Per person: the keys of this source that a call could be made with."""
    moment = now()
    keys = ApiKey.objects.filter(pk__in=key_ids_of(source, user_ids), state=ApiKey.State.ACTIVE)
    found: dict[int, list[ApiKey]] = defaultdict(list)
    for key in keys.filter(Q(expires_at=None) | Q(expires_at__gt=moment)).order_by("pk"):
        found[key.owner_id or 0].append(key)
    return found


def used_models(user_ids: Collection[int], days: int = USED_DAYS) -> dict[int, dict[int, set[str]]]:
    """Per person and key: models called with success in the last ``days`` of the person's own calls."""
    found: dict[int, dict[int, set[str]]] = defaultdict(lambda: defaultdict(set))
    logs = RequestLog.objects.filter(user_id__in=list(user_ids), outcome="ok")
    newest = dict(logs.values_list("user_id").annotate(at=Max("started_at")).order_by())
    for user_id, at in newest.items():
        recent = logs.filter(user_id=user_id, started_at__gte=at - timedelta(days=days)).exclude(asked_model="")
        for key_id, name in recent.values_list("key_id", "asked_model").distinct().order_by():
            found[user_id][key_id or 0].add(name)
    return found


@dataclass
class Decider:
    """Asks the data path's own decision function what it would answer once a key is on the new route."""

    _snapshot: Snapshot | None = None

    @property
    def snapshot(self) -> Snapshot:
        if self._snapshot is None:
            with connection.cursor() as cursor:
                self._snapshot = load_snapshot(cursor)
        return self._snapshot

    def models(self, keys: list[ApiKey], used: dict[int, set[str]]) -> list[ModelFact]:
        """For each key the models it was used with, and the code of the refusal, if any."""
        facts = []
        for key in keys:
            names = sorted(used.get(key.pk, set()))
            if not names:
                continue
            with connection.cursor() as cursor:
                view = load_key(cursor, key.pk)
            facts += [ModelFact(name, key.name, self.refusal(view, name)) for name in names]
        return facts

    def refusal(self, view: KeyView | None, model: str) -> str | None:
        """The code of the denial a call with this key would meet on the new route, None when it would be served."""
        if view is None:
            return "invalid_key"
        mapped = self.snapshot.names.get(model)
        if mapped is not None and mapped.model_name is None:
            return "retired"
        address = str(view.networks[0].network_address) if view.networks else ""
        decision = resolve(self.snapshot, replace(view, route="new"), Ask(model=model, address=address), now())
        return decision.denial.code if decision.denial else None

    def renamed(self, names: Iterable[str]) -> list[tuple[str, str]]:
        """(old name, called name or "" when retired) for the names that do not stay as they are."""
        changed = []
        for name in sorted(set(names)):
            mapped = self.snapshot.names.get(name)
            if mapped is not None and mapped.model_name != name:
                changed.append((name, mapped.model_name or ""))
        return changed


def act_id(member: WaveMember, act: str, number: int) -> uuid.UUID:
    """The transaction id of one act on a member's purses: the same act is booked once, however often it is tried."""
    return uuid.uuid5(uuid.NAMESPACE_OID, f"portal:wave-member:{member.pk}:{act}:{number}")
