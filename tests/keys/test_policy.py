"""R016: who may create keys, which teams spend what, who reviews quota and when; enforced, not only written."""

from datetime import date, timedelta

import pytest
import time_machine
from django.test import Client
from django.urls import reverse
from rest_framework.test import APIClient

from accounts.models import AuditEvent, Group, GroupMembership, OutboundMail, Role, User
from accounts.services.people import create_person
from config.foundation.errors import InvalidInput, NotAllowed, NotFound
from keys.models import AccessPolicy, ApiKey, QuotaReview
from keys.selectors_policy import review_for, reviews_due
from keys.services import issue_key, rename_key
from keys.services_policy import (
    MayNotIssue,
    end_review,
    finish_review,
    notice_due_reviews,
    plan_review,
    set_policy,
    set_team_money,
)
from keys.tasks import notice_due_reviews_task

pytestmark = pytest.mark.django_db


@pytest.fixture
def boss() -> User:
    return create_person(actor=None, username="boss", email="boss@example.org", role=Role.ADMIN)


@pytest.fixture
def alice() -> User:
    return create_person(actor=None, username="alice", email="alice@example.org")


@pytest.fixture
def team(alice: User) -> Group:
    team = Group.objects.create(code="crew", name="Crew")
    GroupMembership.objects.create(group=team, user=alice, team_role="owner")
    return team


FORM = {"name": "mine", "purpose": "production", "once": "0b8f4f0e-2f43-4a6b-a6ab-6a6a1d6fd6e8"}


def test_R016_a_person_without_the_right_gets_403_and_the_attempt_is_in_the_audit_trail(
    alice: User, boss: User, client: Client
):
    set_policy(actor=boss, issuers="operators", team_money="any")
    client.force_login(alice)
    assert client.post(reverse("key_issue"), FORM).status_code == 403
    refused = AuditEvent.objects.get(action="key.issue_refused")
    assert (refused.actor, refused.object_id, refused.after) == (alice, str(alice.pk), {"policy": "operators"})
    api = APIClient()
    api.force_authenticate(alice)
    answer = api.post("/api/portal/keys/", {"name": "mine"}, format="json")
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "may_not_issue_keys")
    assert AuditEvent.objects.filter(action="key.issue_refused").count() == 2
    with pytest.raises(MayNotIssue):
        issue_key(actor=alice, owner=alice, name="by the service")
    assert not ApiKey.objects.exists()
    # Pages say so before anything is typed, and do not write it down as an attempt.
    assert client.get(reverse("key_issue")).status_code == 403
    assert reverse("key_issue") not in client.get(reverse("key_list")).content.decode()
    assert AuditEvent.objects.filter(action="key.issue_refused").count() == 2


@pytest.mark.parametrize(
    ("issuers", "owner", "named", "may"),
    [
        ("everybody", False, False, True),
        ("team_owners", False, False, False),
        ("team_owners", True, False, True),
        ("team_owners", False, True, True),
        ("operators", True, False, False),
        ("operators", False, True, True),
    ],
)
def test_R016_who_may_create_keys(alice: User, boss: User, issuers: str, owner: bool, named: bool, may: bool):
    if owner:
        team = Group.objects.create(code="crew", name="Crew")
        GroupMembership.objects.create(group=team, user=alice, team_role="owner")
    set_policy(actor=boss, issuers=issuers, named_issuers=[alice] if named else [], team_money="any")
    if may:
        issue_key(actor=alice, owner=alice, name="mine")
    else:
        with pytest.raises(MayNotIssue):
            issue_key(actor=alice, owner=alice, name="mine")
    issue_key(actor=boss, owner=alice, name="by an operator")
    assert ApiKey.objects.count() == 1 + may


def test_R016_a_key_that_could_never_call_is_refused_when_it_is_made(alice: User, boss: User, team: Group, client: Client):
    set_policy(actor=boss, issuers="everybody", team_money="test")
    with pytest.raises(InvalidInput) as refused:
        issue_key(actor=alice, team=team, name="unlisted", purpose="production")
    assert refused.value.details["field"] == "purpose"
    key, _ = issue_key(actor=alice, team=team, name="trial", purpose="test")
    with pytest.raises(InvalidInput):
        rename_key(actor=alice, key=key, name="trial", purpose="script")
    client.force_login(alice)
    page = client.post(reverse("key_issue"), FORM | {"belongs_to": str(team.pk)})
    assert page.status_code == 200
    assert page.context["form"].errors["purpose"]
    set_team_money(actor=boss, team=team, money="production")
    with pytest.raises(InvalidInput):
        issue_key(actor=alice, team=team, name="trial", purpose="test")
    issue_key(actor=alice, team=team, name="listed", purpose="production")
    assert list(ApiKey.objects.order_by("pk").values_list("name", flat=True)) == ["trial", "listed"]


