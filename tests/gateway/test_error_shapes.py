"""Errors in the shape a consumer reads: the contract table, the real SDKs, the flip without a restart, two languages."""

from typing import Any

import anthropic
import httpx
import httpx2
import openai
import orjson
import pytest

from accounts.models import Role
from accounts.services.people import create_person
from billing.models import RequestLog
from config.foundation.outcomes import Outcome
from gateway.contract import denials
from gateway.contract.error_shapes import error_value, retries, status_of
from gateway.contract.failure_text import failure_text, language_of
from gateway.contract.types import Denial
from gateway.errors import ProfileRefused
from gateway.models import ErrorProfile
from gateway.services.profiles import set_error_profile
from models_catalog import services as catalog
from models_catalog.services import NameChange, publish_name_map
from tests.gateway.servers import until
from tests.gateway.world import World, log_of

slow = [pytest.mark.django_db(transaction=True), pytest.mark.slow]
REQUEST_ID = "0" * 32
NAME = "a-model-with-a-name-that-is-much-longer-than-any-sentence-should-have-to-hold" * 3
# class: (ours), (One API's), (New API's) as (status, code); None: the body has no code.
CONTRACT: dict[str, tuple[Denial, tuple[int, str], tuple[int, str | None], tuple[int, str | None]]] = {
    "no key": (denials.MISSING_KEY, (401, "missing_api_key"), (401, None), (401, "")),
    "unknown key": (denials.INVALID_KEY, (401, "invalid_api_key"), (401, None), (401, "")),
    "expired": (denials.KEY_EXPIRED, (401, "api_key_expired"), (401, None), (401, "")),
    "network": (denials.NETWORK_NOT_ALLOWED, (403, "network_not_allowed"), (403, None), (403, "access_denied")),
    "account": (denials.ACCOUNT_DISABLED, (403, "account_disabled"), (403, None), (403, "")),
    "not in key": (denials.model_not_in_key("m"), (403, "model_not_allowed_for_key"), (403, None), (403, "")),
    "unknown model": (denials.model_not_found("m"), (404, "model_not_found"), (503, None), (503, "model_not_found")),
    "unavailable": (denials.model_unavailable("m"), (503, "model_unavailable"), (503, None), (503, "model_not_found")),
    "no price": (denials.model_not_priced("m"), (403, "model_not_priced"), (503, None), (400, "model_price_error")),
    "balance": (
        denials.NO_BALANCE, (402, "insufficient_quota"), (403, "insufficient_user_quota"), (403, "insufficient_user_quota"),
    ),
    "allowance": (
        denials.KEY_LIMIT, (403, "key_limit_reached"),
        (403, "pre_consume_token_quota_failed"), (403, "pre_consume_token_quota_failed"),
    ),
    "provider failed": (
        denials.UPSTREAM_ERROR, (502, "upstream_error"), (500, "do_request_failed"), (500, "do_request_failed"),
    ),
    "provider late": (
        denials.UPSTREAM_TIMEOUT, (504, "upstream_timeout"), (500, "do_request_failed"), (500, "do_request_failed"),
    ),
    "bad request": (denials.NOT_JSON, (400, "invalid_json"), (400, "invalid_text_request"), (500, "invalid_request")),
}  # fmt: skip


@pytest.mark.parametrize("case", CONTRACT)
def test_R007_the_contract_table_of_three_shapes(case: str):
    """R007: each class of failure has its documented status and code in each shape."""
    denial, *wanted = CONTRACT[case]
    for profile, (status, code) in zip(("portal", "one_api", "new_api"), wanted, strict=True):
        assert status_of(denial, profile) == status
        error = error_value(denial, dialect="openai", request_id=REQUEST_ID, profile=profile)["error"]
        assert error.get("code") == code
        assert ("code" in error) is (code is not None)
        if profile != "portal":
            assert error["type"] == f"{profile}_error"
            assert error["message"].endswith(f"(request id: {REQUEST_ID})")


EVERY = [
    *(value for value in vars(denials).values() if isinstance(value, Denial)),
    *(make(NAME) for make in (
        denials.model_not_in_key, denials.model_not_in_group, denials.model_not_found, denials.model_not_priced,
        denials.endpoint_not_supported, denials.model_unavailable, denials.upstream_busy,
    )),
    denials.model_not_found(NAME, NAME),
    denials.tier_not_allowed(NAME, 4, 2),
    denials.calls_per_minute("member", 1_000_000, 59),
    denials.tokens_per_minute("member", 1_000_000, 2_000_000, 59),
    denials.tokens_per_minute("member", 2_000_000, 1_000_000, 59),
    denials.parallel_calls("member", 1_000),
    denials.limit_reached("member", "total", "$1,000.123456", None, "UTC"),
    denials.refused_by_provider(Outcome.CLIENT_ERROR, 400, "x", "messages[3].content is wrong " * 20),
]  # fmt: skip


