"""Members, order, gates and states of a wave."""

from datetime import timedelta

import pytest
import time_machine

from accounts.models import AuditEvent, OutboundMail, User
from accounts.services.people import create_person
from billing.services import ledger
from config.foundation.clock import now
from config.foundation.errors import InvalidInput
from config.foundation.ids import uuid7
from keys.models import ApiKey
from migrations_center.models import ImportRun, Wave, WaveEvent, WaveMember, WaveNotice
from migrations_center.plans import gates
from migrations_center.services import notices, switching, waves
from migrations_center.services.wave_errors import (
    AlreadyHere,
    EarlierWaveOpen,
    GatesRed,
    NotOfThisSource,
    PersonInAnotherWave,
    WrongState,
)
from models_catalog.models import Upstream
from tests.migrations_center.waves.town import Town


def codes(found: list[gates.Finding], *, is_blocking: bool = True) -> list[tuple[str, str]]:
    return [(one.code, one.who) for one in found if one.is_blocking is is_blocking]


class TestMembers:
    def test_a_person_in_two_live_waves_is_refused_by_name(self, town: Town) -> None:
        """R069: a member in two waves: 409."""
        plan = town.plan()
        town.wave(plan, "ann", "ben")
        second = waves.create_wave(actor=town.ops, plan=plan, name="Second")
        with pytest.raises(PersonInAnotherWave) as refused:
            waves.add_members(actor=town.ops, wave=second, user_ids=[town.people["cid"].pk, town.people["ann"].pk])
        assert refused.value.http_status == 409
        assert refused.value.details["people"] == ["ann (First wave)"]
        assert second.members.count() == 0

    def test_adding_twice_changes_nothing(self, town: Town) -> None:
        wave = town.wave(town.plan(), "ann")
        again = waves.add_members(actor=town.ops, wave=wave, user_ids=[town.people["ann"].pk, town.people["ben"].pk])
        assert (again.added, again.already_in) == (1, 1)
        assert wave.members.count() == 2

    def test_people_of_elsewhere_are_refused(self, town: Town) -> None:
        wave = town.wave(town.plan())
        stranger = create_person(actor=None, username="stranger")
        with pytest.raises(NotOfThisSource, match="stranger"):
            waves.add_members(actor=town.ops, wave=wave, user_ids=[stranger.pk])

    def test_people_who_paid_here_are_refused(self, town: Town) -> None:
        town.spend("ben", 1_000)
        wave = town.wave(town.plan())
        with pytest.raises(AlreadyHere, match="ben"):
            waves.add_members(actor=town.ops, wave=wave, user_ids=[town.people["ben"].pk])

    def test_members_change_in_a_draft_only(self, town: Town) -> None:
        wave = town.wave(town.plan(), "ann", "ben")
        waves.mark_ready(actor=town.ops, wave=wave)
        for change in (waves.add_members, waves.remove_members):
            with pytest.raises(WrongState):
                change(actor=town.ops, wave=wave, user_ids=[town.people["ben"].pk])  # type: ignore[operator]
        waves.reopen(actor=town.ops, wave=wave)
        assert waves.remove_members(actor=town.ops, wave=wave, user_ids=[town.people["ben"].pk]) == 1
        assert list(wave.members.values_list("user__username", flat=True)) == ["ann"]

    def test_a_removed_person_can_join_another_wave(self, town: Town) -> None:
        plan = town.plan()
        first = town.wave(plan, "ann")
        waves.remove_members(actor=town.ops, wave=first, user_ids=[town.people["ann"].pk])
        second = town.wave(plan, "ann", name="Second")
        assert second.members.count() == 1


class TestOrder:
    def test_the_next_wave_waits_for_the_one_before(self, town: Town) -> None:
        """R069: start wave n+1 before n passed: 409, naming it."""
        plan = town.plan()
        first, second = town.wave(plan, "ann", observation_hours=24), town.wave(plan, "ben", name="Second")
        for wave in (first, second):
            waves.mark_ready(actor=town.ops, wave=wave)
        for start in (notices.notify, switching.switch):
            with pytest.raises(EarlierWaveOpen, match="First wave") as refused:
                start(actor=town.ops, wave=second)  # type: ignore[operator]
            assert refused.value.http_status == 409
        assert town.routes()["ben"] == "old"
        switching.switch(actor=town.ops, wave=first)
        with pytest.raises(EarlierWaveOpen):
            switching.switch(actor=town.ops, wave=second)
        Wave.objects.filter(pk=first.pk).update(switched_at=now() - timedelta(hours=25))
        assert switching.switch(actor=town.ops, wave=second).is_complete
        assert town.routes() == {"ann": "new", "ben": "new", "cid": "old"}

    def test_an_empty_or_gone_back_wave_does_not_hold_up(self, town: Town) -> None:
        plan = town.plan()
        town.wave(plan, name="Nobody in it")
        first, second = town.wave(plan, "ann"), town.wave(plan, "ben", name="Third")
        for wave in (first, second):
            waves.mark_ready(actor=town.ops, wave=wave)
        switching.switch(actor=town.ops, wave=first)
        switching.go_back(actor=town.ops, wave=first)
        assert switching.switch(actor=town.ops, wave=second).done == 1


