"""Leases: what is lent is held, what is spent of it is charged once, the rest comes back; limits and purses keep their say."""

import random
import threading
from collections.abc import Callable
from datetime import timedelta
from uuid import UUID

import psycopg
import pytest
from django.core.management import call_command
from django.db import connection, transaction

from accounts.models import Group
from billing.models import DeskItem, Hold, Lease, LedgerAccount, LedgerEntry, RequestLog, SpendWindow
from billing.services import leases, ledger
from billing.services.budgets import set_spend_limit
from billing.services.leases import LeaseRenewal, LeaseRequest
from config.foundation.clock import now
from config.foundation.ids import uuid7
from keys.models import ApiKey
from tests.billing.helpers import broken, counted, figures, give, hold, key_of, plan_without, rich
from tests.gateway.servers import test_database_url

pytestmark = pytest.mark.django_db


def lend(key: ApiKey, wanted: int, least: int = 1, lease: UUID | None = None, source: str = "one") -> leases.LeaseResult:
    (answer,) = leases.open_leases([LeaseRequest(lease or uuid7(), source, key.pk, wanted, least)])
    return answer


def renew(lease: UUID, granted: int, source: str = "one") -> leases.LeaseResult:
    (answer,) = leases.renew_leases([LeaseRenewal(lease, source, granted)])
    return answer


def close(lease: UUID, source: str = "one") -> tuple[str, int]:
    (answer,) = leases.close_leases(source=source, lease_ids=[lease])
    return answer.status, answer.returned_nano


def event(lease: UUID, key: ApiKey, cost: int, promised: int, call: UUID | None = None) -> ledger.CallEvent:
    log = {"key_id": key.pk, "user_id": key.owner_id, "outcome": "ok" if cost else "upstream_error", "held_nano": promised}
    return ledger.CallEvent(call or uuid7(), cost, True, "", log, lease, promised)


def end(lease: UUID, key: ApiKey, cost: int, promised: int, call: UUID | None = None) -> str:
    (answer,) = ledger.record_calls([event(lease, key, cost, promised, call)])
    return answer.status


@pytest.fixture(autouse=True)
def _half_may_be_lent(settings) -> None:
    settings.LEASE_SHARE_PERCENT, settings.LEASE_MOST_NANO = 50, 1_000_000


def test_a_lease_is_held_spent_and_given_back() -> None:
    user, purse = rich(amount=1000)
    key = key_of(user)
    lease = lend(key, 400)
    assert (lease.status, lease.granted_nano, lease.available_nano) == ("open", 400, 600)
    assert lend(key, 400, lease=lease.lease_id).status == "repeated"
    assert lend(key, 400, lease=lease.lease_id, source="another").status == "mismatch"
    assert figures(purse) == (1000, 400)
    call = uuid7()
    assert end(lease.lease_id, key, 30, 100, call) == "recorded"
    assert end(lease.lease_id, key, 30, 100, call) == "repeated"
    # What the call did not use stays in the lease.
    assert figures(purse) == (970, 370)
    row, made = RequestLog.objects.get(pk=call), Hold.objects.get(pk=call)
    assert (row.cost_nano, row.held_nano, row.user_id, row.key_id) == (30, 100, user.pk, key.pk)
    assert (made.state, made.amount_nano, made.settled_nano, made.lease_id) == ("settled", 30, 30, lease.lease_id)
    assert end(lease.lease_id, key, 0, 100) == "recorded"
    assert broken() == {}
    assert close(lease.lease_id) == ("closed", 370)
    assert close(lease.lease_id) == ("repeated", 0)
    assert close(lease.lease_id, "another") == ("unknown", 0)
    assert figures(purse) == (970, 0)
    assert broken() == {}


def test_a_renewal_is_absolute_and_gives_back_too() -> None:
    user, purse = rich(amount=1000)
    key = key_of(user)
    lease = lend(key, 100).lease_id
    assert [renew(lease, 300).granted_nano for _again in range(3)] == [300] * 3
    assert figures(purse) == (1000, 300)
    # Half of what is free, and no more.
    assert renew(lease, 5000).granted_nano == 650
    end(lease, key, 200, 200)
    assert renew(lease, 0).granted_nano == 200
    assert figures(purse) == (800, 0)
    assert renew(lease, 250, source="another").status == "unknown"
    close(lease)
    assert renew(lease, 250).status == "closed"
    assert broken() == {}


