"""Clients that are not Python SDKs of the two dialects: the openai package of npm, and litellm as a client library."""

from collections.abc import Callable

import pytest

from billing.models import RequestLog
from billing.pricing import RuleFigures
from tests.gateway import toolbox
from tests.gateway.servers import until
from tests.gateway.test_endpoints import settled
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
    ("picture", "demo-image", "a house", "2", 80_000_000, {"endpoint": "/v1/images/generations", "image_count": 2}),
)


@pytest.mark.parametrize("program", [toolbox.openai_for_node, toolbox.litellm_library], ids=["openai-npm", "litellm"])
def test_a_client_needs_nothing_but_the_base_url(world: World, program: Callable[[], toolbox.Program]):
    world.publish({"demo-image": RuleFigures(unit_prices={"image:*:*": 40_000_000})})
    world.settle_in()
    person = world.person("1")
    _, clear = world.key(person)
    access = {"base": f"{world.relay.url}/v1", "key": clear}
    with program() as client:
        results = client.make([{**access, "kind": kind, "model": model, "text": text} for kind, model, text, *_ in CALLS])
    for (kind, _, _, said, *_), result in zip(CALLS, results, strict=True):
        assert result.get("text", "").startswith(said), (kind, result)
    rows = until(
        lambda: (found := list(RequestLog.objects.filter(user_id=person.pk).order_by("id"))) and len(found) == 7 and found
    )
    for (*_, cost, columns), row in zip(CALLS, rows, strict=True):
        settled(row.pk.hex, cost, **columns)
    assert balance(person) == 1_000_000_000 - sum(one[4] for one in CALLS)
