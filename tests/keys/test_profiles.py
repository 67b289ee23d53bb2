"""R049: use profiles: who writes them, which keys follow them, what they refuse."""

from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.test import Client
from django.urls import reverse
from rest_framework.test import APIClient

from accounts.models import AuditEvent, Group, GroupMembership, Role, User
from accounts.services.people import create_person
from config.foundation.errors import InvalidInput, NotAllowed, NotFound
from keys.errors import ProfileInUse
from keys.models import ApiKey, CallLimit, UseProfile
from keys.profile_parameters import clean_parameters, filled
from keys.selectors_profiles import profile_for, profiles_for
from keys.services import issue_key, revoke_key, set_key_limits
from keys.services_limits import CallFigures
from keys.services_profiles import bind_key, change_profile, create_profile, remove_profile
from models_catalog import services as catalog
from models_catalog.services import NameChange, publish_name_map

pytestmark = pytest.mark.django_db

BACKEND = "allauth.account.auth_backends.AuthenticationBackend"
NAMES = ("gpt-large", "gpt-small", "painter")


@pytest.fixture
def people(team: Group) -> dict[str, User]:
    for name in NAMES:
        model = catalog.create_model(actor_name="test", figures=catalog.ModelFigures(name=name))
        catalog.set_access(actor_name="test", model=model, group_codes=["*"])
    staff = {role: create_person(actor=None, username=f"{role}-one", role=role) for role in (Role.OPS, Role.SUPPORT)}
    return {"alice": User.objects.get(username="alice"), "bob": User.objects.get(username="bob"), **staff}


def profile_of(team: Group | None, alias: str = "coding", **more: Any) -> UseProfile:
    values = {"use": "coding", "name": "Our code", "alias": alias, "default_model": "gpt-large", **more}
    return create_profile(actor=None, team=team, **values)


@pytest.mark.parametrize("use", UseProfile.Use.values)
def test_R049_a_team_lead_writes_a_profile_for_each_kind_of_work(people: dict[str, User], team: Group, use: str):
    profile = create_profile(
        actor=people["alice"], team=team, use=use, name=f"For {use}", alias=use, default_model="gpt-large",
        model_names=["gpt-small", "gpt-large"], parameters={"max_output": 500, "temperature": None, "effort": "low"},
        figures=CallFigures(requests_per_minute=60),
    )  # fmt: skip
    assert profile.model_names == ["gpt-large", "gpt-small"]
    assert profile.parameters == {"max_output": 500, "effort": "low"}
    assert CallLimit.objects.get(profile=profile).requests_per_minute == 60
    event = AuditEvent.objects.get(action="profile.create")
    assert (event.actor, event.after["alias"], event.after["default_model"]) == (people["alice"], use, "gpt-large")


def test_only_owners_of_the_team_and_operators_keep_profiles(people: dict[str, User], team: Group, charlie: User):
    profile, house = profile_of(team), profile_of(None)
    for actor in (people["bob"], charlie, people[Role.SUPPORT]):
        with pytest.raises(NotAllowed):
            change_profile(actor=actor, profile=profile, default_model="gpt-small")
        with pytest.raises(NotAllowed):
            remove_profile(actor=actor, profile=profile)
    with pytest.raises(NotAllowed):
        change_profile(actor=people["alice"], profile=house, default_model="gpt-small")
    change_profile(actor=people[Role.OPS], profile=house, default_model="gpt-small")
    profile.refresh_from_db()
    assert (profile.default_model, UseProfile.objects.get(pk=house.pk).default_model) == ("gpt-large", "gpt-small")
    # Members see their team's, strangers the house's, support all.
    assert {one.pk for one in profiles_for(people["bob"])} == {profile.pk, house.pk}
    assert {one.pk for one in profiles_for(charlie)} == {house.pk}
    assert profiles_for(people[Role.SUPPORT]).count() == 2
    with pytest.raises(NotFound):
        profile_for(charlie, profile.pk)


@pytest.mark.parametrize(
    ("field", "given"),
    [
        ("use", {"use": "poetry"}),
        ("name", {"name": " "}),
        ("name", {"name": "sk-0123456789abcdef0123456789abcdef0123456789abcdef"}),
        ("alias", {"alias": "Two Words"}),
        ("alias", {"alias": "gpt-small"}),
        ("alias", {"alias": "taken"}),
        ("default_model", {"default_model": "no-such"}),
        ("default_model", {"default_model": " "}),
        ("model_names", {"model_names": ["no-such"]}),
        ("temperature", {"parameters": {"temperature": 3}}),
        ("max_output", {"parameters": {"max_output": 1.5}}),
        ("effort", {"parameters": {"effort": "huge"}}),
        ("parameters", {"parameters": {"prompt": "x"}}),
        ("parameters", {"parameters": ["x"]}),
    ],
)
def test_a_wrong_profile_is_refused_at_its_field_and_nothing_is_kept(
    people: Any, team: Group, field: str, given: dict[str, Any]
):
    profile_of(team, "taken")
    with pytest.raises(InvalidInput) as refused:
        profile_of(team, **given)
    assert refused.value.details.get("field") == field
    assert UseProfile.objects.count() == 1


