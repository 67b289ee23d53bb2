"""Who is told of an event, and the rows that tell them: a mail each, a delivery for each web hook. Same transaction."""

from collections.abc import Iterable
from typing import Any

import orjson
from django.db.models import Q

from accounts.models import GroupMembership, User
from accounts.services.mail import queue_mail, speaking_to
from billing.alerting import words
from billing.alerting.kinds import wants_by_role
from billing.models import AlertChoice, AlertEvent, AlertKind, AlertRule, HookDelivery, HookEndpoint
from config.foundation.money import decimal_usd

STAFF = ("admin", "ops", "support", "finance")


def tell(event: AlertEvent) -> None:
    """Write the mails and deliveries of one event; writing them again changes nothing."""
    if AlertRule.Channel.MAIL in event.rule.channels:
        for person in recipients(event):
            mail_to(person, event)
    if AlertRule.Channel.HOOK in event.rule.channels:
        body = orjson.dumps(wire(event)).decode()
        rows = [HookDelivery(endpoint=one, sent_id=event.pk, event=event, body=body) for one in _endpoints(event.rule)]
        HookDelivery.objects.bulk_create(rows, ignore_conflicts=True)


def mail_to(person: User, event: AlertEvent) -> None:
    with speaking_to(person):
        said = words.of(event)
    queue_mail(
        user=person,
        kind="alert",
        dedupe_key=f"alert:{event.pk}:{person.pk}",
        template="alert",
        context={"said": said, "moment": event.fired_at, "path": said.path, "choices_path": "/alerts/choices/"},
    )


def recipients(event: AlertEvent) -> list[User]:
    """The person, the owners of the team, the owner of the key; or the staff who want alerts of the house."""
    rule = event.rule
    if rule.user_id:
        return list(User.objects.filter(pk=rule.user_id, is_active=True))
    team_id = rule.group_id or (rule.key.team_id if rule.key else None)
    if team_id:
        return _wanting(event.kind, User.objects.filter(pk__in=_owners(team_id), is_active=True), otherwise=True)
    if rule.key and rule.key.owner_id:
        return list(User.objects.filter(pk=rule.key.owner_id, is_active=True))
    return _wanting(event.kind, User.objects.filter(is_active=True, role__in=STAFF), otherwise=None)


def wire(event: AlertEvent) -> dict[str, Any]:
    """The body of a web hook: figures only, money as decimal strings, no text to translate and no secret."""
    unit = "usd" if event.kind == AlertKind.BALANCE_LOW else ""
    rule = event.rule
    return {
        "id": event.pk.hex,
        "type": f"alert.{event.kind}.{event.phase}",
        "at": event.fired_at.isoformat(),
        "scope": {"user": rule.user_id, "team": rule.group_id, "key": rule.key_id},
        "subject": event.subject,
        "period": event.period,
        "threshold": decimal_usd(event.threshold) if unit else event.threshold,
        "value": decimal_usd(event.value) if unit else event.value,
        "figures": {
            name.replace("_nano", "_usd"): decimal_usd(value) if name.endswith("_nano") and isinstance(value, int) else value
            for name, value in event.figures.items()
            if name != "thresholds"
        },
    }


def _owners(team_id: int) -> list[int]:
    role = GroupMembership.TeamRole.OWNER
    return list(GroupMembership.objects.filter(group_id=team_id, team_role=role).values_list("user_id", flat=True))


def _wanting(kind: str, people: Iterable[User], otherwise: bool | None) -> list[User]:
    found = list(people)
    chosen = dict(AlertChoice.objects.filter(kind=kind, user__in=found).values_list("user_id", "by_mail"))
    return [
        person
        for person in found
        if chosen.get(person.pk, wants_by_role(kind, person.role) if otherwise is None else otherwise)
    ]


def _endpoints(rule: AlertRule) -> Iterable[HookEndpoint]:
    key = rule.key
    user_id = rule.user_id or (key.owner_id if key else None)
    group_id = rule.group_id or (key.team_id if key else None)
    scope = Q(user=None, group=None)
    if user_id:
        scope = Q(user_id=user_id)
    elif group_id:
        scope = Q(group_id=group_id)
    return HookEndpoint.objects.filter(scope, is_active=True, purpose=HookEndpoint.Purpose.ALERTS).order_by("pk")
