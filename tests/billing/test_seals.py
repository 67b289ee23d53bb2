"""Seals: a changed, removed, swapped or slipped-in entry is found and named. The damage is done as a superuser would."""

import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from django.db import DatabaseError, IntegrityError, connection, transaction

from billing.models import LedgerEntry, LedgerSeal, LedgerSealHead
from billing.services import ledger
from billing.services.seals import SEAL_SQL, fingerprint, last_seal, seal_entries, seal_everything
from billing.tasks import seal_entries_task
from tests.billing.helpers import broken, end, give, hold, rich
from tests.billing.test_at_once import dsn

pytestmark = pytest.mark.django_db


def past_the_triggers(*statements: str) -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("SET LOCAL session_replication_role = replica")
        for statement in statements:
            cursor.execute(statement)
            assert cursor.rowcount > 0
        cursor.execute("SET LOCAL session_replication_role = origin")


def history(calls: int = 6, sealing: Callable[[], int] = seal_entries) -> list[LedgerEntry]:
    """Entries of one purse, all sealed: a top-up and calls of 50 each."""
    user, purse = rich(amount=10_000)
    for _call in range(calls):
        end(hold(user, 100).request_id, 50)
    assert sealing() == calls + 1
    assert broken() == {}
    return list(purse.entries_in.order_by("id")) + list(purse.entries_out.order_by("id"))


def found() -> list[str]:
    return sorted(thing for thing, _detail in broken().get("seal_entry", []))


def test_a_changed_amount_is_found_and_named_even_when_every_sum_was_made_to_fit() -> None:
    entries = history()
    purse = entries[0].to_account_id
    # 7 less for one call, with the balances after it, the purse, the hold and the log all made to agree.
    past_the_triggers(
        f"UPDATE billing_ledgerentry SET amount_nano = 43 WHERE id = {entries[3].pk}",
        f"UPDATE billing_ledgerentry SET from_balance_nano = from_balance_nano + 7 WHERE id >= {entries[3].pk}",
        f"UPDATE billing_ledgeraccount SET balance_nano = balance_nano + 7 WHERE id = {purse}",
        f"UPDATE billing_hold SET settled_nano = 43 WHERE id = '{entries[3].transaction_id}'",
        f"UPDATE billing_requestlog SET cost_nano = 43 WHERE id = '{entries[3].transaction_id}'",
        "UPDATE billing_usagedelta SET cost_nano = 43 WHERE id = "
        "(SELECT id FROM billing_usagedelta WHERE cost_nano = 50 LIMIT 1)",
    )
    assert set(broken()) == {"seal_entry"}
    assert found() == sorted(f"entry {entry.pk}" for entry in entries[3:])


def test_a_removed_row_is_found_and_named() -> None:
    entries = history()
    past_the_triggers(f"DELETE FROM billing_ledgerentry WHERE id = {entries[-1].pk}")
    (named,) = broken()["seal_entry"]
    assert named == (f"purse {entries[0].to_account_id}", "entry number 7 was removed")


def test_two_swapped_rows_are_found_and_named() -> None:
    entries = history()
    one, two = entries[2], entries[5]
    past_the_triggers(
        f"UPDATE billing_ledgerentry SET from_seq = 99 WHERE id = {two.pk}",
        f"UPDATE billing_ledgerentry SET from_seq = {two.from_seq}, from_balance_nano = {two.from_balance_nano} "
        f"WHERE id = {one.pk}",
        f"UPDATE billing_ledgerentry SET from_seq = {one.from_seq}, from_balance_nano = {one.from_balance_nano} "
        f"WHERE id = {two.pk}",
    )
    # Of equal amounts: no sum and no running balance shows it.
    assert set(broken()) == {"seal_entry"}
    assert found() == sorted([f"entry {one.pk}", f"entry {two.pk}"])


@pytest.mark.parametrize("column", ["reason = 'mine'", "actor_id = NULL", "booked_at = booked_at - interval '1 microsecond'"])
def test_every_field_is_sealed(column: str) -> None:
    user, purse = rich()
    cash = ledger.house_account("cash")
    posting = ledger.Posting(hold(user, 1).request_id, "adjustment", cash.pk, purse.pk, 5, actor_id=user.pk, reason="yours")
    ledger.post_entries([posting])
    assert seal_entries() == 2
    past_the_triggers(f"UPDATE billing_ledgerentry SET {column} WHERE kind = 'adjustment'")
    assert found() == [f"entry {LedgerEntry.objects.get(kind='adjustment').pk}"]


