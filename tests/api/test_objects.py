"""The other objects over the API: what is seen, what is changed, what the trail says."""

from collections.abc import Callable

import pytest
from drf_spectacular.generators import SchemaGenerator
from rest_framework.test import APIClient

from accounts.models import AuditEvent, Role, User
from models_catalog.models import AIModel, ModelAccess, UpstreamModel
from models_catalog.selectors import newest_name_map_version
from tests.admin.world import World, build

Caller = Callable[[str], APIClient]


def test_one_sees_and_changes_oneself_and_no_role(caller: Caller, world: World) -> None:
    client = caller(Role.USER)
    assert client.get("/api/portal/me/").json()["username"] == "user-person"
    body = {"display_name": "U", "language": "zh-hans", "time_zone": "Asia/Shanghai"}
    assert client.patch("/api/portal/me/", body, format="json").json()["language"] == "zh-hans"
    answer = client.patch("/api/portal/me/", {"role": "admin"}, format="json")
    assert answer.json()["error"]["fields"] == {"role": ["There is no such field."]}
    world.people[Role.USER].refresh_from_db()
    assert (world.people[Role.USER].role, world.people[Role.USER].display_name) == ("user", "U")


def test_people_are_made_changed_and_disabled(caller: Caller) -> None:
    client = caller(Role.ADMIN)
    made = client.post("/api/portal/people/", {"username": "dora", "email": "dora@example.org", "role": "ops"}, format="json")
    assert made.status_code == 201
    address = f"/api/portal/people/{made.json()['id']}/"
    changed = client.patch(address, {"role": "support", "time_zone": "Europe/Rome", "reason": "moved"}, format="json")
    assert (changed.json()["role"], changed.json()["time_zone"]) == ("support", "Europe/Rome")
    assert AuditEvent.objects.get(action="person.set_role").reason == "moved"
    assert client.post(address + "disable/", {"reason": "left"}, format="json").json()["state"] == "disabled"
    taken = client.post("/api/portal/people/", {"username": "dora"}, format="json")
    assert (taken.status_code, taken.json()["error"]["code"]) == (409, "name_taken")
    # A change that is refused half-way leaves nothing: the profile is changed first, the last administrator second.
    myself = User.objects.get(role="admin")
    refused = client.patch(f"/api/portal/people/{myself.pk}/", {"display_name": "X", "role": "user"}, format="json")
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "last_administrator")
    myself.refresh_from_db()
    assert (myself.display_name, myself.role) == ("", "admin")


def test_people_are_found_and_paged(caller: Caller, world: World) -> None:
    for number in range(55):
        User.objects.create(username=f"p{number:03d}")
    client = caller(Role.SUPPORT)
    page = client.get("/api/portal/people/", {"search": "p0"}).json()
    assert len(page["results"]) == 50
    rest = client.get(page["next"]).json()
    assert [person["username"] for person in rest["results"]] == [f"p{number:03d}" for number in range(50, 55)]
    assert rest["next"] is None


def test_teams_and_members(caller: Caller, world: World) -> None:
    ops, team, person = caller(Role.OPS), world.things["group"], world.people[Role.DEVELOPER]
    base = f"/api/portal/groups/{team.pk}/members/"
    assert ops.post(base, {"user_id": person.pk}, format="json").status_code == 201
    assert ops.patch(f"{base}{person.pk}/", {"team_role": "owner"}, format="json").json()["team_role"] == "owner"
    assert ops.delete(f"{base}{person.pk}/").status_code == 204
    last = ops.delete(f"{base}{world.things['customer'].pk}/")
    assert (last.status_code, last.json()["error"]["code"]) == (409, "last_owner")
    owner = caller("customer")
    assert [group["code"] for group in owner.get("/api/portal/groups/").json()["results"]] == ["team-one"]
    assert owner.patch(f"/api/portal/groups/{team.pk}/", {"name": "Renamed"}, format="json").json()["name"] == "Renamed"


def test_people_see_models_they_may_call_and_operators_all(caller: Caller) -> None:
    person = caller(Role.USER).get("/api/portal/models/").json()["results"]
    assert [model["name"] for model in person] == ["model-one"]
    assert "group_codes" not in person[0]
    operator = caller(Role.OPS).get("/api/portal/models/").json()["results"]
    assert {model["name"]: model["group_codes"] for model in operator} == {"hidden-one": ["nobody"], "model-one": ["*"]}
    hidden = AIModel.objects.get(name="hidden-one")
    assert caller(Role.USER).get(f"/api/portal/models/{hidden.pk}/").status_code == 404
    found = caller(Role.OPS).get("/api/portal/models/", {"search": "HIDDEN", "modality": "text"}).json()["results"]
    assert [model["name"] for model in found] == ["hidden-one"]


