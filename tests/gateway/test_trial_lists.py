"""R009: a project is on trial until calls through the entry have shown its five items."""

from typing import Any

import pytest
from django.test import Client
from rest_framework.test import APIClient

from accounts.models import AuditEvent, Group, GroupMembership, Role, User
from accounts.services.people import create_person
from billing.models import LedgerEntry
from billing.pricing import RuleFigures
from billing.services import ledger
from config.foundation.errors import InvalidInput, NotAllowed
from config.foundation.ids import uuid7
from gateway.models import TrialItem, TrialList
from gateway.services.trial_lists import (
    CheckRunning,
    ItemsOpen,
    TrialExists,
    open_trial,
    reopen_trial,
    run_checks,
    set_production,
    start_checks,
)
from keys.models import ApiKey, TeamPolicy
from keys.services import issue_key
from models_catalog import services as catalog
from tests.gateway.world import USD, World, balance

BACKEND = "allauth.account.auth_backends.AuthenticationBackend"
TEXT = ["base_url", "key", "model", "streaming", "errors"]
CREATIVE = ["prompt", "ratio", "resolution", "record", "download"]


@pytest.fixture
def ops(db: None) -> User:
    return create_person(actor=None, username="operator", email="operator@example.org", role=Role.OPS)


def team_of(code: str, owner: User | None = None) -> Group:
    team = Group.objects.create(code=code, name=code.title(), kind=Group.Kind.TEAM)
    if owner:
        GroupMembership.objects.create(group=team, user=owner, team_role="owner")
    return team


def states(trial: TrialList) -> dict[str, str]:
    return dict(trial.items.values_list("code", "state"))


def causes(trial: TrialList) -> dict[str, str]:
    return dict(trial.items.exclude(cause="").values_list("code", "cause"))


