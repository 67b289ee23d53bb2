"""Whose alerts there are and how people set them."""

from collections.abc import Collection, Sequence

from django.db import transaction
from django.utils.translation import gettext as _

from accounts.models import Group, User
from accounts.rights import may, require
from accounts.services import audit
from accounts.services.teams import is_owner
from billing.alerting.kinds import FACTS
from billing.models import AlertChoice, AlertKind, AlertRule
from billing.models.alerts import OF_HOUSE, PERSONAL
from billing.services.alerts.balances import settle_balance
from config.foundation.errors import InvalidInput, NotAllowed
from keys.models import ApiKey
from keys.services import may_manage

MOST_THRESHOLDS = 8
_RANGES = {AlertKind.BALANCE_LOW: (0, 2**62), AlertKind.LIMIT_USE: (1, 100), AlertKind.ODD_SPEND: (2, 100)}


def rule_of(kind: str, *, user_id: int | None = None, group_id: int | None = None, key_id: int | None = None) -> AlertRule:
    """The rule of this scope, made with the usual thresholds when missing; safe to call twice at once."""
    first = {"thresholds": list(FACTS[kind].thresholds), "channels": list(AlertRule.Channel.values)}
    scope = {"kind": kind, "user_id": user_id, "group_id": group_id, "key_id": key_id}
    rule, _created = AlertRule.objects.get_or_create(**scope, defaults=first)
    return rule


@transaction.atomic
def set_rule(
    *,
    actor: User,
    kind: str,
    user: User | None = None,
    group: Group | None = None,
    key: ApiKey | None = None,
    thresholds: Sequence[int],
    channels: Collection[str],
    is_enabled: bool = True,
    pauses_key: bool = False,
) -> AlertRule:
    """Set what is watched for oneself, a team one owns or a key one manages; staff who manage alerts set the house's.

    A new threshold is compared from now on: what is beyond it already does not fire. Raises NotAllowed or InvalidInput.
    """
    _may_set(actor, kind, user=user, group=group, key=key)
    rule = rule_of(
        kind, user_id=user.pk if user else None, group_id=group.pk if group else None, key_id=key.pk if key else None
    )
    before = _described(rule)
    rule.thresholds = _clean_thresholds(kind, thresholds)
    rule.channels = [channel for channel in AlertRule.Channel.values if channel in channels]
    rule.is_enabled = is_enabled
    rule.pauses_key = pauses_key and kind == AlertKind.ODD_SPEND
    after = _described(rule)
    if after != before:
        rule.save()
        audit.record(actor=actor, action="alert.changed", target=rule, before=before, after=after)
    if kind == AlertKind.BALANCE_LOW:
        settle_balance(rule)
    return rule


@transaction.atomic
def choose_mails(*, actor: User, choices: dict[str, bool]) -> None:
    """Which mails about teams and the house, and whether the digest, this person wants."""
    known = {AlertChoice.DIGEST, *AlertKind.values}
    if not set(choices) <= known:
        raise InvalidInput(_("There is no such kind of alert."))
    if AlertChoice.DIGEST in choices and choices[AlertChoice.DIGEST]:
        require(actor, "alerts.view")
    before = dict(AlertChoice.objects.filter(user=actor, kind__in=choices).values_list("kind", "by_mail"))
    if before == choices:
        return
    for kind, by_mail in choices.items():
        AlertChoice.objects.update_or_create(user=actor, kind=kind, defaults={"by_mail": by_mail})
    audit.record(actor=actor, action="alert.mails_chosen", target=actor, before=before, after=choices)


def _may_set(actor: User, kind: str, *, user: User | None, group: Group | None, key: ApiKey | None) -> None:
    if kind not in AlertKind.values:
        raise InvalidInput(_("There is no such kind of alert."))
    scopes = [scope for scope in (user, group, key) if scope is not None]
    if len(scopes) > 1 or (kind in OF_HOUSE and scopes) or (kind in PERSONAL and not scopes):
        raise InvalidInput(_("This kind of alert does not fit what it is set for."))
    if key is not None and kind != AlertKind.ODD_SPEND:
        raise InvalidInput(_("This kind of alert does not fit what it is set for."))
    allowed = (
        may(actor, "alerts.manage")
        if not scopes
        else (user is not None and user.pk == actor.pk)
        or (group is not None and is_owner(actor, group))
        or (key is not None and may_manage(actor, key))
    )
    if not allowed:
        raise NotAllowed


def _clean_thresholds(kind: str, thresholds: Sequence[int]) -> list[int]:
    low, high = _RANGES.get(AlertKind(kind), (1, 1_000_000))
    cleaned = sorted(set(thresholds), reverse=True)
    if not cleaned:
        raise InvalidInput(_("Give at least one threshold."))
    if kind == AlertKind.ODD_SPEND and len(cleaned) > 1:
        raise InvalidInput(_("Odd spend has one threshold."))
    if len(cleaned) > MOST_THRESHOLDS:
        raise InvalidInput(_("There are at most 8 thresholds."))
    if any(not low <= one < high + 1 for one in cleaned):
        raise InvalidInput(
            _("A threshold of this kind lies between %(low)s and %(high)s.") % {"low": low, "high": high}
            if kind != AlertKind.BALANCE_LOW
            else _("A threshold is not negative.")
        )
    return cleaned


def _described(rule: AlertRule) -> dict[str, object]:
    return {
        "kind": rule.kind,
        "thresholds": rule.thresholds,
        "channels": rule.channels,
        "is_enabled": rule.is_enabled,
        "pauses_key": rule.pauses_key,
    }
