"""Redemption codes from the batch to the last one that ran out: every state is money in the ledger."""

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.conf import settings
from django.db import connection
from django.utils import timezone

from accounts.models import AuditEvent, Role, User
from billing.models import CodeBatch, LedgerAccount, LedgerEntry, RedemptionCode
from billing.services import code_batches, codes, ledger
from billing.services.code_batches import NewBatch
from billing.services.errors import (
    CodeLimitReached,
    CodeNotUsable,
    CodesTaken,
    NumbersChanged,
    SecondPersonNeeded,
    TooManyGuesses,
)
from config.foundation.clock import now
from config.foundation.errors import InvalidInput, NotAllowed
from tests.billing.helpers import broken, figures, person

USD = 10**9
at_once = pytest.mark.django_db(transaction=True)
pytestmark = pytest.mark.django_db


def finance() -> User:
    return User.objects.filter(username="fin").first() or person("fin", Role.FINANCE)


def make(count: int = 3, amount: int = USD, kind: str = "prepaid", **more: Any) -> tuple[CodeBatch, list[str]]:
    new = NewBatch(more.pop("name", f"batch {uuid4().hex[:8]}"), count, amount, kind, **more)
    batch = code_batches.create_batch(actor=finance(), new=new)
    return batch, code_batches.take_codes(actor=finance(), batch=batch)


def total_of(kind: str) -> int:
    """What the house's accounts of this kind hold."""
    ids = set(LedgerAccount.objects.filter(kind=kind).values_list("pk", flat=True))
    rows = LedgerEntry.objects.values_list("from_account_id", "to_account_id", "amount_nano")
    return sum(n * ((to in ids) - (source in ids)) for source, to, n in rows)


def states(batch: CodeBatch) -> dict[str, int]:
    return dict(Counter(RedemptionCode.objects.filter(batch=batch).values_list("state", flat=True)))


def at(monkeypatch: pytest.MonkeyPatch, moment: Any) -> None:
    monkeypatch.setattr(timezone, "now", lambda: moment)


def test_r020_a_batch_is_one_act_that_books_what_is_owed() -> None:
    """R020: unspent codes are kept apart as a liability; bonus codes cost promotion, prepaid ones wait to be paid for."""
    batch, clear = make(20, 3 * USD, "bonus", prefix="spring")
    assert len(set(clear)) == 20
    assert all(code.startswith("SPRING-") and len(code) == 26 for code in clear)
    entry = LedgerEntry.objects.get()
    assert (entry.kind, entry.transaction_id, entry.amount_nano) == ("code_issued", batch.pk, 60 * USD)
    make(5, 2 * USD, "prepaid")
    assert (total_of("code_liability"), total_of("promotion_cost"), total_of("codes_for_sale")) == (
        70 * USD,
        -60 * USD,
        -10 * USD,
    )
    assert AuditEvent.objects.filter(action="code_batch.created").count() == 2
    assert broken() == {}


def test_the_same_act_makes_a_batch_once() -> None:
    act, new = uuid4(), NewBatch("summer", 4, USD, "prepaid")
    first = code_batches.create_batch(actor=finance(), new=new, batch_id=act)
    assert code_batches.create_batch(actor=finance(), new=new, batch_id=act) == first
    assert (RedemptionCode.objects.count(), LedgerEntry.objects.count()) == (4, 1)
    with pytest.raises(InvalidInput) as refused:
        code_batches.create_batch(actor=finance(), new=new)
    assert set(refused.value.details["fields"]) == {"name"}
    assert LedgerEntry.objects.count() == 1


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"name": " "}, "name"),
        ({"count": 0}, "count"),
        ({"count": 10_001}, "count"),
        ({"amount_nano": 0}, "amount"),
        ({"amount_nano": 10**12 + 1}, "amount"),
        ({"purse_kind": "revenue"}, "purse_kind"),
        ({"prefix": "not ok"}, "prefix"),
        ({"max_per_person": 0}, "max_per_person"),
    ],
)
def test_a_batch_that_cannot_be_is_refused_and_nothing_is_written(change: dict[str, Any], field: str) -> None:
    values = {"name": "x", "count": 1, "amount_nano": USD, "purse_kind": "bonus", **change}
    with pytest.raises(InvalidInput) as refused:
        code_batches.create_batch(actor=finance(), new=NewBatch(**values))
    assert field in refused.value.details["fields"]
    assert (CodeBatch.objects.count(), LedgerEntry.objects.count()) == (0, 0)


