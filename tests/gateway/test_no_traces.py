"""No prompt, no answer, no key anywhere: every column of every table and all that the processes said is searched."""

import contextlib
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from django.db import connection

from billing.models import RequestLog
from gateway.services import remember_old_entry, set_routes
from tests.gateway.servers import Server, running, start_relay, until
from tests.gateway.world import CREDENTIAL, World

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]

PROMPT = "PROMPTcanary5b1d"
ANSWER = "upstream answers with words"
STRANGER = "sk-STRANGERcanary0123456789abcdefghijABCDEFGHIJ0123456789"
MODELS = ("demo-chat", "demo-500", "demo-400", "demo-garbage", "demo-cut-stream", "demo-no-usage", "demo-stall", "demo-null-id")
# (path, body): the prompt in every place where a dialect has one.
BODIES: tuple[tuple[str, dict[str, Any]], ...] = (
    ("/v1/chat/completions", {"messages": [{"role": "user", "content": PROMPT, "name": PROMPT}], "user": PROMPT}),
    ("/v1/completions", {"prompt": PROMPT, "suffix": PROMPT}),
    ("/v1/responses", {"input": PROMPT, "instructions": PROMPT, "metadata": {"k": PROMPT}}),
    ("/v1/messages", {"messages": [{"role": "user", "content": PROMPT}], "system": PROMPT, "max_tokens": 30}),
    ("/v1/embeddings", {"input": [PROMPT]}),
    ("/v1/moderations", {"input": PROMPT}),
    ("/v1/rerank", {"query": PROMPT, "documents": [PROMPT]}),
    ("/v1/images/generations", {"prompt": PROMPT}),
    ("/v1/audio/speech", {"input": PROMPT, "voice": "alloy"}),
)


def rows_that_say(words: list[str]) -> Iterator[tuple[str, str]]:
    """(table, word) for every table with a row in which some column, whatever its type, holds one of the words."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
            " WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p')"
        )
        for (table,) in cursor.fetchall():
            for word in words:
                cursor.execute(f'SELECT count(*) FROM "{table}" t WHERE position(%s IN t::text) > 0', [word])  # noqa: S608
                if cursor.fetchone()[0]:
                    yield table, word


def test_a_scan_of_every_table_and_every_word_of_the_relay_finds_nothing(world: World, old_gateway: Server):
    person = world.person("5")
    _, clear = world.key(person)
    old_key, old_clear = world.key(person)
    set_routes(
        actor=None,
        key_ids=[old_key.pk],
        route="old",
        old_entry=remember_old_entry(actor=None, name="o", base_url=old_gateway.url),
    )
    answers: list[httpx.Response] = []
    with running(start_relay(LOG_LEVEL="DEBUG")) as relay:
        World(world.upstream, relay).settle_in()
        with httpx.Client(base_url=relay.url, timeout=30, headers={"x-api-key": clear, "x-note": PROMPT}) as entry:
            for model in MODELS:
                for path, body in BODIES:
                    for is_stream in (False, True):
                        # What the upstream cuts off in the middle may be cut off for the client too.
                        with contextlib.suppress(httpx.RemoteProtocolError):
                            answers.append(entry.post(path, json={"model": model, **body, "stream": is_stream}))
            form = {"model": "demo-sound", "prompt": PROMPT}
            files = {"file": (f"{PROMPT}.wav", PROMPT.encode() * 50)}
            answers.append(entry.post("/v1/audio/transcriptions", data=form, files=files))
            answers.append(entry.post(f"/v1/chat/completions?key={STRANGER}&q={PROMPT}", content=f'{{"x": "{PROMPT}'))
            answers.append(entry.post("/v1/chat/completions", json={"model": STRANGER, "messages": []}))
            answers.append(entry.post("/v1/chat/completions", json={"model": ["x"], "messages": PROMPT}))
            answers.append(
                entry.post("/v1/images/edits", content=PROMPT, headers={"content-type": "multipart/form-data; boundary=b"})
            )
            for key in (STRANGER, f"{clear}-{PROMPT}", old_clear):
                answers.append(
                    entry.post(
                        "/v1/chat/completions",
                        json={"messages": [{"role": "user", "content": PROMPT}], "model": "demo-chat"},
                        headers={"x-api-key": key},
                    )
                )
        until(lambda: httpx.get(f"{relay.url}/healthz").json()["waiting_events"] == 0)
    assert sum(answer.status_code == 200 for answer in answers) > 50
    secrets = [
        clear.removeprefix("sk-"),
        old_clear.removeprefix("sk-"),
        STRANGER.removeprefix("sk-"),
        CREDENTIAL.removeprefix("sk-"),
    ]
    words = [PROMPT, ANSWER, *secrets]
    assert RequestLog.objects.filter(user_id=person.pk).count() > 100
    assert list(rows_that_say(words)) == []
    said = relay.errors()
    assert len(said) > 100
    assert [word for word in words if word in said] == []
    # What refuses a call repeats neither the key nor the prompt; an answer of a model is of course the model's own.
    refusals = [answer.text for answer in answers if answer.status_code >= 400]
    assert len(refusals) > 20
    assert [word for word in words for text in refusals if word in text] == []
