"""A refund reaches everything its call reached: purses, spend limits, every breakdown of usage, and the words of the call."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.db import connection
from django.test import Client
from django.urls import reverse

from accounts.models import Group, GroupMembership, Role, User
from billing.models import CallRefund, SpendWindow
from billing.selectors.explanation import six_numbers
from billing.selectors.usage_cuts import CUTS, Period, Scope, ledger_total, usage_chart, usage_report
from billing.services import ledger, partitions, usage
from billing.services.budgets import set_spend_limit
from billing.services.refunds import refund_call
from config.foundation.ids import uuid7
from keys.models import ApiKey
from tests.billing.helpers import broken, end, give, hold, key_of, person, rich
from tests.billing.test_code_batches import together
from tests.billing.test_usage_cuts import one

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def alone(settings: Any) -> None:
    settings.ADJUST_ALONE_USD = 1


def back(call: Any, amount: int | None = None, *, by: User | None = None) -> int:
    by = by or User.objects.filter(username="finance").first() or person("finance", Role.FINANCE)
    return refund_call(actor=by, request_id=call, reason="slow", amount_nano=amount).amount_nano


def spent() -> dict[str, int]:
    return {f"{x.limit.scope} {x.limit.span}": x.spent_nano for x in SpendWindow.objects.select_related("limit")}


def test_R017_a_refund_gives_the_room_back_to_every_limit_its_call_counted_in() -> None:
    """R017: key, member and team limits of a day, a month and in all; the next call that would have been refused is held."""
    bob, crew = person("bob"), Group.objects.create(code="crew", name="Crew")
    GroupMembership.objects.create(group=crew, user=bob, team_role="member")
    give(ledger.purse_for(group=crew), 10_000)
    key = ApiKey.objects.create(name="bob's", team=crew, member=bob)
    for span in ("daily", "monthly", "total"):
        set_spend_limit(actor=None, key=key, span=span, limit_nano=1000)
        set_spend_limit(actor=None, user=bob, group=crew, span=span, limit_nano=1000)
        set_spend_limit(actor=None, group=crew, span=span, limit_nano=1000)

    def team_hold(amount: int) -> ledger.ReserveResult:
        ask = ledger.ReserveRequest(uuid7(), None, crew.pk, key.pk, amount, datetime.now(UTC) + timedelta(minutes=5), {})
        return ledger.reserve([ask])[0]

    first = team_hold(999)
    end(first.request_id, 999, user_id=bob.pk, key_id=key.pk)
    assert team_hold(200).status == "key_limit"
    assert back(first.request_id, 300) == 300
    assert set(spent().values()) == {699}
    assert len(spent()) == 9
    assert team_hold(200).status == "held"
    assert team_hold(200).status == "key_limit"
    # A window that is counted anew finds the same.
    set_spend_limit(actor=None, key=key, span="daily", limit_nano=900, time_zone="Asia/Shanghai")
    assert set(spent().values()) == {699}
    assert broken() == {}


def test_a_person_s_limit_and_a_limit_set_after_the_call() -> None:
    ada, _purse = rich("ada", 5000)
    early = hold(ada, 100).request_id
    end(early, 100, user_id=ada.pk)
    set_spend_limit(actor=None, user=ada, span="total", limit_nano=1000)
    set_spend_limit(actor=None, user=ada, span="daily", limit_nano=1000)
    late = hold(ada, 400).request_id
    end(late, 600, user_id=ada.pk)
    assert set(spent().values()) == {700}
    back(early)
    back(late, 50)
    assert set(spent().values()) == {550}
    assert broken() == {}


@time_machine.travel(NOW, tick=False)
def test_R029_every_cut_equals_charges_less_refunds_whatever_is_folded() -> None:
    """R029: refunds of some calls, before and after folding and after counting anew; 7 cuts, 4 zones, 3 scopes."""
    partitions.ensure_partitions(date(2026, 10, 1), date(2026, 11, 30))
    ada, _purse = rich("ada", 10**12)
    crew = Group.objects.create(code="crew", name="Crew")
    give(ledger.purse_for(group=crew), 10**12)
    keys = {ada: key_of(ada), crew: ApiKey.objects.create(name="robot", team=crew)}
    start = datetime(2026, 10, 20, 22, 30, tzinfo=UTC)
    for n in range(60):
        payer: User | Group = (ada, crew)[n % 2]
        log = {"billed_model": f"m{n % 5}", "group_code": f"g{n % 3}", "modality": ("text", "image")[n % 2]}
        one(payer, start + timedelta(hours=7 * n, minutes=13 * n), 1_000_003 + 7919 * n, keys[payer], **log)
    calls = [entry["transaction_id"] for entry in charges()]
    for n, call in enumerate(calls[::3]):
        if n == 7:
            while usage.fold_usage(limit=11):
                pass
        back(call, None if n % 2 else 400_000)
    ops = person("ops", Role.OPS)

    def agree() -> None:
        for zone in ("UTC", "Asia/Shanghai", "Asia/Kathmandu", "America/New_York"):
            period = Period(date(2026, 10, 21), date(2026, 11, 5), zone)
            for scope in (Scope(), Scope(user=ada), Scope(team=crew)):
                booked = net(scope, period)
                assert booked > 0
                assert ledger_total(ops, scope, period) == booked
                for by in CUTS:
                    assert usage_report(ops, scope, period, by).total.cost_nano == booked, (zone, scope, by)
                chart = usage_chart(ops, scope, period)
                assert sum(sum(values) for values in chart.by_model.values()) == booked
        assert broken(NOW) == {}

    agree()
    while usage.fold_usage():
        pass
    agree()
    assert usage.recount(date(2026, 10, 15), date(2026, 11, 20)) == 60
    agree()


def charges() -> Any:
    from billing.models import LedgerEntry

    return LedgerEntry.objects.filter(kind="charge").order_by("pk").values("transaction_id", "amount_nano", "effective_at")


def net(scope: Scope, period: Period) -> int:
    """Charges of the period less what was given back of exactly these calls, from the rows themselves."""
    rows = charges().filter(effective_at__gte=period.start, effective_at__lt=period.end)
    if scope.user:
        rows = rows.filter(from_account__user=scope.user)
    if scope.team:
        rows = rows.filter(from_account__group=scope.team)
    given = CallRefund.objects.filter(request_id__in=[row["transaction_id"] for row in rows])
    return sum(row["amount_nano"] for row in rows) - sum(given.values_list("amount_nano", flat=True))


def test_R022_a_failed_call_that_was_refunded_costs_nothing_in_the_explanation() -> None:
    """R022: what a failed call costs is what is left of its charge."""
    ada, _purse = rich("ada", 1000)
    call = hold(ada, 100).request_id
    end(call, 100, user_id=ada.pk, outcome="cut_stream", output_tokens=5)
    assert six_numbers(ada, ada).failed_nano == 100
    back(call, 70)
    numbers = six_numbers(ada, ada)
    assert (numbers.failed_calls, numbers.failed_nano, numbers.now_nano) == (1, 30, 970)


def test_the_person_sees_on_the_call_what_came_back_and_why(client: Client) -> None:
    ada, _purse = rich("ada", 10**9)
    call = hold(ada, 10**8).request_id
    end(call, 10**8, user_id=ada.pk)
    back(call, 25_000_000)
    client.force_login(ada)
    page = client.get(reverse("call_detail", args=[call.hex])).content.decode()
    assert "$0.025 of it was given back: slow" in page
    assert "given back" in page


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_refunds_beside_calls_of_the_same_limit_and_folding_lose_nothing() -> None:
    ada, _purse = rich("ada", 10**9)
    key = key_of(ada)
    set_spend_limit(actor=None, key=key, span="total", limit_nano=10**9)
    by = person("finance", Role.FINANCE)
    calls = [hold(ada, 1000, key=key).request_id for _ in range(8)]
    for call in calls:
        end(call, 900, user_id=ada.pk, key_id=key.pk)

    def more() -> None:
        for _ in range(10):
            end(hold(ada, 700, key=key).request_id, 650, user_id=ada.pk, key_id=key.pk)
            usage.fold_usage()

    jobs = [lambda call=call: back(call, 100, by=by) for call in calls] + [more, more]
    raised = [result for result in together(jobs) if isinstance(result, Exception)]
    assert raised == []
    assert set(spent().values()) == {8 * 800 + 20 * 650}
    assert broken() == {}


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_top_ups_of_one_person_at_once_do_not_pass_the_day_s_limit(settings: Any) -> None:
    """The sum of a day is read by one top-up at a time: eight of 300 at once against a limit of 1,000 are three."""
    from billing.services.errors import SecondPersonNeeded
    from billing.services.money import top_up

    settings.TOP_UP_ALONE_USD = 1000
    by, ada = person("finance", Role.FINANCE), person("ada")
    barrier = threading.Barrier(8)

    def book(number: int) -> str:
        try:
            barrier.wait(30)
            return top_up(actor=by, user=ada, amount_nano=300 * 10**9, reason=f"transfer {number}").status
        except SecondPersonNeeded:
            return "needs two"
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(book, range(8)))
    assert sorted(answers) == ["needs two"] * 5 + ["posted"] * 3
    assert broken() == {}
