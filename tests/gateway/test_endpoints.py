"""Every endpoint through the real SDKs, plain and as a stream, down to the last nano-dollar."""

import anthropic
import httpx
import openai
import pytest

from billing.models import RequestLog
from billing.pricing import RuleFigures
from models_catalog.services import NameChange, publish_name_map
from tests.gateway.servers import until
from tests.gateway.world import World, balance, charges, held, hold_of, log_of

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]

TOOLS_CHAT = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}]
TOOLS_RESPONSES = [{"type": "function", "name": "weather", "parameters": {"type": "object", "properties": {}}, "strict": False}]
TOOLS_MESSAGES = [{"name": "weather", "description": "w", "input_schema": {"type": "object", "properties": {}}}]
PICTURE = b"\x89PNG" + b"p" * 3000
# 0.04 dollars a picture (0.08 in high quality), 15 dollars for a million characters, 0.0001 dollars a second of sound.
IMAGE = RuleFigures(unit_prices={"image:*:*": 40_000_000, "image:*:hd": 80_000_000})
SOUND = RuleFigures(character_nano=15_000_000_000, unit_prices={"audio": 100_000})


def by_openai(world: World, clear: str, prefix: str = "/v1") -> openai.OpenAI:
    return openai.OpenAI(api_key=clear, base_url=world.relay.url + prefix, max_retries=0)


def by_anthropic(world: World, clear: str) -> anthropic.Anthropic:
    return anthropic.Anthropic(api_key=clear, base_url=world.relay.url, max_retries=0)


def settled(request_id: str, cost: int, **columns: object) -> RequestLog:
    """The call's log row, after checking that row, ledger and hold agree on the cost."""
    row = log_of(request_id)
    hold = hold_of(request_id)
    assert hold is not None
    assert (row.outcome, row.http_status, row.cost_nano, charges(request_id)) == ("ok", 200, cost, [cost])
    assert (hold.state, hold.settled_nano) == ("settled", cost)
    assert {name: getattr(row, name) for name in columns} == columns
    return row


def test_chat_tools_plain_and_streamed(world: World):
    _, clear = world.key()
    client = by_openai(world, clear, "/api/v1")
    asked = [{"role": "user", "content": "[[tool]] [[usage 100 20]]"}]
    raw = client.chat.completions.with_raw_response.create(model="demo-chat", messages=asked, tools=TOOLS_CHAT, max_tokens=90)
    call = raw.parse().choices[0].message.tool_calls[0]
    assert (call.function.name, call.function.arguments) == ("weather", '{"city": "Jena"}')
    settled(raw.headers["x-request-id"], 160, endpoint="/v1/chat/completions")
    raw = client.chat.completions.with_raw_response.create(
        model="demo-chat", messages=asked, tools=TOOLS_CHAT, stream=True, max_tokens=90
    )
    chunks = list(raw.parse())
    assert "".join(c.choices[0].delta.tool_calls[0].function.arguments for c in chunks if c.choices[0].delta.tool_calls) != ""
    assert chunks[-1].choices[0].finish_reason == "tool_calls"
    settled(raw.headers["x-request-id"], 160, is_stream=True)


def test_responses_plain_streamed_and_with_tools(world: World):
    person = world.person("1")
    _, clear = world.key(person)
    client = by_openai(world, clear)
    raw = client.responses.with_raw_response.create(
        model="demo-chat", input="hi [[usage 1000 50 400]]", instructions="be short", max_output_tokens=60
    )
    assert raw.parse().output_text.startswith("the demo upstream answers")
    row = settled(raw.headers["x-request-id"], 600 + 200 + 150, endpoint="/v1/responses", input_tokens=1000, cached_tokens=400)
    assert (row.output_tokens, row.usage_source, row.asked_model) == (50, "upstream", "demo-chat")
    raw = client.responses.with_raw_response.create(
        model="demo-chat", input="hi [[usage 100 7]]", stream=True, max_output_tokens=60
    )
    events = list(raw.parse())
    assert events[-1].type == "response.completed"
    assert events[-1].response.usage.output_tokens == 7
    assert "".join(e.delta for e in events if e.type == "response.output_text.delta").startswith("the demo upstream")
    settled(raw.headers["x-request-id"], 121, is_stream=True, output_tokens=7, served_model="demo-chat")
    raw = client.responses.with_raw_response.create(
        model="demo-chat", input="[[tool]] [[usage 100 20]]", tools=TOOLS_RESPONSES, max_output_tokens=60
    )
    assert raw.parse().output[0].name == "weather"
    settled(raw.headers["x-request-id"], 160)
    assert balance(person) == 1_000_000_000 - 950 - 121 - 160
    assert world.upstream.calls()["last_keys"] == ["input", "max_output_tokens", "model", "tools"]


