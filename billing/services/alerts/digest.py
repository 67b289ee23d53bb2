"""The daily digest: one mail a day to those who want it, with what fired since yesterday; none when nothing did."""

from datetime import timedelta

from django.db.models import Count

from accounts.models import User
from accounts.services.mail import queue_mail, speaking_to
from billing.alerting import words
from billing.alerting.kinds import wants_by_role
from billing.models import AlertChoice, AlertEvent
from billing.services.alerts.notices import STAFF
from config.foundation.clock import now

SHOWN = 50


def send_digests() -> int:
    """Write the mails of the UTC day that ended; twice on a day changes nothing. Gives the mails written or found."""
    until = now().replace(hour=0, minute=0, second=0, microsecond=0)
    events = AlertEvent.objects.filter(fired_at__gte=until - timedelta(days=1), fired_at__lt=until)
    counts = dict(events.order_by().values_list("phase").annotate(n=Count("pk")))
    if not counts:
        return 0
    shown = list(events.select_related("rule__user", "rule__group", "rule__key").order_by("-fired_at")[:SHOWN])
    day = (until - timedelta(days=1)).date()
    written = 0
    for person in _readers():
        with speaking_to(person):
            lines = [(event.fired_at, words.of(event).subject, event.get_phase_display(), _whose(event)) for event in shown]
        mail = queue_mail(
            user=person,
            kind="alert_digest",
            dedupe_key=f"alert_digest:{day.isoformat()}:{person.pk}",
            template="alert_digest",
            context={
                "day": day,
                "lines": lines,
                "fired": counts.get(AlertEvent.Phase.TRIGGERED, 0),
                "over": counts.get(AlertEvent.Phase.RESOLVED, 0),
                "more": sum(counts.values()) - len(shown),
            },
        )
        written += mail is not None
    return written


def _readers() -> list[User]:
    staff = list(User.objects.filter(is_active=True, role__in=STAFF).order_by("pk"))
    chosen = dict(AlertChoice.objects.filter(kind=AlertChoice.DIGEST).values_list("user_id", "by_mail"))
    return [person for person in staff if chosen.get(person.pk, wants_by_role(AlertChoice.DIGEST, person.role))]


def _whose(event: AlertEvent) -> str:
    return str(event.rule.key or event.rule.group or event.rule.user or "")
