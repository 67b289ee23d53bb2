"""The real LiteLLM proxy as a data plane, called with the OpenAI SDK: admitted, served, charged; killed and started again."""

import concurrent.futures
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import openai
import pytest
from django.core.management import call_command

from accounts.models import AuditEvent, User
from billing.models import Hold, LedgerEntry, RequestLog
from billing.services import ledger
from config.foundation.clock import now
from gateway.models import DataPlaneInstance, PlaneEvent
from keys.services import disable_key
from models_catalog import services as catalog
from tests.gateway.litellm_server import installed, spool_folder, start_litellm, wait_for_models
from tests.gateway.planes import Company, Plane, company
from tests.gateway.servers import Server, running, start_relay, until
from tests.gateway.world import CREDENTIAL, balance, held, log_of

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]

# The key itself is no canary but must not be found either.
CANARY = "PROMPTcanary7f3a"


@dataclass
class Stage:
    """Portal, proxy and the people between them."""

    world: Company
    plane: Plane
    portal: Server
    spool: Path
    proxy: Server = None  # type: ignore[assignment]

    def start(self) -> None:
        ids = (self.world.route.pk, self.world.messages_route.pk)
        own = {f"PORTAL_SECRET_UPSTREAM_{number}": CREDENTIAL for number in ids}
        self.proxy = start_litellm(self.portal.url, self.plane.token, self.spool, **own)

    def sdk(self, clear: str) -> openai.OpenAI:
        return openai.OpenAI(api_key=clear, base_url=f"{self.proxy.url}/v1", max_retries=0, timeout=30)


@pytest.fixture
def stage(transactional_db: None, upstream: Server) -> Iterator[Stage]:
    installed()
    upstream.reset()
    world = company(upstream.url)
    # One channel for each model: which of two LiteLLM takes is chance, and one of them breaks where no usage is told.
    catalog.set_upstream_state(actor_name="test", upstream=world.messages_route, state="disabled")
    with running(start_relay(app="config.asgi:application", ready_path="/healthz")) as portal, spool_folder() as spool:
        stage = Stage(world, Plane.new(), portal, spool)
        stage.start()
        try:
            yield stage
        finally:
            # Neither has anything to say at its end: what the proxy did not report is on its disk.
            stage.proxy.kill()
            portal.kill()


