"""Two currencies: each sums to zero by itself, a conversion is what its rate says, and calls are charged in USD only."""

import threading
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from typing import Any

import psycopg
import pytest
from django.db import DatabaseError, IntegrityError, connection, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accounts.models import Group, Role, User
from billing.models import CurrencyConversion, LedgerAccount, LedgerEntry
from billing.selectors.balance import balance_of
from billing.services import ledger, money
from billing.services.approvals import approve, ask
from billing.services.conversions import received_for
from billing.services.errors import EntryMismatch, InsufficientBalance, PostingRefused, SecondPersonNeeded
from config.foundation.errors import InvalidInput, NotAllowed
from config.foundation.ids import uuid7
from tests.billing.helpers import broken, converted, end, figures, hold, person
from tests.billing.test_at_once import dsn

pytestmark = pytest.mark.django_db
EURO = 1_000_000_000


def with_euros(amount: int = 100 * EURO) -> tuple[User, LedgerAccount]:
    user = person("ada")
    purse = ledger.purse_for(user=user, currency="EUR")
    cash = ledger.house_account("cash", currency="EUR")
    ledger.post_entries([ledger.Posting(uuid7(), "top_up", cash.pk, purse.pk, amount)])
    return user, purse


def wanted(user: User, amount: int, **more: Any) -> dict[str, Any]:
    rate = {"rate_numerator": 108_517, "rate_denominator": 100_000}
    return {
        "user": user,
        "from_currency": "EUR",
        "to_currency": "USD",
        "amount_nano": amount,
        "reason": "asked",
        **rate,
        **more,
    }


def sums() -> dict[str, int]:
    found: dict[str, int] = {}
    for entry in LedgerEntry.objects.select_related("from_account", "to_account"):
        found[entry.from_account.currency] = found.get(entry.from_account.currency, 0) - entry.amount_nano
        found[entry.to_account.currency] = found.get(entry.to_account.currency, 0) + entry.amount_nano
    return found


def test_euros_become_dollars_at_a_whole_numbered_rate_and_the_rounding_is_booked() -> None:
    user, euros = with_euros()
    done = converted(person("finance", Role.FINANCE), **wanted(user, 33 * EURO + 333_333_333))
    # 33.333333333 * 1.08517 = 36.172333332972...: 36.17 to the purse, 0.002333332 to rounding.
    assert (done.to_nano, done.residue_nano) == (36_170_000_000, 2_333_332)
    dollars = ledger.purse_for(user=user)
    assert (figures(euros), figures(dollars)) == ((66_666_666_667, 0), (36_170_000_000, 0))
    rounding = ledger.house_account("rounding")
    assert LedgerEntry.objects.get(to_account=rounding).amount_nano == 2_333_332
    assert set(sums().values()) == {0}
    assert (dollars.is_spendable, euros.is_spendable) == (True, False)
    assert balance_of(user).total_nano == 36_170_000_000
    assert broken() == {}


def test_rounding_up_takes_the_residue_from_rounding() -> None:
    user, _euros = with_euros()
    rate = {"rate_numerator": 1_007, "rate_denominator": 1_000}
    done = converted(person("finance", Role.FINANCE), **wanted(user, EURO, **rate))
    assert (done.to_nano, done.residue_nano) == (1_010_000_000, -3_000_000)
    assert LedgerEntry.objects.get(from_account=ledger.house_account("rounding")).amount_nano == 3_000_000
    assert broken() == {}


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(1, 2**50), st.integers(1, 10**9), st.integers(1, 10**9), st.sampled_from(["USD", "JPY"]))
def test_what_is_received_is_half_even_and_adds_up_to_the_worth(amount: int, numerator: int, denominator: int, to: str) -> None:
    received, residue = received_for(amount, numerator, denominator, to)
    coin = 10**9 if to == "JPY" else 10**7
    worth = Fraction(amount * numerator, denominator)
    assert received % coin == 0
    assert received + residue == worth.__floor__()
    assert received == round(Fraction(worth.__floor__(), coin)) * coin


def test_a_conversion_happens_once_for_its_id() -> None:
    user, euros = with_euros()
    by, act = person("finance", Role.FINANCE), uuid7()
    first = converted(by, **wanted(user, EURO, transaction_id=act))
    assert converted(by, **wanted(user, EURO, transaction_id=act)).pk == first.pk
    for other in ({"amount_nano": 2 * EURO}, {"rate_numerator": 108_518}):
        with pytest.raises(EntryMismatch), transaction.atomic():
            converted(by, **{**wanted(user, EURO, transaction_id=act), **other})
    assert figures(euros) == (99 * EURO, 0)
    assert broken() == {}


