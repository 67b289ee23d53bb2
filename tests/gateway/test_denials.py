"""Every refusal: its status, its code, what it does not tell, and that no upstream was called."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import httpx
import pytest
from django.utils import timezone

from accounts.models import Group, User
from billing.models import RequestLog
from billing.services import ledger
from billing.services.budgets import set_key_limit
from keys.models import ApiKey, KeySecret
from keys.services import disable_key, enable_key, pause_key, revoke_key
from models_catalog import services as catalog
from tests.gateway.servers import until
from tests.gateway.world import World, balance, hold_of, log_of

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]

Prepare = Callable[[World], tuple[str, dict[str, Any]]]


def _with_key(**changes: Any) -> Prepare:
    def prepare(world: World) -> tuple[str, dict[str, Any]]:
        key, clear = world.key()
        ApiKey.objects.filter(pk=key.pk).update(**changes)
        return clear, {}

    return prepare


def _revoked(world: World) -> tuple[str, dict[str, Any]]:
    key, clear = world.key()
    revoke_key(actor=None, key=key)
    return clear, {}


def _disabled(world: World) -> tuple[str, dict[str, Any]]:
    key, clear = world.key()
    disable_key(actor=None, key=key)
    return clear, {}


def _secret_over(world: World) -> tuple[str, dict[str, Any]]:
    key, clear = world.key()
    KeySecret.objects.filter(key=key).update(valid_until=timezone.now() - timedelta(seconds=1))
    return clear, {}


def _owner_off(world: World) -> tuple[str, dict[str, Any]]:
    person = world.person()
    _, clear = world.key(person)
    User.objects.filter(pk=person.pk).update(is_active=False, state="deleted")
    return clear, {}


def _no_owner(world: World) -> tuple[str, dict[str, Any]]:
    key, clear = world.key()
    ApiKey.objects.filter(pk=key.pk).update(owner=None)
    return clear, {}


def _model_elsewhere(world: World) -> tuple[str, dict[str, Any]]:
    hidden = catalog.create_model(actor_name="test", figures=catalog.ModelFigures(name="others-only"))
    catalog.set_access(actor_name="test", model=hidden, group_codes=["a-secret-group"])
    return world.key()[1], {"model": "others-only"}


def _inactive_model(world: World) -> tuple[str, dict[str, Any]]:
    catalog.update_model(actor_name="test", model=world.models["demo-chat"], is_active=False)
    return world.key()[1], {}


def _retired(world: World) -> tuple[str, dict[str, Any]]:
    catalog.publish_name_map(actor_name="test", changes=[catalog.NameChange("gone-model", "retired")])
    return world.key()[1], {"model": "gone-model"}


def _unpriced(world: World) -> tuple[str, dict[str, Any]]:
    model = catalog.create_model(actor_name="test", figures=catalog.ModelFigures(name="no-price"))
    catalog.set_access(actor_name="test", model=model, group_codes=["*"])
    catalog.serve_model(actor_name="test", upstream=world.route, model=model)
    return world.key()[1], {"model": "no-price"}


def _unserved(world: World) -> tuple[str, dict[str, Any]]:
    for upstream in (world.route, world.messages_route):
        catalog.set_upstream_state(actor_name="test", upstream=upstream, state="disabled")
    return world.key()[1], {}


def _foreign_group(world: World) -> tuple[str, dict[str, Any]]:
    other = Group.objects.create(code="vip-hidden", name="VIP")
    return world.key(group=other)[1], {}


def _inactive_group(world: World) -> tuple[str, dict[str, Any]]:
    other = Group.objects.create(code="asleep", name="Asleep", is_active=False)
    Group.objects.filter(pk=world.group.pk).update(usable_codes=["asleep"])
    return world.key(group=other)[1], {}


def _poor(world: World) -> tuple[str, dict[str, Any]]:
    person = world.person("0")
    world.top_up(person, 100)
    return world.key(person)[1], {}


def _not_spendable(world: World) -> tuple[str, dict[str, Any]]:
    person = world.person("5")
    ledger.set_spendable(actor=None, user_ids=[person.pk], origin=None, is_spendable=False)
    return world.key(person)[1], {}


def _allowance(world: World) -> tuple[str, dict[str, Any]]:
    key, clear = world.key()
    set_key_limit(actor=None, key=key, limit_nano=100)
    return clear, {}


def _past() -> Any:
    return timezone.now() - timedelta(minutes=1)


# One world for all of them, so the order matters only at the end.
DENIALS: list[tuple[str, Prepare, int, str, str]] = [
    ("revoked", _revoked, 401, "invalid_api_key", "bad_key"),
    ("disabled", _disabled, 401, "api_key_disabled", "bad_key"),
    ("expired", lambda world: _with_key(expires_at=_past())(world), 401, "api_key_expired", "bad_key"),
    ("secret is over", _secret_over, 401, "api_key_expired", "bad_key"),
    ("owner deleted", _owner_off, 403, "account_disabled", "no_rights"),
    ("no owner", _no_owner, 403, "account_disabled", "no_rights"),
    ("network", _with_key(networks=["203.0.113.0/24"]), 403, "network_not_allowed", "no_rights"),
    ("closed", _with_key(route="closed"), 403, "key_closed", "no_rights"),
    ("old route without an old entry", _with_key(route="old"), 503, "old_entry_unavailable", "model_unavailable"),
    ("not in the key's list", _with_key(model_names=["demo-slow"]), 403, "model_not_allowed_for_key", "no_rights"),
    ("empty list", _with_key(model_names=[]), 403, "model_not_allowed_for_key", "no_rights"),
    ("unknown model", lambda world: (world.key()[1], {"model": "nobody-has-it"}), 404, "model_not_found", "unknown_model"),
    ("balance short", _poor, 402, "insufficient_quota", "no_balance"),
    ("balance not open here", _not_spendable, 402, "insufficient_quota", "no_balance"),
    ("allowance", _allowance, 403, "key_limit_reached", "no_balance"),
    ("no model", lambda world: (world.key()[1], {"model": ""}), 400, "model_required", "client_error"),
    ("model of another group", _model_elsewhere, 403, "model_not_available_for_group", "no_rights"),
    ("retired name", _retired, 404, "model_not_found", "unknown_model"),
    ("no price", _unpriced, 403, "model_not_priced", "model_unavailable"),
    ("group of others", _foreign_group, 403, "group_not_allowed", "no_rights"),
    ("inactive group", _inactive_group, 403, "group_not_allowed", "no_rights"),
    # The last two take the model away from everybody.
    ("no upstream", _unserved, 503, "model_unavailable", "model_unavailable"),
    ("inactive model", _inactive_model, 404, "model_not_found", "unknown_model"),
]


def test_a_refused_call_says_why_costs_nothing_and_reaches_no_upstream(world: World, subtests: pytest.Subtests):
    for name, prepare, status, code, outcome in DENIALS:
        with subtests.test(name):
            _refused(world, prepare, status, code, outcome)
    assert world.upstream.calls()["total"] == 0
    assert RequestLog.objects.exclude(error_code="").count() == len(DENIALS)


def _refused(world: World, prepare: Prepare, status: int, code: str, outcome: str) -> None:
    clear, fields = prepare(world)
    world.settle_in()
    answer = world.ask(clear, "a prompt", **fields)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (status, code)
    assert set(error) == {"message", "type", "param", "code"}
    for hidden in ("203.0.113", "a-secret-group", "vip-hidden", "asleep", world.group.code, world.upstream.url, clear):
        assert hidden not in answer.text
    row = log_of(answer.headers["x-request-id"])
    assert (row.outcome, row.http_status, row.error_code, row.cost_nano) == (outcome, status, code, 0)
    assert row.key_tail == clear[-4:]
    assert row.attempts == []
    assert hold_of(answer.headers["x-request-id"]) is None


def test_no_key_and_unknown_keys_are_refused_and_nothing_of_them_is_kept(world: World):
    body = {"model": "demo-chat", "messages": []}
    missing = httpx.post(f"{world.relay.url}/v1/chat/completions", json=body)
    assert (missing.status_code, missing.json()["error"]["code"]) == (401, "missing_api_key")
    empty = httpx.post(f"{world.relay.url}/v1/chat/completions", json=body, headers={"Authorization": "Bearer"})
    assert empty.json()["error"]["code"] == "missing_api_key"
    unknown = world.ask("sk-UNKNOWNcanary0123456789abcdefghijABCDEFGHIJ0123456789")
    assert (unknown.status_code, unknown.json()["error"]["code"]) == (401, "invalid_api_key")
    assert "canary" not in unknown.text
    row = log_of(unknown.headers["x-request-id"])
    assert (row.user_id, row.key_id, row.key_tail, row.outcome) == (None, None, "", "bad_key")
    assert world.upstream.calls()["total"] == 0


def test_a_suffix_for_a_channel_is_refused_unless_the_key_ignores_it(world: World):
    _, plain = world.key()
    _, pinned = world.key(ignores_channel_pin=True)
    refused = world.ask(f"{plain}-12")
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "channel_pin_not_allowed")
    assert world.upstream.calls()["total"] == 0
    assert world.ask(f"{pinned}-12").status_code == 200


def test_bodies_that_are_no_request_are_refused(world: World):
    _, clear = world.key()
    headers = {"Authorization": f"Bearer {clear}"}
    url = f"{world.relay.url}/v1/chat/completions"
    for content in (b"", b"not json", b"[1]", b'{"model": 5}', b'{"model": "demo-chat"'):
        answer = httpx.post(url, content=content, headers=headers)
        assert answer.status_code == 400, content
        assert answer.json()["error"]["code"] in {"invalid_json", "model_required"}
    large = httpx.post(url, content=b" " * (65 * 1024 * 1024), headers=headers, timeout=30)
    assert (large.status_code, large.json()["error"]["code"]) == (413, "request_too_large")
    assert world.upstream.calls()["total"] == 0


def test_other_addresses_are_not_found_in_our_shape(world: World):
    _, clear = world.key()
    for method, path in (("POST", "/v1/images/nothing"), ("GET", "/v1/completions/nothing"), ("GET", "/api/v1/nothing")):
        answer = httpx.request(method, world.relay.url + path, headers={"Authorization": f"Bearer {clear}"})
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")
    assert httpx.get(f"{world.relay.url}/v1/unknown").status_code == 404


def test_a_pinned_group_gives_its_own_models_and_price(world: World):
    from decimal import Decimal

    fast = Group.objects.create(code="fast-lane", name="Fast")
    Group.objects.filter(pk=world.group.pk).update(usable_codes=["fast-lane"])
    catalog.set_access(actor_name="test", model=world.models["demo-slow"], group_codes=["fast-lane"])
    catalog.set_access(actor_name="test", model=world.models["demo-chat"], group_codes=[world.group.code, "fast-lane"])
    world.publish({}, {("fast-lane", ""): Decimal("2"), ("fast-lane", "somebody"): Decimal("9")})
    _, pinned = world.key(group=fast)
    _, automatic = world.key(auto_group_codes=["not-there", world.group.code, "fast-lane"])
    world.settle_in()
    row = log_of(world.ask(pinned, "[[usage 100 10]]").headers["x-request-id"])
    assert (row.group_code, row.cost_nano) == ("fast-lane", 260)
    first = log_of(world.ask(automatic, "[[usage 100 10]]").headers["x-request-id"])
    assert (first.group_code, first.cost_nano) == (world.group.code, 130)
    second = log_of(world.ask(automatic, "[[usage 100 1]] [[delay 0]]", "demo-slow").headers["x-request-id"])
    assert (second.group_code, second.cost_nano) == ("fast-lane", 206)


def test_an_inactive_group_still_pays(world: World):
    Group.objects.filter(pk=world.group.pk).update(is_active=False)
    _, clear = world.key()
    world.settle_in()
    assert world.ask(clear).status_code == 200


def test_a_call_after_a_settled_one_may_use_the_last_money(world: World):
    """What the call before held and did not use is free again before the next one is refused."""
    person = world.person("0")
    world.top_up(person, 5_000)
    _, clear = world.key(person)
    statuses = [world.ask(clear, "[[usage 10 1]]", max_tokens=1500).status_code for _ in range(6)]
    assert statuses == [200] * 6
    until(lambda: balance(person) == 5_000 - 6 * 13)
    assert RequestLog.objects.filter(user_id=person.pk, outcome="ok").count() == 6


def test_R030_a_paused_key_is_refused_with_403_and_the_reason_until_it_is_resumed(world: World) -> None:
    key, clear = world.key()
    assert world.ask(clear).status_code == 200
    pause_key(actor=None, key=key, reason="odd_spend")
    answer = until(lambda: refused if (refused := world.ask(clear)).status_code != 200 else None)
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "key_paused")
    assert "spend rose far above its own usual" in answer.json()["error"]["message"]
    enable_key(actor=key.owner, key=key)
    assert until(lambda: world.ask(clear).status_code == 200)