def test_near_an_empty_balance_there_is_no_lease() -> None:
    user, purse = rich(amount=100)
    key = key_of(user)
    assert lend(key, 100, least=51).status == "per_call"
    assert lend(key, 100, least=101).status == "no_balance"
    assert lend(key, 100, least=50).granted_nano == 50
    assert figures(purse) == (100, 50)


def test_a_lease_is_of_the_first_purse_and_stops_when_another_comes_first() -> None:
    user, prepaid = rich(amount=1000)
    bonus = give(ledger.purse_for(user=user, kind="bonus"), 60)
    key = key_of(user)
    lease = lend(key, 400)
    # A hold of the same moment would be drawn from the bonus first; so is the lease, and no further than it goes.
    assert (lease.status, lease.granted_nano) == ("open", 60)
    assert renew(lease.lease_id, 500).granted_nano == 60
    end(lease.lease_id, key, 60, 60)
    assert (figures(bonus), figures(prepaid)) == ((0, 0), (1000, 0))
    later = lend(key, 400)
    assert later.granted_nano == 400
    give(bonus, 500)
    assert renew(later.lease_id, 500).status == "stopped"
    assert end(later.lease_id, key, 10, 20) == "recorded"
    assert (figures(bonus), figures(prepaid)) == ((500, 0), (990, 390))
    assert broken() == {}


def test_test_keys_borrow_test_money_only() -> None:
    user, purse = rich(amount=1000)
    key = key_of(user)
    ApiKey.objects.filter(pk=key.pk).update(purpose="test")
    assert lend(key, 100).status == "no_balance"
    test = give(ledger.purse_for(user=user, kind="test"), 300)
    lease = lend(key, 100)
    assert (lease.status, lease.granted_nano) == ("open", 100)
    assert (figures(test), figures(purse)) == ((300, 100), (1000, 0))
    other = key_of(user, "production")
    # A key of another purpose, or of another payer, is not charged to it: the desk gets the event.
    stranger = key_of(rich("bob")[0])
    assert {end(lease.lease_id, one, 10, 10) for one in (other, stranger)} == {"refused"}
    assert DeskItem.objects.count() == 2
    assert end(lease.lease_id, key, 10, 10) == "recorded"
    assert figures(test) == (290, 90)
    assert broken() == {}


def test_a_limit_keeps_calls_on_holds_of_their_own_and_counts_what_was_lent() -> None:
    user, purse = rich(amount=1000)
    key = key_of(user)
    lease = lend(key, 400).lease_id
    set_spend_limit(actor=None, key=key, span="daily", limit_nano=500, time_zone="UTC")
    assert renew(lease, 450).status == "stopped"
    assert lend(key, 10).status == "per_call"
    # It still gives back.
    assert (renew(lease, 350).status, renew(lease, 350).granted_nano, figures(purse)) == ("stopped", 350, (1000, 350))
    # A call admitted before the limit came still ends on the lease, and the limit counts it.
    assert end(lease, key, 120, 200) == "recorded"
    assert counted(key=key) == (120, 0)
    assert close(lease) == ("closed", 230)
    assert hold(user, 381, key=key).status == "key_limit"
    assert hold(user, 380, key=key).status == "held"
    assert broken() == {}
    assert figures(purse) == (880, 380)


@pytest.mark.parametrize("without", [(), ("nestloop",), ("hashjoin", "mergejoin", "indexscan", "bitmapscan")])
def test_what_was_lent_before_a_limit_counts_in_a_day_that_has_no_window_yet(without: tuple[str, ...]) -> None:
    plan_without(*without)
    user, _purse = rich(amount=1000)
    key = key_of(user)
    lease = lend(key, 400).lease_id
    set_spend_limit(actor=None, key=key, span="daily", limit_nano=500, time_zone="UTC")
    # As after midnight: no call has counted in this day.
    SpendWindow.objects.all().delete()
    assert end(lease, key, 120, 200) == "recorded"
    assert counted(key=key) == (120, 0)
    assert close(lease)[0] == "closed"
    assert broken() == {}


