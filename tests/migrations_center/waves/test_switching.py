"""Switching and going back: routes, purses, statements; to the nano-dollar, resumable, repeatable."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.db import connection

from accounts.models import AuditEvent, OutboundMail
from billing.invariants import check_all
from billing.models import Hold, LedgerAccount, LedgerEntry
from billing.services import ledger
from config.foundation.clock import now
from config.foundation.ids import uuid7
from migrations_center.models import Wave, WaveMember, WaveNotice
from migrations_center.services import switching, waves
from migrations_center.services.wave_errors import GatesRed, WindowOver
from migrations_center.tasks_waves import advance_waves_task
from tests.accounts.smtp_double import until
from tests.migrations_center.waves.town import USD, Town

OPENING = 2_500_000_000


@pytest.fixture
def ready(town: Town) -> Wave:
    """Ann and Ben are in a ready wave, Cid is not."""
    wave = town.wave(town.plan(), "ann", "ben")
    return waves.mark_ready(actor=town.ops, wave=wave)


def member(wave: Wave, name: str) -> WaveMember:
    return WaveMember.objects.get(wave=wave, user__username=name)


def figures(wave: Wave, name: str) -> tuple[str, int | None, int | None, int | None]:
    one = member(wave, name)
    return one.state, one.opening_nano, one.spent_nano, one.closed_nano


def purse(town: Town, name: str) -> tuple[int, int, bool]:
    account = town.purse(name)
    return account.balance_nano, account.held_nano, account.is_spendable


def broken() -> list[str]:
    """Broken invariants of the money. The town's history is bare log rows, so the roll-ups of usage know nothing of it."""
    return [finding.code for finding in check_all(None) if finding.breaches and not finding.code.startswith("usage")]


def moved_back(town: Town) -> int:
    """What the house's account for money that went back holds, nano-USD."""
    house = ledger.house_account("moved_back", f"import:{town.source.code}")
    into = sum(LedgerEntry.objects.filter(to_account=house).values_list("amount_nano", flat=True))
    return into - sum(LedgerEntry.objects.filter(from_account=house).values_list("amount_nano", flat=True))


class TestSwitch:
    def test_members_move_with_keys_and_money_and_nobody_else(self, town: Town, ready: Wave) -> None:
        result = switching.switch(actor=town.ops, wave=ready, reason="as planned")
        assert (result.done, result.is_complete) == (2, True)
        assert town.routes() == {"ann": "new", "ben": "new", "cid": "old"}
        assert purse(town, "ann") == (OPENING, 0, True)
        assert purse(town, "cid") == (OPENING, 0, False)
        assert figures(ready, "ann") == ("switched", OPENING, None, None)
        ready.refresh_from_db()
        assert ready.state == "observing"
        assert [event.to_state for event in ready.events.order_by("id")][-3:] == ["switching", "switched", "observing"]
        assert ready.events.get(to_state="switching").reason == "as planned"

    def test_a_second_switch_changes_nothing(self, town: Town, ready: Wave) -> None:
        switching.switch(actor=town.ops, wave=ready)
        before = (AuditEvent.objects.count(), OutboundMail.objects.count(), LedgerEntry.objects.count())
        result = switching.switch(actor=town.ops, wave=ready)
        assert (result.done, result.done_before, result.is_complete) == (0, 2, True)
        assert (AuditEvent.objects.count(), OutboundMail.objects.count(), LedgerEntry.objects.count()) == before

    def test_a_gate_that_turned_red_since_stops_it(self, town: Town, ready: Wave) -> None:
        equity = ledger.house_account("opening_equity", f"import:{town.source.code}")
        ledger.post_entries([ledger.Posting(uuid7(), "opening_correction", equity.pk, town.purse("ben").pk, 1)])
        with pytest.raises(GatesRed):
            switching.switch(actor=town.ops, wave=ready)
        assert town.routes() == {"ann": "old", "ben": "old", "cid": "old"}

    def test_money_cannot_be_spent_before_and_can_after(self, town: Town, ready: Wave) -> None:
        asked = ledger.ReserveRequest(uuid7(), town.people["ann"].pk, None, None, 1_000, now() + timedelta(minutes=5), {})
        (answer,) = ledger.reserve([asked])
        assert answer.status == "no_balance"
        switching.switch(actor=town.ops, wave=ready)
        town.spend("ann", 1_000)
        assert purse(town, "ann")[0] == OPENING - 1_000

    def test_an_interrupted_switch_is_resumed_by_the_task(self, town: Town, ready: Wave) -> None:
        switching.begin_switch(actor=town.ops, wave=ready)
        assert switching.run_switch(actor=town.ops, wave=ready, limit=1).is_complete is False
        assert town.routes() == {"ann": "new", "ben": "old", "cid": "old"}
        advance_waves_task()
        assert town.routes() == {"ann": "new", "ben": "new", "cid": "old"}
        ready.refresh_from_db()
        assert ready.state == "observing"
        assert AuditEvent.objects.filter(action="wave_member.switched", actor=town.ops).count() == 2