def test_a_model_is_made_with_its_groups(caller: Caller) -> None:
    client = caller(Role.OPS)
    body = {"name": "vendor/new", "capabilities": ["vision"], "group_codes": ["team-one"], "context_tokens": 1000}
    made = client.post("/api/portal/models/", body, format="json")
    assert made.status_code == 201
    changed = client.patch(
        f"/api/portal/models/{made.json()['id']}/", {"group_codes": ["*"], "is_active": False, "reason": "test"}, format="json"
    )
    assert (changed.json()["group_codes"], changed.json()["is_active"]) == (["*"], False)
    assert ModelAccess.objects.get(model__name="vendor/new").group_code == "*"
    assert AuditEvent.objects.filter(action="catalog.model.access").latest("id").reason == "test"


def test_upstreams_serve_models(caller: Caller, world: World) -> None:
    client, upstream = caller(Role.OPS), world.things["upstream"]
    address = f"/api/portal/upstreams/{upstream.pk}/"
    served = client.put(address + "models/", {"models": {"model-one": "theirs", "hidden-one": ""}}, format="json").json()
    assert {row["model"]: row["upstream_name"] for row in served["served_models"]} == {
        "model-one": "theirs",
        "hidden-one": "hidden-one",
    }
    unknown = client.put(address + "models/", {"models": {"nope": ""}}, format="json")
    assert (unknown.status_code, unknown.json()["error"]["code"]) == (422, "unknown_models")
    assert UpstreamModel.objects.filter(upstream=upstream).count() == 2
    assert client.post(address + "disable/", {"reason": "bill"}, format="json").json()["state"] == "disabled"
    assert client.patch(address, {"priority": 4, "provider": "provider-one"}, format="json").json()["priority"] == 4


def test_the_name_map_is_published_and_read_by_version(caller: Caller) -> None:
    client = caller(Role.OPS)
    body = {
        "changes": [
            {"old_name": "old-one", "kind": "retired"},
            {"old_name": "other", "kind": "replacement", "callable_name": "model-one", "reason": "better"},
        ],
        "reason": "spring",
        "expected_version": 1,
    }
    made = client.post("/api/portal/name-map/", body, format="json")
    assert (made.status_code, made.json()["number"], made.json()["created_by"]) == (201, 2, "ops-person")
    same = client.post("/api/portal/name-map/", {**body, "expected_version": None}, format="json")
    assert (same.status_code, same.json()["number"]) == (200, 2)
    stale = client.post("/api/portal/name-map/", body, format="json")
    assert (stale.status_code, stale.json()["error"]["code"]) == (409, "name_map_moved")
    person = caller(Role.USER)
    now = person.get("/api/portal/name-map/").json()["results"]
    assert [(line["old_name"], line["kind"], line["callable_name"]) for line in now] == [
        ("old-one", "retired", None),
        ("other", "replacement", "model-one"),
    ]
    assert "approved_by" not in now[0]
    before = person.get("/api/portal/name-map/", {"version": 1}).json()["results"]
    assert [(line["old_name"], line["kind"]) for line in before] == [("old-one", "alias")]
    bad = {**body, "expected_version": 2, "changes": [{"old_name": "a", "kind": "alias", "callable_name": "nowhere"}]}
    refused = client.post("/api/portal/name-map/", bad, format="json")
    assert refused.json()["error"]["lines"] == [{"old_name": "a", "problem": "target_not_callable"}]
    assert newest_name_map_version() == 2
    assert client.get("/api/portal/name-map/csv/").content.decode().splitlines()[1].startswith("old-one,retired,")


def test_keys_are_narrowed_changed_and_ended(caller: Caller, world: World) -> None:
    build("two", world)
    ops = caller(Role.OPS)
    everything = ops.get("/api/portal/keys/", {"all": "true"}).json()["results"]
    assert [key["name"] for key in everything] == ["key two", "key one"]
    tail = everything[0]["secrets"][0]["tail"]
    assert [key["name"] for key in ops.get("/api/portal/keys/", {"all": "1", "tail": tail}).json()["results"]] == ["key two"]
    address = f"/api/portal/keys/{everything[0]['id']}/"
    body = {"networks": ["203.0.113.7"], "model_names": ["model-two"], "purpose": "script"}
    changed = ops.patch(address, body, format="json").json()
    assert (changed["networks"], changed["model_names"], changed["purpose"]) == (["203.0.113.7/32"], ["model-two"], "script")
    assert ops.post(address + "disable/", {"reason": "leak"}, format="json").json()["state"] == "disabled"
    assert ops.post(address + "enable/", {}, format="json").json()["state"] == "active"
    assert ops.post(address + "revoke/", {"reason": "leak"}, format="json").json()["state"] == "revoked"
    gone = ops.post(address + "rotate/", {}, format="json")
    assert (gone.status_code, gone.json()["error"]["code"]) == (409, "key_revoked")


