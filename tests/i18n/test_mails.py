"""Every mail in its reader's language, whatever the language of the one who caused it."""

import re
from typing import Any

import pytest
from django.test import Client
from django.utils import translation

from accounts.models import OutboundMail, Role, User
from accounts.services import invitations, people
from billing.models import AlertEvent, AlertKind
from billing.models.alerts import PERSONAL
from billing.services import alerts
from billing.services.alerts.notices import mail_to
from migrations_center.services import notices, switching, waves
from tests.i18n.reading import read
from tests.migrations_center.waves.town import Town

CJK = re.compile(r"[\u3400-\u9fff]")
# Addresses, names and what a program says of itself: the words of a Chinese mail that are not Chinese.
NAMES = re.compile(
    r"\[\[sealed:\S+|https?://\S+|\S+@\S+|\b(API|URL|ID|UTC|Town gateway|town-chat|boss|ann|job|gpt-4o|example\.com)\b"
)
LETTERS = re.compile(r"[A-Za-z]{3,}")


def left_english(text: str) -> list[str]:
    return [line for line in text.splitlines() if LETTERS.search(NAMES.sub("", line))]


@pytest.fixture
def boss(db: Any) -> User:
    return people.create_person(actor=None, username="boss", email="boss@example.org", role=Role.ADMIN, language="en")


def alert_event(person: User, kind: str, phase: str) -> AlertEvent:
    """What fired or is over, with the figures its words need."""
    figures = {"key": "job", "name": "job", "model": "gpt-4o", "calls": 2, "people": 1, "times_tenths": 82, "is_paused": True}
    rule = alerts.rule_of(kind, user_id=person.pk) if kind in PERSONAL else alerts.rule_of(kind)
    return AlertEvent.objects.create(rule=rule, kind=kind, phase=phase, epoch=1, threshold=1, value=2, figures=figures)


def written(language: str, boss: User) -> list[OutboundMail]:
    """One mail of each kind to somebody of this language, caused by somebody whose page is English."""
    town = Town().build("ann")
    ann = town.people["ann"]
    User.objects.filter(pk=ann.pk).update(language=language)
    ann.refresh_from_db()
    wave = town.wave(town.plan(), "ann")
    waves.mark_ready(actor=town.ops, wave=wave)
    notices.notify(actor=town.ops, wave=wave)
    switching.switch(actor=town.ops, wave=wave)
    switching.go_back(actor=town.ops, wave=wave)
    invitations.invite(actor=boss, email="new@example.org", language=language)
    for kind in AlertKind.values:
        for phase in AlertEvent.Phase.values:
            mail_to(ann, alert_event(ann, kind, phase))
    found = list(OutboundMail.objects.order_by("created_at"))
    assert {one.kind for one in found} == {"wave_before", "wave_done", "wave_going_back", "invitation", "alert"}
    return found


def test_mails_to_chinese_readers_are_chinese(boss: User, fresh_catalogue: None) -> None:
    with translation.override("en"):
        for one in written("zh-hans", boss):
            assert one.language == "zh-hans"
            assert CJK.search(one.subject), one.kind
            assert left_english(f"{one.subject}\n{one.text}") == [], one.kind
            page = read(one.html)
            assert page.lang == "zh-hans", one.kind
            assert left_english("\n".join(page.texts)) == [], one.kind


def test_mails_to_english_readers_are_english(boss: User, fresh_catalogue: None) -> None:
    with translation.override("zh-hans"):
        for one in written("en", boss):
            assert not CJK.search(one.subject + one.text + one.html), one.kind
            assert read(one.html).lang == "en", one.kind


def test_account_mails_speak_the_persons_language(boss: User, fresh_catalogue: None) -> None:
    """The person's own language counts, not the one of the page the request came from."""
    User.objects.filter(pk=boss.pk).update(language="zh-hans")
    answer = Client(headers={"accept-language": "en"}).post("/accounts/password/reset/", {"email": boss.email})
    assert answer.status_code == 302
    sent = OutboundMail.objects.get()
    assert sent.subject.endswith("设置新密码")
    assert left_english(f"{sent.text}\n" + "\n".join(read(sent.html).texts)) == []