class TestGates:
    def test_all_is_well(self, town: Town) -> None:
        wave = town.wave(town.plan(), "ann", "ben", "cid")
        assert waves.check_gates(wave) == []
        waves.mark_ready(actor=town.ops, wave=wave, reason="looked at it")
        event = WaveEvent.objects.filter(wave=wave).latest("id")
        assert (event.from_state, event.to_state, event.actor, event.reason) == ("draft", "ready", town.ops, "looked at it")

    def test_a_balance_that_does_not_tie_out_blocks_and_names_the_person(self, town: Town) -> None:
        """R021: one source row changed by one unit: red, naming the account."""
        wave = town.wave(town.plan(), "ann", "ben")
        equity = ledger.house_account("opening_equity", f"import:{town.source.code}")
        ledger.post_entries([ledger.Posting(uuid7(), "opening_correction", equity.pk, town.purse("ben").pk, 2_000)])
        with pytest.raises(GatesRed) as refused:
            waves.mark_ready(actor=town.ops, wave=wave)
        assert codes(refused.value.findings) == [("balance_does_not_tie_out", "ben")]
        assert refused.value.findings[0].detail == {"expected_nano": 2_500_000_000, "booked_nano": 2_500_002_000}
        wave.refresh_from_db()
        assert wave.state == Wave.State.DRAFT

    def test_a_key_without_owner_blocks_until_it_has_one(self, town: Town) -> None:
        """R010: a wave cannot arm while a key has no owner; after assigning it arms."""
        wave = town.wave(town.plan(), "ann")
        orphan = ApiKey.objects.create(name="nobody's", route="old")
        town.row("tokens", orphan, {})
        with pytest.raises(GatesRed) as refused:
            waves.mark_ready(actor=town.ops, wave=wave)
        assert refused.value.details["findings"] == [{"code": "key_without_owner", "who": "", "key": "nobody's"}]
        ApiKey.objects.filter(pk=orphan.pk).update(owner=town.people["cid"])
        assert waves.mark_ready(actor=town.ops, wave=wave).state == Wave.State.READY

    def test_a_used_model_without_upstream_blocks(self, town: Town) -> None:
        wave = town.wave(town.plan(), "ann")
        Upstream.objects.update(state=Upstream.State.NEEDS_CREDENTIAL)
        found = waves.check_gates(wave)
        assert codes(found) == [("model_unavailable", "ann")]
        assert found[0].detail == {"model": "town-chat", "key": "ann key"}

    def test_a_used_model_without_price_or_unknown_blocks(self, town: Town) -> None:
        wave = town.wave(town.plan(), "ann")
        town.called("ann", "town-forgotten")
        assert codes(waves.check_gates(wave)) == [("model_not_found", "ann")]

    def test_no_planned_time_no_members_no_totals(self, town: Town) -> None:
        wave = town.wave(town.plan(), planned_at=None)
        ImportRun.objects.update(report={"totals": {"balances": {"ties_out": False}}})
        assert sorted(codes(waves.check_gates(wave))) == [
            ("no_members", ""),
            ("no_planned_time", ""),
            ("source_does_not_tie_out", ""),
        ]

    def test_what_should_be_known_does_not_block(self, town: Town) -> None:
        town.move_in("dee", email="")
        town.move_in("eve")
        User.objects.filter(username="eve").update(state="disabled", is_active=False)
        wave = town.wave(town.plan(), "dee", "eve", planned_at=now() + timedelta(hours=5))
        ImportRun.objects.update(created_at=now() - timedelta(days=3))
        found = waves.check_gates(wave)
        assert codes(found) == []
        assert codes(found, is_blocking=False) == [
            ("short_notice", ""),
            ("old_reading", ""),
            ("no_address", "dee"),
            ("person_disabled", "eve"),
        ]
        assert waves.mark_ready(actor=town.ops, wave=wave).state == "ready"