def test_a_response_in_the_background_is_refused_because_nobody_would_pay_for_it(world: World):
    _, clear = world.key()
    with pytest.raises(openai.BadRequestError) as refused:
        by_openai(world, clear).responses.create(model="demo-chat", input="hi", background=True)
    assert refused.value.code == "background_not_supported"
    assert world.upstream.calls()["total"] == 0


def test_messages_plain_streamed_with_tools_and_cache(world: World):
    person = world.person("1")
    _, clear = world.key(person)
    client = by_anthropic(world, clear)
    asked = [{"role": "user", "content": "hi [[usage 1000 50 400 100]]"}]
    raw = client.messages.with_raw_response.create(model="demo-chat", max_tokens=60, messages=asked, system="be short")
    message = raw.parse()
    assert message.content[0].text.startswith("the demo upstream answers")
    assert (message.usage.input_tokens, message.usage.cache_read_input_tokens) == (500, 400)
    # 500 fresh and 100 written at the input's price, 400 read at half of it, 50 out at three times.
    row = settled(raw.headers["x-request-id"], 500 + 100 + 200 + 150, endpoint="/v1/messages", cached_tokens=400)
    assert (row.input_tokens, row.cache_write_tokens, row.output_tokens) == (1000, 100, 50)
    with client.messages.stream(model="demo-chat", max_tokens=60, messages=asked) as stream:
        text = "".join(stream.text_stream)
        request_id = stream.response.headers["x-request-id"]
    assert text.startswith("the demo upstream answers")
    settled(request_id, 950, is_stream=True, input_tokens=1000, cached_tokens=400, output_tokens=50)
    with client.messages.stream(
        model="demo-chat",
        max_tokens=60,
        tools=TOOLS_MESSAGES,
        messages=[{"role": "user", "content": [{"type": "text", "text": "[[tool]] [[usage 100 20]]"}]}],
    ) as stream:
        block = stream.get_final_message().content[0]
        request_id = stream.response.headers["x-request-id"]
    assert (block.name, block.input) == ("weather", {"city": "Jena"})
    settled(request_id, 160)
    assert balance(person) == 1_000_000_000 - 950 - 950 - 160
    seen = world.upstream.calls()
    assert "x-api-key" in seen["headers_seen"]
    assert "authorization" not in seen["headers_seen"]
    assert "anthropic-version" in seen["headers_seen"]


def test_tokens_are_counted_for_nothing_and_models_listed_for_both_clients(world: World):
    person = world.person("0")
    _, clear = world.key(person)
    client = by_anthropic(world, clear)
    raw = client.messages.with_raw_response.count_tokens(
        model="demo-chat", messages=[{"role": "user", "content": "[[usage 77 1]]"}]
    )
    assert raw.parse().input_tokens == 77
    row = log_of(raw.headers["x-request-id"])
    assert (row.endpoint, row.outcome, row.cost_nano, row.held_nano) == ("/v1/messages/count_tokens", "ok", 0, 0)
    assert hold_of(raw.headers["x-request-id"]) is None
    names = {model.id for model in client.models.list()}
    assert names == {model.id for model in by_openai(world, clear).models.list()} == set(world.models)
    assert client.models.retrieve("demo-chat").id == by_openai(world, clear).models.retrieve("demo-chat").id == "demo-chat"
    with pytest.raises(anthropic.NotFoundError):
        client.models.retrieve("demo-nothing")