def test_what_cannot_be_converted_changes_nothing() -> None:
    user, euros = with_euros()
    by = person("finance", Role.FINANCE)
    refusals: list[tuple[type[Exception], dict[str, Any]]] = [
        (NotAllowed, {"actor": user}),
        (InsufficientBalance, {"amount_nano": 101 * EURO}),
        (InvalidInput, {"amount_nano": 0}),
        (InvalidInput, {"amount_nano": 1}),
        (InvalidInput, {"amount_nano": 2**62}),
        (InvalidInput, {"rate_numerator": 0}),
        (InvalidInput, {"rate_denominator": -1}),
        (InvalidInput, {"rate_numerator": 2**61, "rate_denominator": 1}),
        (InvalidInput, {"to_currency": "EUR"}),
        (InvalidInput, {"to_currency": "usd"}),
        (InvalidInput, {"to_currency": "DOLLAR"}),
        (InvalidInput, {"reason": " "}),
        (InvalidInput, {"group": Group.objects.create(code="crew", name="Crew")}),
    ]
    for error, change in refusals:
        with pytest.raises(error), transaction.atomic():
            converted(**{"actor": by, **wanted(user, EURO), **change})
    assert figures(euros) == (100 * EURO, 0)
    assert not CurrencyConversion.objects.exists()
    assert broken() == {}


def test_an_account_has_one_currency_and_an_entry_stays_within_it(settings: Any) -> None:
    settings.ADJUST_ALONE_USD = 10
    user, euros = with_euros()
    dollars = ledger.purse_for(user=user)
    with pytest.raises(PostingRefused), transaction.atomic():
        ledger.post_entries([ledger.Posting(uuid7(), "adjustment", euros.pk, dollars.pk, 5)])
    with pytest.raises(DatabaseError), transaction.atomic():
        LedgerAccount.objects.filter(pk=euros.pk).update(currency="USD")
    with pytest.raises(IntegrityError), transaction.atomic():
        LedgerAccount.objects.filter(pk=euros.pk).update(is_spendable=True)
    assert ledger.set_spendable(actor=None, user_ids=[user.pk], origin=None, is_spendable=False) == 1
    assert ledger.set_spendable(actor=None, user_ids=[user.pk], origin=None, is_spendable=True) == 1
    assert ledger.house_account("cash", currency="EUR").pk == ledger.house_account("cash", currency="EUR").pk
    by = person("finance", Role.FINANCE)
    # What one may do alone is said in dollars.
    with pytest.raises(SecondPersonNeeded):
        money.adjust(actor=by, purse=euros, amount_nano=-1_000, reason="a little less")
    request = ask(actor=by, kind="adjustment", purse=euros, amount_nano=-1_000, reason="a little less")
    approve(actor=person("other", Role.FINANCE), request=request)
    assert figures(euros) == (100 * EURO - 1_000, 0)
    assert broken() == {}


def test_calls_are_never_charged_in_another_currency() -> None:
    user, euros = with_euros()
    assert hold(user, 1).status == "no_balance"
    free = hold(user, 0)
    # An answer that costs more than was held makes debt in dollars, whatever other money there is.
    assert end(free.request_id, 40).status == "recorded"
    assert figures(euros) == (100 * EURO, 0)
    assert figures(ledger.purse_for(user=user)) == (-40, 0)
    assert broken() == {}


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_a_conversion_asked_for_eight_times_at_once_happens_once() -> None:
    user, euros = with_euros()
    by, act = person("finance", Role.FINANCE), uuid7()
    barrier = threading.Barrier(8)

    def ask(_number: int) -> int:
        try:
            barrier.wait(30)
            return converted(by, **wanted(user, 60 * EURO, transaction_id=act)).to_nano
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as threads:
        assert set(threads.map(ask, range(8))) == {65_110_000_000}
    assert figures(euros) == (40 * EURO, 0)
    assert CurrencyConversion.objects.count() == 1
    assert broken() == {}


def test_an_account_of_the_house_asked_for_at_once_is_made_once(transactional_db: None) -> None:
    def make(_number: int) -> int:
        with psycopg.connect(dsn(), autocommit=True) as line:
            return line.execute("SELECT billing_house_account('exchange', '', 'CHF')").fetchone()[0]

    with ThreadPoolExecutor(8) as threads:
        assert len(set(threads.map(make, range(8)))) == 1
    assert LedgerAccount.objects.get(kind="exchange", currency="CHF").is_purse is False
