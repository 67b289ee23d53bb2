"""Whose a team's key is can be changed after it was issued; the member's limits count from then on."""

import pytest
from django.test import Client
from django.urls import reverse
from rest_framework.test import APIClient

from accounts.models import AuditEvent, Group, GroupMembership, User
from accounts.services.people import create_person
from billing.models import Hold
from billing.services import ledger
from billing.services.budgets import set_spend_limit
from config.foundation.errors import InvalidInput, NotAllowed
from keys.models import ApiKey
from keys.services import issue_key, revoke_key, set_key_member
from tests.billing.helpers import end, give
from tests.billing.test_refund_effects import spent

pytestmark = pytest.mark.django_db


@pytest.fixture
def crew() -> tuple[Group, User, User, ApiKey]:
    owner, bob = (create_person(actor=None, username=name, email=f"{name}@example.org") for name in ("alice", "bob"))
    team = Group.objects.create(code="crew", name="Crew")
    GroupMembership.objects.create(group=team, user=owner, team_role="owner")
    GroupMembership.objects.create(group=team, user=bob, team_role="member")
    key, _clear = issue_key(actor=owner, team=team, name="robot", owner=None)
    return team, owner, bob, key


def call(team: Group, key: ApiKey) -> ledger.ReserveResult:
    from datetime import timedelta

    from config.foundation.clock import now
    from config.foundation.ids import uuid7

    ask = ledger.ReserveRequest(uuid7(), None, team.pk, key.pk, 100, now() + timedelta(minutes=5), {})
    return ledger.reserve([ask])[0]


def test_a_member_is_named_later_and_their_limit_counts_from_then(crew: tuple[Group, User, User, ApiKey]) -> None:
    team, owner, bob, key = crew
    give(ledger.purse_for(group=team), 1000)
    set_spend_limit(actor=None, user=bob, group=team, span="total", limit_nano=150)
    early = call(team, key)
    set_key_member(actor=owner, key=key, member=bob)
    assert AuditEvent.objects.get(action="key.member_changed").after == {"member": "bob"}
    assert call(team, key).status == "held"
    assert call(team, key).status == "member_limit"
    # The call that ran already is nobody's in particular.
    end(early.request_id, 100)
    assert Hold.objects.get(pk=early.request_id).member_id is None
    assert spent() == {"member total": 0}
    set_key_member(actor=owner, key=key, member=None)
    assert call(team, key).status == "held"


def test_who_may_not_and_who_is_no_member(crew: tuple[Group, User, User, ApiKey]) -> None:
    _team, owner, bob, key = crew
    stranger = create_person(actor=None, username="eve", email="eve@example.org")
    with pytest.raises(NotAllowed):
        set_key_member(actor=bob, key=key, member=bob)
    with pytest.raises(InvalidInput):
        set_key_member(actor=owner, key=key, member=stranger)
    own, _clear = issue_key(actor=owner, owner=owner, name="mine")
    with pytest.raises(InvalidInput):
        set_key_member(actor=owner, key=own, member=bob)
    assert ApiKey.objects.filter(member__isnull=False).count() == 0
    revoke_key(actor=owner, key=key)
    with pytest.raises(Exception, match="revoked"):
        set_key_member(actor=owner, key=key, member=bob)


def test_the_page_and_the_api_change_it_and_the_key_page_links_to_its_watch(crew: tuple[Group, User, User, ApiKey]) -> None:
    _team, owner, bob, key = crew
    client = Client()
    client.force_login(owner)
    sent = {"name": "robot", "purpose": "production", "member": str(bob.pk), "limit": "", "ends_on": "", "networks": ""}
    assert client.post(reverse("key_change", args=[key.pk]), sent).status_code == 302
    page = client.get(reverse("key_detail", args=[key.pk])).content.decode()
    assert "bob" in page
    assert f"{reverse('alert_choices')}?key={key.pk}" in page
    assert "times the key&#x27;s own usual" in page or "times the key's own usual" in page
    wrong = client.post(reverse("key_change", args=[key.pk]), {**sent, "member": "999999"})
    assert "member" in wrong.context["form"].errors
    api = APIClient()
    api.force_login(owner)
    address = reverse("api_key-detail", args=[key.pk])
    assert api.patch(address, {"member_id": None}, format="json").json()["member_id"] is None
    assert api.patch(address, {"member_id": bob.pk}, format="json").json()["member_id"] == bob.pk
    assert api.patch(address, {"member_id": 999_999}, format="json").status_code == 404
    seen = Client()
    seen.force_login(bob)
    assert "times the key" not in seen.get(reverse("key_detail", args=[key.pk])).content.decode()
