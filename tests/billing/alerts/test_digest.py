"""The daily digest of administrators: once a day, in their language, and none on a quiet day."""

from datetime import timedelta

import pytest

from accounts.models import OutboundMail, Role, User
from billing.models import AlertEvent
from billing.services import alerts
from billing.services.alerts.digest import send_digests
from config.foundation.clock import now
from tests.billing.helpers import person

pytestmark = pytest.mark.django_db


def test_a_day_with_alerts_is_one_mail_in_the_readers_language() -> None:
    person("admin", Role.ADMIN, email="admin@example.org", language="zh-hans")
    ops = person("ops", Role.OPS, email="ops@example.org")
    person("finance", Role.FINANCE, email="finance@example.org")
    assert send_digests() == 0
    alerts.choose_mails(actor=ops, choices={"digest": True})
    user: User = person("ada")
    rule = alerts.rule_of("balance_low", user_id=user.pk)
    event = AlertEvent.objects.create(rule=rule, kind="balance_low", epoch=1, threshold=2 * 10**9, value=10**9)
    AlertEvent.objects.filter(pk=event.pk).update(fired_at=now() - timedelta(days=1))
    for _time in range(2):
        assert send_digests() == 2
    mails = {mail.to_address: mail for mail in OutboundMail.objects.all()}
    assert set(mails) == {"admin@example.org", "ops@example.org"}
    assert "Your balance is low: $1.00 (ada)" in mails["ops@example.org"].text
    assert "您的余额不足" in mails["admin@example.org"].text
    assert mails["admin@example.org"].language == "zh-hans"