class TestGoingBack:
    def test_opening_is_spent_plus_closed(self, town: Town, ready: Wave) -> None:
        switching.switch(actor=town.ops, wave=ready)
        town.spend("ann", 123_456_789)
        town.spend("ann", 1)
        result = switching.go_back(actor=town.ops, wave=ready, reason="too many time-outs")
        assert (result.done, result.waiting, result.is_complete) == (2, [], True)
        assert town.routes() == {"ann": "old", "ben": "old", "cid": "old"}
        assert purse(town, "ann") == (0, 0, False)
        assert figures(ready, "ann") == ("back", OPENING, 123_456_790, OPENING - 123_456_790)
        assert figures(ready, "ben") == ("back", OPENING, 0, OPENING)
        assert moved_back(town) == 2 * OPENING - 123_456_790
        ready.refresh_from_db()
        assert ready.state == "gone_back"
        assert broken() == []

    def test_a_second_going_back_changes_nothing(self, town: Town, ready: Wave) -> None:
        switching.switch(actor=town.ops, wave=ready)
        switching.go_back(actor=town.ops, wave=ready)
        before = (AuditEvent.objects.count(), OutboundMail.objects.count(), LedgerEntry.objects.count())
        assert switching.go_back(actor=town.ops, wave=ready).is_complete
        assert (AuditEvent.objects.count(), OutboundMail.objects.count(), LedgerEntry.objects.count()) == before

    def test_calls_that_run_are_waited_for(self, town: Town, ready: Wave) -> None:
        switching.switch(actor=town.ops, wave=ready)
        call = town.start_call("ann", 5_000)
        result = switching.go_back(actor=town.ops, wave=ready)
        assert (result.done, result.waiting, result.is_complete) == (1, ["ann"], False)
        # No new call of hers is taken, and the one that runs keeps its money.
        assert town.routes() == {"ann": "old", "ben": "old", "cid": "old"}
        assert purse(town, "ann") == (OPENING, 5_000, False)
        assert figures(ready, "ann") == ("switched", OPENING, None, None)
        assert town.end_call(call, 4_000) == "recorded"
        advance_waves_task()
        assert figures(ready, "ann") == ("back", OPENING, 4_000, OPENING - 4_000)
        ready.refresh_from_db()
        assert ready.state == "gone_back"
        assert broken() == []

    def test_a_call_that_ends_after_its_hold_expired_is_accounted_for(self, town: Town, ready: Wave) -> None:
        switching.switch(actor=town.ops, wave=ready)
        call = town.start_call("ann", 5_000)
        switching.go_back(actor=town.ops, wave=ready)
        ledger.expire_holds(at=now() + timedelta(hours=1))
        advance_waves_task()
        assert figures(ready, "ann") == ("back", OPENING, 0, OPENING)
        assert town.end_call(call, 4_000) == "late"
        assert purse(town, "ann") == (-4_000, 0, False)
        advance_waves_task()
        assert purse(town, "ann") == (0, 0, False)
        assert figures(ready, "ann") == ("back", OPENING, 4_000, OPENING - 4_000)
        assert moved_back(town) == 2 * OPENING - 4_000
        advance_waves_task()
        assert figures(ready, "ann") == ("back", OPENING, 4_000, OPENING - 4_000)
        assert broken() == []

    def test_a_debt_goes_back_as_a_debt(self, town: Town) -> None:
        town.move_in("dee", nano=-3_000)
        wave = waves.mark_ready(actor=town.ops, wave=town.wave(town.plan(), "dee"))
        switching.switch(actor=town.ops, wave=wave)
        assert figures(wave, "dee") == ("switched", -3_000, None, None)
        switching.go_back(actor=town.ops, wave=wave)
        assert figures(wave, "dee") == ("back", -3_000, 0, -3_000)
        assert (purse(town, "dee"), moved_back(town)) == ((0, 0, False), -3_000)
        assert broken() == []

    def test_money_added_to_the_brought_purse_counts_as_brought(self, town: Town, ready: Wave) -> None:
        switching.switch(actor=town.ops, wave=ready)
        equity = ledger.house_account("opening_equity", f"import:{town.source.code}")
        ledger.post_entries([ledger.Posting(uuid7(), "opening_correction", equity.pk, town.purse("ann").pk, 700)])
        town.spend("ann", 200)
        switching.go_back(actor=town.ops, wave=ready)
        assert figures(ready, "ann") == ("back", OPENING + 700, 200, OPENING + 500)
        event = AuditEvent.objects.get(action="wave_member.back", object_id=str(member(ready, "ann").pk))
        assert event.after["added_nano"] == 700
        text = WaveNotice.objects.get(member=member(ready, "ann"), occasion="going_back").mail.text  # type: ignore[union-attr]
        assert "Brought: $2.50\nAdded meanwhile: $0.0000007\nSpent on calls here: $0.0000002\n" in text

    def test_what_was_paid_here_stays_here(self, town: Town, ready: Wave) -> None:
        switching.switch(actor=town.ops, wave=ready)
        own = ledger.purse_for(user=town.people["ann"])
        cash = ledger.house_account("cash")
        ledger.post_entries([ledger.Posting(uuid7(), "top_up", cash.pk, own.pk, USD)])
        switching.go_back(actor=town.ops, wave=ready)
        own.refresh_from_db()
        assert (own.balance_nano, own.is_spendable) == (USD, True)
        assert figures(ready, "ann") == ("back", OPENING, 0, OPENING)

    def test_after_the_window_the_way_back_is_shut(self, town: Town, ready: Wave) -> None:
        switching.switch(actor=town.ops, wave=ready)
        Wave.objects.filter(pk=ready.pk).update(switched_at=now() - timedelta(hours=169))
        with pytest.raises(WindowOver) as refused:
            switching.go_back(actor=town.ops, wave=ready)
        assert refused.value.http_status == 409
        assert town.routes() == {"ann": "new", "ben": "new", "cid": "old"}

    def test_a_half_switched_wave_goes_back_as_a_whole(self, town: Town, ready: Wave) -> None:
        switching.begin_switch(actor=town.ops, wave=ready)
        switching.run_switch(actor=town.ops, wave=ready, limit=1)
        assert switching.go_back(actor=town.ops, wave=ready).is_complete
        assert town.routes() == {"ann": "old", "ben": "old", "cid": "old"}
        assert figures(ready, "ann") == ("back", OPENING, 0, OPENING)
        assert figures(ready, "ben") == ("back", None, None, None)
        assert purse(town, "ben") == (OPENING, 0, False)