@pytest.mark.parametrize("role", [Role.USER, Role.OPS, Role.SUPPORT, Role.DEVELOPER, Role.CONTENT_LEAD])
def test_r018_only_finance_and_administrators_make_codes(role: str) -> None:
    with pytest.raises(NotAllowed):
        code_batches.create_batch(actor=person("x", role), new=NewBatch("x", 1, USD, "bonus"))
    batch, _clear = make()
    for verb in (
        lambda who: code_batches.take_codes(actor=who, batch=batch),
        lambda who: code_batches.set_codes_state(actor=who, codes=batch.codes.all(), to="void", reason="x"),
        lambda who: code_batches.plan_revaluation(actor=who, batch=batch, amount_nano=5),
    ):
        with pytest.raises(NotAllowed):
            verb(User.objects.get(username="x"))
    assert states(batch) == {"unused": 3}


def test_much_money_in_codes_needs_a_second_person() -> None:
    with pytest.raises(SecondPersonNeeded):
        code_batches.create_batch(actor=finance(), new=NewBatch("big", 1001, USD, "bonus"))
    assert CodeBatch.objects.count() == 0


def test_clear_codes_are_given_once_and_then_nowhere() -> None:
    new = NewBatch("once", 3, USD, "prepaid")
    batch = code_batches.create_batch(actor=finance(), new=new)
    assert batch.sealed_codes
    clear = code_batches.take_codes(actor=finance(), batch=batch)
    with pytest.raises(CodesTaken):
        code_batches.take_codes(actor=finance(), batch=batch)
    batch.refresh_from_db()
    assert (batch.sealed_codes, batch.exported_by) == (None, finance())
    with connection.cursor() as cursor:
        for table in ("billing_codebatch", "billing_redemptioncode", "accounts_auditevent", "billing_ledgerentry"):
            cursor.execute(f"SELECT t::text FROM {table} t")  # noqa: S608
            stored = "\n".join(row[0] for row in cursor.fetchall())
            assert not any(code in stored or code.encode().hex() in stored for code in clear)
    with pytest.raises(Exception, match="batch_codes_gone_after_download"):
        CodeBatch.objects.filter(pk=batch.pk).update(sealed_codes=b"again")


def together(jobs: list[Any]) -> list[Any]:
    """Every job in a thread of its own, let go at the same moment; what each gave or raised."""
    barrier = threading.Barrier(len(jobs))

    def run(job: Any) -> Any:
        try:
            connection.ensure_connection()
            barrier.wait(60)
            return job()
        except Exception as error:
            return error
        finally:
            connection.close()

    with ThreadPoolExecutor(len(jobs)) as threads:
        return list(threads.map(run, jobs))


@at_once
def test_r021_64_claims_of_one_code_at_once_have_one_winner() -> None:
    """R021, and one-api 2397: one conditional update decides; the money moves once."""
    _batch, (code, *_rest) = make(2, 5 * USD, "bonus")
    people = [person(f"p{n}") for n in range(64)]
    answers = together([lambda who=who: codes.redeem_code(actor=who, presented=code) for who in people])
    assert Counter(type(answer).__name__ for answer in answers) == {"RedemptionCode": 1, "CodeNotUsable": 63}
    assert list(LedgerAccount.objects.filter(is_purse=True).values_list("kind", "balance_nano")) == [("bonus", 5 * USD)]
    assert total_of("code_liability") == 5 * USD
    assert broken() == {}


@at_once
def test_one_person_takes_no_more_than_the_batch_allows_also_at_once() -> None:
    _batch, clear = make(8, USD, "bonus", max_per_person=2)
    ada, bob = person("ada"), person("bob")
    answers = together([lambda code=code: codes.redeem_code(actor=ada, presented=code) for code in clear])
    assert Counter(type(answer).__name__ for answer in answers) == {"RedemptionCode": 2, "CodeLimitReached": 6}
    left = RedemptionCode.objects.filter(state="unused").count()
    assert left == 6
    with pytest.raises(CodeLimitReached):
        codes.redeem_code(actor=ada, presented=next(code for code in clear if not _is_used(code)))
    assert codes.redeem_code(actor=bob, presented=next(code for code in clear if not _is_used(code))).amount_nano == USD
    assert broken() == {}


