"""What clients' tools ask of other gateways, asked of ours through the real relay: every figure is the ledger's."""

import time
from typing import Any

import httpx
import pytest
from django.urls import Resolver404, resolve

from billing.services.budgets import set_key_limit
from config.foundation.ids import uuid7
from gateway.services import remember_old_entry, set_routes
from tests.gateway.servers import Server, until
from tests.gateway.world import USD, World, log_of

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]

ADDRESSES = (
    "/dashboard/billing/subscription",
    "/v1/dashboard/billing/subscription",
    "/dashboard/billing/usage",
    "/v1/dashboard/billing/usage",
    "/api/v1/key",
    "/api/v1/auth/key",
    "/api/v1/credits",
    "/api/v1/generation",
    "/v1/organization/costs",
    "/v1/organization/usage/completions",
    "/api/pricing",
    "/api/user/self",
    "/api/user/models",
    "/api/token/",
    "/api/usage/token/",
    "/api/log/token",
    "/api/log/self",
    "/api/log/self/stat",
)
# Answered by Django alone: a relay that runs by itself does not have them.
PORTAL_ONLY = ("/api/pricing", "/api/user/", "/api/token/", "/api/log/self", "/api/status")


def ask(world: World, path: str, clear: str, client: Any, **parameters: Any) -> Any:
    """Through the relay where the address is under the entry, else of the portal."""
    headers = {"Authorization": f"Bearer {clear}"} if clear else {}
    if path.startswith(PORTAL_ONLY):
        return client.get(path, parameters, headers=headers)
    return httpx.get(world.relay.url + path, params=parameters, headers=headers, timeout=20)


def spend(world: World, clear: str, times: int = 1) -> list[str]:
    """Calls of 2,500 nano-dollars each; their ids, once they are in the request log."""
    ids = [world.ask(clear, "hi [[usage 1000 500]]").headers["x-request-id"] for _ in range(times)]
    for request_id in ids:
        log_of(request_id)
    return ids