@pytest.mark.parametrize("language", ["en", "zh-hans"])
def test_R038_every_failure_text_has_its_five_elements_in_240_characters(language: str):
    """R038: what happened, whose side, charged or not, what to do, request id; in two languages, without a host."""
    sides = {"en": "Cause: ", "zh-hans": "原因："}
    money = {"en": ("Not charged.", "What came was charged."), "zh-hans": ("未扣费。", "已送达的部分已扣费。")}
    assert len({denial.code for denial in EVERY}) >= 25
    for denial in EVERY:
        text = failure_text(denial, language, REQUEST_ID)
        assert len(text) <= 240, text
        assert sides[language] in text
        assert any(word in text for word in money[language]), text
        assert text.rstrip("。.").endswith(REQUEST_ID)
        said = text.partition(sides[language])[0].strip()
        # What happened and what to do are two sentences, or one with a colon before the provider's words.
        assert said.count("。" if language != "en" else ".") + said.count(":") + said.count("：") + said.count("；") >= 1, said
        assert "http" not in text
        if language == "zh-hans":
            assert any("\u4e00" <= letter <= "\u9fff" for letter in said), said


def test_the_language_is_the_first_of_ours_that_the_client_accepts():
    for accepted, wanted in ((b"", "en"), (b"zh-CN,zh;q=0.9", "zh-hans"), (b"en-US,zh;q=0.5", "en"), (b"de, zh", "zh-hans")):
        assert language_of(accepted) == wanted


class Impatient(openai.OpenAI):
    """The real SDK, only without its pauses between tries."""

    def _calculate_retry_timeout(self, *_: Any, **__: Any) -> float:
        return 0.0


class ImpatientAnthropic(anthropic.Anthropic):
    def _calculate_retry_timeout(self, *_: Any, **__: Any) -> float:
        return 0.0


