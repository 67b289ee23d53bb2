"""A call through the relay, as clients make it, down to the last nano-dollar in the ledger."""

import hashlib

import httpx
import openai
import pytest

from keys.models import ApiKey, KeySecret
from keys.secrets import digest_of
from tests.gateway.servers import until
from tests.gateway.world import CREDENTIAL, World, balance, charges, held, hold_of, log_of

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]


def imported_key(world: World, bare: str) -> tuple[ApiKey, str]:
    """A key with a secret an old gateway made: 48 letters and digits, kept as a digest only."""
    key, _ = world.key()
    made = digest_of(bare)
    KeySecret.objects.create(key=key, digest=made.digest, pepper_number=made.pepper_number, tail=made.tail, origin="imported")
    return key, bare


def test_the_openai_client_gets_a_plain_answer_and_pays_its_exact_price(world: World):
    person = world.person("1")
    key, clear = world.key(person)
    client = openai.OpenAI(api_key=clear, base_url=f"{world.relay.url}/v1")
    raw = client.chat.completions.with_raw_response.create(
        model="demo-chat", messages=[{"role": "user", "content": "hi [[usage 1000 500]]"}], max_tokens=600
    )
    answer = raw.parse()
    assert answer.usage.prompt_tokens == 1000
    assert answer.choices[0].message.content.startswith("the demo upstream answers")
    request_id = raw.headers["x-request-id"]
    row = log_of(request_id)
    assert (row.outcome, row.http_status, row.route, row.usage_source) == ("ok", 200, "new", "upstream")
    assert (row.input_tokens, row.output_tokens, row.cost_nano) == (1000, 500, 2_500)
    assert (row.user_id, row.key_id, row.key_tail, row.group_code) == (person.pk, key.pk, clear[-4:], world.group.code)
    assert (row.client_family, row.client_network, row.endpoint) == ("openai-python", "127.0.0.x", "/v1/chat/completions")
    assert 1_800 < row.held_nano < 2_000
    assert row.price_detail["cost_nano"] == 2_500
    assert [(one["status"], one["error"]) for one in row.attempts] == [(200, "")]
    assert charges(request_id) == [2_500]
    hold = hold_of(request_id)
    assert hold is not None
    assert (hold.state, hold.settled_nano) == ("settled", 2_500)
    assert balance(person) == 1_000_000_000 - 2_500
    assert held(person) == 0


def test_the_openai_client_gets_a_streamed_answer_without_the_usage_it_did_not_ask_for(world: World):
    person = world.person("1")
    _, clear = world.key(person)
    client = openai.OpenAI(api_key=clear, base_url=f"{world.relay.url}/v1")
    raw = client.chat.completions.with_raw_response.create(
        model="demo-chat", stream=True, messages=[{"role": "user", "content": "hi [[usage 1000 7]]"}], max_tokens=600
    )
    chunks = list(raw.parse())
    assert "".join(c.choices[0].delta.content or "" for c in chunks) == "the demo upstream answers with words that "
    assert all(chunk.usage is None for chunk in chunks)
    row = log_of(raw.headers["x-request-id"])
    assert (row.is_stream, row.outcome, row.input_tokens, row.output_tokens, row.cost_nano) == (True, "ok", 1000, 7, 1_021)
    assert row.first_token_ms is not None
    assert row.first_token_ms <= row.duration_ms
    assert charges(raw.headers["x-request-id"]) == [1_021]
    assert world.upstream.calls()["last_stream_options"] == {"include_usage": True}


def test_a_client_that_asks_for_usage_in_a_stream_gets_it(world: World):
    _, clear = world.key()
    client = openai.OpenAI(api_key=clear, base_url=f"{world.relay.url}/v1")
    stream = client.chat.completions.create(
        model="demo-chat",
        stream=True,
        stream_options={"include_usage": True},
        messages=[{"role": "user", "content": "hi [[usage 1000 7]]"}],
    )
    assert [chunk.usage.prompt_tokens for chunk in stream if chunk.usage] == [1000]


def test_completions_and_embeddings_are_served_and_charged(world: World):
    person = world.person("1")
    _, clear = world.key(person)
    client = openai.OpenAI(api_key=clear, base_url=f"{world.relay.url}/v1")
    done = client.completions.with_raw_response.create(model="demo-chat", prompt="go on [[usage 10 2]]", max_tokens=5)
    assert done.parse().choices[0].text == "the demo"
    found = client.embeddings.with_raw_response.create(
        model="demo-embedding", input="text [[usage 40 0]]", encoding_format="float"
    )
    assert found.parse().data[0].embedding == [0.25, -0.5, 0.75]
    assert log_of(done.headers["x-request-id"]).cost_nano == 16
    row = log_of(found.headers["x-request-id"])
    assert (row.endpoint, row.cost_nano, row.output_tokens) == ("/v1/embeddings", 40, 0)
    until(lambda: balance(person) == 1_000_000_000 - 56)


