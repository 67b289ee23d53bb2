"""M12: the contract suite of errors: ten classes of failure, in each shape, through four SDKs, flipped and flipped back on
a running relay. What each SDK saw is status and code; how often it tried says whether it tries again."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import timedelta
from typing import Any

import anthropic
import httpx
import httpx2
import openai
import pytest
from django.test import Client
from django.urls import reverse

from config.foundation.clock import now
from gateway.contract import denials
from gateway.contract.error_shapes import error_value, retries, status_of
from gateway.contract.types import Denial
from gateway.services.profiles import set_error_profile
from keys.models import ApiKey
from models_catalog import services as catalog
from tests.gateway import toolbox
from tests.gateway.servers import Server, running, start_relay
from tests.gateway.world import World

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]

SHAPES = ("portal", "one_api", "new_api", "portal")
Calls = list[dict[str, Any]]


@pytest.fixture
def patient_world(transactional_db: None, upstream: Server) -> Iterator[World]:
    """A relay that never leaves a failing upstream alone: each class is to fail again and again."""
    upstream.reset()
    with running(start_relay(RELAY_BREAKER_FAILURES="1000")) as relay:
        yield World(upstream, relay).build()


def by_openai(calls: Calls) -> Calls:
    return [_asked(openai.OpenAI, httpx.Client, call) for call in calls]


def by_anthropic(calls: Calls) -> Calls:
    return [_asked(anthropic.Anthropic, httpx2.Client, call) for call in calls]


def _asked(sdk: Any, http: Any, call: dict[str, Any]) -> dict[str, Any]:
    statuses: list[int] = []

    def note(response: Any) -> None:
        statuses.append(response.status_code)
        # Whether it tries again is what is asked, not how long it waits before that.
        response.headers["retry-after-ms"] = "1"

    is_openai = sdk is openai.OpenAI
    base = call["base"] if is_openai else call["base"].removesuffix("/v1")
    client = sdk(api_key=call["key"], base_url=base, max_retries=1, http_client=http(event_hooks={"response": [note]}))
    say = client.chat.completions.create if is_openai else client.messages.create
    with pytest.raises((openai.APIStatusError, anthropic.APIStatusError)) as failed:
        say(model=call["model"], messages=[{"role": "user", "content": "hi"}], max_tokens=9)
    body = failed.value.response.json()
    return {"wire": failed.value.status_code, "code": body["error"].get("code"), "tries": len(statuses)}


def ten_classes(world: World) -> dict[str, tuple[str, str, Denial]]:
    """Class: (key, model, what the portal decides)."""
    for name in ("no-place", "no-price"):
        world.models[name] = catalog.create_model(actor_name="test", figures=catalog.ModelFigures(name=name))
        catalog.set_access(actor_name="test", model=world.models[name], group_codes=[world.group.code])
    for route in (world.route, world.messages_route):
        catalog.serve_model(actor_name="test", upstream=route, model=world.models["no-price"])
    unpriced = world.models.pop("no-price")
    world.publish({})
    world.models["no-price"] = unpriced
    _, key = world.key(world.person("5"))
    late, expired = world.key()
    ApiKey.objects.filter(pk=late.pk).update(expires_at=now() - timedelta(hours=1))
    _, elsewhere = world.key(networks=["203.0.113.0/24"])
    _, narrow = world.key(model_names=["demo-chat"])
    _, poor = world.key(world.person("0"))
    world.settle_in()
    return {
        "unknown key": ("sk-" + "Z" * 48, "demo-chat", denials.INVALID_KEY),
        "expired": (expired, "demo-chat", denials.KEY_EXPIRED),
        "network": (elsewhere, "demo-chat", denials.NETWORK_NOT_ALLOWED),
        "not in key": (narrow, "demo-slow", denials.model_not_in_key("demo-slow")),
        "unknown model": (key, "no-such-model", denials.model_not_found("no-such-model")),
        "unavailable": (key, "no-place", denials.model_unavailable("no-place")),
        "no price": (key, "no-price", denials.model_not_priced("no-price")),
        "balance": (poor, "demo-chat", denials.NO_BALANCE),
        "failed": (key, "demo-500", denials.UPSTREAM_ERROR),
        "busy": (key, "demo-429", denials.upstream_busy("demo-429")),
    }


def test_M12_ten_classes_in_each_shape_through_four_sdks_flipped_and_flipped_back(patient_world: World):
    world = patient_world
    classes = ten_classes(world)
    base = f"{world.relay.url}/v1"
    calls: Calls = [
        {"base": base, "key": key, "model": model, "kind": "chat", "text": "hi", "retries": 1}
        for key, model, _ in classes.values()
    ]
    seen, wanted = {}, {}
    with ExitStack() as stack:
        sdks: dict[str, Callable[[Calls], Calls]] = {
            "openai-python": by_openai,
            "anthropic-python": by_anthropic,
            "openai-npm": stack.enter_context(toolbox.openai_for_node()).make,
            "litellm": stack.enter_context(toolbox.litellm_library()).make,
        }
        for turn, shape in enumerate(SHAPES):
            set_error_profile(actor=None, profile=shape)
            world.settle_in()
            for sdk, make in sdks.items():
                dialect: Any = "anthropic" if sdk.startswith("anthropic") else "openai"
                for (name, (_, _, denial)), result in zip(classes.items(), make(calls), strict=True):
                    cell = (turn, shape, sdk, name)
                    status = status_of(denial, shape)
                    code = error_value(denial, dialect=dialect, request_id="", profile=shape)["error"].get("code")
                    wanted[cell] = (status, code, 2 if retries(status) else 1)
                    seen[cell] = (result.get("wire"), result.get("code"), result.get("tries"))
    assert len(wanted) == 4 * 4 * 10
    wrong = {cell: (seen[cell], wanted[cell]) for cell in wanted if seen[cell] != wanted[cell]}
    assert wrong == {}
    # The shapes differ where it matters: what an old gateway's clients tried again they would no longer, and the reverse.
    again = {shape: {cell[3] for cell, found in wanted.items() if cell[1] == shape and found[2] == 2} for shape in SHAPES}
    assert again["one_api"] - again["portal"] == {"unknown model", "no price"}


def test_M12_the_page_says_which_sdks_change_what_they_try_again(world: World, client: Client):
    """M12: from each shape to each other one, the failures that are tried again in one of them only, for four SDKs."""
    person = world.person()
    client.force_login(person, backend="allauth.account.auth_backends.AuthenticationBackend")
    page = client.get(reverse("error_map"))
    assert set(page.context["sdks"]) == {"OpenAI SDK, Python", "OpenAI SDK, Node", "Anthropic SDK, Python", "LiteLLM, Python"}
    told = {str(shape): {str(one.word): one for one in changed} for shape, changed in page.context["changes"]}
    assert set(told) == {"One API", "New API"}
    unknown = told["One API"]["unknown model"]
    assert (unknown.before, unknown.after, unknown.begins) == (404, 503, True)
    assert (told["New API"]["request wrong"].before, told["New API"]["request wrong"].after) == (400, 500)
    set_error_profile(actor=None, profile="one_api")
    page = client.get(reverse("error_map"))
    back = {str(one.word): one for shape, changed in page.context["changes"] if "portal" in str(shape) for one in changed}
    assert (back["unknown model"].begins, back["unknown model"].after) == (False, 404)
    assert "stops trying again" in page.content.decode()