def _is_used(code: str) -> bool:
    return RedemptionCode.objects.get(digest=codes.code_spellings(code)[0][0]).state == "used"


@at_once
def test_64_downloads_at_once_give_the_codes_to_one() -> None:
    batch = code_batches.create_batch(actor=finance(), new=NewBatch("once", 3, USD, "prepaid"))
    who = finance()
    answers = together([lambda: code_batches.take_codes(actor=who, batch=batch)] * 16)
    assert Counter(type(answer).__name__ for answer in answers) == {"list": 1, "CodesTaken": 15}


@at_once
def test_voiding_and_claiming_at_once_never_pays_a_void_code() -> None:
    batch, clear = make(12, USD, "prepaid")
    people, who = [person(f"p{n}") for n in range(12)], finance()
    claims = [lambda n=n: codes.redeem_code(actor=people[n], presented=clear[n]) for n in range(12)]
    ends = [lambda: code_batches.set_codes_state(actor=who, codes=batch.codes.all(), to="void", reason="leaked")] * 4
    together(claims + ends)
    found = states(batch)
    assert sum(found.values()) == 12
    assert found.get("unused", 0) == 0
    paid = sum(LedgerAccount.objects.filter(is_purse=True).values_list("balance_nano", flat=True))
    assert paid == found.get("used", 0) * USD
    assert total_of("code_liability") == 0
    assert broken() == {}


def test_a_code_is_read_as_people_type_it() -> None:
    _batch, (code, *_rest) = make(1, prefix="ab")
    typed = f"  {code.lower()[:9]} {code.lower()[9:]}\n"
    assert codes.redeem_code(actor=person(), presented=typed).state == "used"


def test_pausing_releases_what_is_owed_and_resuming_owes_it_again() -> None:
    batch, clear = make(4, USD, "bonus")
    fin = finance()
    codes.redeem_code(actor=person("ada"), presented=clear[0])
    assert code_batches.set_codes_state(actor=fin, codes=batch.codes.all(), to="disabled", reason="seen on a forum") == 3
    assert (total_of("code_liability"), total_of("promotion_cost")) == (0, -USD)
    with pytest.raises(CodeNotUsable):
        codes.redeem_code(actor=person("bob"), presented=clear[1])
    assert broken() == {}
    assert code_batches.set_codes_state(actor=fin, codes=batch.codes.all(), to="unused", reason="false alarm") == 3
    assert code_batches.set_codes_state(actor=fin, codes=batch.codes.all(), to="unused", reason="false alarm") == 0
    assert total_of("code_liability") == 3 * USD
    one = batch.codes.filter(tail=clear[1][-4:])
    assert code_batches.set_codes_state(actor=fin, codes=one, to="void", reason="lost") == 1
    assert code_batches.set_codes_state(actor=fin, codes=one, to="unused", reason="found") == 0
    assert states(batch) == {"used": 1, "unused": 2, "void": 1}
    assert total_of("code_liability") == 2 * USD
    assert broken() == {}
    trail = list(AuditEvent.objects.filter(object_id=str(batch.pk)).order_by("pk").values_list("action", flat=True))
    assert trail == ["code_batch.created", "code_batch.downloaded", "code.paused", "code.resumed", "code.voided"]
    with pytest.raises(InvalidInput):
        code_batches.set_codes_state(actor=fin, codes=batch.codes.all(), to="used", reason="x")
    with pytest.raises(InvalidInput):
        code_batches.set_codes_state(actor=fin, codes=batch.codes.all(), to="void", reason=" ")


def test_expiry_ends_the_code_and_not_the_credit(monkeypatch: pytest.MonkeyPatch) -> None:
    batch, clear = make(4, USD, "bonus", expires_at=now() + timedelta(days=30))
    ada, fin = person("ada"), finance()
    codes.redeem_code(actor=ada, presented=clear[0])
    paused = batch.codes.filter(tail=clear[3][-4:])
    code_batches.set_codes_state(actor=fin, codes=paused, to="disabled", reason="held back")
    assert code_batches.expire_codes() == 0
    at(monkeypatch, now() + timedelta(days=31))
    with pytest.raises(CodeNotUsable):
        codes.redeem_code(actor=person("bob"), presented=clear[1])
    assert [code_batches.expire_codes() for _round in range(2)] == [3, 0]
    assert states(batch) == {"used": 1, "expired": 3}
    assert (total_of("code_liability"), total_of("breakage")) == (0, 2 * USD)
    assert figures(LedgerAccount.objects.get(user=ada)) == (USD, 0)
    assert AuditEvent.objects.get(action="code.expired").actor_name == "system"
    assert broken() == {}


