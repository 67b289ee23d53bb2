"""What the two Python SDKs offer beside the plain call: asynchronous clients, helpers that put a streamed answer together,
parsed answers, files, pages. Each needs nothing but the base URL, and is paid like any other call."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import anthropic
import openai
import pydantic
import pytest

from billing.models import RequestLog
from billing.pricing import RuleFigures
from tests.gateway.servers import until
from tests.gateway.task_world import client_of, look_now, with_media
from tests.gateway.test_endpoints import (
    IMAGE,
    SOUND,
    TOOLS_CHAT,
    TOOLS_MESSAGES,
    TOOLS_RESPONSES,
    by_anthropic,
    by_openai,
    settled,
)
from tests.gateway.world import World, balance, held

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]

SAID = "the demo upstream answers"
TOOL = "[[tool]] [[usage 100 20]]"
PICTURE = b"\x89PNG" + b"p" * 5000


def rows_of(person: Any, count: int) -> list[RequestLog]:
    """The calls of a person, oldest first, and the balance that follows from them."""
    found = RequestLog.objects.filter(user_id=person.pk).order_by("id")
    rows: list[RequestLog] = until(lambda: (rows := list(found.all())) and len(rows) == count and rows, 10)
    until(lambda: held(person) == 0)
    assert balance(person) == 1_000_000_000 - sum(row.cost_nano for row in rows)
    return rows


def run_all(*calls: Callable[[], Awaitable[Any]]) -> list[Any]:
    async def act() -> list[Any]:
        return [await call() for call in calls]

    return asyncio.run(act())


def test_stream_helpers_of_openai_put_answers_with_tools_together(world: World):
    person = world.person("1")
    _, clear = world.key(person)
    client = openai.AsyncOpenAI(api_key=clear, base_url=f"{world.relay.url}/v1/", max_retries=0)
    asked: Any = [{"role": "user", "content": TOOL}]

    async def chat() -> Any:
        usage = {"include_usage": True}
        async with client.chat.completions.stream(
            model="demo-chat", messages=asked, tools=TOOLS_CHAT, max_tokens=90, stream_options=usage
        ) as stream:
            kinds = [event.type async for event in stream]
            return kinds, await stream.get_final_completion()

    async def responses() -> Any:
        async with client.responses.stream(
            model="demo-chat", input=TOOL, tools=TOOLS_RESPONSES, max_output_tokens=90
        ) as stream:
            kinds = [event.type async for event in stream]
            return kinds, await stream.get_final_response()

    async def words() -> Any:
        stream = await client.completions.create(model="demo-chat", prompt="go on [[usage 100 20]]", stream=True, max_tokens=90)
        return "".join([part.choices[0].text async for part in stream])

    (kinds, whole), (events, response), text = run_all(chat, responses, words)
    call = whole.choices[0].message.tool_calls[0]
    assert (call.function.name, call.function.arguments) == ("weather", '{"city": "Jena"}')
    assert "tool_calls.function.arguments.done" in kinds
    assert (whole.usage.prompt_tokens, whole.usage.completion_tokens) == (100, 20)
    assert (response.output[0].name, response.output[0].arguments) == ("weather", '{"city": "Jena"}')
    assert {"response.function_call_arguments.delta", "response.function_call_arguments.done"} <= set(events)
    assert text.startswith(SAID)
    assert [(row.endpoint, row.is_stream, row.cost_nano) for row in rows_of(person, 3)] == [
        ("/v1/chat/completions", True, 160),
        ("/v1/responses", True, 160),
        ("/v1/completions", True, 160),
    ]


def test_stream_helpers_of_anthropic_and_its_beta_addresses(world: World):
    person = world.person("1")
    _, clear = world.key(person)
    client = anthropic.AsyncAnthropic(auth_token=clear, base_url=world.relay.url, max_retries=0)
    asked: Any = [{"role": "user", "content": TOOL}]

    async def events() -> list[str]:
        stream = await client.messages.create(
            model="demo-chat", max_tokens=90, messages=[{"role": "user", "content": "[[usage 100 20]]"}], stream=True
        )
        return [event.type async for event in stream]

    async def beta() -> Any:
        betas = ["fine-grained-tool-streaming-2025-05-14"]
        async with client.beta.messages.stream(
            model="demo-chat", max_tokens=90, messages=asked, tools=TOOLS_MESSAGES, betas=betas
        ) as stream:
            return await stream.get_final_message()

    async def count() -> int:
        found = await client.beta.messages.count_tokens(model="demo-chat", messages=asked, tools=TOOLS_MESSAGES)
        return found.input_tokens

    async def models() -> list[str]:
        return [one.id async for one in client.models.list(limit=1000)]

    kinds, message, counted, names = run_all(events, beta, count, models)
    assert (kinds[0], kinds[-2:]) == ("message_start", ["message_delta", "message_stop"])
    assert (message.content[0].name, message.content[0].input) == ("weather", {"city": "Jena"})
    assert (message.usage.input_tokens, message.usage.output_tokens, message.stop_reason) == (100, 20, "tool_use")
    assert counted == 100
    assert "demo-chat" in names
    assert [(row.endpoint, row.cost_nano) for row in rows_of(person, 3)] == [
        ("/v1/messages", 160),
        ("/v1/messages", 160),
        ("/v1/messages/count_tokens", 0),
    ]
    assert "anthropic-beta" in world.upstream.calls()["headers_seen"]


def test_parsed_answers_and_texts_as_numbers(world: World):
    class Made(pydantic.BaseModel):
        model_config = pydantic.ConfigDict(extra="allow")

    person = world.person("1")
    _, clear = world.key(person)
    client = by_openai(world, clear)
    asked: Any = [{"role": "user", "content": "[[usage 100 20]]"}]
    done = client.chat.completions.parse(model="demo-chat", messages=asked, response_format=Made, max_tokens=90)
    assert isinstance(done.choices[0].message.parsed, Made)
    # The SDK asks for numbers in base64 unless told otherwise, and takes both.
    assert client.embeddings.create(model="demo-embedding", input="a [[usage 40 0]]").data[0].embedding == [0.25, -0.5, 0.75]
    assert len(client.moderations.create(model="demo-chat", input=["a", "b"]).results) == 2
    assert [row.cost_nano for row in rows_of(person, 3)][:2] == [160, 40]


def test_files_of_pictures_and_sound(world: World):
    world.publish({"demo-image": IMAGE, "demo-sound": SOUND})
    world.settle_in()
    person = world.person("1")
    _, clear = world.key(person)
    client = by_openai(world, clear)
    raw = client.images.with_raw_response.edit(
        model="demo-image",
        prompt="red",
        image=[("a.png", PICTURE), ("b.png", PICTURE)],
        mask=("m.png", PICTURE),
        size="1024x1024",
    )
    assert len(raw.parse().data) == 1
    settled(raw.headers["x-request-id"], 40_000_000, endpoint="/v1/images/edits", media_size="1024x1024")
    raw = client.images.with_raw_response.edit(model="demo-image", prompt="red", image=PICTURE, stream=True, partial_images=1)
    assert [event.type for event in raw.parse()] == ["image_edit.partial_image", "image_edit.completed"]
    settled(raw.headers["x-request-id"], 40_000_000, is_stream=True)
    with client.audio.speech.with_streaming_response.create(
        model="demo-sound", voice="alloy", input="x" * 100, response_format="wav", speed=1.5, instructions="slowly"
    ) as response:
        assert response.read().startswith(b"RIFF")
        settled(response.headers["x-request-id"], 1_500_000, character_count=100)
    for words in ({"response_format": "verbose_json", "timestamp_granularities": ["word"]}, {"language": "de"}):
        raw = client.audio.transcriptions.with_raw_response.create(model="demo-sound", file=("a.wav", PICTURE), **words)
        assert raw.parse().text.startswith(SAID)
        settled(raw.headers["x-request-id"], 3_000_000, media_ms=30_000)
    assert held(person) == 0


def test_videos_from_a_picture_and_page_by_page(world: World):
    with_media(world)
    _, clear = world.key(world.person("50"))
    client = client_of(world, clear)
    made = [
        client.videos.create(
            model="demo-video",
            prompt=f"house {n}",
            seconds="4",
            size="1280x720",
            input_reference=("a.png", PICTURE, "image/png"),
        ).id
        for n in range(3)
    ]
    look_now(*made)
    assert [one.id for one in client.videos.list(limit=1)] == made[::-1]
    assert [one.id for one in client.videos.list(limit=2, order="asc")] == made
    failed = client.videos.create_and_poll(
        model="demo-video", prompt="x [[fails moderated]]", seconds="4", poll_interval_ms=200
    )
    assert (failed.status, failed.error.code) == ("failed", "moderated")
    with pytest.raises(openai.NotFoundError) as missing:
        client.videos.remix(made[0], prompt="again")
    assert missing.value.code == "not_found"


def test_what_is_not_served_is_not_found_in_the_shape_of_each_sdk(world: World):
    person = world.person("1")
    _, clear = world.key(person)
    client, other = by_openai(world, clear), by_anthropic(world, clear)
    for ask in (
        lambda: client.files.list(),
        lambda: client.batches.list(),
        lambda: client.responses.retrieve("resp_1"),
        lambda: client.fine_tuning.jobs.list(),
        lambda: client.vector_stores.list(),
    ):
        with pytest.raises(openai.NotFoundError) as missing:
            ask()
        assert missing.value.code == "not_found"
    with pytest.raises(anthropic.NotFoundError) as gone:
        other.messages.batches.list()
    assert gone.value.body["error"]["code"] == "not_found"
    assert world.upstream.calls()["total"] == 0
    assert balance(person) == 1_000_000_000


def test_a_limit_of_time_of_the_client_is_no_fault_of_ours(world: World):
    """The SDK gives up; the call ends as left by its client, with its input charged, and the next one is served."""
    world.publish({"demo-chat": RuleFigures(input_nano=1_000_000, output_nano=3_000_000)})
    world.settle_in()
    person = world.person("1")
    _, clear = world.key(person)
    asked: Any = [{"role": "user", "content": "[[delay 1.5]] [[usage 100 20]]"}]
    with pytest.raises(openai.APITimeoutError):
        by_openai(world, clear).with_options(timeout=0.4).chat.completions.create(
            model="demo-chat", messages=asked, max_tokens=90
        )
    (row,) = rows_of(person, 1)
    assert (row.outcome, row.error_code, row.output_tokens) == ("cancelled", "client_gone", 0)
    assert world.ask(clear).status_code == 200