def test_a_row_cannot_be_slipped_in_at_a_place_that_is_taken() -> None:
    entries = history()
    copy = (
        "INSERT INTO billing_ledgerentry (transaction_id, kind, n, from_account_id, to_account_id, amount_nano, from_seq, "
        "from_balance_nano, booked_at, effective_at, reason) SELECT gen_random_uuid(), kind, n, from_account_id, "
        "to_account_id, amount_nano, {seq}, from_balance_nano, booked_at, effective_at, reason FROM billing_ledgerentry "
        f"WHERE id = {entries[3].pk}"
    )
    with pytest.raises(IntegrityError), transaction.atomic():
        past_the_triggers(copy.format(seq="from_seq"))
    # In the place of one that was pushed aside: both are named.
    past_the_triggers(
        f"UPDATE billing_ledgerentry SET from_seq = 8 WHERE id = {entries[3].pk}", copy.format(seq=str(entries[3].from_seq))
    )
    assert found() == [f"entry {LedgerEntry.objects.order_by('-pk')[0].pk}"]
    assert "sequence" in broken()


def test_seals_can_neither_be_changed_nor_made_anew_unseen(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "billing.services.seals")
    entries = history(sealing=seal_everything)
    (line,) = caplog.messages
    last, noted = last_seal(), line.rpartition(" ")[2]
    assert line == f"Seals 1 to {last} (7 entries): {fingerprint(1, last)}"
    with pytest.raises(DatabaseError), transaction.atomic():
        LedgerSeal.objects.update(digest=b"")
    past_the_triggers("DELETE FROM billing_ledgerseal")
    assert set(broken()) == {"seal_chain", "seal_entry"}
    # Somebody removes seals and heads, changes an entry, and lets everything be sealed again: what was noted outside tells.
    past_the_triggers("DELETE FROM billing_ledgersealhead")
    past_the_triggers(f"UPDATE billing_ledgerentry SET reason = 'mine' WHERE id = {entries[2].pk}")
    seal_entries()
    assert broken() == {}
    assert fingerprint(1, last) != noted
    assert fingerprint(1, last_seal()) != noted


def test_sealing_stops_anywhere_and_goes_on() -> None:
    """Existing rows are sealed by the same task, in blocks; a run that dies leaves whole blocks."""
    people = [rich(f"person{n}", 10_000)[0] for n in range(5)]
    for number, user in enumerate(people):
        for _call in range(number * 3):
            end(hold(user, 100).request_id, 50)
    total = LedgerEntry.objects.count()
    assert seal_entries(most_accounts=2, block_size=2) == 4 - 1
    with transaction.atomic():
        assert seal_entries(most_accounts=2, block_size=2) > 0
        transaction.set_rollback(True)
    done = 3
    while sealed := seal_entries(most_accounts=2, block_size=2):
        assert broken() == {}
        done += sealed
    assert done == total == sum(LedgerSealHead.objects.values_list("last_seq", flat=True))
    give(ledger.purse_for(user=people[0]), 5)
    seal_entries_task()
    assert sum(LedgerSealHead.objects.values_list("last_seq", flat=True)) == total + 1
    assert broken() == {}


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_sealing_while_calls_end_misses_nothing_and_seals_nothing_twice() -> None:
    people = [rich(f"person{n}", 1_000_000)[0] for n in range(4)]
    going = threading.Event()

    def seal() -> int:
        done = 0
        with psycopg.connect(dsn(), autocommit=True) as line:
            while not going.is_set():
                (sealed,) = line.execute(SEAL_SQL, [3, 7]).fetchone()
                done += sealed
        return done

    def call(number: int) -> None:
        try:
            for _round in range(25):
                requests = [hold(people[(number + n) % 4], 10).request_id for n in range(4)]
                ledger.record_calls([ledger.CallEvent(request, 5, True) for request in requests])
        finally:
            connection.close()

    with ThreadPoolExecutor(6) as threads:
        sealing = [threads.submit(seal) for _ in range(2)]
        list(threads.map(call, range(4)))
        going.set()
        done = sum(one.result() for one in sealing)
    while sealed := seal_entries():
        done += sealed
    assert done == LedgerEntry.objects.count() == 4 + 4 * 25 * 4
    assert broken() == {}


def test_the_reason_of_a_draw_is_sealed_and_older_seals_stay_provable() -> None:
    """Seals of version 1 do not know the reason; one of them is still what it was, and newer ones name a changed reason."""
    entries = history()
    past_the_triggers(f"UPDATE billing_ledgerentry SET draw = 'late' WHERE id = {entries[2].pk}")
    assert found() == [f"entry {entries[2].pk}"]
    past_the_triggers(
        f"UPDATE billing_ledgerentry SET draw = 'held' WHERE id = {entries[2].pk}",
        """UPDATE billing_ledgerseal s SET version = 1, marks = x.marks FROM (
            SELECT string_agg(billing_entry_mark(e), ''::bytea ORDER BY coalesce(e.from_seq, e.to_seq)) AS marks
            FROM billing_ledgerentry e) x""",
        "UPDATE billing_ledgerseal SET digest = sha256(billing_seal_genesis(account_id) || marks)",
        "UPDATE billing_ledgersealhead h SET digest = s.digest FROM billing_ledgerseal s WHERE s.account_id = h.account_id",
    )
    assert broken() == {}
    past_the_triggers(f"UPDATE billing_ledgerentry SET amount_nano = 49 WHERE id = {entries[2].pk}")
    assert found() == [f"entry {entries[2].pk}"]
