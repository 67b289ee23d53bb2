"""Pages of plans and waves: they work for operations, are shown to those who may look, and to nobody else."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import OutboundMail, Role, User
from accounts.services.people import create_person
from config.foundation.clock import now
from migrations_center.models import Plan, Wave
from migrations_center.services import notices, switching, waves
from tests.migrations_center.waves.town import Town

MANAGERS = {Role.ADMIN, Role.OPS}
VIEWERS = MANAGERS | {Role.FINANCE, Role.SUPPORT}


@pytest.fixture
def wave(town: Town) -> Wave:
    return town.wave(town.plan(), "ann", "ben")


@pytest.fixture
def browser(town: Town) -> Client:
    client = Client()
    client.force_login(town.ops)
    return client


def view_pages(wave: Wave) -> dict[str, str]:
    return {
        "migration_overview": reverse("migration_overview"),
        "plan_detail": reverse("plan_detail", args=[wave.plan_id]),
        "wave_list": reverse("wave_list"),
        "wave_detail": reverse("wave_detail", args=[wave.pk]),
        "wave_progress": reverse("wave_progress", args=[wave.pk]),
        "wave_notices": reverse("wave_notices", args=[wave.pk]),
    }


def manage_pages(wave: Wave) -> dict[str, str]:
    stems = ["edit", "members_add", "ready", "notify", "switch", "go_back", "settle", "reopen", "delete"]
    return {
        "plan_create": reverse("plan_create"),
        "wave_create": reverse("wave_create", args=[wave.plan_id]),
        **{f"wave_{stem}": reverse(f"wave_{stem}", args=[wave.pk]) for stem in stems},
    }


@pytest.mark.parametrize("role", Role.values)
def test_who_sees_what(wave: Wave, role: str) -> None:
    """R018: one row of the grid per role over every page of waves."""
    client = Client()
    client.force_login(create_person(actor=None, username="somebody", role=role))
    looked = {name: client.get(url).status_code for name, url in view_pages(wave).items()}
    assert looked == dict.fromkeys(looked, 200 if role in VIEWERS else 403)
    managed = {name: client.get(url).status_code for name, url in manage_pages(wave).items()}
    assert managed == dict.fromkeys(managed, 200 if role in MANAGERS else 403)
    posted = {name: client.post(url).status_code for name, url in manage_pages(wave).items()} if role not in MANAGERS else {}
    assert set(posted.values()) <= {403}
    wave.refresh_from_db()
    assert (wave.state, wave.members.count(), Wave.objects.count()) == ("draft", 2, 1)


def test_nobody_in_particular_is_asked_to_log_in(wave: Wave) -> None:
    for url in (view_pages(wave) | manage_pages(wave)).values():
        response = Client().get(url)
        assert (response.status_code, response["Location"].split("?")[0]) == (302, "/accounts/login/")


def test_what_is_not_there_is_not_found(wave: Wave, browser: Client) -> None:
    for name in ("wave_detail", "wave_switch", "wave_notices", "wave_edit"):
        assert browser.get(reverse(name, args=[987_654])).status_code == 404
    assert browser.get(reverse("plan_detail", args=[987_654])).status_code == 404


def test_a_plan_is_made_on_its_page(town: Town, browser: Client) -> None:
    url = reverse("plan_create")
    assert "Town gateway" in browser.get(url).content.decode()
    answer = browser.post(url, {"source": town.source.pk, "name": "Town moves"}, follow=True)
    assert "Choose an old entry or give the address of a new one." in answer.content.decode()
    assert Plan.objects.count() == 0
    answer = browser.post(
        url, {"source": town.source.pk, "name": "Town moves", "entry_url": "https://old.example.org/v1"}, follow=True
    )
    page = answer.content.decode()
    assert "Keys passed on to the old entry: 3. Balances that wait for their switch: 3." in page
    plan = Plan.objects.get()
    assert plan.source.old_entry.base_url == "https://old.example.org"  # type: ignore[union-attr]
    assert answer.redirect_chain[-1][0] == reverse("plan_detail", args=[plan.pk])


def test_the_whole_way_through_the_pages(town: Town, browser: Client) -> None:
    """Draft, people by filter, ready, told, switched, back, planned again: each with its page and its sentence."""
    plan = town.plan()
    answer = browser.post(
        reverse("wave_create", args=[plan.pk]),
        {
            "name": "Pilot",
            "planned_at": (now() + timedelta(days=4)).strftime("%Y-%m-%dT%H:%M"),
            "window_hours": 168,
            "observation_hours": 24,
        },
    )
    wave = Wave.objects.get()
    assert answer["Location"] == reverse("wave_members_add", args=[wave.pk])
    page = browser.get(answer["Location"], {"text": "n"}).content.decode()
    assert "<strong>2</strong> people" in page
    assert "cid@example.org" not in page
    answer = browser.post(answer["Location"], {"text": "n", "all": "1"}, follow=True)
    assert "2 people joined the wave." in answer.content.decode()
    steps = [
        ("wave_ready", "The wave is ready: every gate is open.", "ready"),
        ("wave_notify", "2 mails are written. Told before: 0. Without an address: 0.", "notified"),
        ("wave_switch", "2 people are on the new entry.", "observing"),
        ("wave_go_back", "2 people are back on the old entry.", "gone_back"),
    ]
    for stem, sentence, state in steps:
        url = reverse(stem, args=[wave.pk])
        asked = browser.get(url).content.decode()
        assert "What will happen" in asked
        # The people were told a time days from now, and it is said that this is not it.
        assert ("earlier than the time its people were told" in asked) == (stem == "wave_switch")
        answer = browser.post(url, {"reason": "because"}, follow=True)
        assert sentence in answer.content.decode()
        wave.refresh_from_db()
        assert wave.state == state
    page = browser.get(reverse("wave_detail", args=[wave.pk])).content.decode()
    assert page.count("because") == 4
    answer = browser.post(reverse("wave_again", args=[wave.pk]), follow=True)
    assert "Pilot, again is a draft with the same people." in answer.content.decode()
    assert OutboundMail.objects.count() == 6


def test_people_are_found_by_every_filter(town: Town) -> None:
    from migrations_center.selectors_waves import find_people

    plan = town.plan()
    town.move_in("dee")
    town.keys.pop("dee")
    town.give_key("dee")
    User.objects.filter(username="ben").update(state="disabled", is_active=False)
    town.called("cid", "town-chat", at=now() - timedelta(hours=1))

    def names(**filters: Any) -> list[str]:
        return [one.username for one in find_people(town.ops, plan, **filters)]

    assert names() == ["ann", "ben", "cid"]  # dee can spend here already: she is not to move
    town.purse("dee")
    from billing.services.ledger import set_spendable

    set_spendable(actor=None, user_ids=[town.people["dee"].pk], origin=None, is_spendable=False)
    assert names() == ["ann", "ben", "cid", "dee"]
    assert names(state="disabled") == ["ben"]
    assert names(keys="some") == ["dee"]
    assert names(keys="none") == []
    assert names(text="DE") == ["dee"]
    assert names(group=town.group.code) == ["ann", "ben", "cid", "dee"]
    assert names(group="other/default") == []
    assert names(used_after=now() - timedelta(hours=2)) == ["cid"]
    assert names(used_before=now() - timedelta(hours=2)) == ["ann", "ben", "dee"]
    assert names(names=["ann", "cid", "nobody"]) == ["ann", "cid"]
    town.wave(plan, "ann")
    assert names() == ["ben", "cid", "dee"]


def test_a_red_gate_is_shown_with_its_reason_and_refused(town: Town, wave: Wave, browser: Client) -> None:
    town.called("ann", "town-forgotten")
    page = browser.get(reverse("wave_detail", args=[wave.pk])).content.decode()
    assert "Uses the model “town-forgotten” (key “ann key”), which does not exist here." in page
    answer = browser.post(reverse("wave_ready", args=[wave.pk]), {"reason": ""})
    assert answer.status_code == 409
    assert "ann: Uses the model “town-forgotten”" in answer.content.decode()
    wave.refresh_from_db()
    assert wave.state == "draft"


def test_the_switch_of_a_later_wave_is_refused_by_name(town: Town, wave: Wave, browser: Client) -> None:
    """R069: 409 naming the wave that comes first."""
    second = waves.mark_ready(actor=town.ops, wave=town.wave(wave.plan, "cid", name="Second"))
    answer = browser.post(reverse("wave_switch", args=[second.pk]), {"reason": ""})
    assert answer.status_code == 409
    assert "First wave comes first and has not passed" in answer.content.decode()
    assert town.routes()["cid"] == "old"


def test_calls_by_outcome_since_the_switch_beside_the_week_before(town: Town, wave: Wave, browser: Client) -> None:
    from migrations_center.selectors_waves import calls_panel, members_of, unseen_count

    town.called("ann", "town-chat", times=2, at=now() - timedelta(days=3))
    town.called("ann", "town-chat", times=9, at=now() - timedelta(days=8))
    town.called("ben", "town-chat", at=now() - timedelta(days=2), outcome="timeout")
    town.called("cid", "town-chat", times=5)
    waves.mark_ready(actor=town.ops, wave=wave)
    switching.switch(actor=town.ops, wave=wave)
    here = {"origin": "relay", "route": "new", "at": now() + timedelta(seconds=1)}
    town.called("ann", "town-chat", times=4, cost_nano=1_000, **here)
    town.called("ann", "town-chat", times=2, outcome="timeout", **here)
    panel = calls_panel(wave)
    assert panel is not None
    assert [(line.outcome, line.since, line.before) for line in panel.lines] == [("ok", 4, 8), ("timeout", 2, 1)]
    assert (panel.total_since, panel.total_before, panel.charged_nano) == (6, 9, 4_000)
    seen = {line.member.user.username: line.calls_here for line in members_of(wave)[0]}
    assert seen == {"ann": 6, "ben": 0}
    assert unseen_count(wave) == 1
    page = browser.get(reverse("wave_detail", args=[wave.pk])).content.decode()
    assert "not yet" in page
    assert "Take 2 people back" in page


def test_calls_passed_on_from_here_are_not_counted_twice(town: Town, wave: Wave) -> None:
    """After a second reading the old gateway's log holds the calls that came through here once more."""
    from migrations_center.selectors_waves import calls_panel

    town.called("ann", "town-chat", times=2, at=now() - timedelta(hours=5), origin="relay", route="old")
    town.called("ann", "town-chat", times=2, at=now() - timedelta(hours=5) + timedelta(seconds=1))
    waves.mark_ready(actor=town.ops, wave=wave)
    switching.switch(actor=town.ops, wave=wave)
    panel = calls_panel(wave)
    assert panel is not None
    assert panel.total_before == 8  # ann 3 and ben 3 of history, 2 passed on