def test_errors_of_messages_have_the_shape_its_sdk_reads(world: World):
    _, clear = world.key()
    client = by_anthropic(world, clear)
    asked = {"max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}
    with pytest.raises(anthropic.NotFoundError) as missing:
        client.messages.create(model="no-such", **asked)
    body = missing.value.body
    assert (body["type"], body["error"]["type"], body["error"]["code"]) == ("error", "not_found_error", "model_not_found")
    assert body["request_id"] == missing.value.response.headers["x-request-id"]
    with pytest.raises(anthropic.AuthenticationError):
        by_anthropic(world, "sk-wrong").messages.create(model="demo-chat", **asked)
    with pytest.raises(anthropic.BadRequestError) as wrong:
        client.messages.create(model="demo-400", **asked)
    assert wrong.value.body["error"]["code"] == "demo_wrong_request"


def test_a_model_served_in_one_dialect_only_says_where_to_call(world: World):
    from models_catalog import services as catalog

    _, clear = world.key()
    model = catalog.create_model(actor_name="test", figures=catalog.ModelFigures(name="only-messages"))
    catalog.set_access(actor_name="test", model=model, group_codes=[world.group.code])
    catalog.serve_model(actor_name="test", upstream=world.messages_route, model=model, upstream_name="demo-chat")
    world.models["only-messages"] = model
    world.publish({})
    world.settle_in()
    asked = {"max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}
    assert by_anthropic(world, clear).messages.create(model="only-messages", **asked).content
    with pytest.raises(openai.BadRequestError) as refused:
        by_openai(world, clear).chat.completions.create(model="only-messages", **asked)
    assert refused.value.code == "endpoint_not_supported"
    assert "only-messages" in {one.id for one in by_openai(world, clear).models.list()}


def test_embeddings_moderations_and_rankings(world: World):
    person = world.person("1")
    _, clear = world.key(person)
    client = by_openai(world, clear)
    raw = client.embeddings.with_raw_response.create(model="demo-embedding", input=["a [[usage 40 0]]", "b"])
    assert len(raw.parse().data) == 2
    settled(raw.headers["x-request-id"], raw.parse().usage.prompt_tokens, endpoint="/v1/embeddings", output_tokens=0)
    raw = client.moderations.with_raw_response.create(model="demo-chat", input="some words to look at")
    assert raw.parse().results[0].flagged is False
    row = log_of(raw.headers["x-request-id"])
    settled(raw.headers["x-request-id"], row.input_tokens, endpoint="/v1/moderations", usage_source="estimated")
    assert row.input_tokens == 6
    asked = {"model": "demo-chat", "query": "q [[usage 30 0]]", "documents": ["a", "b", "c"], "top_n": 2}
    answer = httpx.post(f"{world.relay.url}/v1/rerank", json=asked, headers={"Authorization": f"Bearer {clear}"})
    assert len(answer.json()["results"]) == 3
    settled(answer.headers["x-request-id"], 30, endpoint="/v1/rerank", usage_source="upstream")


def test_a_moderation_without_a_model_is_the_usual_ones_where_that_is_served(world: World):
    person = world.person("1")
    _, clear = world.key(person)
    client = by_openai(world, clear)

    def refused() -> tuple[int, str | None]:
        with pytest.raises(openai.BadRequestError) as error:
            client.moderations.create(input="some words to look at")
        return error.value.status_code, error.value.code

    assert refused() == (400, "model_required")
    publish_name_map(actor_name="test", changes=[NameChange("omni-moderation-latest", "alias", "demo-chat")])
    world.settle_in()
    raw = client.moderations.with_raw_response.create(input="some words to look at")
    assert raw.parse().results[0].flagged is False
    row = log_of(raw.headers["x-request-id"])
    settled(raw.headers["x-request-id"], row.input_tokens, endpoint="/v1/moderations", billed_model="demo-chat")
    assert row.asked_model == "omni-moderation-latest"
    # Nobody else's model is guessed, and a name that is empty is no name.
    headers = {"Authorization": f"Bearer {clear}"}
    for path, more in (("/v1/embeddings", {}), ("/v1/moderations", {"model": ""}), ("/v1/moderations", {"model": 5})):
        answer = httpx.post(f"{world.relay.url}{path}", json={"input": "x", **more}, headers=headers)
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "model_required")
    publish_name_map(actor_name="test", changes=[NameChange("omni-moderation-latest", "retired")])
    world.settle_in()
    assert refused() == (400, "model_required")


def test_R026_pictures_have_their_own_unit_and_lines(world: World):
    """R026: three pictures are three units: quantity times price is the amount; text lines stay as they are."""
    world.publish({"demo-image": IMAGE})
    world.settle_in()
    person = world.person("1")
    _, clear = world.key(person)
    client = by_openai(world, clear)
    raw = client.images.with_raw_response.generate(model="demo-image", prompt="a house", n=3, size="1024x1024")
    assert len(raw.parse().data) == 3
    row = settled(raw.headers["x-request-id"], 120_000_000, endpoint="/v1/images/generations")
    (line,) = row.price_detail["lines"]
    assert (line["name"], line["count"], line["amount"]) == ("image", "3", "0.12")
    assert (row.modality, row.image_count, row.media_size) == ("image", 3, "1024x1024")
    raw = client.images.with_raw_response.generate(model="demo-image", prompt="a house", quality="hd")
    settled(raw.headers["x-request-id"], 80_000_000, media_quality="hd", image_count=1)
    raw = client.images.with_raw_response.edit(model="demo-image", prompt="red", image=PICTURE, n=2)
    assert len(raw.parse().data) == 2
    settled(raw.headers["x-request-id"], 80_000_000, endpoint="/v1/images/edits")
    assert world.upstream.calls()["last_bytes"] == len(PICTURE)
    raw = client.images.with_raw_response.create_variation(model="demo-image", image=PICTURE)
    settled(raw.headers["x-request-id"], 40_000_000, endpoint="/v1/images/variations")
    raw = client.images.with_raw_response.generate(model="demo-image", prompt="a house", stream=True, partial_images=1)
    kinds = [event.type for event in raw.parse()]
    assert kinds == ["image_generation.partial_image", "image_generation.completed"]
    settled(raw.headers["x-request-id"], 40_000_000, is_stream=True)
    assert balance(person) == 1_000_000_000 - 360_000_000
    assert held(person) == 0
    text = world.ask(clear, "[[usage 100 10]]")
    assert [one["name"] for one in log_of(text.headers["x-request-id"]).price_detail["lines"]] == ["input", "output"]


def test_pictures_counted_in_tokens_are_charged_by_them(world: World):
    _, clear = world.key()
    raw = by_openai(world, clear).images.with_raw_response.generate(model="demo-image", prompt="a house [[usage 30 1000]]")
    settled(raw.headers["x-request-id"], 3_030, input_tokens=30, output_tokens=1000, usage_source="upstream")


def test_speech_and_transcripts(world: World):
    person = world.person("1")
    _, clear = world.key(person)
    client = by_openai(world, clear)
    world.publish({"demo-sound": SOUND})
    world.settle_in()
    with client.audio.speech.with_streaming_response.create(
        model="demo-sound", voice="alloy", input="twelve words " * 10
    ) as response:
        sound = b"".join(response.iter_bytes())
        request_id = response.headers["x-request-id"]
        assert response.headers["content-type"] == "audio/wav"
    assert sound.startswith(b"RIFF")
    # 130 characters at 15,000 nano-dollars each.
    settled(request_id, 1_950_000, endpoint="/v1/audio/speech", character_count=130, modality="audio")
    raw = client.audio.transcriptions.with_raw_response.create(model="demo-sound", file=("a.wav", b"s" * 64_000))
    assert raw.parse().text.startswith("the demo upstream")
    # Half a minute at 100,000 nano-dollars a second, as the upstream reports it.
    settled(raw.headers["x-request-id"], 3_000_000, media_ms=30_000, usage_source="upstream")
    text = client.audio.translations.with_raw_response.create(
        model="demo-sound", file=("a.wav", b"s" * 64_000), response_format="text"
    )
    assert text.content.startswith(b"the demo upstream")
    # Not reported: 2,000 bytes are taken for a second, and that is flagged.
    settled(text.headers["x-request-id"], 3_200_100, media_ms=32_001, usage_source="estimated")
    world.publish({})
    world.settle_in()
    events = client.audio.speech.with_raw_response.create(
        model="demo-sound", voice="alloy", input="hello [[usage 10 20]]", stream_format="sse"
    )
    assert b"speech.audio.done" in events.content
    settled(events.headers["x-request-id"], 70, is_stream=True, usage_source="upstream")
    tokens = RuleFigures(input_nano=1_000_000, output_nano=3_000_000, audio_input_nano=2_000_000)
    world.publish({"demo-sound": tokens})
    world.settle_in()
    raw = client.audio.transcriptions.with_raw_response.create(
        model="demo-sound", file=("a.wav", b"s" * 64_000), stream=True, prompt="[[usage 50 4]]"
    )
    assert [event.type for event in raw.parse()][-1] == "transcript.text.done"
    settled(raw.headers["x-request-id"], 112, is_stream=True, audio_input_tokens=50, output_tokens=4)


def test_realtime_is_refused_clearly(world: World):
    _, clear = world.key()
    for path, headers in (("/v1/realtime?model=demo-chat", {"Authorization": f"Bearer {clear}"}), ("/v1/realtime", {})):
        answer = httpx.get(world.relay.url + path, headers={**headers, "Connection": "Upgrade", "Upgrade": "websocket"})
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "realtime_not_supported")
    answer = httpx.post(f"{world.relay.url}/v1/realtime/sessions", headers={"Authorization": f"Bearer {clear}"}, json={})
    assert answer.json()["error"]["code"] == "realtime_not_supported"


