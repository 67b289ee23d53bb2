"""Codex CLI and Claude Code, set up with nothing but what their set-up cards say; and, without them, what they send.

The two programs themselves are fetched and run only where PORTAL_TEST_CLI_CLIENTS is set; see docs/clients.md.
"""

import re
from pathlib import Path

import httpx
import orjson
import pytest

from billing.models import RequestLog
from gateway.setup_cards import Card, cards
from tests.gateway import toolbox
from tests.gateway.servers import until
from tests.gateway.world import World, balance, log_of

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]

USAGE = "[[usage 1000 20]]"
SAID = "the demo upstream answers"


def card_of(world: World, slug: str) -> Card:
    found = cards(origin=world.relay.url, tail="", model="demo-chat", served=frozenset())
    return next(card for card in found if card.slug == slug)


def test_codex_cli_runs_a_tool_and_every_call_is_charged(world: World, tmp_path: Path):
    toolbox.needs_big_client()
    folder = toolbox.npm_package(*toolbox.CODEX)
    person = world.person("1")
    _, clear = world.key(person)
    (tmp_path / "config.toml").write_text(card_of(world, "codex-cli").snippet)
    prompt = f'{USAGE} [[tool exec_command {{"cmd": "expr 1200 + 34"}}]]'
    command = [str(folder / "node_modules/.bin/codex"), "exec", "--json", "--skip-git-repo-check", "--sandbox", "read-only"]
    out = toolbox.run_client([*command, prompt], cwd=tmp_path, CODEX_HOME=str(tmp_path), PORTAL_API_KEY=clear)
    events = [orjson.loads(line) for line in out.splitlines() if line.startswith("{")]
    items = [event["item"] for event in events if event["type"] == "item.completed"]
    assert next(item["aggregated_output"] for item in items if item["type"] == "command_execution").strip() == "1234"
    assert next(item["text"] for item in items if item["type"] == "agent_message").startswith(SAID)
    assert clear not in out
    rows = until(
        lambda: (found := list(RequestLog.objects.filter(user_id=person.pk).order_by("id"))) and len(found) == 2 and found
    )
    assert {(row.endpoint, row.client_family, row.outcome, row.is_stream) for row in rows} == {
        ("/v1/responses", "Codex CLI", "ok", True)
    }
    assert rows[0].cost_nano == 1060
    assert balance(person) == 1_000_000_000 - sum(row.cost_nano for row in rows)


def test_claude_code_runs_a_tool_and_every_call_is_charged(world: World, tmp_path: Path):
    toolbox.needs_big_client()
    folder = toolbox.npm_package(*toolbox.CLAUDE_CODE)
    person = world.person("1")
    _, clear = world.key(person)
    (tmp_path / "notes.txt").write_text("a line of the notes")
    told = dict(re.findall(r'export (\w+)="(.*)"', card_of(world, "claude-code").snippet.replace("$PORTAL_API_KEY", clear)))
    assert set(told) == {"ANTHROPIC_BASE_URL", "ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_MODEL"}
    argument = orjson.dumps({"file_path": str(tmp_path / "notes.txt")}).decode()
    command = [str(folder / "node_modules/.bin/claude"), "-p", f"{USAGE} [[tool Read {argument}]]"]
    out = toolbox.run_client([*command, "--output-format", "stream-json", "--verbose"], cwd=tmp_path, **told)
    events = [orjson.loads(line) for line in out.splitlines() if line.startswith("{")]
    assert "a line of the notes" in orjson.dumps([one for one in events if one["type"] == "user"]).decode()
    result = events[-1]
    assert (result["type"], result["is_error"], result["num_turns"]) == ("result", False, 2)
    assert result["result"].startswith(SAID)
    assert clear not in out
    # A third call gives the conversation its title.
    rows = until(lambda: (found := list(RequestLog.objects.filter(user_id=person.pk))) and len(found) >= 2 and found)
    assert {(row.endpoint, row.client_family, row.outcome) for row in rows} == {("/v1/messages", "Claude Code", "ok")}
    assert 1060 in {row.cost_nano for row in rows}
    until(
        lambda: (
            balance(person)
            == 1_000_000_000 - sum(RequestLog.objects.filter(user_id=person.pk).values_list("cost_nano", flat=True))
        )
    )


def test_what_the_two_send_beside_the_api_is_answered(world: World):
    """Shapes seen from Claude Code 2.1 and Codex CLI 0.171: a query in the address, betas nobody knows, parts of a system
    prompt, tools of kinds of their own, the key in either header."""
    person = world.person("1")
    _, clear = world.key(person)
    body = {
        "model": "demo-chat", "max_tokens": 60, "stream": True,
        "system": [{"type": "text", "text": "be short", "cache_control": {"type": "ephemeral"}}],
        "messages": [{"role": "user", "content": [{"type": "text", "text": "[[usage 100 5]]"}]}],
        "thinking": {"type": "adaptive"}, "context_management": {"edits": []}, "output_config": {"effort": "high"},
        "metadata": {"user_id": "user_0"}, "tools": [{"type": "web_search_20250305", "name": "web_search"}],
    }  # fmt: skip
    betas = {"anthropic-version": "2023-06-01", "anthropic-beta": "claude-code-20250219,one-that-nobody-knows-2099-01-01"}
    for key in ({"authorization": f"Bearer {clear}"}, {"x-api-key": clear}):
        answer = httpx.post(f"{world.relay.url}/v1/messages?beta=true", json=body, headers={**betas, **key})
        assert (answer.status_code, answer.headers["content-type"].partition(";")[0]) == (200, "text/event-stream")
        assert "message_stop" in answer.text
        assert log_of(answer.headers["x-request-id"]).cost_nano == 115
    assert world.upstream.calls()["last_keys"] == sorted(body)
    assert "anthropic-beta" in world.upstream.calls()["headers_seen"]
    counted = {name: body[name] for name in ("model", "messages", "system", "tools")}
    answer = httpx.post(
        f"{world.relay.url}/v1/messages/count_tokens?beta=true", json=counted, headers={**betas, "x-api-key": clear}
    )
    assert answer.json() == {"input_tokens": 100}
    asked = {"model": "demo-chat", "instructions": "be short", "stream": True, "store": False, "include": [],
             "input": [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": "[[usage 100 5]]"}]}],
             "tools": [{"type": "web_search"}, {"type": "custom", "name": "apply_patch", "format": {"type": "text"}}],
             "reasoning": None, "prompt_cache_key": "a", "client_metadata": {"x": "y"}}  # fmt: skip
    answer = httpx.post(f"{world.relay.url}/v1/responses", json=asked, headers={"authorization": f"Bearer {clear}"})
    assert "response.completed" in answer.text
    assert log_of(answer.headers["x-request-id"]).cost_nano == 115
    listed = httpx.get(f"{world.relay.url}/v1/models?client_version=0.171.0", headers={"authorization": f"Bearer {clear}"})
    assert "demo-chat" in {one["id"] for one in listed.json()["data"]}
    for method, path in (
        ("HEAD", "/"),
        ("HEAD", "/v1/models"),
        ("GET", "/"),
        ("GET", "/v1/organizations"),
        ("OPTIONS", "/v1/messages"),
    ):
        answer = httpx.request(method, world.relay.url + path, headers={"x-api-key": clear})
        assert answer.status_code in {200, 404, 405}, (method, path)
        code = "method_not_allowed" if answer.status_code == 405 else "not_found"
        assert not answer.text if method == "HEAD" else answer.json()["error"]["code"] == code
    assert balance(person) == 1_000_000_000 - 3 * 115
