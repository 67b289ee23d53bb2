"""Spend limits: how much money a key, a member of a team, a team or a person may spend, in all, a day or a month."""

from datetime import UTC, datetime
from zoneinfo import available_timezones

from django.db import connection, transaction
from django.db.models import QuerySet
from django.utils.translation import gettext as _

from accounts.models import Group, GroupMembership, User
from accounts.rights import may
from accounts.services import audit
from billing.models import SpendLimit
from config.foundation.clock import now
from config.foundation.errors import InvalidInput, NotAllowed
from keys.models import ApiKey
from keys.services import may_manage

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MOST_NANO = 2**62


@transaction.atomic
def set_spend_limit(
    *,
    actor: User | None,
    span: str,
    limit_nano: int | None,
    key: ApiKey | None = None,
    user: User | None = None,
    group: Group | None = None,
    time_zone: str = "",
) -> SpendLimit | None:
    """Limit what may be spent in all, a day or a month, None for no such limit. Give ``key``; or ``user``; or ``group``; or
    ``group`` and ``user`` for a member. What was spent in the running window counts from the start.

    ``time_zone`` empty: the one the limit has; for a new one the payer's (a team's is that of its longest-standing owner).
    Calls of the payer wait while their running window is counted. Raises NotAllowed or InvalidInput.
    """
    scope, target = _scope(key, user, group)
    if not may_limit(actor, key=key, user=user, group=group):
        raise NotAllowed
    _check(span, limit_nano, time_zone)
    payer_user, payer_group = _payer(key, user, group)
    with connection.cursor() as cursor:
        cursor.execute("SELECT billing_lock_limits(%s, %s)", [payer_user, payer_group])
    limit = SpendLimit.objects.filter(key=key, user=user, group=group, span=span).first()
    before = {"limit_nano": limit.limit_nano, "time_zone": limit.time_zone} if limit else {"limit_nano": None}
    if limit_nano is None:
        if limit is not None:
            limit.delete()
            limit = None
    else:
        zone = time_zone or (limit.time_zone if limit else zone_of(user=payer_user, group=payer_group))
        limit = _put(limit, scope, span, limit_nano, zone, key=key, user=user, group=group)
    with connection.cursor() as cursor:
        cursor.execute("SELECT billing_mark_limits(%s, %s)", [payer_user, payer_group])
    after = {"limit_nano": limit.limit_nano, "time_zone": limit.time_zone} if limit else {"limit_nano": None}
    if after != before:
        audit.record(
            actor=actor,
            action=f"{scope}.limit_changed",
            target=target,
            before={"span": span, **before},
            after={"span": span, **after, **({"team_id": group.pk} if group and user else {})},
        )
    return limit


def set_key_limit(*, actor: User | None, key: ApiKey, limit_nano: int | None) -> SpendLimit | None:
    """How much a key may spend in all, None for no limit."""
    return set_spend_limit(actor=actor, key=key, span=SpendLimit.Span.TOTAL, limit_nano=limit_nano)


def may_limit(actor: User | None, *, key: ApiKey | None = None, user: User | None = None, group: Group | None = None) -> bool:
    """Who may set a limit: for a key who manages it; for a member an owner of the team; for a person and a whole team, whose
    limits are set for them and not by them, staff who manage keys."""
    if key is not None:
        return may_manage(actor, key)
    if actor is None or may(actor, "keys.manage"):
        return True
    if user is None or group is None:
        return False
    return actor.is_active and group.is_active and _owners(group.pk).filter(user=actor).exists()


def zone_of(*, user: int | None, group: int | None) -> str:
    """The time zone of an account by id: a person's own, a team's is that of its longest-standing owner, else UTC."""
    if group is not None:
        owner = _owners(group).order_by("created_at", "pk").select_related("user").first()
        return owner.user.time_zone if owner else "UTC"
    zones = User.objects.filter(pk=user).values_list("time_zone", flat=True) if user is not None else None
    return (zones.first() if zones is not None else None) or "UTC"


def limit_new_keys(limits: dict[ApiKey, int]) -> None:
    """Totals for keys that were just made and have called nothing yet; for imports, inside their transaction."""
    SpendLimit.objects.bulk_create(
        [
            SpendLimit(scope="key", key=key, span="total", limit_nano=nano, time_zone="UTC", counts_from=EPOCH)
            for key, nano in limits.items()
        ]
    )
    with connection.cursor() as cursor:
        payers = [_payer(key, None, None) for key in limits]
        cursor.executemany("SELECT billing_mark_limits(%s, %s)", sorted(set(payers), key=str))


def _put(limit: SpendLimit | None, scope: str, span: str, limit_nano: int, zone: str, **target: object) -> SpendLimit:
    moment = now()
    if limit is not None and limit.time_zone == zone:
        limit.limit_nano = limit_nano
        limit.save(update_fields=["limit_nano", "changed_at"])
        return limit
    if limit is not None:
        # Another calendar has other windows: those of the old one are gone, and the running one is counted anew.
        limit.delete()
    with connection.cursor() as cursor:
        cursor.execute("SELECT billing_window_start(%s, %s, %s)", [span, zone, moment])
        (counts_from,) = cursor.fetchone()
        made = SpendLimit.objects.create(
            scope=scope, span=span, limit_nano=limit_nano, time_zone=zone, counts_from=counts_from, **target
        )
        cursor.execute("SELECT billing_seed_window(%s, %s)", [made.pk, moment])
    return made


def _scope(key: ApiKey | None, user: User | None, group: Group | None) -> tuple[str, ApiKey | User | Group]:
    """What kind of limit this is, and whom it is about."""
    given = (key is not None, user is not None, group is not None)
    scopes = {
        (True, False, False): "key",
        (False, True, True): "member",
        (False, False, True): "group",
        (False, True, False): "person",
    }
    target = key or user or group
    if given not in scopes or target is None:
        raise InvalidInput(_("A limit is for a key, a person, a team, or a member of a team."))
    return scopes[given], target


def _check(span: str, limit_nano: int | None, time_zone: str) -> None:
    if span not in SpendLimit.Span.values:
        raise InvalidInput(_("A limit is for the total, a day or a month."))
    if limit_nano is not None and not 0 <= limit_nano < MOST_NANO:
        raise InvalidInput(_("A limit is not negative."))
    if time_zone and time_zone not in available_timezones():
        raise InvalidInput(_("This time zone is not known."))


def _payer(key: ApiKey | None, user: User | None, group: Group | None) -> tuple[int | None, int | None]:
    """(person, team) who pays for the calls a limit is about; one of the two."""
    if key is not None:
        return (None, key.team_id) if key.team_id is not None else (key.owner_id, None)
    return (None, group.pk) if group is not None else (user.pk if user else None, None)


def _owners(group_id: int) -> QuerySet[GroupMembership]:
    return GroupMembership.objects.filter(group_id=group_id, team_role=GroupMembership.TeamRole.OWNER, user__is_active=True)
