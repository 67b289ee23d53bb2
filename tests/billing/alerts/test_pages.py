"""Pages of alerts: for whom they work, what a stranger gets, and what is typed."""

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import AuditEvent, Group, GroupMembership, Role, User
from billing.models import AlertChoice, AlertEvent, AlertRule
from billing.services import alerts
from keys.services import pause_key
from tests.billing.helpers import key_of, person

pytestmark = pytest.mark.django_db
USD = 1_000_000_000


def client_of(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def fired(user: User, **more: object) -> AlertEvent:
    rule = alerts.rule_of("balance_low", user_id=user.pk)
    values = {"rule": rule, "kind": "balance_low", "epoch": 1, "threshold": 2 * USD, "value": USD, **more}
    return AlertEvent.objects.create(**values)


def test_people_see_their_own_alerts_and_staff_all() -> None:
    ann, eve, ops = person("ann"), person("eve"), person("ops", Role.OPS)
    event = fired(ann)
    page = reverse("alert_detail", args=[event.pk.hex])
    for user, status in ((ann, 200), (eve, 404), (ops, 200)):
        assert client_of(user).get(page).status_code == status
    seen = {user: client_of(user).get(reverse("alert_list")).content.decode() for user in (ann, eve, ops)}
    assert "Your balance is low: $1.00" in seen[ann]
    assert "Your balance is low" not in seen[eve]
    assert "Your balance is low" in seen[ops]
    assert "Your balance is low" not in client_of(ops).get(reverse("alert_list") + "?of=mine").content.decode()
    assert client_of(ann).get(reverse("alert_detail", args=["no-id"])).status_code == 404
    assert client_of(ann).get(reverse("alert_list") + "?before=x&kind=nothing").status_code == 200


def test_thresholds_are_set_and_bad_ones_are_field_errors() -> None:
    ann = person("ann")
    client, page = client_of(ann), reverse("alert_choices")
    name = "balance_low-me"
    good = {"rule": name, f"{name}-is_enabled": "on", f"{name}-thresholds": "10 2.5 $1", f"{name}-by_mail": "on"}
    assert client.post(page, good).status_code == 302
    rule = AlertRule.objects.get(user=ann, kind="balance_low")
    assert (rule.thresholds, rule.channels, rule.is_enabled) == ([10 * USD, 2_500_000_000, USD], ["mail"], True)
    assert "10 2.50 1" in client.get(page).content.decode()
    for typed, problem in (("ten", "cannot be read"), ("-1", "not negative"), ("1 2 3 4 5 6 7 8 9", "at most 8")):
        answer = client.post(page, {**good, f"{name}-thresholds": typed})
        assert problem in answer.content.decode()
    rule.refresh_from_db()
    assert rule.thresholds == [10 * USD, 2_500_000_000, USD]
    assert AuditEvent.objects.filter(action="alert.changed").count() == 1


def test_an_owner_sets_the_teams_alerts_and_a_stranger_no_key() -> None:
    team = Group.objects.create(code="lab", name="Lab")
    boss, eve = person("boss"), person("eve")
    GroupMembership.objects.create(group=team, user=boss, team_role="owner")
    name = f"limit_use-t{team.pk}"
    page = reverse("alert_choices")
    values = {"rule": name, f"{name}-is_enabled": "on", f"{name}-thresholds": "50 90%", f"{name}-by_mail": "on"}
    assert client_of(boss).post(page, values).status_code == 302
    assert AlertRule.objects.get(group=team, kind="limit_use").thresholds == [90, 50]
    client_of(eve).post(page, values)
    assert AlertRule.objects.count() == 1
    assert client_of(eve).get(f"{page}?key={key_of(boss).pk}").status_code == 404


def test_staff_choose_their_mails() -> None:
    ops = person("ops", Role.OPS)
    client, page = client_of(ops), reverse("alert_choices")
    assert client.post(page, {"rule": "mails", "old_holds": "on", "digest": "on"}).status_code == 302
    chosen = dict(AlertChoice.objects.values_list("kind", "by_mail"))
    assert chosen == {
        "old_holds": True,
        "digest": True,
        "unpriced_model": False,
        "delivery_failing": False,
        "difference": False,
    }
    assert "Mails about the house" not in client_of(person("ann")).get(page).content.decode()


def test_R030_the_page_of_an_alert_shows_the_evidence_and_resumes_the_key_with_one_click() -> None:
    ann = person("ann")
    key = key_of(ann, "K3")
    figures = {"name": "K3", "key_id": key.pk, "times_tenths": 82, "is_paused": True, "spent_nano": 820, "usual_nano": 100}
    figures["top_calls"] = [{"id": "0" * 32, "model": "gpt-4o", "cost_nano": 700}]
    rule = alerts.rule_of("odd_spend", user_id=ann.pk)
    event = fired(ann, rule=rule, kind="odd_spend", figures=figures, subject=f"key:{key.pk}")
    pause_key(actor=None, key=key, reason="odd_spend")
    client = client_of(ann)
    page = client.get(reverse("alert_detail", args=[event.pk.hex])).content.decode()
    assert "8.2 times" in page
    assert reverse("call_detail", args=["0" * 32]) in page
    assert "Resume “K3”" in page
    assert "Its spend rose far above its own usual." in client.get(reverse("key_detail", args=[key.pk])).content.decode()
    client.post(reverse("key_enable", args=[key.pk]))
    key.refresh_from_db()
    assert key.state == "active"
    assert "Resume “K3”" not in client.get(reverse("alert_detail", args=[event.pk.hex])).content.decode()