def test_a_key_for_a_team_or_for_somebody_else(caller: Caller, world: World) -> None:
    team, customer = world.things["group"], world.things["customer"]
    owner = caller("customer")
    made = owner.post("/api/portal/keys/", {"name": "of the team", "team_id": team.pk, "limit": "2"}, format="json")
    assert (made.status_code, made.json()["team_id"], made.json()["owner_id"]) == (201, team.pk, None)
    assert owner.get(f"/api/portal/keys/{made.json()['id']}/limit/").json()["limit"] == "2.000000000"
    member = caller(Role.USER).post("/api/portal/keys/", {"name": "x", "team_id": team.pk}, format="json")
    assert (member.status_code, member.json()["error"]["code"]) == (403, "not_allowed")
    stranger = caller(Role.DEVELOPER).post("/api/portal/keys/", {"name": "x", "owner_id": customer.pk}, format="json")
    assert (stranger.status_code, stranger.json()["error"]["code"]) == (404, "not_found")
    ops = caller(Role.OPS).post("/api/portal/keys/", {"name": "x", "owner_id": customer.pk}, format="json")
    assert (ops.status_code, ops.json()["owner_id"]) == (201, customer.pk)


def test_calls_by_audience(caller: Caller, world: World) -> None:
    call = world.things["call"]
    address = f"/api/portal/calls/{call.pk}/"
    own = caller("customer").get(address).json()
    assert (own["id"], own["cost"], own["asked_model"]) == (str(call.pk), "0.002000000", "model-one")
    assert not {"attempts", "route", "username", "group_code"} & set(own)
    support = caller(Role.SUPPORT).get(address).json()
    assert support["username"] == "customer-one"
    assert not {"attempts", "route"} & set(support)
    assert caller(Role.OPS).get(address).json()["attempts"] == [{"upstream": 4711, "status": 200, "ms": 12}]
    found = caller(Role.SUPPORT).get("/api/portal/calls/", {"key_tail": call.key_tail, "outcome": "ok"}).json()["results"]
    assert [row["id"] for row in found] == [str(call.pk)]
    assert caller(Role.USER).get("/api/portal/calls/").json()["results"] == []
    wrong = caller(Role.SUPPORT).get("/api/portal/calls/", {"since": "yesterday"})
    assert (wrong.status_code, wrong.json()["error"]["code"]) == (422, "invalid_input")


@pytest.mark.parametrize("value", ["\x00", "x" * 500, "-1", "9" * 30, "%", "'", "[]"])
def test_no_query_breaks_a_list(caller: Caller, world: World, value: str) -> None:
    """Each list with every parameter of its schema set to something odd: refused or empty, never a failure."""
    client = caller(Role.ADMIN)
    paths = SchemaGenerator().get_schema(request=None, public=True)["paths"]
    tried = 0
    for path, methods in paths.items():
        if "get" not in methods or "{" in path or path.startswith("/dp/"):
            continue
        for parameter in methods["get"].get("parameters", []):
            answer = client.get(path, {parameter["name"]: value})
            assert answer.status_code in (200, 400, 404, 422), (path, parameter["name"], answer.status_code)
            tried += 1
    assert tried > 40


def test_imports_and_batches(caller: Caller, world: World) -> None:
    support, run, wave = caller(Role.SUPPORT), world.things["run"], world.things["wave"]
    assert support.get(f"/api/portal/imports/{run.pk}/").json()["report"] == {"product": "one_api"}
    assert "options" not in support.get(f"/api/portal/imports/{run.pk}/").json()
    assert "options" in caller(Role.OPS).get(f"/api/portal/imports/{run.pk}/").json()
    issues = support.get(f"/api/portal/imports/{run.pk}/issues/", {"kind": "left_out"}).json()["results"]
    assert [(issue["table"], issue["reason"]) for issue in issues] == [("users", "preset_grant")]
    shown = support.get(f"/api/portal/waves/{wave.pk}/").json()
    assert (shown["state"], shown["member_count"]) == ("draft", 1)
    members = support.get(f"/api/portal/waves/{wave.pk}/members/").json()["results"]
    assert [(member["username"], member["state"], member["opening"]) for member in members] == [
        ("customer-one", "waiting", None)
    ]
    red = caller(Role.OPS).post(f"/api/portal/waves/{wave.pk}/ready/", {}, format="json")
    assert (red.status_code, red.json()["error"]["code"]) == (409, "gates_red")
    assert red.json()["error"]["findings"]
    early = caller(Role.OPS).post(f"/api/portal/waves/{wave.pk}/switch/", {}, format="json")
    assert (early.status_code, early.json()["error"]["code"]) == (409, "wave_state")
    wave.refresh_from_db()
    assert wave.state == "draft"