@at_once
def test_two_workers_that_end_codes_at_once_release_each_once() -> None:
    batch, _clear = make(40, USD, "bonus", expires_at=now() + timedelta(days=1))
    RedemptionCode.objects.update(expires_at=now() - timedelta(seconds=1))
    done = together([lambda: sum(code_batches.expire_codes(7) for _round in range(12))] * 3)
    assert sum(done) == 40
    assert states(batch) == {"expired": 40}
    assert total_of("breakage") == 40 * USD
    assert broken() == {}


def test_a_new_value_is_planned_seen_and_then_done() -> None:
    batch, clear = make(5, 2 * USD, "prepaid")
    fin = finance()
    codes.redeem_code(actor=person("ada"), presented=clear[0])
    code_batches.set_codes_state(actor=fin, codes=batch.codes.filter(tail=clear[1][-4:]), to="disabled", reason="hold")
    entries = LedgerEntry.objects.count()
    plan = code_batches.plan_revaluation(actor=fin, batch=batch, amount_nano=3 * USD)
    assert (plan.count, plan.paused_count, plan.old_nano, plan.new_nano, plan.difference_nano) == (
        3,
        1,
        6 * USD,
        9 * USD,
        3 * USD,
    )
    assert LedgerEntry.objects.count() == entries
    codes.redeem_code(actor=person("bob"), presented=clear[2])
    with pytest.raises(NumbersChanged):
        code_batches.revalue_batch(actor=fin, batch=batch, amount_nano=3 * USD, expected=plan, reason="new price")
    assert total_of("code_liability") == 4 * USD
    plan = code_batches.plan_revaluation(actor=fin, batch=batch, amount_nano=USD)
    code_batches.revalue_batch(actor=fin, batch=batch, amount_nano=USD, expected=plan, reason="half price")
    assert total_of("code_liability") == 2 * USD
    assert codes.redeem_code(actor=person("cid"), presented=clear[3]).amount_nano == USD
    assert code_batches.set_codes_state(actor=fin, codes=batch.codes.all(), to="unused", reason="on again") == 1
    assert total_of("code_liability") == 2 * USD
    assert broken() == {}


def test_guesses_are_counted_and_then_refused_kindly(monkeypatch: pytest.MonkeyPatch) -> None:
    ada, bob = person("ada"), person("bob")
    _batch, (code, *_rest) = make(1)
    for n in range(settings.CODE_GUESSES):
        with pytest.raises(CodeNotUsable):
            codes.redeem_code(actor=ada, presented=f"GUESS-{n}")
    with pytest.raises(TooManyGuesses, match="Try again in 10 minutes") as refused:
        codes.redeem_code(actor=ada, presented=code)
    assert 540 < refused.value.details["retry_after"] <= 600
    assert RedemptionCode.objects.get().state == "unused"
    with pytest.raises(CodeNotUsable):
        codes.redeem_code(actor=bob, presented="GUESS")
    at(monkeypatch, now() + timedelta(minutes=11))
    assert codes.redeem_code(actor=ada, presented=code).used_by == ada


@at_once
def test_guesses_sent_at_once_are_all_counted() -> None:
    ada = person("ada")
    answers = together([lambda n=n: codes.redeem_code(actor=ada, presented=f"GUESS-{n}") for n in range(24)])
    limit = settings.CODE_GUESSES
    assert Counter(type(answer).__name__ for answer in answers) == {"CodeNotUsable": limit, "TooManyGuesses": 24 - limit}


def test_codes_of_an_old_gateway_are_voided_and_not_paused() -> None:
    from tests.billing.test_money_services import make_code

    old = make_code("ab12", 700)
    fin, whole = finance(), RedemptionCode.objects.filter(pk=old.pk)
    with pytest.raises(InvalidInput):
        code_batches.set_codes_state(actor=fin, codes=whole, to="disabled", reason="x")
    assert code_batches.set_codes_state(actor=fin, codes=whole, to="void", reason="closed shop") == 1
    owed = ledger.house_account("code_liability", "import:one")
    assert LedgerEntry.objects.get(from_account=owed).to_account.kind == "breakage"
    assert broken() == {}