class TestAgain:
    def test_there_and_back_three_times_adds_up(self, town: Town, ready: Wave) -> None:
        wave = ready
        left = OPENING
        for stay in range(1, 4):
            switching.switch(actor=town.ops, wave=wave)
            assert purse(town, "ann") == (left, 0, True)
            assert figures(wave, "ann") == ("switched", left, None, None)
            town.spend("ann", stay * 1_000)
            switching.go_back(actor=town.ops, wave=wave)
            assert figures(wave, "ann") == ("back", left, stay * 1_000, left - stay * 1_000)
            assert figures(wave, "ben") == ("back", OPENING, 0, OPENING)
            left -= stay * 1_000
            assert moved_back(town) == left + OPENING
            wave = waves.plan_again(actor=town.ops, wave=wave)
            values = {"name": wave.name, "window_hours": 168, "observation_hours": 24}
            waves.change_wave(actor=town.ops, wave=wave, planned_at=now() + timedelta(days=4), **values)
            waves.mark_ready(actor=town.ops, wave=wave)
        assert broken() == []

    def test_a_late_call_of_the_first_stay_does_not_count_for_the_second(self, town: Town, ready: Wave) -> None:
        switching.switch(actor=town.ops, wave=ready)
        call = town.start_call("ann", 5_000)
        switching.go_back(actor=town.ops, wave=ready)
        ledger.expire_holds(at=now() + timedelta(hours=1))
        advance_waves_task()
        again = waves.plan_again(actor=town.ops, wave=ready)
        Wave.objects.filter(pk=again.pk).update(planned_at=now() + timedelta(days=4))
        waves.mark_ready(actor=town.ops, wave=again)
        assert town.end_call(call, 4_000) == "late"
        switching.switch(actor=town.ops, wave=again)
        assert figures(ready, "ann") == ("back", OPENING, 4_000, OPENING - 4_000)
        assert figures(again, "ann") == ("switched", OPENING - 4_000, None, None)
        town.spend("ann", 10)
        switching.go_back(actor=town.ops, wave=again)
        assert figures(again, "ann") == ("back", OPENING - 4_000, 10, OPENING - 4_010)
        assert broken() == []


RUNNER = """
import django, sys, os, signal
django.setup()
from django.db import connections
connections["default"].settings_dict["NAME"] = sys.argv[1]
from migrations_center.models import Wave
from migrations_center.services import switching
wave = Wave.objects.get(pk=int(sys.argv[2]))
getattr(switching, sys.argv[3])(actor=None, wave=wave)
"""