def test_a_shut_purse_lends_nothing() -> None:
    user, _purse = rich(amount=1000)
    key = key_of(user)
    lease = lend(key, 400).lease_id
    ledger.set_spendable(actor=None, user_ids=[user.pk], origin=None, is_spendable=False)
    assert renew(lease, 450).status == "stopped"
    assert lend(key, 10).status == "no_balance"


def test_a_team_borrows_as_a_team() -> None:
    team = Group.objects.create(code="crew", name="Crew")
    purse = give(ledger.purse_for(group=team), 1000)
    key = ApiKey.objects.create(name="team key", team=team)
    lease = lend(key, 100)
    assert (lease.status, leases.lent_nano(group=team)) == ("open", 100)
    assert end(lease.lease_id, key, 40, 50) == "recorded"
    assert figures(purse) == (960, 60)
    assert broken() == {}


def test_a_call_above_its_promise_takes_nothing_of_the_others() -> None:
    user, purse = rich(amount=1000)
    key = key_of(user)
    lease = lend(key, 100).lease_id
    assert end(lease, key, 90, 40) == "recorded"
    # 40 from the lease, 50 from what is free.
    assert figures(purse) == (910, 60)
    assert Lease.objects.get(pk=lease).spent_nano == 40
    draws = LedgerEntry.objects.filter(kind="charge").values_list("amount_nano", "draw")
    assert list(draws) == [(90, "beyond")]
    assert broken() == {}


def test_what_is_unspent_returns_at_expiry_and_late_ends_are_charged_all_the_same() -> None:
    user, purse = rich(amount=1000)
    key = key_of(user)
    lease = lend(key, 400).lease_id
    end(lease, key, 100, 100)
    assert leases.expire_leases() == 0
    over = now() + timedelta(hours=1)
    assert (leases.expire_leases(at=over), leases.expire_leases(at=over)) == (1, 0)
    assert figures(purse) == (900, 0)
    assert Lease.objects.get(pk=lease).state == "expired"
    call = uuid7()
    assert (end(lease, key, 50, 60, call), end(lease, key, 50, 60, call)) == ("late", "repeated")
    assert figures(purse) == (850, 0)
    row = RequestLog.objects.get(pk=call)
    assert (row.cost_nano, row.outcome, row.price_detail) == (50, "ok", {"late": True})
    assert broken() == {}
    # Weeks later nobody is charged without being asked.
    old = lend(key, 100).lease_id
    Lease.objects.filter(pk=old).update(draw_until=now() - timedelta(days=9), expires_at=now() - timedelta(days=8))
    leases.expire_leases()
    assert end(old, key, 50, 60) == "parked"
    assert figures(purse) == (850, 0)
    assert broken() == {}


def test_leases_of_a_relay_that_is_gone_are_closed_by_its_name() -> None:
    user, purse = rich(amount=1000)
    key = key_of(user)
    lend(key, 100, source="gone")
    kept = lend(key, 100, source="alive").lease_id
    assert (leases.close_leases_of(["gone", "never there"]), leases.close_leases_of(["gone"])) == (1, 0)
    assert figures(purse) == (1000, 100)
    assert Lease.objects.get(state="open").pk == kept


def test_what_is_no_request_is_refused_and_writes_nothing() -> None:
    user, purse = rich(amount=1000)
    key = key_of(user)
    wrong = [
        LeaseRequest(uuid7(), "one", 999_999_999, 10, 5),
        LeaseRequest(uuid7(), "", key.pk, 10, 5),
        LeaseRequest(uuid7(), "one", key.pk, 10, 0),
        LeaseRequest(uuid7(), "one", key.pk, 10, -5),
        LeaseRequest(uuid7(), "one", key.pk, 10, 5, user_id=user.pk + 1),
    ]
    assert [answer.status for answer in leases.open_leases(wrong)] == ["refused"] * 5
    assert end(uuid7(), key, 10, 10) == "refused"
    assert (figures(purse), Lease.objects.count()) == ((1000, 0), 0)
    assert leases.open_leases([]) == leases.renew_leases([]) == leases.close_leases(source="x", lease_ids=[]) == []


