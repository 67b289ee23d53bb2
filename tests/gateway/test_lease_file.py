"""The file of leases: what another process may take of it is what was promised to nobody, and it is taken once."""

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from config.foundation.ids import uuid7
from gateway.relay import lease_file
from gateway.relay.lease_file import Inheritance, LeaseFile, path_for, read_left, shut_for_close
from gateway.relay.loan import Loan, Payer
from gateway.relay.spool import Spool

PAYER: Payer = (7, False)


def gone(folder: Path, granted: int, kept: int, seconds: float = 60) -> Loan:
    """A process that is gone and was lent so much, of which calls may have used the kept part."""
    spool = Spool(folder, "gone.1-1")
    spool.open()
    file = LeaseFile(folder, "gone.1-1")
    until = time.monotonic() + seconds
    loan = Loan(uuid7(), PAYER, granted, until, until)
    assert file.keep(loan, kept)
    file.close(is_needed=True)
    spool.close(is_needed=True)
    return loan


def total(folder: Path, by: str, amount: int) -> int:
    heir, taken = Inheritance(folder, by), 0
    while heir.take(PAYER, amount) or heir.look(PAYER, amount):
        taken += amount
    return taken


def test_what_was_promised_to_nobody_is_taken_once_and_no_more(tmp_path: Path) -> None:
    loan = gone(tmp_path, 1000, 300)
    heir = Inheritance(tmp_path, "heir.1-1")
    assert heir.take(PAYER, 100) is None
    first = heir.look(PAYER, 100)
    assert first is not None
    assert (first.id, first.granted) == (loan.id, 175)
    assert heir.look((8, False), 100) is None
    assert heir.look((7, True), 100) is None
    assert total(tmp_path, "other.1-1", 100) <= 1000 - 300 - 175
    left = read_left(path_for(tmp_path, "gone.1-1"))
    assert left.takers == {"heir.1-1", "other.1-1"}
    assert left.free(str(loan.id)) < 100


def test_many_at_once_take_together_what_there_is(tmp_path: Path) -> None:
    gone(tmp_path, 100_000, 20_000)
    with ThreadPoolExecutor(8) as pool:
        taken = list(pool.map(lambda n: total(tmp_path, f"heir{n}.1-1", 300), range(8)))
    # Two that meet at the lock: one gets nothing for a second. Never more than there was.
    assert 300 <= sum(taken) <= 80_000
    assert total(tmp_path, "late.1-1", 300) <= 80_000 - sum(taken)


@pytest.mark.parametrize("half", [b"", b'{"lease":"', b"\x00\x00"])
def test_half_a_line_at_the_end_is_of_a_call_that_did_not_begin(tmp_path: Path, half: bytes) -> None:
    gone(tmp_path, 1000, 300)
    with path_for(tmp_path, "gone.1-1").open("ab") as file:
        file.write(half)
    assert total(tmp_path, "heir.1-1", 100) <= 700
    assert total(tmp_path, "next.1-1", 100) == 0


def test_nothing_is_taken_when_its_time_is_over_or_the_machine_was_started_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone(tmp_path / "over", 1000, 0, seconds=-1)
    assert total(tmp_path / "over", "heir.1-1", 100) == 0
    gone(tmp_path / "power", 1000, 0)
    for other in ("another start", ""):
        monkeypatch.setattr(lease_file, "this_start", lambda other=other: other)
        assert total(tmp_path / "power", "heir.1-1", 100) == 0


def test_nothing_is_taken_from_a_process_that_lives(tmp_path: Path) -> None:
    spool = Spool(tmp_path, "alive.1-1")
    spool.open()
    until = time.monotonic() + 60
    file = LeaseFile(tmp_path, "alive.1-1")
    loan = Loan(uuid7(), PAYER, 1000, until, until)
    file.keep(loan, 0)
    assert total(tmp_path, "heir.1-1", 100) == 0
    file.drop(loan)
    assert read_left(path_for(tmp_path, "alive.1-1")).leases == {}
    file.close(is_needed=False)
    spool.close()
    assert [*tmp_path.iterdir()] == []


def test_a_lease_is_given_back_only_when_all_who_took_of_it_are_through(tmp_path: Path) -> None:
    gone(tmp_path, 1000, 0)
    heir_spool = Spool(tmp_path, "heir.1-1")
    heir_spool.open()
    heir = Inheritance(tmp_path, "heir.1-1")
    loan = heir.look(PAYER, 100)
    assert loan is not None
    assert not shut_for_close(tmp_path, "gone.1-1")
    # Shut: nobody takes any more.
    assert total(tmp_path, "other.1-1", 10) == 0
    heir.stop_drawing(None)
    heir.tidy()
    assert not shut_for_close(tmp_path, "gone.1-1"), "its call runs"
    loan.end(100, 60)
    heir.tidy()
    assert not shut_for_close(tmp_path, "gone.1-1"), "its end is not written"
    loan.unwritten -= 1
    heir.tidy()
    assert shut_for_close(tmp_path, "gone.1-1")
    assert heir.open_count == 0
    # One that is gone itself is through when its own spool was sent, and its lock file is removed with it.
    gone(tmp_path / "two", 1000, 0)
    other = Spool(tmp_path / "two", "heir.1-1")
    other.open()
    assert Inheritance(tmp_path / "two", "heir.1-1").look(PAYER, 100) is not None
    other.close(is_needed=True)
    assert not shut_for_close(tmp_path / "two", "gone.1-1")
    (tmp_path / "two" / "heir.1-1.lock").unlink()
    assert shut_for_close(tmp_path / "two", "gone.1-1")


def test_a_file_that_cannot_follow_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = LeaseFile(tmp_path, "full.1-1")
    until = time.monotonic() + 60
    loan = Loan(uuid7(), PAYER, 1000, until, until)
    assert file.keep(loan, 100)
    assert path_for(tmp_path, "full.1-1").exists()
    monkeypatch.setattr(lease_file.os, "write", lambda _file, whole: len(whole) - 1)
    assert file.keep(loan, 200)
    assert not path_for(tmp_path, "full.1-1").exists()
    # Calls of the process itself go on.
    assert file.keep(loan, 300)
    assert loan.kept == loan.granted


def test_a_large_file_is_written_anew_with_what_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease_file, "COMPACT_BYTES", 1000)
    file = LeaseFile(tmp_path, "busy.1-1")
    until = time.monotonic() + 60
    loans = [Loan(uuid7(), PAYER, 1000, until, until) for _n in range(3)]
    for kept in range(100):
        for loan in loans:
            file.keep(loan, kept)
    file.drop(loans[0])
    left = read_left(path_for(tmp_path, "busy.1-1"))
    assert {lease: value["kept"] for lease, value in left.leases.items()} == {str(loan.id): 99 for loan in loans[1:]}
    assert path_for(tmp_path, "busy.1-1").stat().st_size < 2000