def test_R016_a_review_whose_date_has_come_makes_one_notice_for_the_named_reviewer(alice: User, boss: User, team: Group):
    with time_machine.travel("2026-03-01 09:00 +0000", tick=False) as clock:
        review = plan_review(actor=boss, group=team, reviewer=alice, next_on=date(2026, 3, 10), every_days=30)
        assert notice_due_reviews() == 0
        assert not reviews_due(alice).exists()
        clock.move_to("2026-03-10 00:30 +0000")
        notice_due_reviews_task()
        notice_due_reviews_task()
        mail = OutboundMail.objects.get(kind="quota_review")
        assert (mail.user, mail.to_address) == (alice, "alice@example.org")
        assert "Crew" in mail.subject
        assert "2026-03-10" in mail.text
        assert list(reviews_due(alice)) == [review]
        assert not reviews_due(boss).exists()
        with pytest.raises(NotFound):
            review_for(create_person(actor=None, username="mallory"), review.pk)
        review.refresh_from_db()
        finish_review(actor=alice, review=review, note="limits still fit")
        assert (review.next_on, review.noticed_on, review.last_note) == (date(2026, 4, 9), None, "limits still fit")
        clock.move_to("2026-04-09 12:00 +0000")
        assert notice_due_reviews() == 1
        assert OutboundMail.objects.filter(kind="quota_review").count() == 2
    actions = list(AuditEvent.objects.filter(action__startswith="quota_review").order_by("pk").values_list("action", flat=True))
    assert actions == ["quota_review.planned", "quota_review.due", "quota_review.done", "quota_review.due"]


def test_R016_only_administrators_write_the_policy(alice: User, boss: User, team: Group, client: Client):
    ops = create_person(actor=None, username="ops", role=Role.OPS)
    for actor in (alice, ops):
        with pytest.raises(NotAllowed):
            set_policy(actor=actor, issuers="everybody", team_money="any")
        with pytest.raises(NotAllowed):
            set_team_money(actor=actor, team=team, money="any")
        with pytest.raises(NotAllowed):
            plan_review(actor=actor, group=None, reviewer=alice, next_on=date.today())
    review = plan_review(actor=boss, group=None, reviewer=boss, next_on=date.today())
    with pytest.raises(NotAllowed):
        finish_review(actor=alice, review=review)
    with pytest.raises(NotAllowed):
        end_review(actor=alice, review=review)
    assert not AccessPolicy.objects.exists()
    client.force_login(alice)
    for name in ("policy_change", "policy_team", "policy_review"):
        assert client.get(reverse(name)).status_code == 403
    assert client.post(reverse("policy_review_end", args=[review.pk])).status_code == 403
    assert client.get(reverse("policy_review_done", args=[review.pk])).status_code == 404
    assert client.get(reverse("policy")).status_code == 200
    assert QuotaReview.objects.count() == 1


def test_R016_the_policy_page_is_written_through_its_forms(alice: User, boss: User, team: Group, client: Client):
    client.force_login(boss)
    wrong = client.post(reverse("policy_change"), {"issuers": "operators", "team_money": "any", "named_issuers": "nobody-here"})
    assert wrong.context["form"].errors["named_issuers"]
    right = {"issuers": "operators", "team_money": "test", "named_issuers": "alice\n", "text": "Ask first."}
    assert client.post(reverse("policy_change"), right).status_code == 302
    assert client.post(reverse("policy_team"), {"team": team.pk, "money": "production"}).status_code == 302
    soon = (date.today() + timedelta(days=7)).isoformat()
    wrong = client.post(reverse("policy_review"), {"reviewer": "nobody-here", "next_on": soon, "every_days": 0})
    assert set(wrong.context["form"].errors) == {"reviewer", "every_days"}
    review = {"group": team.pk, "reviewer": "alice", "next_on": soon, "every_days": 30}
    assert client.post(reverse("policy_review"), review).status_code == 302
    page = client.get(reverse("policy")).content.decode()
    for words in ("Ask first.", "alice", "production balance only", soon):
        assert words in page
    client.force_login(alice)
    mine = client.get(reverse("policy")).content.decode()
    assert "You may create keys." in mine
    assert "Teams with a line of their own" not in mine
    done = client.post(reverse("policy_review_done", args=[QuotaReview.objects.get().pk]), {"note": "fine"})
    assert done.status_code == 302
    assert QuotaReview.objects.get().last_note == "fine"