def test_an_old_key_is_accepted_in_every_header_style(world: World, subtests: pytest.Subtests):
    bare = "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8s9T0AbCdEfGh"
    imported_key(world, bare)
    body = {"model": "demo-chat", "messages": [{"role": "user", "content": "hi"}]}
    styles = [
        {"Authorization": f"Bearer sk-{bare}"},
        {"Authorization": f"Bearer {bare}"},
        {"Authorization": f"bearer sk-{bare}"},
        {"Authorization": bare},
        {"x-api-key": f"sk-{bare}"},
        {"api-key": bare},
        {"x-goog-api-key": f"sk-{bare}"},
    ]
    for prefix in ("/v1", "/api/v1"):
        for headers in styles:
            with subtests.test(prefix=prefix, style=[name + value[:10] for name, value in headers.items()]):
                answer = httpx.post(f"{world.relay.url}{prefix}/chat/completions", json=body, headers=headers)
                assert answer.status_code == 200, answer.text
                assert log_of(answer.headers["x-request-id"]).key_tail == "EfGh"


def test_the_upstream_sees_its_own_credential_and_nothing_of_the_client(world: World):
    _, clear = world.key()
    body = {"model": "demo-chat", "messages": [{"role": "user", "content": "hi"}], "unknown_field": {"kept": True}}
    headers = {"Authorization": f"Bearer {clear}", "X-Request-Id": "chosen-by-the-client", "Cookie": "a=b", "X-Secret": "c"}
    answer = httpx.post(f"{world.relay.url}/v1/chat/completions", json=body, headers=headers)
    assert answer.headers["x-request-id"] != "chosen-by-the-client"
    assert len(answer.headers["x-request-id"]) == 32
    seen = world.upstream.calls()
    assert seen["by_credential"] == {hashlib.sha256(CREDENTIAL.encode()).hexdigest()[:12]: 1}
    assert {"cookie", "x-secret", "x-request-id"} & set(seen["headers_seen"]) == set()
    assert "unknown_field" in seen["last_keys"]


def test_a_team_pays_for_its_own_key(world: World):
    from accounts.models import Group
    from models_catalog import services as catalog

    team = Group.objects.create(code="team-paying", name="Team")
    catalog.set_access(actor_name="test", model=world.models["demo-chat"], group_codes=[world.group.code, team.code])
    world.top_up(team, 1_000_000)
    _, clear = world.key(team=team)
    world.settle_in()
    answer = world.ask(clear, "hi [[usage 100 10]]", max_tokens=20)
    assert answer.status_code == 200, answer.text
    row = log_of(answer.headers["x-request-id"])
    assert (row.user_id, row.group_code, row.cost_nano) == (None, "team-paying", 130)
    assert balance(team) == 1_000_000 - 130


def test_three_names_are_kept_and_the_billed_one_makes_the_price(world: World):
    """R046: asked, billed and served on the record; the price comes from the billed name."""
    from billing.pricing import RuleFigures
    from models_catalog import services as catalog

    changes = [
        catalog.NameChange("old-alias", "alias", "demo-chat", bill_as_called=True),
        catalog.NameChange("old-priced-alias", "alias", "demo-chat", bill_as_called=False),
    ]
    catalog.publish_name_map(actor_name="test", changes=changes)
    world.publish({"old-priced-alias": RuleFigures(input_nano=10_000_000, output_nano=10_000_000)})
    world.settle_in()
    _, clear = world.key()
    plain = log_of(world.ask(clear, "[[usage 100 10]]", "old-alias").headers["x-request-id"])
    assert (plain.asked_model, plain.billed_model, plain.served_model, plain.cost_nano) == (
        "old-alias",
        "demo-chat",
        "demo-chat",
        130,
    )
    own = log_of(world.ask(clear, "[[usage 100 10]]", "old-priced-alias").headers["x-request-id"])
    assert (own.asked_model, own.billed_model, own.served_model) == ("old-priced-alias", "old-priced-alias", "demo-chat")
    assert own.cost_nano == 1_100
    other = log_of(world.ask(clear, "[[usage 100 10]]", "demo-other-model").headers["x-request-id"])
    assert (other.asked_model, other.billed_model, other.served_model) == (
        "demo-other-model", "demo-other-model", "demo-served-instead",
    )  # fmt: skip


def test_the_list_of_models_is_what_the_key_may_call(world: World):
    _, clear = world.key(model_names=["demo-chat", "demo-slow", "not-there"])
    client = openai.OpenAI(api_key=clear, base_url=f"{world.relay.url}/v1")
    assert [model.id for model in client.models.list()] == ["demo-chat", "demo-slow"]
    assert client.models.retrieve("demo-chat").id == "demo-chat"
    with pytest.raises(openai.NotFoundError) as refused:
        client.models.retrieve("demo-500")
    assert refused.value.code == "model_not_found"


def test_last_use_of_a_key_is_noted(world: World):
    key, clear = world.key()
    world.ask(clear)
    until(lambda: ApiKey.objects.get(pk=key.pk).last_used_at, 8)