class TestServed:
    pytestmark = slow

    def test_M12_the_shape_flips_without_a_restart_and_the_sdks_try_again_as_the_page_says(self, world: World):
        """M12, R007: the same failures in three shapes through two SDKs: status, code, retried or not; and back again."""
        poor = world.person("0")
        _, poor_key = world.key(poor)
        _, key = world.key()
        cases = {
            "balance": (poor_key, "demo-chat", denials.NO_BALANCE),
            "unknown model": (key, "no-such-model", denials.model_not_found("no-such-model")),
            "failed": (key, "", denials.UPSTREAM_ERROR),
            "busy": (key, "demo-429", denials.upstream_busy("demo-429")),
        }

        def seen(make: Any, clear: str, model: str) -> tuple[int, Any, int]:
            tries: list[int] = []
            hooks = {"response": [lambda response: tries.append(response.status_code)]}
            http = httpx.Client(event_hooks=hooks) if make is Impatient else httpx2.Client(event_hooks=hooks)
            base = world.relay.url + ("/v1" if make is Impatient else "")
            client = make(api_key=clear, base_url=base, max_retries=1, http_client=http)
            say = client.chat.completions.create if make is Impatient else client.messages.create
            with pytest.raises((openai.APIStatusError, anthropic.APIStatusError)) as failed:
                say(model=model, messages=[{"role": "user", "content": "hi"}], max_tokens=9)
            body = failed.value.response.json()
            return failed.value.status_code, body["error"].get("code"), len(tries)

        for profile in ("portal", "one_api", "new_api", "portal"):
            set_error_profile(actor=None, profile=profile, group=world.group)
            world.settle_in()
            for name, (clear, named, denial) in cases.items():
                # A model that fails too often would be left alone: another one for each shape.
                model = named or {"one_api": "demo-garbage", "new_api": "demo-cut-before-output"}.get(profile, "demo-500")
                status = status_of(denial, profile)
                code = error_value(denial, dialect="openai", request_id="", profile=profile)["error"].get("code")
                wanted = (status, code, 2 if retries(status) else 1)
                assert seen(Impatient, clear, model) == wanted, (profile, name)
                told = seen(ImpatientAnthropic, clear, model)
                assert (told[0], told[2]) == (wanted[0], wanted[2]), (profile, name)
        rows = RequestLog.objects.filter(user_id=poor.pk)
        until(lambda: rows.count() == 8)
        # The log keeps our stable code, whatever the client was told, and the status it got.
        assert {(row.error_code, row.http_status) for row in rows} == {("insufficient_quota", 402), ("insufficient_quota", 403)}

    def test_a_key_s_shape_wins_over_its_group_s_and_that_over_everybody_s(self, world: World):
        key, clear = world.key(world.person("0"))
        set_error_profile(actor=None, profile="new_api")
        world.settle_in()
        assert world.ask(clear).json()["error"]["type"] == "new_api_error"
        set_error_profile(actor=None, profile="portal", group=world.group)
        world.settle_in()
        assert world.ask(clear).json()["error"]["code"] == "insufficient_quota"
        set_error_profile(actor=None, profile="one_api", key=key)
        world.settle_in()
        answer = world.ask(clear)
        assert answer.json()["error"]["type"] == "one_api_error"
        assert answer.headers["x-oneapi-request-id"] == answer.headers["x-request-id"]
        set_error_profile(actor=None, profile="", key=key)
        world.settle_in()
        assert world.ask(clear).json()["error"]["code"] == "insufficient_quota"
        with pytest.raises(ProfileRefused):
            set_error_profile(actor=None, profile="theirs")
        assert ErrorProfile.objects.count() == 2

    def test_R038_the_text_comes_in_the_client_s_language_and_names_no_host(self, world: World):
        """R038: through the wire, with the call's own request id."""
        _, clear = world.key()
        body = {"model": "demo-500", "messages": []}
        for language, word in (("zh-CN", "原因："), ("fr", "Cause: ")):
            headers = {"Authorization": f"Bearer {clear}", "Accept-Language": language}
            answer = httpx.post(f"{world.relay.url}/v1/chat/completions", json=body, headers=headers)
            text = answer.json()["error"]["message"]
            assert word in text
            assert answer.headers["x-request-id"] in text
            assert world.upstream.url not in answer.text

    def test_a_retired_name_answers_with_its_successor(self, world: World):
        _, clear = world.key()
        publish_name_map(actor_name="test", changes=[NameChange("old-name", "alias", "demo-chat")])
        publish_name_map(actor_name="test", changes=[NameChange("old-name", "retired")])
        world.settle_in()
        answer = world.ask(clear, model="old-name")
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "model_not_found")
        assert "successor is 'demo-chat'" in answer.json()["error"]["message"]
        other = world.ask(clear, model="Demo-Chat")
        assert (other.status_code, other.json()["error"]["code"]) == (404, "model_not_found")
        message = other.json()["error"]["message"]
        assert "'Demo-Chat' is not known here. Use 'demo-chat'" in message
        assert "no longer" not in message
        chinese = httpx.post(f"{world.relay.url}/v1/chat/completions", json={"model": "Demo-Chat"},
                             headers={"Authorization": f"Bearer {clear}", "Accept-Language": "zh-CN"})  # fmt: skip
        assert "请使用“demo-chat”" in chinese.json()["error"]["message"]
        # A name of the map is one too, a retired one is none.
        publish_name_map(actor_name="test", changes=[NameChange("our-chat", "alias", "demo-chat")])
        world.settle_in()
        assert "Use 'our-chat'" in world.ask(clear, model="OUR-chat").json()["error"]["message"]
        assert "Use '" not in world.ask(clear, model="OLD-name").json()["error"]["message"]
        catalog.set_access(actor_name="test", model=world.models["demo-chat"], group_codes=["another"])
        world.settle_in()
        assert "demo-chat" not in world.ask(clear, model="old-name").text
        assert "'demo-chat'" not in world.ask(clear, model="Demo-Chat").text

    def test_R050_a_model_that_is_taken_down_is_a_state_of_its_own(self, world: World):
        """R050: the page says so, the counter of the model rises by n, the one of refused keys by nothing."""
        from gateway.selectors_routes import model_states, refused_key_count

        person = world.person("1")
        _, clear = world.key(person)
        ops = create_person(actor=None, username="opsy", role=Role.OPS)

        def state() -> Any:
            return next(one for one in model_states(person) if one.model.name == "demo-chat")

        assert (state().state, state().unavailable_count) == ("available", 0)
        httpx.post(f"{world.upstream.url}/__down", content=orjson.dumps({"model": "demo-chat", "status": 503}))
        for _ in range(7):
            answer = world.ask(clear)
            assert (answer.status_code, answer.json()["error"]["code"]) == (503, "model_unavailable")
            assert int(answer.headers["retry-after"]) > 0
            log_of(answer.headers["x-request-id"])
        until(lambda: state().state != "available", 20)
        # The other dialect's place is still there for the breaker, so the model is limited until that one fails as well.
        for _ in range(5):
            httpx.post(
                f"{world.relay.url}/v1/messages",
                json={"model": "demo-chat", "max_tokens": 5, "messages": [{"role": "user", "content": "hi"}]},
                headers={"x-api-key": clear},
            )
        until(lambda: state().state == "unavailable", 20)
        assert str(state().reason)
        until(lambda: state().unavailable_count == 12)
        assert refused_key_count(ops) == 0
        assert next(one for one in model_states(person) if one.model.name == "demo-500").state == "available"