def test_an_uncertain_notice_is_shown_and_can_be_sent_again(town: Town, wave: Wave, browser: Client) -> None:
    waves.mark_ready(actor=town.ops, wave=wave)
    notices.notify(actor=town.ops, wave=wave)
    OutboundMail.objects.filter(to_address="ann@example.org").update(state="handed_over", claimed_at=now())
    OutboundMail.objects.filter(to_address="ben@example.org").update(state="sent", sent_at=now())
    url = reverse("wave_notices", args=[wave.pk])
    page = browser.get(url, {"show": "open"}).content.decode()
    assert "handed over, not confirmed" in page
    assert "ben@example.org" not in page
    mail = OutboundMail.objects.get(to_address="ann@example.org")
    browser.post(reverse("wave_notice_resend", args=[wave.pk, mail.pk]))
    mail.refresh_from_db()
    assert mail.state == "queued"
    other = OutboundMail.objects.get(to_address="ben@example.org")
    assert browser.post(reverse("wave_notice_resend", args=[wave.pk, other.pk])).status_code == 409


def test_support_looks_and_changes_nothing(wave: Wave) -> None:
    client = Client()
    client.force_login(create_person(actor=None, username="sue", role=Role.SUPPORT))
    page = client.get(reverse("wave_detail", args=[wave.pk])).content.decode()
    for word in ("Make it ready", "Choose people", "Remove the draft", "Take out"):
        assert word not in page
    assert client.post(reverse("wave_again", args=[wave.pk])).status_code == 403
    assert client.post(reverse("wave_member_remove", args=[wave.pk, 1])).status_code == 403