def words(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": f"{CANARY} {text}"}]


def test_litellm_serves_over_the_contract_and_survives_kill_9(stage: Stage):
    """Item 4 of the contract: the proxy takes the relay's place, and what a kill leaves is given back."""
    person = stage.world.person("1")
    key, clear = stage.world.key(person)
    wait_for_models(stage.proxy, clear, "demo-chat")
    served_plain_and_streaming(stage, person, clear)
    refused_as_the_portal_refuses(stage, person, clear)
    ends_that_are_not_plain(stage, person, clear)
    a_disabled_key_is_refused_by_the_copy(stage, person)
    killed_and_started_again(stage, person, clear)
    nothing_secret_is_kept(stage, clear)
    assert RequestLog.objects.filter(user_id=person.pk, key_id=key.pk, outcome="ok").count() >= 3


def served_plain_and_streaming(stage: Stage, person: User, clear: str) -> None:
    sdk = stage.sdk(clear)
    names = {model.id for model in sdk.models.list()}
    assert names == set(stage.world.models)
    raw = sdk.chat.completions.with_raw_response.create(
        model="demo-chat",
        messages=words("[[usage 1000 200]]"),
        max_tokens=500,
        # Ids of a client mean nothing, wherever it puts them.
        extra_headers={"x-litellm-call-id": "client-chosen", "x-request-id": "client-chosen"},
        extra_body={"metadata": {"portal_request_id": "client-chosen"}},
    )
    assert raw.parse().usage.total_tokens == 1200
    row = log_of(raw.headers["x-request-id"])
    # 1 nano-dollar a token in, 3 out.
    assert (row.outcome, row.cost_nano, row.usage_source, row.is_stream) == ("ok", 1_600, "upstream", False)
    assert row.attempts[-1]["upstream"] in (stage.world.route.pk, stage.world.messages_route.pk)
    with sdk.chat.completions.with_streaming_response.create(
        model="demo-chat", messages=words("[[usage 1000 200]]"), max_tokens=500, stream=True
    ) as stream:
        request_id = stream.headers["x-request-id"]
        pieces = list(stream.parse())
    assert all(piece.usage is None for piece in pieces)
    assert "".join(piece.choices[0].delta.content or "" for piece in pieces if piece.choices)
    row = log_of(request_id)
    assert (row.outcome, row.cost_nano, row.usage_source, row.is_stream) == ("ok", 1_600, "upstream", True)
    assert row.first_token_ms is not None
    assert (balance(person), held(person)) == (10**9 - 3_200, 0)


def refused_as_the_portal_refuses(stage: Stage, person: User, clear: str) -> None:
    sdk = stage.sdk(clear)
    _, poor = stage.world.key(stage.world.person("0.000001"))
    with pytest.raises(openai.APIStatusError) as short:
        stage.sdk(poor).chat.completions.create(model="demo-chat", messages=words(""), max_tokens=500)
    assert (short.value.status_code, short.value.body["type"]) == (402, "insufficient_quota")  # type: ignore[index]
    assert log_of(short.value.response.headers["x-request-id"]).error_code == "insufficient_quota"
    with pytest.raises(openai.NotFoundError) as unknown:
        sdk.chat.completions.create(model="no-such-model", messages=words(""))
    row = log_of(unknown.value.response.headers["x-request-id"])
    assert (row.outcome, row.error_code, row.cost_nano) == ("unknown_model", "model_not_found", 0)
    with pytest.raises(openai.AuthenticationError) as stranger:
        stage.sdk("sk-" + "x" * 48).chat.completions.create(model="demo-chat", messages=words(""))
    assert log_of(stranger.value.response.headers["x-request-id"]).outcome == "bad_key"
    # What the proxy offers its operator is nobody else's.
    for path in ("/model/info", "/health", "/routes", "/config/yaml", "/user/info", "/v1/model/info"):
        answer = httpx.get(stage.proxy.url + path, headers={"Authorization": f"Bearer {clear}"}, timeout=20)
        assert answer.status_code == 404, path
    assert held(person) == 0


def ends_that_are_not_plain(stage: Stage, person: User, clear: str) -> None:
    sdk = stage.sdk(clear)
    raw = sdk.chat.completions.with_raw_response.create(model="demo-no-usage", messages=words("x"), max_tokens=500)
    row = log_of(raw.headers["x-request-id"])
    assert (row.outcome, row.usage_source) == ("ok", "estimated")
    assert row.cost_nano > 0
    with pytest.raises(openai.InternalServerError) as failed:
        sdk.chat.completions.create(model="demo-500", messages=words("x"), max_tokens=500)
    assert "demo" not in str(failed.value.body)
    row = log_of(failed.value.response.headers["x-request-id"])
    assert (row.outcome, row.cost_nano) == ("upstream_error", 0)
    body = {"model": "demo-slow", "stream": True, "max_tokens": 500, "messages": words("[[usage 1000 500]]")}
    headers = {"Authorization": f"Bearer {clear}"}
    with httpx.stream("POST", f"{stage.proxy.url}/v1/chat/completions", json=body, headers=headers, timeout=30) as answer:
        request_id = answer.headers["x-request-id"]
        next(answer.iter_raw())
    row = until(lambda: RequestLog.objects.filter(pk=request_id).first(), 20)
    assert (row.outcome, row.http_status, row.usage_source) == ("cancelled", 499, "estimated")
    assert 0 < row.cost_nano < 1_500
    until(lambda: held(person) == 0)


def a_disabled_key_is_refused_by_the_copy(stage: Stage, person: User) -> None:
    key, clear = stage.world.key(person)
    sdk = stage.sdk(clear)
    assert sdk.chat.completions.create(model="demo-chat", messages=words("[[usage 10 5]]"), max_tokens=50).choices
    disable_key(actor=None, key=key)

    def is_refused() -> bool:
        try:
            sdk.chat.completions.create(model="demo-chat", messages=words("[[usage 10 5]]"), max_tokens=50)
        except openai.AuthenticationError as refused:
            return bool(refused.body["type"] == "api_key_disabled")  # type: ignore[index]
        return False

    until(is_refused, 20, 0.3)


def killed_and_started_again(stage: Stage, person: User, clear: str) -> None:
    until(lambda: held(person) == 0)
    before, charged = balance(person), LedgerEntry.objects.filter(kind="charge").count()

    def call(n: int) -> int:
        try:
            stage.sdk(clear).chat.completions.create(
                model="demo-chat", messages=words("[[usage 1000 5]] [[delay 1.5]]"), max_tokens=50, stream=n % 2 == 0
            )
        except openai.OpenAIError:
            return 0
        return 1

    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        calls = [pool.submit(call, n) for n in range(6)]
        until(lambda: Hold.objects.filter(state="open").count() == 6, 20)
        stage.proxy.kill()
        answered = sum(one.result() for one in calls)
    assert answered < 6
    assert held(person) > 0
    stage.start()
    until(lambda: PlaneEvent.objects.filter(reason="sweeper").exists(), 60)
    until(lambda: not Hold.objects.filter(state="open", expires_at__gt=now()).exists(), 20)
    ledger.expire_holds()
    assert held(person) == 0
    assert not Hold.objects.filter(state="open").exists()
    charges = LedgerEntry.objects.filter(kind="charge").count() - charged
    assert charges <= 6
    made = LedgerEntry.objects.filter(kind="charge").order_by("-id").values_list("amount_nano", flat=True)[:charges]
    # A stream that broke with the proxy before its usage came is counted by LiteLLM itself, and is less.
    assert all(amount <= 1_015 for amount in made)
    assert balance(person) == before - sum(made)
    call_command("ledger_check")
    wait_for_models(stage.proxy, clear, "demo-chat")
    assert stage.sdk(clear).chat.completions.create(model="demo-chat", messages=words("[[usage 10 5]]"), max_tokens=50).choices


def nothing_secret_is_kept(stage: Stage, clear: str) -> None:
    """gateway.md 3.6: no key, no credential and no prompt in any event, spool, log line, row or trail."""
    until(lambda: DataPlaneInstance.objects.filter(spool_depth=0).exists(), 30)
    kept = [path.read_text(encoding="utf-8", errors="replace") for path in stage.spool.rglob("*") if path.is_file()]
    kept += [str(list(model.objects.values())) for model in (PlaneEvent, RequestLog, AuditEvent, DataPlaneInstance)]
    kept.append(stage.portal.errors())
    logged = stage.proxy.errors()
    for secret in (clear, clear.removeprefix("sk-"), CREDENTIAL, stage.plane.token, CANARY):
        assert [text[:200] for text in kept if secret in text] == []
        assert secret not in logged
    assert not [found for text in kept for found in re.findall(r"sk-[A-Za-z0-9]{12,}", text)]
