"""Who finds which calls, how, and that pages join without gap or repetition. Alice, Bob, Charlie and staff."""

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
import time_machine
from django.test import Client
from django.urls import reverse

from accounts.models import Group, GroupMembership, Role, User
from billing.selectors import CallFilters, balance_of, balance_of_group, call_detail, calls_for, ledger_lines
from billing.services import ledger
from config.foundation.errors import NotFound
from config.foundation.ids import uuid7
from keys.models import ApiKey
from tests.billing.helpers import end, give, hold, key_of, person, rich

pytestmark = pytest.mark.django_db
NOON = datetime(2026, 11, 20, 12, 30, tzinfo=UTC)
ROUTE = [{"upstream": 7, "status": 200, "ms": 12, "error": ""}]


def logged(user: User | None, minutes: int = 0, *, key: ApiKey | None = None, **log: object) -> UUID:
    call = uuid7(int((NOON - timedelta(minutes=minutes)).timestamp() * 1000))
    values = {
        "outcome": "ok",
        "user_id": user.pk if user else None,
        "key_id": key.pk if key else None,
        "attempts": ROUTE,
        **log,
    }
    (answer,) = ledger.record_calls([ledger.CallEvent(call, 0, False, "", values)])
    assert answer.status == "recorded"
    return call


@pytest.fixture(autouse=True)
def _at_noon():
    with time_machine.travel(NOON, tick=False):
        yield


@pytest.fixture
def alice() -> User:
    return person("alice")


def found(actor: User, **filters: object) -> set[UUID]:
    return {row.id for row in calls_for(actor, CallFilters(**filters)).rows}


def test_everybody_finds_their_own_and_their_teams_calls(alice: User) -> None:
    bob, charlie = person("bob"), person("charlie")
    team = Group.objects.create(code="crew", name="Crew")
    for who in (alice, bob):
        GroupMembership.objects.create(group=team, user=who)
    team_keys = [ApiKey.objects.create(name=f"t{n}", team=team) for n in range(2)]
    own, theirs = logged(alice, 1), logged(bob, 2, key=key_of(bob))
    shared = {logged(None, 3, key=team_keys[0]), logged(alice, 4, key=team_keys[1])}
    nobody = logged(None, 5, outcome="bad_key")
    assert found(alice) == {own} | shared
    assert found(bob) == {theirs} | shared
    assert found(charlie) == set()
    for role in (Role.ADMIN, Role.OPS, Role.SUPPORT, Role.FINANCE):
        assert found(person(role, role)) == {own, theirs, nobody} | shared
    for call in shared:
        assert call_detail(bob, call).id == call
        with pytest.raises(NotFound):
            call_detail(charlie, call)
    far = UUID("f5db4225-8074-7d75-982d-22e64952b31b")
    for call in (own, theirs, nobody, uuid7(), uuid4(), far, str(far), "nonsense", ""):
        with pytest.raises(NotFound):
            call_detail(charlie, call)


def test_the_page_of_somebody_else_s_call_leads_staff_to_their_search(alice: User, client: Client) -> None:
    """Desks, alerts and ledgers link to the page of a call; a stranger still finds nothing there."""
    call = logged(alice)
    address = reverse("call_detail", args=[call.hex])
    for who, status in ((alice, 200), (person("fin", Role.FINANCE), 302), (person("eve"), 404)):
        client.force_login(who)
        answer = client.get(address)
        assert answer.status_code == status
        assert status != 302 or answer.headers["Location"] == reverse("find_call", args=[call.hex])


def test_the_inner_route_is_for_operators_only(alice: User) -> None:
    call = logged(alice)
    for role, shows in ((Role.ADMIN, True), (Role.OPS, True), (Role.SUPPORT, False), (Role.FINANCE, False)):
        staff = person(role, role)
        assert bool(call_detail(staff, call.hex).attempts) is shows
        assert calls_for(staff, CallFilters()).rows[0].attempts == []
    assert call_detail(alice, str(call)).attempts == []