@pytest.fixture
def project(world: World, ops: User, settings: Any) -> Any:
    """``project(code, kind)``: a team that may call everything, on trial, with a test key and test money."""
    settings.PUBLIC_URL = world.relay.url
    catalog.update_model(actor_name="t", model=world.models["demo-image"], modality="image")
    world.publish({"demo-image": RuleFigures(item_nano=USD // 100)})

    def make(code: str, kind: str) -> tuple[TrialList, ApiKey]:
        team = team_of(f"{world.group.code}-{code}", create_person(actor=None, username=f"{code}-owner"))
        catalog.add_access(actor_name="t", grants=[(name, team.code) for name in world.models])
        trial = open_trial(actor=ops, team=team, kind=kind)
        key, _clear = issue_key(actor=None, team=team, name="test", purpose="test")
        purse = ledger.purse_for(group=team, kind="test")
        ledger.post_entries([ledger.Posting(uuid7(), "top_up", ledger.house_account("cash").pk, purse.pk, USD)])
        world.top_up(team, USD)
        world.settle_in()
        return trial, key

    return make


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("kind", "model", "codes"), [("text", "demo-chat", TEXT), ("creative", "demo-image", CREATIVE)])
def test_R009_five_open_items_are_ticked_by_the_checks_and_only_then_production_opens(
    project: Any, world: World, ops: User, kind: str, model: str, codes: list[str]
) -> None:
    trial, key = project(kind, kind)
    assert states(trial) == dict.fromkeys(codes, "open")
    api = APIClient()
    api.force_authenticate(ops)
    address = f"/api/portal/trials/{trial.pk}/"
    refused = api.post(f"{address}production/", {}, format="json")
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "trial_items_open")
    assert refused.json()["error"]["items"] == codes
    trial.refresh_from_db()
    assert trial.state == "trial"
    # On trial, a production key of the project is refused by the relay; nobody can tick an item by hand.
    production = ApiKey.objects.create(team=trial.team, name="early")
    from keys.services import add_secret

    early = add_secret(actor=None, key=production)
    world.settle_in()
    assert world.ask(early).json()["error"]["code"] == "production_not_allowed"
    assert api.post(f"{address}checks/", {"key_id": key.pk, "model": model}, format="json").status_code == 202
    with pytest.raises(CheckRunning):
        start_checks(actor=ops, trial=trial, key_id=key.pk, model=model)
    done = run_checks(trial.pk)
    assert done is not None
    assert (states(done), causes(done)) == (dict.fromkeys(codes, "passed"), {})
    assert run_checks(trial.pk) is None
    told = api.get(address).json()
    assert [item["state"] for item in told["items"]] == ["passed"] * 5
    assert all(item["request_id"] for item in told["items"])
    # Paid with test money, the wallet of production untouched.
    charged = LedgerEntry.objects.filter(kind="charge", from_account__group=trial.team)
    assert {entry.from_account.kind for entry in charged} == {"test"}
    assert balance(trial.team) > USD
    set_production(actor=ops, trial=trial, reason="all shown")
    set_production(actor=ops, trial=trial)
    trial.refresh_from_db()
    assert (trial.state, TeamPolicy.objects.get(group=trial.team).money) == ("production", "any")
    assert AuditEvent.objects.filter(action="trial.production").count() == 1
    world.settle_in()
    if kind == "text":
        assert world.ask(early).status_code == 200
    reopen_trial(actor=ops, trial=trial, reason="another model")
    assert (states(trial), TeamPolicy.objects.get(group=trial.team).money) == (dict.fromkeys(codes, "open"), "test")


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_R009_what_is_not_shown_is_red_with_its_cause(project: Any, world: World, ops: User, client: Client) -> None:
    trial, key = project("words", "text")
    start_checks(actor=ops, trial=trial, key_id=key.pk, model="demo-other-model")
    run_checks(trial.pk)
    assert causes(trial) == {"model": "another-model"}
    start_checks(actor=ops, trial=trial, key_id=key.pk, model="demo-cut-stream")
    run_checks(trial.pk)
    assert {"model", "streaming"} <= set(causes(trial))
    start_checks(actor=ops, trial=trial, key_id=key.pk, model="not-there")
    run_checks(trial.pk)
    assert causes(trial) == {"base_url": "not-listed", "model": "refused", "streaming": "refused"}
    assert states(trial)["errors"] == states(trial)["key"] == "passed"
    client.force_login(ops, backend=BACKEND)
    page = client.get(f"/trials/{trial.pk}/").content.decode()
    assert "2 of 5" in page
    assert "model_not_found" in page
    answer = client.post(f"/trials/{trial.pk}/production/", {"reason": "in a hurry"})
    assert answer.status_code == 409
    assert "Base URL" in answer.content.decode()
    drawings, painter = project("pictures", "creative")
    start_checks(actor=ops, trial=drawings, key_id=painter.pk, model="demo-500", resolution="512x512")
    run_checks(drawings.pk)
    assert set(causes(drawings)) == set(CREATIVE)


@pytest.mark.django_db
def test_R009_who_opens_checks_and_decides(ops: User, client: Client) -> None:
    owner, member, stranger = (create_person(actor=None, username=name) for name in ("owner", "member", "stranger"))
    team = team_of("crew", owner)
    GroupMembership.objects.create(group=team, user=member, team_role="member")
    with pytest.raises(NotAllowed):
        open_trial(actor=owner, team=team, kind="text")
    with pytest.raises(InvalidInput):
        open_trial(actor=ops, team=team, kind="music")
    class_of = Group.objects.create(code="class", name="Class", kind=Group.Kind.PRICE_CLASS)
    with pytest.raises(InvalidInput):
        open_trial(actor=ops, team=class_of, kind="text")
    assert not TrialList.objects.exists()
    client.force_login(ops, backend=BACKEND)
    assert client.post("/trials/", {"team": team.pk, "kind": "creative"}).status_code == 302
    trial = TrialList.objects.get()
    assert trial.items.count() == 5
    with pytest.raises(TrialExists):
        open_trial(actor=ops, team=team, kind="text")
    key, _clear = issue_key(actor=owner, team=team, name="t", purpose="test")
    other, _clear = issue_key(actor=owner, owner=owner, name="own", purpose="test")
    with pytest.raises(NotAllowed):
        start_checks(actor=member, trial=trial, key_id=key.pk, model="m")
    wrong = [
        {"key_id": other.pk, "model": "m"},
        {"key_id": key.pk, "model": " "},
        {"key_id": key.pk, "model": "m", "resolution": "big"},
        {"key_id": key.pk, "model": "m", "wide_size": "0x0"},
    ]
    for values in wrong:
        with pytest.raises(InvalidInput):
            start_checks(actor=owner, trial=trial, **values)
    trial.refresh_from_db()
    assert trial.check_state == "none"
    with pytest.raises(NotAllowed):
        set_production(actor=owner, trial=trial)
    with pytest.raises(ItemsOpen):
        set_production(actor=ops, trial=trial)
    for person, status in ((owner, 200), (member, 200), (stranger, 404)):
        client.force_login(person, backend=BACKEND)
        assert client.get(f"/trials/{trial.pk}/").status_code == status
        assert client.post(f"/trials/{trial.pk}/production/", {"reason": "x"}).status_code == (403 if status == 200 else 404)
    client.force_login(member, backend=BACKEND)
    assert client.post(f"/trials/{trial.pk}/", {"key": key.pk, "model": "m"}).status_code == 403
    client.force_login(owner, backend=BACKEND)
    values = {"key": key.pk, "model": "m", "resolution": "640x480", "wide_size": "800x400"}
    assert client.post(f"/trials/{trial.pk}/", values | {"resolution": "x"}).status_code == 422
    assert client.post(f"/trials/{trial.pk}/", values).status_code == 302
    trial.refresh_from_db()
    assert (trial.check_state, trial.resolution) == ("waiting", "640x480")
    assert not TrialItem.objects.exclude(state="open").exists()
