"""Clients that are not Python SDKs of the two dialects: the openai package of npm, and litellm as a client library."""

import base64
from collections.abc import Callable

import pytest

from billing.models import RequestLog
from tests.gateway import toolbox
from tests.gateway.servers import until
from tests.gateway.test_endpoints import IMAGE, SOUND, by_anthropic, by_openai, settled
from tests.gateway.world import World, balance

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]

SAID = "the demo upstream answers"
# kind, model, text of the prompt, what the client must make of the answer (its beginning), cost in nano-dollars, columns.
CALLS = (
    ("chat", "demo-chat", "hi [[usage 100 20]]", SAID, 160, {"endpoint": "/v1/chat/completions", "is_stream": False}),
    ("stream", "demo-chat", "hi [[usage 100 20]]", SAID, 160, {"is_stream": True, "usage_source": "upstream"}),
    ("tools", "demo-chat", "[[tool]] [[usage 100 20]]", "weather", 160, {}),
    ("look", "demo-chat", "what is this [[usage 500 20]]", SAID, 560, {"input_tokens": 500}),
    ("responses", "demo-chat", "hi [[usage 100 7]]", SAID, 121, {"endpoint": "/v1/responses", "output_tokens": 7}),
    ("embed", "demo-embedding", "a text [[usage 40 0]]", "3", 40, {"endpoint": "/v1/embeddings"}),
    ("toolstream", "demo-chat", "[[tool]] [[usage 100 20]]", "weather", 160, {"is_stream": True}),
    ("edit", "demo-image", "a house", "1", 40_000_000, {"endpoint": "/v1/images/edits", "image_count": 1}),
    ("speech", "demo-sound", "x" * 100, "RIFF", 1_500_000, {"endpoint": "/v1/audio/speech", "character_count": 100}),
    ("hear", "demo-sound", "", SAID, 3_000_000, {"endpoint": "/v1/audio/transcriptions", "media_ms": 30_000}),
    ("picture", "demo-image", "a house", "2", 80_000_000, {"endpoint": "/v1/images/generations", "image_count": 2}),
)


@pytest.mark.parametrize("program", [toolbox.openai_for_node, toolbox.litellm_library], ids=["openai-npm", "litellm"])
def test_a_client_needs_nothing_but_the_base_url(world: World, program: Callable[[], toolbox.Program]):
    world.publish({"demo-image": IMAGE, "demo-sound": SOUND})
    world.settle_in()
    person = world.person("1")
    _, clear = world.key(person)
    access = {"base": f"{world.relay.url}/v1", "key": clear}
    with program() as client:
        results = client.make([{**access, "kind": kind, "model": model, "text": text} for kind, model, text, *_ in CALLS])
    for (kind, _, _, said, *_), result in zip(CALLS, results, strict=True):
        assert result.get("text", "").startswith(said), (kind, result)
    mine = RequestLog.objects.filter(user_id=person.pk).order_by("id")
    rows = until(lambda: len(found := list(mine)) == len(CALLS) and found)
    for (*_, cost, columns), row in zip(CALLS, rows, strict=True):
        settled(row.pk.hex, cost, **columns)
    assert balance(person) == 1_000_000_000 - sum(one[4] for one in CALLS)


def test_pictures_as_input_through_the_python_sdks(world: World):
    """A picture inside a message goes on as it is; it is what the upstream says it used that is paid."""
    person = world.person("1")
    _, clear = world.key(person)
    picture = base64.b64encode(b"\x89PNG" + b"p" * 30_000).decode()
    words = "what is it? [[usage 900 20]]"
    raw = by_openai(world, clear).chat.completions.with_raw_response.create(
        model="demo-chat",
        max_tokens=90,
        messages=[
            {
                "role": "user",
                "content": [
                    {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{picture}"}},
                    {"type": "text", "text": words},
                ],
            }
        ],
    )
    assert raw.parse().choices[0].message.content.startswith(SAID)
    settled(raw.headers["x-request-id"], 960)
    source = {"type": "base64", "media_type": "image/png", "data": picture}
    content = [{"type": "image", "source": source}, {"type": "text", "text": words}]
    raw = by_anthropic(world, clear).messages.with_raw_response.create(
        model="demo-chat", max_tokens=90, messages=[{"role": "user", "content": content}]
    )
    assert raw.parse().content[0].text.startswith(SAID)
    settled(raw.headers["x-request-id"], 960, endpoint="/v1/messages")
    assert world.upstream.calls()["last_bytes"] > len(picture)
    assert balance(person) == 1_000_000_000 - 2 * 960
