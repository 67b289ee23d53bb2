"""Pages of waves, people, teams and mail in a real browser, and the whole way of a wave by clicks."""

from datetime import timedelta
from typing import Any

import pytest

from accounts.models import OutboundMail, Role, User
from accounts.services import invitations, people, teams
from config.foundation.clock import now
from gateway.models import EntryPoint, EntrySighting
from gateway.services import register_entry
from keys.models import ApiKey
from migrations_center.models import Wave
from migrations_center.services import notices, switching, waves
from tests.browser.whole import CHROMIUM, LOOKS, Look, chromium, complaints_of, open_page  # noqa: F401
from tests.migrations_center.waves.town import Town
from tests.pages.conftest import PASSWORD

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not CHROMIUM, reason="no Chromium on this machine"),
    pytest.mark.django_db(transaction=True),
]

NAMES = (
    "ann",
    "ben",
    "cid",
    "dee",
    "eve",
    "fay",
    "gus",
    "hal",
    "ida",
    "jan",
    "kim",
    "a-person-with-a-rather-long-name-that-wraps",
)
# picture, who looks, address
PAGES = [
    ("migrations", "root", "/migrations/"),
    ("plan", "root", "/migrations/plans/{plan}/"),
    ("plan-new", "root", "/migrations/plans/new/"),
    ("waves", "root", "/migrations/waves/"),
    ("still-on-the-old-entry", "root", "/migrations/still-on-the-old-entry/"),
    ("entries", "root", "/entries/"),
    ("entry-new", "root", "/entries/new/"),
    ("entry", "root", "/entries/{entry}/"),
    ("wave-new", "root", "/migrations/plans/{plan}/waves/new/"),
    ("wave-gone-back", "root", "/migrations/waves/{back}/"),
    ("wave-observing", "root", "/migrations/waves/{observing}/"),
    ("wave-notified", "root", "/migrations/waves/{notified}/"),
    ("wave-switching", "root", "/migrations/waves/{switching}/"),
    ("wave-red", "root", "/migrations/waves/{draft}/"),
    ("wave-empty", "root", "/migrations/waves/{empty}/"),
    ("wave-people", "root", "/migrations/waves/{empty}/people/"),
    ("wave-notices", "root", "/migrations/waves/{observing}/notices/"),
    ("wave-keys", "root", "/migrations/waves/{observing}/keys/"),
    ("wave-keys-told", "root", "/migrations/waves/{notified}/keys/"),
    ("wave-keys-draft", "root", "/migrations/waves/{draft}/keys/"),
    ("wave-keys-none", "root", "/migrations/waves/{empty}/keys/"),
    ("wave-go-back", "root", "/migrations/waves/{observing}/go-back/"),
    ("wave-switch", "root", "/migrations/waves/{notified}/switch/"),
    ("wave-for-support", "sue", "/migrations/waves/{observing}/"),
    ("people", "root", "/people/"),
    ("people-none", "root", "/people/?text=nobody-at-all"),
    ("person", "root", "/people/{person}/"),
    ("person-role", "root", "/people/{person}/role/"),
    ("invitations", "root", "/invitations/"),
    ("invitation-new", "root", "/invitations/new/"),
    ("mails", "root", "/mails/"),
    ("mail", "root", "/mails/{mail}/"),
    ("audit", "root", "/audit/"),
    ("teams", "tom", "/teams/"),
    ("team", "tom", "/teams/{team}/"),
    ("team-invite", "tom", "/teams/{team}/invite/"),
    ("profile", "tom", "/profile/"),
    ("invitation-accept", "", "/invitations/open/{token}/"),
]


def told(town: Town, wave: Wave) -> Wave:
    waves.mark_ready(actor=town.ops, wave=wave, reason="all green")
    notices.notify(actor=town.ops, wave=wave)
    return wave


def _register(town: Town, root: User) -> EntryPoint:
    """Two entries, one of them still called by somebody who was switched."""
    places = {"family": "one_api", "environment": "production", "note": ""}
    name = "The gateway of the translation office in the old building"
    old = register_entry(
        actor=root, owner=root, name=name, url="https://old.example.org:8443/v1", side="old", state="observing", **places
    )
    register_entry(actor=root, owner=root, name="New", url="https://new.example.org/v1", side="new", state="live", **places)
    at = now()
    EntrySighting.objects.create(
        key=town.keys["cid"], entry=old, route="new", client_family="Cherry Studio", call_count=1234, first_at=at, last_at=at,
        day_on=at.date(),
    )  # fmt: skip
    return old