class TestStates:
    def test_a_draft_cannot_be_told_or_switched(self, town: Town) -> None:
        wave = town.wave(town.plan(), "ann")
        for start in (notices.notify, switching.switch, switching.go_back, waves.settle, waves.plan_again):
            with pytest.raises(WrongState):
                start(actor=town.ops, wave=wave)  # type: ignore[operator]
        assert WaveEvent.objects.filter(wave=wave).count() == 1
        assert OutboundMail.objects.count() == 0

    def test_the_time_is_fixed_once_people_were_told(self, town: Town) -> None:
        wave = town.wave(town.plan(), "ann")
        figures = {"name": wave.name, "window_hours": 168, "observation_hours": 24}
        waves.mark_ready(actor=town.ops, wave=wave)
        notices.notify(actor=town.ops, wave=wave)
        with pytest.raises(WrongState):
            waves.change_wave(actor=town.ops, wave=wave, planned_at=now() + timedelta(days=9), **figures)
        waves.reopen(actor=town.ops, wave=wave, reason="later")
        changed = waves.change_wave(actor=town.ops, wave=wave, planned_at=now() + timedelta(days=9), **figures)
        assert changed.state == "draft"

    def test_going_back_to_draft_cancels_what_waits_and_the_next_round_tells_anew(self, town: Town) -> None:
        wave = town.wave(town.plan(), "ann", "ben")
        waves.mark_ready(actor=town.ops, wave=wave)
        assert notices.notify(actor=town.ops, wave=wave).written == 2
        OutboundMail.objects.filter(to_address="ann@example.org").update(state="sent")
        waves.reopen(actor=town.ops, wave=wave)
        assert sorted(OutboundMail.objects.values_list("to_address", "state")) == [
            ("ann@example.org", "sent"),
            ("ben@example.org", "cancelled"),
        ]
        waves.mark_ready(actor=town.ops, wave=wave)
        assert notices.notify(actor=town.ops, wave=wave).written == 2
        assert OutboundMail.objects.filter(state="queued").count() == 2

    def test_settling_waits_for_the_observation_and_closes_the_way_back(self, town: Town) -> None:
        wave = town.wave(town.plan(), "ann", observation_hours=24)
        waves.mark_ready(actor=town.ops, wave=wave)
        switching.switch(actor=town.ops, wave=wave)
        with pytest.raises(WrongState, match="observation"):
            waves.settle(actor=town.ops, wave=wave)
        with time_machine.travel(now() + timedelta(hours=25), tick=True):
            waves.settle(actor=town.ops, wave=wave, reason="all calm")
        with pytest.raises(WrongState):
            switching.go_back(actor=town.ops, wave=wave)
        assert [event.to_state for event in waves_events(wave)] == [
            "draft",
            "ready",
            "switching",
            "switched",
            "observing",
            "settled",
        ]

    def test_every_change_is_in_the_trail(self, town: Town) -> None:
        wave = town.wave(town.plan(), "ann")
        waves.mark_ready(actor=town.ops, wave=wave, reason="ready now")
        event = AuditEvent.objects.get(action="wave.ready")
        assert (event.actor, event.before, event.after, event.reason) == (
            town.ops,
            {"state": "draft"},
            {"state": "ready"},
            "ready now",
        )

    def test_only_a_fresh_draft_can_be_removed(self, town: Town) -> None:
        plan = town.plan()
        wave = town.wave(plan, "ann")
        waves.delete_wave(actor=town.ops, wave=wave)
        assert WaveMember.objects.count() == 0
        wave = town.wave(plan, "ann")
        waves.mark_ready(actor=town.ops, wave=wave)
        waves.reopen(actor=town.ops, wave=wave)
        with pytest.raises(WrongState):
            waves.delete_wave(actor=town.ops, wave=wave)

    def test_the_observation_fits_into_the_window(self, town: Town) -> None:
        plan = town.plan()
        with pytest.raises(InvalidInput):
            waves.create_wave(actor=town.ops, plan=plan, name="x", window_hours=10, observation_hours=11)
        assert Wave.objects.count() == 0


def waves_events(wave: Wave) -> list[WaveEvent]:
    return list(wave.events.order_by("id"))


def test_forty_are_told_and_nobody_else(empty_town: object) -> None:
    """R087: a wave of 40: 40 'before' notices, others 0; send twice: 0 extra."""
    town = empty_town()  # type: ignore[operator]
    for number in range(43):
        town.move_in(f"person{number:02d}")
    wave = town.wave(town.plan(), *sorted(town.people)[:40])
    waves.mark_ready(actor=town.ops, wave=wave)
    result = notices.notify(actor=town.ops, wave=wave)
    assert (result.written, result.told_before, result.no_address) == (40, 0, [])
    result = notices.notify(actor=town.ops, wave=wave)
    assert (result.written, result.told_before) == (0, 40)
    told = set(OutboundMail.objects.values_list("to_address", flat=True))
    assert told == {f"person{number:02d}@example.org" for number in range(40)}
    assert OutboundMail.objects.count() == WaveNotice.objects.count() == 40