def test_the_database_keeps_the_default_among_the_models_and_a_key_without_two_lists(people: Any, team: Group):
    profile = profile_of(team)
    for wrong in (
        lambda: UseProfile.objects.filter(pk=profile.pk).update(model_names=["gpt-small"]),
        lambda: ApiKey.objects.create(name="x", team=team, profile=profile, model_names=["gpt-small"]),
        lambda: UseProfile.objects.create(
            team=team, use="coding", name="x", alias="coding", default_model="a", model_names=["a"]
        ),
        lambda: CallLimit.objects.create(profile=profile, group=team, parallel_calls=1),
    ):
        with pytest.raises(IntegrityError), transaction.atomic():
            wrong()


def test_a_key_follows_one_profile_and_has_no_list_beside_it(people: dict[str, User], team: Group, charlie: User):
    alice, profile = people["alice"], profile_of(team)
    key, _ = issue_key(actor=alice, team=team, name="robot", model_names=["painter"])
    with pytest.raises(NotAllowed):
        bind_key(actor=people["bob"], key=key, profile=profile)
    assert bind_key(actor=alice, key=key, profile=profile)
    assert not bind_key(actor=alice, key=key, profile=profile)
    assert (key.profile, key.model_names, key.allowed_models) == (profile, None, ["gpt-large"])
    event = AuditEvent.objects.get(action="key.bind_profile")
    assert (event.before["model_names"], event.after["profile"]) == (["painter"], "Our code")
    with pytest.raises(InvalidInput):
        set_key_limits(actor=alice, key=key, model_names=["painter"], networks=[], expires_at=None)
    # Another team's profile is not open to a stranger's key; a member's own key may follow it.
    strange, _ = issue_key(actor=charlie, owner=charlie, name="mine")
    with pytest.raises(InvalidInput):
        bind_key(actor=charlie, key=strange, profile=profile)
    own, _ = issue_key(actor=people["bob"], owner=people["bob"], name="mine")
    assert bind_key(actor=people["bob"], key=own, profile=profile)
    with pytest.raises(ProfileInUse):
        remove_profile(actor=alice, profile=profile)
    assert bind_key(actor=people["bob"], key=own, profile=None)
    revoke_key(actor=alice, key=key)
    remove_profile(actor=alice, profile=profile)
    key.refresh_from_db()
    assert (key.profile, key.model_names) == (None, [])
    assert not UseProfile.objects.exists()


def test_old_names_of_the_map_may_stand_in_a_profile(people: Any, team: Group):
    publish_name_map(actor_name="test", changes=[NameChange("gpt-4", "alias", "gpt-large")])
    assert profile_of(team, default_model="gpt-4").model_names == ["gpt-4"]


def test_defaults_fill_in_what_a_request_leaves_out_in_its_own_words():
    parameters = clean_parameters({"max_output": 300, "temperature": 0, "effort": "high", "size": "1024x1024", "quality": ""})
    assert parameters == {"max_output": 300, "temperature": 0.0, "effort": "high", "size": "1024x1024"}
    said = {"model": "a", "max_completion_tokens": 9}
    assert filled(said, "chat", parameters) == {**said, "temperature": 0.0, "reasoning_effort": "high"}
    assert filled({}, "responses", parameters) == {
        "max_output_tokens": 300,
        "temperature": 0.0,
        "reasoning": {"effort": "high"},
    }
    assert filled({"temperature": 1}, "messages", parameters) == {"temperature": 1, "max_tokens": 300}
    assert filled({"n": 2}, "images", parameters) == {"n": 2, "size": "1024x1024"}
    assert filled({"input": "x"}, "embeddings", parameters) == {"input": "x"}


