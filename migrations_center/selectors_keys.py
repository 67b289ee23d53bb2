"""The keys of a wave: what becomes of each, which relays hold it, who was seen here, and who still uses the old side."""

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime

from django.db.models import Count, F, Max, Q

from accounts.models import User
from accounts.rights import require
from billing.models import RequestLog
from config.foundation.clock import now
from gateway.models import EntryPoint, EntrySighting, KeyConfirmation
from gateway.services.confirmations import Unconfirmed, unconfirmed
from keys.models import ApiKey
from migrations_center.models import KeyChoice, Wave, WaveMember
from migrations_center.services.wave_facts import key_ids_of

VIEW = "migrations.view"


@dataclass(frozen=True, slots=True)
class OldUse:
    """Use of the old side after the switch: by an old name that leads here, or at the old machine itself (from its log)."""

    by_name: int
    at_machine: int
    last_at: datetime

    @property
    def call_count(self) -> int:
        return self.by_name + self.at_machine


@dataclass(frozen=True, slots=True)
class KeyLine:
    """``is_live``: a call could be made with it. ``adopted_at``: its first call on the new side since the switch."""

    key: ApiKey
    username: str
    choice: str
    overlap_hours: int
    is_live: bool
    adopted_at: datetime | None = None
    client: str = ""
    old_use: OldUse | None = None
    missing: list[Unconfirmed] = field(default_factory=list)
    confirmed_by: int = 0

    @property
    def choice_word(self) -> str:
        return str(KeyChoice.Choice(self.choice).label)

    @property
    def unconfirmed_relays(self) -> int:
        return len(self.missing)

    @property
    def old_calls(self) -> int:
        return self.old_use.call_count if self.old_use else 0

    @property
    def counts(self) -> bool:
        """Whether the key is one of those that should be seen on the new side."""
        return self.is_live and self.choice != KeyChoice.Choice.RETIRE


@dataclass(frozen=True, slots=True)
class Adoption:
    """How many of the keys that should be seen on the new side were."""

    seen: int
    total: int
    flagged: int


def lines_of(actor: User, wave: Wave) -> list[KeyLine]:
    """Every key of the wave by person and name; before the switch with the relays' confirmations."""
    require(actor, VIEW)
    members = {member.user_id: member for member in wave.members.select_related("user")}
    keys = list(
        ApiKey.objects.filter(pk__in=key_ids_of(wave.plan.source, list(members)))
        .select_related("owner")
        .prefetch_related("secrets")
        .order_by("owner__username", "name", "pk")
    )
    ids = [key.pk for key in keys]
    choices = KeyChoice.objects.in_bulk(ids)
    adopted, old = _adopted(ids, members), _old_uses(keys, members)
    missing = _missing(keys, choices) if wave.state in (Wave.State.READY, Wave.State.NOTIFIED) else {}
    said = dict(
        KeyConfirmation.objects.filter(key_id__in=ids, withheld="").values_list("key_id").annotate(n=Count("relay")).order_by()
    )
    moment = now()
    return [
        KeyLine(
            key=key,
            username=members[key.owner_id or 0].user.username,
            choice=choices[key.pk].choice if key.pk in choices else KeyChoice.Choice.KEEP,
            overlap_hours=choices[key.pk].overlap_hours if key.pk in choices else 72,
            is_live=_is_live(key, moment),
            adopted_at=adopted.get(key.pk, (None, ""))[0],
            client=adopted.get(key.pk, (None, ""))[1],
            old_use=old.get(key.pk),
            missing=missing.get(key.pk, []),
            confirmed_by=said.get(key.pk, 0),
        )
        for key in keys
    ]


def adoption_of(lines: Collection[KeyLine]) -> Adoption:
    """The figures of the progress bar."""
    counted = [line for line in lines if line.counts]
    return Adoption(
        seen=sum(line.adopted_at is not None for line in counted),
        total=len(counted),
        flagged=sum(line.old_use is not None for line in lines),
    )


def _is_live(key: ApiKey, moment: datetime) -> bool:
    return key.state == ApiKey.State.ACTIVE and (key.expires_at is None or key.expires_at > moment)


def _missing(keys: list[ApiKey], choices: dict[int, KeyChoice]) -> dict[int, list[Unconfirmed]]:
    moment = now()
    retired = KeyChoice.Choice.RETIRE
    needed = [key.pk for key in keys if _is_live(key, moment) and not (key.pk in choices and choices[key.pk].choice == retired)]
    found: defaultdict[int, list[Unconfirmed]] = defaultdict(list)
    for one in unconfirmed(needed):
        found[one.key_id].append(one)
    return found


def _adopted(key_ids: list[int], members: dict[int, WaveMember]) -> dict[int, tuple[datetime, str]]:
    """First call on the new side since the owner's switch, and the client that made it."""
    rows = EntrySighting.objects.filter(key_id__in=key_ids, route="new").annotate(owner=F("key__owner_id")).order_by("first_at")
    found: dict[int, tuple[datetime, str]] = {}
    for row in rows.values("key_id", "owner", "first_at", "last_at", "client_family"):
        switched_at = members[row["owner"]].switched_at
        if switched_at is not None and row["last_at"] >= switched_at and row["key_id"] not in found:
            found[row["key_id"]] = (max(row["first_at"], switched_at), row["client_family"])
    return found


def _old_uses(keys: list[ApiKey], members: dict[int, WaveMember]) -> dict[int, OldUse]:
    switched = {key.pk: members[key.owner_id or 0].switched_at for key in keys}
    since = min((at for at in switched.values() if at), default=None)
    if since is None:
        return {}
    figures: defaultdict[int, list[tuple[str, int, datetime]]] = defaultdict(list)
    by_name = EntrySighting.objects.filter(key_id__in=list(switched), route="new", entry__side=EntryPoint.Side.OLD)
    for key_id, calls, last in by_name.values_list("key_id", "call_count", "last_at"):
        figures[key_id].append(("name", calls, last))
    at_machine = RequestLog.objects.filter(
        user_id__in=list(members), key_id__in=list(switched), origin=RequestLog.Origin.IMPORTED, started_at__gte=since
    )
    # A key switched later than the first one of the wave is looked at from its own switch on.
    late = Q()
    for key_id, at in switched.items():
        if at is not None and at > since:
            late |= Q(key_id=key_id, started_at__lt=at)
    rows = at_machine.exclude(late) if late else at_machine
    for key_id, calls, last in rows.values_list("key_id").annotate(n=Count("id"), at=Max("started_at")).order_by():
        figures[key_id].append(("machine", calls, last))
    found = {}
    for key_id, parts in figures.items():
        at = switched[key_id]
        fresh = [part for part in parts if at is not None and part[2] >= at]
        if fresh:
            found[key_id] = OldUse(
                by_name=sum(calls for kind, calls, _last in fresh if kind == "name"),
                at_machine=sum(calls for kind, calls, _last in fresh if kind == "machine"),
                last_at=max(last for _kind, _calls, last in fresh),
            )
    return found
