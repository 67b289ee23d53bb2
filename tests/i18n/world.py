"""One small world with something on every page: calls, money, a real old database read in, waves in several states."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from django.contrib import admin
from django.urls import NoReverseMatch, reverse

from accounts.models import OutboundMail, User
from accounts.services import invitations, teams
from billing.models import GroupBook, PriceBook
from billing.services.usage import fold_usage
from config.foundation.clock import now
from config.foundation.outcomes import Outcome
from migrations_center.models import ImportRun, Wave
from migrations_center.services import notices, switching, waves
from tests.admin import world as admin_world
from tests.migrations_center.imports.support import do_import, sample
from tests.migrations_center.waves.town import Town
from tests.pages.conftest import build_world, one_call


@dataclass
class Places:
    """Who looks (by role; ``owner`` has keys, calls and a team) and the addresses of single things."""

    readers: dict[str, User] = field(default_factory=dict)
    details: list[str] = field(default_factory=list)
    admin_details: set[str] = field(default_factory=set)

    def reload(self) -> None:
        """Take over what was changed about the readers."""
        for reader in self.readers.values():
            reader.refresh_from_db()


def build() -> Places:
    world = build_world()
    things = admin_world.build("one").things
    everybody = {user.role: user for user in User.objects.order_by("pk")} | {"owner": world.alice}
    User.objects.update(language="zh-hans")
    team = teams.create_team(actor=world.admin, name="Nightly", code="nightly", owner=world.alice)
    teams.add_member(actor=world.admin, group=team, person=world.bob)
    invitations.invite(actor=world.admin, email="new-here@example.org", language="zh-hans")
    failed = [one_call(world.alice, world.key, outcome=outcome, status=400) for outcome in Outcome.values if outcome != "ok"]
    fold_usage()
    GroupBook.objects.create(group=world.alice.billing_group, book=PriceBook.objects.get(code="portal"))
    run = _import()
    made = _waves()
    places = Places({str(role): user for role, user in everybody.items()}, admin_details=set(_admin()))
    places.reload()
    places.details = [
        *_own(world, failed),
        *_people(world.bob, team.pk),
        *_moves(run, made),
        *places.admin_details,
        *(f"/mails/{mail.pk}/" for mail in OutboundMail.objects.order_by("pk")),
        reverse("wave_detail", args=[things["wave"].pk]),
    ]
    return places


def _import() -> ImportRun:
    do_import(sample("one-api"))
    return ImportRun.objects.latest("created_at")


def _waves() -> list[Wave]:
    """One gone back, one told and switched, one ready, two drafts of which one has a person who cannot move."""
    PriceBook.objects.update(is_default=False)
    town = Town().build("ann", "ben", "cid", "dan", "eve")
    town.called("ben", "no-such-model", times=2)
    User.objects.update(language="zh-hans")
    plan, soon = town.plan(), now() + timedelta(hours=1)
    back = town.wave(plan, "dan", planned_at=soon)
    waves.mark_ready(actor=town.ops, wave=back)
    switching.switch(actor=town.ops, wave=back)
    switching.go_back(actor=town.ops, wave=back)
    moved = town.wave(plan, "eve", name="Second wave", planned_at=soon)
    waves.mark_ready(actor=town.ops, wave=moved)
    notices.notify(actor=town.ops, wave=moved)
    switching.switch(actor=town.ops, wave=moved)
    ready = town.wave(plan, "ann", name="Third wave")
    waves.mark_ready(actor=town.ops, wave=ready)
    drafts = [town.wave(plan, name, name=f"Wave of {name}") for name in ("ben", "cid")]
    return [back, moved, ready, *drafts]


def _own(world: Any, failed: list[Any]) -> Iterator[str]:
    for stem in ("key_detail", "key_change", "key_rotate", "key_disable", "key_revoke"):
        yield reverse(stem, args=[world.key.pk])
    for call in (world.call_id, *failed):
        yield reverse("call_detail", args=[call.hex])
        yield reverse("find_call", args=[call.hex])
    yield from (
        "/calls/?outcome=failed&period=30",
        "/billing/?calls=yes",
        "/usage/?days=7",
        "/keys/?state=all",
        "/no-such-page/",
    )
    yield from ("/find/?q=nothing-we-know", "/find/?q=alice", "/find/?q=gpt-4o", f"/find/?q={world.call_id.hex}")


def _people(person: User, team_id: int) -> Iterator[str]:
    for stem in ("person_detail", "person_role", "person_disable"):
        yield reverse(stem, args=[person.pk])
    for stem in ("team_detail", "team_invite"):
        yield reverse(stem, args=[team_id])


def _moves(run: ImportRun, made: list[Wave]) -> Iterator[str]:
    for stem in ("import_run", "import_progress", "import_issues"):
        yield reverse(stem, args=[run.pk])
    yield reverse("plan_detail", args=[made[0].plan_id])
    yield reverse("wave_create", args=[made[0].plan_id])
    for wave in made:
        for stem in ("detail", "edit", "members_add", "ready", "notify", "switch", "go_back", "settle", "reopen", "notices"):
            yield reverse(f"wave_{stem}", args=[wave.pk])


def _admin() -> Iterator[str]:
    """The page of one object of every kind."""
    for model in admin.site._registry:
        one = model._default_manager.order_by("pk").last()
        if one is None:
            continue
        stem = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        try:
            yield reverse(f"{stem}_change", args=[one.pk])
        except NoReverseMatch:
            continue