@pytest.fixture
def places(transactional_db: Any, clean_cache: Any) -> dict[str, str]:
    """A plan with a wave in every state that looks different, a team, invitations and mails."""
    root = people.create_person(actor=None, username="root", email="root@example.org", role=Role.ADMIN, password=PASSWORD)
    people.create_person(actor=None, username="sue", role=Role.SUPPORT, password=PASSWORD)
    tom = people.create_person(actor=None, username="tom", email="tom@example.org", password=PASSWORD)
    town = Town().build(*NAMES[:11])
    town.move_in(NAMES[11], nano=-123_456_789)
    plan = town.plan()
    back = told(town, town.wave(plan, "ann", "ben", name="Pilot"))
    switching.switch(actor=town.ops, wave=back, reason="as planned")
    town.spend("ann", 1_234_567)
    switching.go_back(actor=town.ops, wave=back, reason="too many time-outs in one script")
    observing = told(town, town.wave(plan, "cid", "dee", NAMES[11], name="Scripts", observation_hours=0))
    switching.switch(actor=town.ops, wave=observing)
    here = {"origin": "relay", "route": "new", "at": now() + timedelta(seconds=2)}
    town.called("cid", "town-chat", times=40, cost_nano=1_000_000, **here)
    town.called("cid", "town-chat", times=2, outcome="timeout", **here)
    moving = told(town, town.wave(plan, "eve", "fay", "gus", name="On its way"))
    switching.begin_switch(actor=town.ops, wave=moving)
    switching.run_switch(actor=town.ops, wave=moving, limit=1)
    draft = town.wave(plan, "ida", "jan", name="Stuck", planned_at=None)
    notified = town.wave(plan, "hal", name="Told")
    Wave.objects.filter(pk=notified.pk).update(number=0)
    notified.refresh_from_db()
    told(town, notified)
    empty = waves.create_wave(actor=town.ops, plan=plan, name="The rest")
    town.called("ida", "town-forgotten")
    User.objects.filter(username="jan").update(email="")
    orphan = ApiKey.objects.create(name="old nightly job", route="old")
    town.row("tokens", orphan, {})
    failed = OutboundMail.objects.filter(user__username="cid").first()
    OutboundMail.objects.filter(user__username="dee").update(state="handed_over", claimed_at=now())
    OutboundMail.objects.filter(pk=failed.pk).update(state="failed", last_error="550 no such user here")  # type: ignore[union-attr]
    team = teams.create_team(actor=root, name="Blue team", owner=tom)
    teams.add_member(actor=root, group=team, person=town.people["kim"])
    invitations.invite(actor=tom, email="newcomer@example.org", group=team)
    invitations.invite(actor=root, email="colleague@example.org", role=Role.SUPPORT)
    people.set_role(actor=root, person=town.people["kim"], role=Role.DEVELOPER, reason="writes scripts")
    from tests.accounts.test_people import link_in

    token = link_in(OutboundMail.objects.get(to_address="newcomer@example.org"))
    entry = _register(town, root)
    named = {"back": back, "observing": observing, "notified": notified, "switching": moving, "draft": draft, "empty": empty}
    numbers = {name: str(wave.pk) for name, wave in named.items()}
    return {
        **numbers,
        "plan": str(plan.pk),
        "entry": str(entry.pk),
        "team": str(team.pk),
        "person": str(town.people["kim"].pk),
        "mail": str(failed.pk),  # type: ignore[union-attr]
        "token": token,
    }


@pytest.mark.parametrize("look", LOOKS, ids=str)
def test_every_page_is_whole(places: dict[str, str], chromium: Any, live_server: Any, look: Look) -> None:  # noqa: F811
    assert complaints_of(PAGES, places, chromium, live_server.url, look) == {}


def test_a_batch_from_draft_to_back_by_clicks(transactional_db: Any, clean_cache: Any, chromium: Any, live_server: Any) -> None:  # noqa: F811
    people.create_person(actor=None, username="root", role=Role.ADMIN, password=PASSWORD)
    town = Town().build("ann", "ben", "cid")
    page, said = open_page(chromium, live_server.url, "root", 1440, "light")
    page.goto(f"{live_server.url}/migrations/")
    page.click("a:has-text('Make a plan')")
    page.fill("input[name=name]", "Town moves")
    page.fill("input[name=entry_url]", "https://old.example.org/v1")
    page.click("button:has-text('Make the plan')")
    assert "Keys passed on to the old entry: 3." in page.inner_text(".messages")
    page.click(".page-head a:has-text('New wave')")
    page.fill("input[name=planned_at]", (now() + timedelta(days=4)).strftime("%Y-%m-%dT%H:%M"))
    page.click("button:has-text('Make the wave')")
    page.fill("input[name=text]", "n")
    page.click("button:has-text('Filter')")
    page.check("input[aria-label=ben]")
    page.click("button:has-text('Put the ticked people')")
    assert "nothing stands in the way" in page.inner_text("#gates")
    for button, act, sentence in (
        ("Make it ready", "Make it ready", "The wave is ready"),
        ("Tell the people", "Send 1 mail", "1 mail is written."),
        ("Switch 1 person", "Switch 1 person to the new entry", "1 person is on the new entry."),
        ("Take 1 person back", "Take 1 person back to the old entry", "1 person is back on the old entry."),
    ):
        page.click(f".page-head .actions a:has-text('{button}')")
        page.fill("input[name=reason]", "a rehearsal")
        page.click(f"button:has-text('{act}')")
        assert sentence in page.inner_text(".messages")
    assert town.routes() == {"ann": "old", "ben": "old", "cid": "old"}
    assert Wave.objects.get().state == "gone_back"
    page.context.close()
    assert said == []


def test_the_progress_ends_by_itself(transactional_db: Any, clean_cache: Any, chromium: Any, live_server: Any) -> None:  # noqa: F811
    """While a wave is worked on the page shows how far it is, and reloads at the end."""
    people.create_person(actor=None, username="root", role=Role.ADMIN, password=PASSWORD)
    town = Town().build("ann", "ben")
    wave = waves.mark_ready(actor=town.ops, wave=town.wave(town.plan(), "ann", "ben"))
    switching.begin_switch(actor=town.ops, wave=wave)
    switching.run_switch(actor=town.ops, wave=wave, limit=1)
    page, said = open_page(chromium, live_server.url, "root", 1440, "light")
    page.goto(f"{live_server.url}/migrations/waves/{wave.pk}/")
    assert "1 / 2" in page.inner_text("#wave-progress")
    switching.run_switch(actor=town.ops, wave=wave)
    page.wait_for_selector("text=Calls since the switch", timeout=10_000)
    page.wait_for_selector("#wave-progress", state="detached")
    page.context.close()
    assert said == []
