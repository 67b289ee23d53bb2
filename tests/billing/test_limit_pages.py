"""R017: each limit with what is used and left, and when it begins anew, with the zone; set by who may, with field errors."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
import time_machine
from django.test import Client
from django.urls import reverse
from rest_framework.test import APIClient

from accounts.models import AuditEvent, Group, GroupMembership, Role, User
from accounts.services.people import create_person
from billing.models import SpendLimit
from billing.selectors.limit_lines import key_lines, limits_at_home, own_lines
from billing.services import ledger
from billing.services.limits import Limits, set_limits
from config.foundation.errors import NotAllowed
from config.foundation.ids import uuid7
from keys.models import ApiKey, CallLimit
from keys.services import issue_key
from keys.services_limits import CallFigures, Subject, set_call_limit
from tests.billing.helpers import end, hold

pytestmark = pytest.mark.django_db
USD = 1_000_000_000


@pytest.fixture
def alice() -> User:
    return create_person(actor=None, username="alice", email="alice@example.org", time_zone="Asia/Shanghai")


@pytest.fixture
def bob() -> User:
    return create_person(actor=None, username="bob", email="bob@example.org")


@pytest.fixture
def team(alice: User, bob: User) -> Group:
    team = Group.objects.create(code="crew", name="Crew")
    GroupMembership.objects.create(group=team, user=alice, team_role="owner")
    GroupMembership.objects.create(group=team, user=bob, team_role="member")
    return team


def spend(key: ApiKey, usd: str) -> str:
    """Hold and settle one call of this price now; gives how the hold was answered."""
    nano, call = int(Decimal(usd) * USD), uuid7()
    assert key.owner is not None
    answer = hold(key.owner, nano, key=key, call=call)
    if answer.status == "held":
        assert end(call, nano, user_id=key.owner_id, key_id=key.pk).status == "recorded"
    return answer.status


def fund(person: User | Group, usd: int) -> None:
    purse = ledger.purse_for(**({"user": person} if isinstance(person, User) else {"group": person}))
    ledger.post_entries([ledger.Posting(uuid7(), "top_up", ledger.house_account("cash").pk, purse.pk, usd * USD)])


def test_R017_a_daily_limit_stops_and_its_page_says_when_it_begins_anew_with_the_zone(alice: User, client: Client):
    """Daily 10.00: 9.99 fits, the next 0.02 is refused; after midnight in Asia/Shanghai it fits again."""
    # A day whose partition of the request log is there: tomorrow, an hour before midnight in Shanghai.
    start = datetime.now(UTC).replace(hour=15, minute=0, second=0, microsecond=0) + timedelta(days=1)
    first, second = (f"{start + timedelta(days=n):%Y-%m-%d} 00:00 Asia/Shanghai" for n in (1, 2))
    with time_machine.travel(start, tick=True) as clock:
        fund(alice, 100)
        key, _ = issue_key(actor=alice, owner=alice, name="mine")
        client.force_login(alice)
        form = {"daily": "10", "time_zone": "Asia/Shanghai", "requests_per_minute": "60"}
        assert client.post(reverse("limits_key", args=[key.pk]), form).status_code == 302
        assert spend(key, "9.99") == "held"
        assert spend(key, "0.02") == "key_limit"
        page = client.get(reverse("key_detail", args=[key.pk])).content.decode()
        for words in ("$10.00 money a day", "$9.99", "$0.01", first, "429 key_daily_limit_reached"):
            assert words in page, words
        assert "60 calls a minute" in page
        assert "429 requests_per_minute_exceeded" in page
        clock.move_to(start + timedelta(hours=1, seconds=5))
        assert spend(key, "0.02") == "held"
        (line,) = [line for line in key_lines(key) if line.kind == "daily"]
        assert (line.used, line.left, line.resets) == (USD // 50, 10 * USD - USD // 50, second)


def test_R017_who_may_set_which_limit(alice: User, bob: User, team: Group, client: Client):
    stranger = create_person(actor=None, username="stranger")
    ops = create_person(actor=None, username="the-ops", role=Role.OPS)
    own, _ = issue_key(actor=alice, owner=alice, name="own")
    of_team, _ = issue_key(actor=alice, team=team, name="team's")
    subjects = {
        "own key": (Subject(key=own), {"alice", "the-ops"}),
        "team key": (Subject(key=of_team), {"alice", "the-ops"}),
        "member": (Subject(user=bob, group=team), {"alice", "the-ops"}),
        "team": (Subject(group=team), {"the-ops"}),
        "person": (Subject(user=alice), {"the-ops"}),
    }
    limits = Limits(daily=USD, calls=CallFigures(parallel_calls=2))
    for name, (subject, allowed) in subjects.items():
        for actor in (alice, bob, stranger, ops):
            if actor.username in allowed:
                set_limits(actor=actor, subject=subject, limits=limits)
                set_limits(actor=actor, subject=subject, limits=Limits())
            else:
                with pytest.raises(NotAllowed):
                    set_limits(actor=actor, subject=subject, limits=limits)
            assert not CallLimit.objects.exists(), name
            assert not SpendLimit.objects.exists(), name
    pages = {
        reverse("limits_key", args=[own.pk]): {"alice": 200, "bob": 404, "the-ops": 200, "stranger": 404},
        reverse("limits_member", args=[team.pk, bob.pk]): {"alice": 200, "bob": 403, "the-ops": 200, "stranger": 404},
        reverse("limits_team", args=[team.pk]): {"alice": 200, "bob": 200, "the-ops": 200, "stranger": 404},
        reverse("limits_group", args=[team.pk]): {"alice": 403, "bob": 403, "the-ops": 200, "stranger": 404},
        reverse("limits_person", args=[alice.pk]): {"alice": 403, "bob": 404, "the-ops": 200, "stranger": 404},
    }
    for actor in (alice, bob, stranger, ops):
        client.force_login(actor)
        for url, codes in pages.items():
            assert client.get(url).status_code == codes[actor.username], (url, actor.username)
            assert client.post(url, {"daily": "5"}).status_code != 500


def test_R017_bad_input_is_a_field_error_and_writes_nothing(alice: User, client: Client):
    key, _ = issue_key(actor=alice, owner=alice, name="mine")
    set_call_limit(actor=alice, subject=Subject(key=key), figures=CallFigures(parallel_calls=3))
    events = AuditEvent.objects.count()
    client.force_login(alice)
    for field, typed in (
        ("daily", "much"),
        ("monthly", "-1"),
        ("total", "1e99"),
        ("time_zone", "Mars/Olympus"),
        ("requests_per_minute", "0"),
        ("tokens_per_minute", "99999999999999"),
        ("parallel_calls", "2.5"),
    ):
        page = client.post(reverse("limits_key", args=[key.pk]), {"daily": "5", "time_zone": "UTC", field: typed})
        assert page.status_code == 200, field
        assert list(page.context["form"].errors) == [field], field
    assert not SpendLimit.objects.exists()
    assert CallLimit.objects.get().parallel_calls == 3
    assert AuditEvent.objects.count() == events


def test_R017_the_team_page_and_home_show_what_concerns_them(alice: User, bob: User, team: Group, client: Client):
    set_limits(actor=alice, subject=Subject(user=bob, group=team), limits=Limits(monthly=20 * USD, time_zone="Europe/Rome"))
    set_limits(actor=None, subject=Subject(group=team), limits=Limits(calls=CallFigures(tokens_per_minute=9_000)))
    set_limits(actor=None, subject=Subject(user=bob), limits=Limits(total=7 * USD))
    client.force_login(alice)
    page = client.get(reverse("limits_team", args=[team.pk])).content.decode()
    for words in ("$20.00 money a month", "Europe/Rome", "9,000 tokens a minute", "429 member_monthly_limit_reached"):
        assert words in page, words
    assert "9,000 tokens a minute" in client.get(reverse("team_detail", args=[team.pk])).content.decode()
    assert limits_at_home(alice) == []
    client.force_login(bob)
    home = client.get(reverse("home")).content.decode()
    for words in ("Limits on you", "$7.00 money in all", "403 person_limit_reached", "$20.00 money a month"):
        assert words in home, words
    # A member sees the team's own limits, not those of other members.
    set_limits(actor=None, subject=Subject(user=alice, group=team), limits=Limits(daily=3 * USD))
    assert "$3.00 money a day" not in client.get(reverse("limits_team", args=[team.pk])).content.decode()


def test_R017_limits_by_the_api(alice: User, bob: User, team: Group):
    key, _ = issue_key(actor=alice, owner=alice, name="mine")
    api = APIClient()
    api.force_authenticate(alice)
    body = {"key_id": key.pk, "daily": "2.5", "time_zone": "Asia/Tokyo", "requests_per_minute": 30}
    answer = api.put("/api/portal/limits/", body, format="json")
    assert answer.status_code == 200
    daily, calls = answer.json()
    assert (daily["of"], daily["kind"], daily["limit"], daily["left"]) == ("key", "daily", "2.500000000", "2.500000000")
    assert (daily["time_zone"], daily["refusal"]) == ("Asia/Tokyo", "429 key_daily_limit_reached")
    assert (calls["kind"], calls["limit"], calls["refusal"]) == ("calls", "30", "429 requests_per_minute_exceeded")
    assert api.get("/api/portal/limits/", {"key_id": key.pk}).json()[0]["limit"] == "2.500000000"
    assert api.get("/api/portal/limits/").json() == []
    for wrong, status in (
        ({"key_id": key.pk, "user_id": alice.pk}, 422),
        ({"key_id": key.pk, "requests_per_minute": 0}, 422),
        ({"key_id": key.pk, "daily": "-1"}, 422),
        ({"key_id": key.pk, "budget": "1"}, 400),
        ({"group_id": team.pk, "daily": "1"}, 403),
        ({"user_id": bob.pk, "daily": "1"}, 404),
        ({"key_id": 10**9, "daily": "1"}, 404),
    ):
        answer = api.put("/api/portal/limits/", wrong, format="json")
        assert (answer.status_code, "code" in answer.json()["error"]) == (status, True), wrong
    assert [line.limit for line in own_lines(alice, key=key)] == [2_500_000_000, 30]
    assert (
        api.put("/api/portal/limits/", {"user_id": bob.pk, "group_id": team.pk, "daily": "1"}, format="json").status_code == 200
    )
    api.force_authenticate(bob)
    assert api.get("/api/portal/limits/", {"key_id": key.pk}).status_code == 404
    mine = api.get("/api/portal/limits/", {"user_id": bob.pk, "group_id": team.pk}).json()
    assert [line["of"] for line in mine] == ["member"]