def test_the_database_keeps_leases_within_what_was_granted() -> None:
    user, _purse = rich(amount=1000)
    lease = Lease.objects.get(pk=lend(key_of(user), 100).lease_id)
    tries: list[Callable[[], object]] = [
        lambda: Lease.objects.filter(pk=lease.pk).update(spent_nano=101),
        lambda: Lease.objects.filter(pk=lease.pk).update(source="other"),
        lambda: lease.delete(),
    ]
    for attempt in tries:
        with pytest.raises(Exception, match="lease"), transaction.atomic():
            attempt()
    close(lease.pk)
    with pytest.raises(Exception, match="closes once"), transaction.atomic():
        Lease.objects.filter(pk=lease.pk).update(state="open", closed_at=None)


@pytest.mark.django_db(transaction=True)
def test_borrowing_holding_and_ending_at_once_never_takes_more_than_there_is() -> None:
    """Eight lenders and as many callers on one purse; the balance is never below zero, and every sum ties out."""
    user, purse = rich(amount=20_000)
    key = key_of(user)
    wrong: list[object] = []

    def lender(number: int) -> None:
        chance = random.Random(number)
        try:
            for _round in range(6):
                answer = lend(key, chance.randint(50, 400), 40, source=f"relay {number}")
                if answer.status != "open":
                    continue
                room = answer.granted_nano
                batch = []
                while room >= 40:
                    cost = chance.randint(0, 40)
                    batch.append(event(answer.lease_id, key, cost, 40))
                    room -= cost if chance.random() < 0.5 else 40
                answers = ledger.record_calls(batch + batch[:2])
                assert {x.status for x in answers} <= {"recorded", "repeated"}
                renew(answer.lease_id, answer.granted_nano + 100, f"relay {number}")
                if chance.random() < 0.7:
                    close(answer.lease_id, f"relay {number}")
        except Exception as error:
            wrong.append(error)
        finally:
            connection.close()

    def caller(number: int) -> None:
        chance = random.Random(number)
        try:
            for _round in range(10):
                call = uuid7()
                if hold(user, 100, call=call, key=key).status == "held":
                    cost = chance.randint(0, 100)
                    ledger.record_calls([ledger.CallEvent(call, cost, True, "", {"outcome": "ok", "user_id": user.pk})])
        except Exception as error:
            wrong.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=act, args=(n,)) for n in range(4) for act in (lender, caller)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert broken() == {}
    leases.expire_leases(at=now() + timedelta(hours=1))
    balance, held = figures(purse)
    assert (held, balance >= 0) == (0, True)
    assert balance == 20_000 - sum(RequestLog.objects.values_list("cost_nano", flat=True))
    assert not LedgerEntry.objects.filter(kind="charge").exclude(draw="held").exists()
    call_command("ledger_check")


@pytest.mark.django_db(transaction=True)
def test_a_transaction_that_dies_in_the_middle_of_a_batch_leaves_nothing() -> None:
    user, purse = rich(amount=1000)
    key = key_of(user)
    lease = lend(key, 400).lease_id
    batch = [event(lease, key, 30, 50) for _n in range(5)]
    with psycopg.connect(test_database_url()) as line:
        (pid,) = line.execute("SELECT pg_backend_pid()").fetchone() or (0,)
        line.execute(ledger.RECORD_SQL, [ledger.record_payload(batch)])
        line.execute(leases.RENEW_SQL, [leases.renew_payload([LeaseRenewal(lease, "one", 450)])])
        with psycopg.connect(test_database_url(), autocommit=True) as other:
            other.execute("SELECT pg_terminate_backend(%s)", [pid])
        with pytest.raises(psycopg.OperationalError):
            line.commit()
    assert (figures(purse), RequestLog.objects.count(), Hold.objects.count()) == ((1000, 400), 0, 0)
    assert {answer.status for answer in ledger.record_calls(batch)} == {"recorded"}
    assert figures(purse) == (850, 250)
    assert broken() == {}


def test_one_bad_event_of_a_batch_does_not_spoil_the_others() -> None:
    user, purse = rich(amount=1000)
    key = key_of(user)
    lease = lend(key, 400).lease_id
    bad = ledger.CallEvent(uuid7(), 10, True, "", {"key_id": key.pk, "duration_ms": "long"}, lease, 20)
    answers = ledger.record_calls([event(lease, key, 10, 20), bad, event(lease, key, 30, 40)])
    assert [answer.status for answer in answers] == ["recorded", "refused", "recorded"]
    assert figures(purse) == (960, 360)
    assert LedgerAccount.objects.get(pk=purse.pk).seq == 3
    assert broken() == {}