def start_run(wave: Wave, act: str) -> "subprocess.Popen[bytes]":
    name = connection.settings_dict["NAME"]
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "config.settings.test"}
    command = [sys.executable, "-c", RUNNER, name, str(wave.pk), act]
    return subprocess.Popen(command, cwd=django_settings.BASE_DIR, env=environment)


@pytest.fixture
def big(transactional_db: None) -> tuple[Town, Wave]:
    """Sixty people in a ready wave."""
    town = Town().build()
    for number in range(60):
        town.move_in(f"person{number:02d}", nano=(number - 5) * 1_000_000)
    wave = town.wave(town.plan(), *sorted(town.people))
    return town, waves.mark_ready(actor=town.ops, wave=wave)


def kill_in_the_middle(wave: Wave, act: str, state: str) -> int:
    """Kill the process that works on the wave when some people are done; gives how many."""
    process = start_run(wave, act)
    done = wave.members.filter(state=state)
    until(lambda: done.count() >= 5 or process.poll() is not None)
    process.send_signal(signal.SIGKILL)
    assert process.wait(10) == -signal.SIGKILL, "the run was over before it could be killed"
    # The server may still be rolling back the killed transaction.
    until(lambda: done.count() == done.count())
    return done.count()


def end_state(wave: Wave) -> dict[str, Any]:
    """Everything that must not depend on whether a run was interrupted."""
    rows = wave.members.order_by("user__username")
    return {
        "members": list(rows.values_list("user__username", "state", "opening_nano", "spent_nano", "closed_nano")),
        "purses": list(
            LedgerAccount.objects.filter(is_purse=True).order_by("user__username").values_list("balance_nano", "is_spendable")
        ),
        "entries": LedgerEntry.objects.filter(kind="moved_back").count(),
        "notices": list(WaveNotice.objects.order_by("member__user__username", "occasion").values_list("occasion")),
        "mails": OutboundMail.objects.count(),
        "events": [event.to_state for event in wave.events.order_by("id")],
    }


@pytest.mark.slow
def test_a_killed_switch_and_a_killed_going_back_end_as_straight_ones(big: tuple[Town, Wave]) -> None:
    """R075: killed in the middle and run again: the same end as a straight run."""
    town, wave = big
    some = kill_in_the_middle(wave, "switch", "switched")
    assert 5 <= some < 60
    assert sorted(set(town.routes().values())) == ["new", "old"]
    assert switching.switch(actor=town.ops, wave=wave).is_complete
    assert set(town.routes().values()) == {"new"}
    assert wave.members.filter(state="switched", opening_nano__isnull=False).count() == 60
    switched = end_state(wave)
    assert switched["mails"] == 60
    assert switched["purses"] == [((number - 5) * 1_000_000, True) for number in range(60)]

    town.spend("person40", 7_000_000)
    some = kill_in_the_middle(wave, "go_back", "back")
    assert 5 <= some < 60
    assert switching.go_back(actor=town.ops, wave=wave).is_complete
    ended = end_state(wave)
    assert ended["members"] == [
        (
            f"person{number:02d}",
            "back",
            (number - 5) * 1_000_000,
            7_000_000 if number == 40 else 0,
            (number - 5) * 1_000_000 - (7_000_000 if number == 40 else 0),
        )
        for number in range(60)
    ]
    assert ended["purses"] == [(0, False)] * 60
    # Nobody's closing is posted twice, and nothing is posted for the one who brought nothing.
    assert ended["entries"] == 59
    assert ended["mails"] == 120
    assert ended["events"][-2:] == ["going_back", "gone_back"]
    assert broken() == []


@pytest.mark.slow
def test_two_workers_at_once_switch_everybody_once(big: tuple[Town, Wave]) -> None:
    town, wave = big
    switching.begin_switch(actor=town.ops, wave=wave)
    run_twice(lambda: switching.run_switch(actor=None, wave=Wave.objects.get(pk=wave.pk)))
    wave.refresh_from_db()
    assert wave.state == "observing"
    assert AuditEvent.objects.filter(action="wave_member.switched").count() == 60
    assert OutboundMail.objects.count() == 60
    assert [event.to_state for event in wave.events.order_by("id")].count("switched") == 1
    switching.begin_back(actor=town.ops, wave=wave)
    run_twice(lambda: switching.run_back(actor=None, wave=Wave.objects.get(pk=wave.pk)))
    wave.refresh_from_db()
    assert wave.state == "gone_back"
    assert LedgerEntry.objects.filter(kind="moved_back").count() == 59
    assert Hold.objects.count() == 0
    assert broken() == []


def run_twice(work: Callable[[], object]) -> None:
    failures: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - shown below
            failures.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