def test_profiles_by_the_api(people: dict[str, User], team: Group, charlie: User):
    def as_(person: User) -> APIClient:
        caller = APIClient()
        caller.force_authenticate(person)
        return caller

    alice = as_(people["alice"])
    body = {"team_id": team.pk, "use": "coding", "name": "Code", "alias": "coding", "default_model": "gpt-large"}
    made = alice.post("/api/portal/profiles/", {**body, "parameters": {"max_output": 100}}, format="json")
    assert (made.status_code, made.json()["model_names"], made.json()["key_count"]) == (201, ["gpt-large"], 0)
    address = f"/api/portal/profiles/{made.json()['id']}/"
    assert as_(charlie).get(address).status_code == 404
    assert as_(people["bob"]).get(address).json()["alias"] == "coding"
    assert as_(people["bob"]).patch(address, {"name": "Other"}, format="json").status_code == 403
    assert alice.post("/api/portal/profiles/", body, format="json").json()["error"]["field"] == "alias"
    assert alice.post("/api/portal/profiles/", {**body, "team_id": None}, format="json").status_code == 403
    assert as_(charlie).post("/api/portal/profiles/", body, format="json").status_code == 404
    assert alice.patch(address, {"parameters": {"tempo": 1}}, format="json").status_code == 400
    changed = alice.patch(address, {"default_model": "gpt-small", "model_names": []}, format="json").json()
    assert (changed["default_model"], changed["parameters"]) == ("gpt-small", {"max_output": 100})
    key = alice.post("/api/portal/keys/", {"name": "robot", "team_id": team.pk, "profile_id": changed["id"]}, format="json")
    assert (key.status_code, key.json()["profile_id"]) == (201, changed["id"])
    both = {"name": "robot", "team_id": team.pk, "profile_id": changed["id"], "model_names": ["painter"]}
    assert alice.post("/api/portal/keys/", both, format="json").status_code == 422
    assert ApiKey.objects.filter(team=team).count() == 1
    assert alice.delete(address).json()["error"]["code"] == "profile_in_use"
    one = f"/api/portal/keys/{key.json()['id']}/"
    assert alice.patch(one, {"profile_id": None, "model_names": ["painter"]}, format="json").json()["model_names"] == [
        "painter"
    ]
    assert alice.delete(address).status_code == 204
    assert not UseProfile.objects.exists()


def test_pages_of_profiles(people: dict[str, User], team: Group, charlie: User, client: Client):
    client.force_login(people["alice"], backend=BACKEND)
    assert b"No use profile yet" in client.get(reverse("profile_list")).content
    form = {
        "team": team.pk,
        "use": "coding",
        "name": "Our code",
        "alias": "coding",
        "default_model": "gpt-large",
        "max_output": "400",
    }
    wrong = client.post(reverse("profile_new"), {**form, "alias": "gpt-small", "temperature": "9"})
    assert set(wrong.context["form"].errors) == {"temperature"}
    assert "alias" in client.post(reverse("profile_new"), {**form, "alias": "gpt-small"}).context["form"].errors
    assert not UseProfile.objects.exists()
    made = client.post(reverse("profile_new"), {**form, "requests_per_minute": "30"})
    profile = UseProfile.objects.get()
    assert made.url == reverse("profile_detail", args=[profile.pk])
    key, _ = issue_key(actor=people["alice"], team=team, name="robot", model_names=["painter"])
    page = client.get(made.url)
    assert [card.slug for card in page.context["cards"]] == ["cursor", "claude-code", "codex-cli", "python", "node"]
    assert client.post(reverse("profile_bind", args=[profile.pk]), {"keys": [key.pk]}).status_code == 302
    key.refresh_from_db()
    assert key.profile == profile
    shown = client.get(reverse("profile_change", args=[profile.pk])).context["form"].initial
    assert (shown["max_output"], shown["requests_per_minute"]) == (400, 30)
    client.post(reverse("profile_change", args=[profile.pk]), {**form, "default_model": "gpt-small"})
    profile.refresh_from_db()
    assert (profile.default_model, CallLimit.objects.count()) == ("gpt-small", 0)
    # A key's own page: another list is refused beside the profile, and taking it off frees the key.
    change = {"name": "robot", "purpose": "production", "limit": "", "ends_on": "", "networks": ""}
    address = reverse("key_change", args=[key.pk])
    assert (
        "profile" in client.post(address, {**change, "profile": profile.pk, "model_names": ["painter"]}).context["form"].errors
    )
    assert client.post(address, {**change, "profile": ""}).status_code == 302
    key.refresh_from_db()
    assert (key.profile, key.model_names) == (None, None)
    assert client.post(reverse("profile_remove", args=[profile.pk])).url == reverse("profile_list")
    other = profile_of(team)
    client.force_login(people["bob"], backend=BACKEND)
    assert client.get(reverse("profile_detail", args=[other.pk])).status_code == 200
    for name in ("profile_change", "profile_remove"):
        assert client.post(reverse(name, args=[other.pk]), form).status_code == 403
    assert client.get(reverse("profile_new")).status_code == 403
    client.force_login(charlie, backend=BACKEND)
    for name in ("profile_detail", "profile_change", "profile_remove", "profile_bind"):
        assert client.post(reverse(name, args=[other.pk])).status_code in {404, 405}
    assert client.get("/profiles/99999999999999999999999/").status_code == 404
    assert UseProfile.objects.get() == other


def test_a_key_is_issued_with_a_profile(people: dict[str, User], team: Group, client: Client):
    GroupMembership.objects.filter(user=people["bob"]).update(team_role="owner")
    profile = profile_of(team)
    client.force_login(people["bob"], backend=BACKEND)
    form = {"name": "mine", "purpose": "production", "once": "0b8f4f0e-2f43-4a6b-a6ab-6a6a1d6fd6e9", "belongs_to": team.pk}
    assert client.post(reverse("key_issue"), {**form, "profile": profile.pk}).status_code == 200
    key = ApiKey.objects.get(team=team)
    assert key.profile == profile
    assert profile.name in client.get(reverse("key_detail", args=[key.pk])).content.decode()