def test_unknown_fields_pass_and_only_what_must_be_is_rewritten(world: World):
    _, clear = world.key()
    world.ask(clear, "hi", x_new_field={"a": [1]}, metadata={"k": "v"})
    assert world.upstream.calls()["last_keys"] == ["max_tokens", "messages", "metadata", "model", "x_new_field"]
    by_openai(world, clear).responses.create(model="demo-chat", input="hi", stream=True, store=False)
    until(lambda: "store" in world.upstream.calls()["last_keys"])
    assert world.upstream.calls()["last_keys"] == ["input", "model", "store", "stream"]


@pytest.mark.parametrize("path", ["/v1/responses", "/v1/messages"])
@pytest.mark.parametrize("is_stream", [False, True], ids=["plain", "stream"])
def test_failures_of_the_newer_dialects_cost_what_came(world: World, path: str, is_stream: bool):
    person = world.person("1")
    _, clear = world.key(person)

    def ask(model: str) -> httpx.Response:
        text = "some words [[usage 1000 20]]"
        body = {"model": model, "max_tokens": 60, "messages": [{"role": "user", "content": text}], "stream": is_stream}
        if path == "/v1/responses":
            body = {"model": model, "max_output_tokens": 60, "input": text, "stream": is_stream}
        return httpx.post(world.relay.url + path, json=body, headers={"x-api-key": clear}, timeout=30)

    for model, status in (("demo-500", 502), ("demo-429", 429), ("demo-cut-before-output", 502), ("demo-503", 503)):
        answer = ask(model)
        assert answer.status_code == status, model
        row = log_of(answer.headers["x-request-id"])
        assert (row.cost_nano, charges(answer.headers["x-request-id"])) == (0, [])
    row = log_of(ask("demo-no-usage").headers["x-request-id"])
    assert (row.outcome, row.usage_source) == ("ok", "estimated")
    assert row.cost_nano == row.input_tokens + 3 * row.output_tokens > 0
    if is_stream:
        for model in ("demo-cut-stream", "demo-garbage-stream"):
            answer = ask(model)
            assert "stream_cut" in answer.text
            row = log_of(answer.headers["x-request-id"])
            assert (row.outcome, row.usage_source) == ("cut_stream", "estimated")
            assert 0 < row.output_tokens < 20
            assert row.input_tokens == (1000 if path == "/v1/messages" else row.input_tokens)
            # What we counted ourselves never costs more than was held.
            assert charges(answer.headers["x-request-id"]) == [row.cost_nano]
            assert row.cost_nano == min(row.input_tokens + 3 * row.output_tokens, row.held_nano)
    assert held(person) == 0