def test_each_filter_finds_what_it_says(alice: User) -> None:
    support, key = person("support", Role.SUPPORT), key_of(alice)
    first = logged(alice, 1, key=key, key_tail="ab12", asked_model="gpt", outcome="timeout", http_status=504, group_code="vip")
    second = logged(person("bob"), 2, asked_model="claude", outcome="ok", http_status=200)
    old = logged(alice, 60 * 24 * 8, asked_model="gpt")
    cases: list[tuple[dict[str, object], set[UUID]]] = [
        ({}, {first, second}),
        ({"key_tail": "ab12"}, {first}),
        ({"key_id": key.pk}, {first}),
        ({"model": "claude"}, {second}),
        ({"model": "gpt", "since": NOON - timedelta(days=9)}, {first, old}),
        ({"outcome": "failed"}, {first}),
        ({"outcome": "timeout", "http_status": 504}, {first}),
        ({"outcome": "timeout", "http_status": 500}, set()),
        ({"group_code": "vip"}, {first}),
        ({"user_id": alice.pk}, {first}),
        ({"until": NOON - timedelta(minutes=1), "since": NOON - timedelta(minutes=2)}, {second}),
        ({"until": NOON - timedelta(minutes=1, seconds=30)}, {second}),
        ({"request_id": old.hex}, {old}),
        ({"request_id": f"  {str(old).upper()} "}, {old}),
        ({"request_id": "no-id"}, set()),
        ({"request_id": str(uuid4())}, set()),
    ]
    for filters, expected in cases:
        assert found(support, **filters) == expected, filters
    assert found(person("eve"), request_id=old.hex) == set()


def test_pages_join_without_gap_or_repetition(alice: User) -> None:
    team = Group.objects.create(code="crew", name="Crew")
    GroupMembership.objects.create(group=team, user=alice)
    key = ApiKey.objects.create(name="t", team=team)
    # Several in the same millisecond, and one that is both her own and her team's.
    calls = [logged(alice, n // 4) for n in range(20)] + [logged(None, n // 4, key=key) for n in range(10)]
    calls.append(logged(alice, 2, key=key))
    for actor in (alice, person("support", Role.SUPPORT)):
        seen: list[UUID] = []
        before = ""
        while True:
            page = calls_for(actor, CallFilters(), before or None, limit=7)
            seen += [row.id for row in page.rows]
            before = page.next_before
            if not before:
                break
        assert len(seen) == len(set(seen)) == 31
        assert set(seen) == set(calls)
        keys = [(UUID(int=call.int).int >> 80, call.bytes) for call in seen]
        assert keys == sorted(keys, reverse=True)
    assert calls_for(alice, CallFilters(), "nonsense").rows == []


def test_a_list_costs_the_same_number_of_queries_however_long(alice: User, django_assert_max_num_queries) -> None:
    for n in range(30):
        logged(alice, n, key=key_of(alice, f"k{n}"))
    with django_assert_max_num_queries(3):
        rows = calls_for(alice, CallFilters()).rows
        assert [row.user.username for row in rows if row.user] == ["alice"] * 30
        assert len({row.key.name for row in rows if row.key}) == 30
        assert {str(row.price_detail) for row in rows} == {"{}"}


def test_a_balance_shows_every_purse_and_what_a_call_could_hold() -> None:
    user, _purse = rich("ada", 100)
    give(ledger.purse_for(user=user, kind="bonus"), 30)
    give(ledger.purse_for(user=user, origin="import:one", is_spendable=False), 900)
    hold(user, 50)
    balance = balance_of(user)
    assert (balance.total_nano, balance.available_nano, balance.held_nano) == (1030, 80, 50)
    assert [(x.kind, x.origin, x.balance_nano, x.available_nano) for x in balance.purses] == [
        ("bonus", "", 30, 0),
        ("prepaid", "", 100, 80),
        ("prepaid", "import:one", 900, 0),
    ]
    team = Group.objects.create(code="crew", name="Crew")
    assert balance_of_group(team).purses == ()


def test_ledger_lines_explain_the_balance() -> None:
    """Newest first, signed, with the purse's balance after each; pages join; a stranger and support get nothing."""
    user, purse = rich("ada", 100)
    bonus = give(ledger.purse_for(user=user, kind="bonus"), 10)
    call = hold(user, 40).request_id
    end(call, 40)
    lines = ledger_lines(user, user)
    assert [(x.kind, x.account_id, x.amount_nano, x.balance_nano) for x in lines] == [
        ("charge", purse.pk, -30, 70),
        ("charge", bonus.pk, -10, 0),
        ("top_up", bonus.pk, 10, 10),
        ("top_up", purse.pk, 100, 100),
    ]
    assert [x.call_id for x in lines] == [call, call, None, None]
    assert [x.entry_id for x in ledger_lines(user, user, before=lines[1].entry_id)] == [x.entry_id for x in lines[2:]]
    assert [x.kind for x in ledger_lines(user, user, limit=1, without_calls=True)] == ["top_up"]
    assert len(ledger_lines(person("finance", Role.FINANCE), user)) == 4
    for stranger in (person("eve"), person("support", Role.SUPPORT)):
        with pytest.raises(NotFound):
            ledger_lines(stranger, user)
