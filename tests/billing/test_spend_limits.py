"""Limits in money: total, daily and monthly, for keys, members, teams and people, on the real database."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from psycopg_pool import ConnectionPool

from accounts.models import AuditEvent, Group, GroupMembership, Role, User
from billing.models import LedgerEntry, SpendLimit, SpendWindow
from billing.selectors.limits import limits_of, limits_of_call, member_limits
from billing.services import ledger
from billing.services.budgets import set_key_limit, set_spend_limit
from config.foundation.errors import InvalidInput, NotAllowed, NotFound
from config.foundation.ids import uuid7
from keys.models import ApiKey
from tests.billing.helpers import broken, counted, end, figures, give, hold, key_of, person, plan_without, rich, wants
from tests.billing.test_at_once import pool, together  # noqa: F401

pytestmark = pytest.mark.django_db
USD = 1_000_000_000
CENT = USD // 100
# Last month's tenth, midnight in UTC and, eight hours earlier, in Shanghai.
TENTH = (datetime.now(UTC).replace(day=1) - timedelta(days=1)).replace(day=10, hour=0, minute=0, second=0, microsecond=0)
MIDNIGHT = TENTH - timedelta(hours=8)
# With the functions before migration 0041 each of these but the first counted less than was held or spent.
PLANS = pytest.mark.parametrize(
    "without",
    [
        (),
        ("nestloop",),
        ("nestloop", "hashjoin"),
        ("nestloop", "mergejoin"),
        ("hashjoin", "mergejoin", "indexscan", "bitmapscan"),
    ],
    ids=lambda ways: "-".join(ways) or "any",
)


def call_at(moment: datetime, number: int = 0) -> Any:
    return uuid7(int(moment.timestamp() * 1000) + number)


def team_of(owner: User, *members: User, code: str = "crew") -> Group:
    team = Group.objects.create(code=code, name=code)
    GroupMembership.objects.create(group=team, user=owner, team_role=GroupMembership.TeamRole.OWNER)
    for member in members:
        GroupMembership.objects.create(group=team, user=member)
    return team


def member_key(team: Group, member: User, name: str = "key") -> ApiKey:
    return ApiKey.objects.create(name=name, team=team, member=member)


def team_hold(team: Group, amount: int, key: ApiKey | None = None, call: Any = None) -> ledger.ReserveResult:
    request = ledger.ReserveRequest(
        call or uuid7(), None, team.pk, key.pk if key else None, amount, datetime.now(UTC) + timedelta(minutes=5)
    )
    (answer,) = ledger.reserve([request])
    return answer


def test_R017_a_daily_limit_ends_at_midnight_of_its_time_zone() -> None:
    """R017: daily 10.00: 9.99 passes, the next 0.02 is refused with a quota status; after midnight in Shanghai it passes."""
    user, purse = rich(amount=100 * USD)
    user.time_zone = "Asia/Shanghai"
    user.save()
    key = key_of(user)
    set_spend_limit(actor=user, key=key, span="daily", limit_nano=10 * USD)
    SpendLimit.objects.update(counts_from=MIDNIGHT - timedelta(days=2))
    late = MIDNIGHT - timedelta(seconds=2)
    first = hold(user, 999 * CENT, key=key, call=call_at(late))
    assert first.status == "held"
    end(first.request_id, 999 * CENT)
    refused = hold(user, 2 * CENT, key=key, call=call_at(late, 1))
    assert (refused.status, refused.span, refused.available_nano) == ("key_limit", "daily", CENT)
    assert (refused.resets_at, refused.time_zone) == (MIDNIGHT, "Asia/Shanghai")
    (state,) = limits_of(user, key=key, at=late)
    assert (state.limit_nano, state.spent_nano, state.held_nano, state.left_nano) == (10 * USD, 999 * CENT, 0, CENT)
    assert state.resets_at.isoformat() == f"{TENTH:%Y-%m-%d}T00:00:00+08:00"
    assert hold(user, CENT, key=key, call=call_at(late, 2)).status == "held"
    assert hold(user, 2 * CENT, key=key, call=call_at(MIDNIGHT)).status == "held"
    (after,) = limits_of(user, key=key, at=MIDNIGHT)
    assert (after.spent_nano, after.held_nano, after.left_nano) == (0, 2 * CENT, 998 * CENT)
    assert figures(purse) == (100 * USD - 999 * CENT, 3 * CENT)
    assert broken(MIDNIGHT) == {}


@PLANS
def test_R017_the_first_call_of_a_day_is_held_to_the_limit_too(without: tuple[str, ...]) -> None:
    """Nothing has counted in the new day yet: a call above the limit is refused, and of two at once only one passes."""
    plan_without(*without)
    user, purse = rich(amount=10_000)
    key = key_of(user)
    set_spend_limit(actor=None, key=key, span="daily", limit_nano=500)
    SpendLimit.objects.update(counts_from=TENTH.replace(day=1))
    refused = hold(user, 501, key=key, call=call_at(TENTH, 5))
    assert (refused.status, refused.span, refused.available_nano) == ("key_limit", "daily", 500)
    asks = [wants(user, 300, key=key, call=call_at(TENTH + timedelta(days=1), n)) for n in (1, 2)]
    assert [answer.status for answer in ledger.reserve(asks)] == ["held", "key_limit"]
    assert figures(purse) == (10_000, 300)
    assert hold(user, 500, key=key, call=call_at(TENTH, 6)).status == "held"
    assert broken(TENTH) == {}


@PLANS
def test_a_call_counts_in_the_window_it_began_in(without: tuple[str, ...]) -> None:
    """Held before midnight, charged after it, or reported after the hold has ended: the day before pays."""
    plan_without(*without)
    user, _purse = rich(amount=1000)
    key = key_of(user)
    set_spend_limit(actor=None, key=key, span="daily", limit_nano=500)
    set_spend_limit(actor=None, key=key, span="monthly", limit_nano=700)
    SpendLimit.objects.update(counts_from=TENTH.replace(day=1))
    SpendWindow.objects.all().delete()
    night = TENTH
    before, over = call_at(night, -5), call_at(night, -4)
    assert hold(user, 300, key=key, call=before).status == "held"
    assert hold(user, 200, key=key, call=over, seconds=-1).status == "held"
    assert hold(user, 400, key=key, call=call_at(night, 5)).span == "monthly"
    assert hold(user, 100, key=key, call=call_at(night, 6)).status == "held"
    end(before, 250)
    assert ledger.expire_holds() == 1
    assert broken(night) == {}
    assert end(over, 190).status == "late"
    found = SpendWindow.objects.filter(limit__span="daily").order_by("starts_at")
    assert list(found.values_list("spent_nano", "held_nano")) == [(440, 0), (0, 100)]
    assert SpendWindow.objects.values_list("spent_nano", "held_nano").get(limit__span="monthly") == (440, 100)
    assert broken(night) == {}


def test_a_new_limit_counts_what_the_running_window_has_seen() -> None:
    user, _purse = rich(amount=1000)
    key = key_of(user)
    end(hold(user, 100, key=key).request_id, 90, key_id=key.pk)
    running = hold(user, 50, key=key)
    hold(user, 20)
    set_key_limit(actor=user, key=key, limit_nano=200)
    set_spend_limit(actor=None, user=user, span="daily", limit_nano=300)
    assert (counted(key=key), counted(user=user)) == ((90, 50), (90, 70))
    assert hold(user, 61, key=key).status == "key_limit"
    assert hold(user, 60, key=key).status == "held"
    over = hold(user, 81)
    assert (over.status, over.available_nano) == ("person_limit", 80)
    end(running.request_id, 40, key_id=key.pk)
    assert counted(key=key) == (130, 60)
    assert broken() == {}
    # Another time zone is another calendar, counted anew; without a limit nothing is counted.
    set_spend_limit(actor=None, user=user, span="daily", limit_nano=300, time_zone="Asia/Tokyo")
    assert broken() == {}
    set_key_limit(actor=user, key=key, limit_nano=None)
    assert (limits_of(user, key=key), broken()) == ([], {})
    set_spend_limit(actor=None, user=user, span="daily", limit_nano=None)
    assert hold(user, 700, key=key).status == "held"
    assert broken() == {}


def test_a_team_pays_for_its_members_who_have_limits_of_their_own() -> None:
    owner, ada, bob = person("olga", time_zone="Asia/Shanghai"), person("ada"), person("bob")
    team = team_of(owner, ada, bob)
    purse = give(ledger.purse_for(group=team), 1000)
    keys = {who: member_key(team, who) for who in (ada, bob)}
    set_spend_limit(actor=owner, group=team, user=ada, span="monthly", limit_nano=300)
    set_spend_limit(actor=None, group=team, span="daily", limit_nano=500)
    one = team_hold(team, 300, keys[ada])
    assert one.status == "held"
    refused = team_hold(team, 1, keys[ada])
    assert (refused.status, refused.span, refused.time_zone) == ("member_limit", "monthly", "Asia/Shanghai")
    assert team_hold(team, 200, keys[bob]).status == "held"
    assert (team_hold(team, 1, keys[bob]).status, team_hold(team, 1).status) == ("group_limit", "group_limit")
    end(one.request_id, 120, key_id=keys[ada].pk)
    assert figures(purse) == (880, 200)
    assert [(x.user_id, x.spent_nano, x.left_nano) for x in member_limits(owner, team)] == [(ada.pk, 120, 180)]
    assert [(x.scope, x.left_nano) for x in limits_of_call(keys[ada])] == [("member", 180), ("group", 180)]
    assert team_hold(team, 180, keys[ada]).status == "held"
    assert LedgerEntry.objects.get(kind="charge").from_account_id == purse.pk
    assert broken() == {}


def test_who_may_set_and_see_a_limit() -> None:
    owner, ada, stranger = person("olga"), person("ada"), person("sam")
    ops, finance = person("ops", Role.OPS), person("fin", Role.FINANCE)
    team = team_of(owner, ada)
    key = member_key(team, ada)
    values: dict[str, Any] = {"span": "daily", "limit_nano": 5}
    for actor, target in (
        (ada, {"group": team, "user": ada}),
        (ada, {"user": ada}),
        (owner, {"group": team}),
        (stranger, {"key": key}),
        (finance, {"user": ada}),
    ):
        with pytest.raises(NotAllowed):
            set_spend_limit(actor=actor, **target, **values)
    assert not SpendLimit.objects.exists()
    for actor, target in (
        (owner, {"group": team, "user": ada}),
        (ops, {"user": ada}),
        (ops, {"group": team}),
        (owner, {"key": key}),
    ):
        assert set_spend_limit(actor=actor, **target, **values) is not None
    assert AuditEvent.objects.filter(action__endswith=".limit_changed").count() == 4
    for actor in (ada, owner, ops, finance):
        assert len(limits_of(actor, group=team)) == 1
    assert len(limits_of(ada, user=ada)) == len(limits_of(ada, group=team, user=ada)) == 1
    for target in ({"group": team}, {"user": ada}, {"group": team, "user": ada}, {"key": key}):
        with pytest.raises(NotFound):
            limits_of(stranger, **target)
    with pytest.raises(NotFound):
        member_limits(ada, team)
    for wrong in (
        {"span": "weekly"},
        {"limit_nano": -1},
        {"limit_nano": 2**62},
        {"time_zone": "Mars/Base"},
        {"user": ada},
    ):
        with pytest.raises(InvalidInput):
            set_spend_limit(actor=None, **{"key": key, "span": "daily", "limit_nano": 1, **wrong})


def test_a_limit_set_before_there_is_a_purse_holds_for_it() -> None:
    user = person()
    set_spend_limit(actor=None, user=user, span="total", limit_nano=10)
    give(ledger.purse_for(user=user), 100)
    assert hold(user, 11).status == "person_limit"
    assert hold(user, 10).status == "held"
    assert broken() == {}


def test_a_batch_takes_what_fits_each_payer_by_itself() -> None:
    """Whoever can afford everything gets it at once; whoever cannot is served call by call, as without a batch."""
    user, purse = rich(amount=1000)
    other, full = rich("bob", 1000)
    poor, little = rich("eve", 100)
    set_spend_limit(actor=None, user=user, span="daily", limit_nano=250)
    asks = [(user, 100)] * 3 + [(other, 300)] * 3 + [(poor, 60)] * 2
    # Ids that rise, so that it is sure who comes first.
    requests = [wants(who, amount, call=call_at(datetime.now(UTC), n)) for n, (who, amount) in enumerate(asks)]
    answers = ledger.reserve([*requests, requests[0], requests[7]])
    assert [x.status for x in answers] == [
        *("held", "held", "person_limit"),
        *("held", "held", "held"),
        *("held", "no_balance"),
        *("repeated", "no_balance"),
    ]
    assert [x.available_nano for x in answers[3:8]] == [700, 400, 100, 40, 40]
    assert (answers[2].available_nano, answers[2].span) == (50, "daily")
    assert (figures(purse), figures(full), figures(little)) == ((1000, 200), (1000, 900), (100, 60))
    ledger.record_calls([ledger.CallEvent(x.request_id, 30, True, "", {"outcome": "ok"}) for x in answers[:2]])
    assert counted(user=user) == (60, 0)
    assert broken() == {}


@pytest.mark.django_db(transaction=True)
@pytest.mark.slow
def test_64_calls_at_once_on_a_limit_for_10_hold_exactly_10(pool: ConnectionPool[Any]) -> None:  # noqa: F811
    """Also while the limit is set and taken away: every counter ends as a recount."""
    user, purse = rich(amount=1_000_000)
    key = key_of(user)
    set_spend_limit(actor=None, key=key, span="daily", limit_nano=1099)
    requests = [wants(user, 100, key=key) for _ in range(64)]
    rows = together(pool, ledger.RESERVE_SQL, [ledger.reserve_payload([request]) for request in requests])
    assert Counter(row[1] for row in rows) == {"held": 10, "key_limit": 54}
    assert counted(key=key) == (0, 1000)
    events = [ledger.CallEvent(row[0], 100, True) for row in rows if row[1] == "held"]
    together(pool, ledger.RECORD_SQL, [ledger.record_payload([event]) for event in events])
    assert (counted(key=key), figures(purse)) == ((1000, 0), (999_000, 0))
    assert broken() == {}