def test_no_page_shows_a_secret(town: Town, wave: Wave, browser: Client) -> None:
    waves.mark_ready(actor=town.ops, wave=wave)
    notices.notify(actor=town.ops, wave=wave)
    for url in view_pages(wave).values():
        page = browser.get(url).content.decode()
        assert not [bare for bare in town.secrets.values() if bare in page]


@pytest.mark.parametrize("people", [3, 30])
def test_the_page_asks_the_database_as_often_for_thirty_as_for_three(
    empty_town: Callable[..., Town], people: int, django_assert_max_num_queries: Any
) -> None:
    town = empty_town()
    for number in range(people):
        town.move_in(f"person{number:02d}")
    wave = town.wave(town.plan(), *sorted(town.people))
    waves.mark_ready(actor=town.ops, wave=wave)
    switching.switch(actor=town.ops, wave=wave)
    client = Client()
    client.force_login(town.ops)
    with django_assert_max_num_queries(40):
        client.get(reverse("wave_detail", args=[wave.pk]))


@pytest.fixture
def in_place() -> Iterator[None]:
    """Tasks run where they are started."""
    from config.celery import app

    app.conf.task_always_eager = True
    yield
    app.conf.task_always_eager = False


def test_a_large_wave_is_worked_on_by_a_worker(empty_town: Callable[..., Town], in_place: None) -> None:
    """Over twenty people the page starts a task and answers at once; the task is run here in place."""
    town = empty_town()
    for number in range(21):
        town.move_in(f"person{number:02d}")
    wave = waves.mark_ready(actor=town.ops, wave=town.wave(town.plan(), *sorted(town.people)))
    client = Client()
    client.force_login(town.ops)
    answer = client.post(reverse("wave_switch", args=[wave.pk]), {"reason": ""}, follow=True)
    assert "The switch runs. You can close this page." in answer.content.decode()
    wave.refresh_from_db()
    assert (wave.state, wave.members.filter(state="switched").count()) == ("observing", 21)
    answer = client.post(reverse("wave_go_back", args=[wave.pk]), {"reason": ""}, follow=True)
    assert "Going back runs. You can close this page." in answer.content.decode()
    wave.refresh_from_db()
    assert (wave.state, wave.members.filter(state="back").count()) == ("gone_back", 21)


def test_beat_knows_the_tasks() -> None:
    from config.celery import app

    app.loader.import_default_modules()
    assert {"migrations_center.tasks.advance_waves_task", "accounts.tasks.send_mail_task"} <= set(app.tasks)