def test_what_is_left_on_a_key_with_and_without_a_limit(world: World, client: Any):
    person = world.person("1")
    key, clear = world.key(person)
    spend(world, clear, 2)
    for start in ("", "/v1"):
        whole = ask(world, f"{start}/dashboard/billing/subscription", clear, client).json()
        used = ask(world, f"{start}/dashboard/billing/usage", clear, client, start_date="2026-01-01").json()
        assert whole["object"] == "billing_subscription"
        assert whole["hard_limit_usd"] == whole["soft_limit_usd"] == 1.0
        assert used == {"object": "list", "total_usage": 0.0005}
        assert round(whole["hard_limit_usd"] - used["total_usage"] / 100, 9) == round(1 - 0.000005, 9)
    set_key_limit(actor=None, key=key, limit_nano=USD // 2)
    limited = ask(world, "/v1/dashboard/billing/subscription", clear, client).json()
    assert limited["hard_limit_usd"] == 0.5
    token = ask(world, "/api/usage/token/", clear, client).json()
    assert token["code"] is True
    assert token["data"]["total_granted"] == 250_000
    assert (token["data"]["total_used"], token["data"]["total_available"]) == (2, 249_997)
    assert token["data"]["unlimited_quota"] is False
    router = ask(world, "/api/v1/key", clear, client).json()["data"]
    assert (router["limit"], router["limit_remaining"]) == (0.5, 0.499995)
    assert router["usage"] == router["usage_daily"] == router["usage_monthly"] == router["usage_weekly"] == 0.000005
    assert router["label"] == f"sk-...{clear[-4:]}"


def test_credits_and_one_call_as_openrouter_tells_them(world: World, client: Any):
    person = world.person("2")
    _, clear = world.key(person)
    (request_id,) = spend(world, clear)
    credit = ask(world, "/api/v1/credits", clear, client).json()["data"]
    assert credit == {"total_credits": 2.0, "total_usage": 0.0000025}
    call = ask(world, "/api/v1/generation", clear, client, id=request_id).json()["data"]
    assert (call["total_cost"], call["tokens_prompt"], call["tokens_completion"]) == (0.0000025, 1000, 500)
    assert (call["model"], call["provider_name"]) == ("demo-chat", None)
    _, strange = world.key()
    refused = ask(world, "/api/v1/generation", strange, client, id=request_id)
    assert (refused.status_code, refused.json()["error"]["code"]) == (404, "not_found")
    assert ask(world, "/api/v1/generation", clear, client, id="nonsense").status_code == 404


def test_usage_and_costs_as_openai_tells_them(world: World, client: Any):
    person = world.person("1")
    key, clear = world.key(person)
    other, second = world.key(person)
    spend(world, clear, 2)
    spend(world, second)
    start = int(time.time()) // 86_400 * 86_400
    page = ask(world, "/v1/organization/usage/completions", clear, client, start_time=start - 86_400).json()
    assert page["object"] == "page"
    assert page["data"][0]["results"] == []
    (today,) = page["data"][-1]["results"]
    assert (today["input_tokens"], today["output_tokens"], today["num_model_requests"]) == (3000, 1500, 3)
    assert today["object"] == "organization.usage.completions.result"
    assert today["api_key_id"] is None
    grouped = ask(
        world, "/v1/organization/usage/completions", clear, client, start_time=start, group_by=["api_key_id", "model"]
    ).json()
    found = {row["api_key_id"]: (row["num_model_requests"], row["model"]) for row in grouped["data"][-1]["results"]}
    assert found == {str(key.pk): (2, "demo-chat"), str(other.pk): (1, "demo-chat")}
    cost = ask(world, "/v1/organization/costs", clear, client, start_time=start).json()
    assert [row["amount"] for row in cost["data"][-1]["results"]] == [{"value": 0.0000075, "currency": "usd"}]
    embeddings = ask(world, "/v1/organization/usage/embeddings", clear, client, start_time=start).json()
    assert embeddings["data"][-1]["results"] == []
    _, strange = world.key()
    assert ask(world, "/v1/organization/costs", strange, client, start_time=start).json()["data"][-1]["results"] == []


def test_pages_of_buckets_follow_each_other_without_a_gap(world: World, client: Any):
    _, clear = world.key()
    end = int(time.time()) // 3600 * 3600
    start = end - 5 * 3600
    seen: list[int] = []
    page = ""
    while True:
        more = {"page": page} if page else {}
        answer = ask(
            world, "/v1/organization/usage/completions", clear, client,
            start_time=start, end_time=end, bucket_width="1h", limit=2, **more,
        ).json()  # fmt: skip
        seen += [bucket["start_time"] for bucket in answer["data"]]
        if not answer["has_more"]:
            break
        page = answer["next_page"]
    assert seen == [start + n * 3600 for n in range(5)]


@pytest.mark.parametrize(
    ("path", "parameters"),
    [
        ("/v1/organization/usage/completions", {}),
        ("/v1/organization/usage/completions", {"start_time": "yesterday"}),
        ("/v1/organization/usage/completions", {"start_time": 1, "bucket_width": "2d"}),
        ("/v1/organization/usage/completions", {"start_time": 1, "limit": 32}),
        ("/v1/organization/usage/completions", {"start_time": 1, "group_by": "password"}),
        ("/v1/organization/costs", {"start_time": 1, "bucket_width": "1h"}),
        ("/v1/organization/costs", {"start_time": "9" * 30}),
        ("/api/log/self", {"p": "x"}),
        ("/api/token/", {"page_size": "0"}),
        ("/api/log/self", {"start_timestamp": "-1"}),
    ],
)
def test_a_parameter_that_cannot_be_read_is_named(world: World, client: Any, path: str, parameters: dict[str, Any]):
    _, clear = world.key()
    answer = ask(world, path, clear, client, **parameters)
    assert answer.status_code == 400
    assert "must be" in str(answer.json())


def test_the_users_side_of_new_api(world: World, client: Any):
    person = world.person("1")
    key, clear = world.key(person, networks=["127.0.0.0/8", "::1/128"], model_names=["demo-chat"])
    _, second = world.key(person)
    ids = spend(world, clear, 3)
    failed = world.ask(clear, model="demo-500").headers["x-request-id"]
    log_of(failed)
    me = ask(world, "/api/user/self", clear, client).json()
    assert me["success"] is True
    assert (me["data"]["username"], me["data"]["group"]) == (person.username, world.group.code)
    assert (me["data"]["quota"], me["data"]["used_quota"]) == ((USD - 7_500) // 2_000, 3)
    tokens = ask(world, "/api/token/", clear, client, p=1, page_size=1).json()["data"]
    assert (tokens["total"], len(tokens["items"])) == (2, 1)
    mine = next(row for row in ask(world, "/api/token/", second, client).json()["data"]["items"] if row["id"] == key.pk)
    assert (mine["key"], mine["status"], mine["used_quota"]) == (f"****{clear[-4:]}", 1, 3)
    assert (mine["model_limits"], mine["allow_ips"]) == ("demo-chat", "127.0.0.0/8\n::1/128")
    logs = ask(world, "/api/log/self", clear, client, type=2).json()["data"]
    assert {row["request_id"] for row in logs["items"]} == set(ids)
    assert {row["quota"] for row in logs["items"]} == {1}
    assert [row["request_id"] for row in ask(world, "/api/log/self", clear, client, type=5).json()["data"]["items"]] == [failed]
    stat = ask(world, "/api/log/self/stat", clear, client).json()["data"]
    assert (stat["quota"], stat["rpm"]) == (3, 4)
    assert ask(world, "/api/user/models", clear, client).json()["data"] == ["demo-chat"]
    assert len(ask(world, "/api/log/token", second, client).json()["data"]) == 0
    price = next(row for row in ask(world, "/api/pricing", clear, client).json()["data"] if row["model_name"] == "demo-chat")
    assert (price["quota_type"], price["model_ratio"], price["completion_ratio"]) == (0, 0.0005, 3.0)
    assert client.get("/api/status").json()["data"]["quota_per_unit"] == 500_000


@pytest.mark.parametrize("path", ADDRESSES)
def test_nobody_is_told_anything_without_a_key_that_is_accepted(world: World, client: Any, path: str):
    key, clear = world.key()
    assert ask(world, path, "", client).status_code == 401
    assert ask(world, path, "sk-" + "a" * 48, client).status_code == 401
    type(key).objects.filter(pk=key.pk).update(state="disabled")
    # The relay may know the key for a moment longer; Django decides by the row.
    answer = ask(world, path, clear, client)
    assert answer.status_code == 401
    assert clear not in answer.content.decode()
    assert "disabled" in answer.content.decode()


def test_nothing_can_be_changed_through_these_addresses(client: Any, world: World):
    _, clear = world.key()
    for path in ADDRESSES:
        answer = client.post(path, {}, headers={"Authorization": f"Bearer {clear}"})
        assert (answer.status_code, answer["Allow"]) == (405, "GET"), path


def test_a_team_key_tells_of_the_team_and_of_nobody_else(world: World, client: Any):
    from accounts.models import Group

    team = Group.objects.create(code=f"team-{uuid7().hex[-8:]}", name="A team", kind=Group.Kind.TEAM)
    from models_catalog import services as catalog

    catalog.set_access(actor_name="test", model=world.models["demo-chat"], group_codes=[world.group.code, team.code])
    world.settle_in()
    world.top_up(team, USD)
    _, clear = world.key(team=team)
    spend(world, clear)
    me = ask(world, "/api/user/self", clear, client).json()["data"]
    assert (me["username"], me["used_quota"], me["request_count"]) == (team.code, 1, 1)
    assert ask(world, "/api/v1/credits", clear, client).json()["data"] == {"total_credits": 1.0, "total_usage": 0.0000025}


def test_a_key_still_at_home_with_the_old_gateway_asks_there(world: World, old_gateway: Server):
    old = remember_old_entry(actor=None, name="old gateway", base_url=old_gateway.url + "/v1/")
    key, clear = world.key()
    set_routes(actor=None, key_ids=[key.pk], route="old", old_entry=old)
    world.settle_in()
    address = f"{world.relay.url}/v1/dashboard/billing/subscription"

    def told() -> float:
        return httpx.get(address, headers={"Authorization": f"Bearer {clear}"}).json()["hard_limit_usd"]

    assert until(lambda: told() == 3.5), "the old gateway's own figure, not ours"
    set_routes(actor=None, key_ids=[key.pk], route="new")
    assert until(lambda: told() == 1.0)


def test_every_address_of_the_table_is_served_by_the_portal():
    for path in ADDRESSES:
        try:
            resolve(path)
        except Resolver404:
            pytest.fail(f"nothing answers at {path}")
