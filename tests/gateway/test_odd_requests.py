"""Requests no library would send: each is answered clearly, none with a 500, and nothing is charged or held for it."""

import gzip
import zlib
from collections.abc import Iterator
from typing import Any

import httpx
import orjson
import pytest

from billing.models import RequestLog
from gateway.services import remember_old_entry, set_routes
from tests.gateway.servers import Server, running, start_relay
from tests.gateway.test_endpoints import IMAGE
from tests.gateway.world import World, balance, held, log_of

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]

START = 1_000_000_000
CHAT = "/v1/chat/completions"
BODY = {"model": "demo-chat", "messages": [{"role": "user", "content": "hi [[usage 100 5]]"}], "max_tokens": 60}
COST = 115
SITE = {"Origin": "https://chat.example.org"}


def post(world: World, clear: str, content: Any, path: str = CHAT, **headers: str) -> httpx.Response:
    raw = content if isinstance(content, bytes) or not isinstance(content, dict) else orjson.dumps(content)
    told = {"Authorization": f"Bearer {clear}", "Content-Type": "application/json", **headers}
    return httpx.post(world.relay.url + path, content=raw, headers=told, timeout=20)


def nested(levels: int, end: str = "") -> bytes:
    inside = f'"{end}"' if end else ""
    return b'{"model":"demo-chat","messages":[],"x":' + b"[" * levels + inside.encode() + b"]" * levels + b"}"


NO_JSON = {
    "empty": b"",
    "null": b"null",
    "a list": b"[]",
    "not UTF-8": b'{"model":"demo-chat","messages":[{"role":"user","content":"\xff"}]}',
    "half a pair": b'{"model":"demo-chat","messages":[{"role":"user","content":"\\ud800"}]}',
    "NaN": b'{"model":"demo-chat","max_tokens":NaN,"messages":[]}',
    "more behind it": orjson.dumps(BODY) + b"x",
    "a hundred thousand levels": b"[" * 100_000 + b"]" * 100_000,
}


def test_what_is_no_call_is_refused_with_a_reason_and_costs_nothing(world: World):
    person = world.person("1")
    _, clear = world.key(person)
    for name, raw in NO_JSON.items():
        answer = post(world, clear, raw)
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_json"), name
    # It can be read but not be passed on; small and large (a large one is looked at in another way), lent for and held for.
    for raw in (nested(300), nested(900), nested(300, "a" * 40_000), nested(1000, "a" * 40_000)):
        answer = post(world, clear, raw)
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "nested_too_deep")
    assert post(world, clear, nested(200)).status_code == 200
    for wrong in ({"model": "m" * 10_240}, {"model": "demo-chat\n"}, {"model": ["demo-chat"]}, {"model": 5}, {"model": ""}):
        answer = post(world, clear, {**BODY, **wrong})
        assert answer.status_code in {400, 404}
        assert answer.json()["error"]["code"] in {"model_required", "model_not_found"}
        assert len(answer.text) < 600
    spaced = post(world, clear, {**BODY, "model": " Demo-Chat "}).json()["error"]["message"]
    assert "is not known here. Use 'demo-chat'" in spaced
    assert not RequestLog.objects.filter(http_status__gte=500).exists()
    (paid,) = RequestLog.objects.filter(user_id=person.pk, cost_nano__gt=0)
    assert (balance(person), held(person)) == (START - paid.cost_nano, 0)


def test_a_switch_that_is_neither_true_nor_false_is_refused_before_it_costs(world: World):
    """An upstream that reads "true" or 1 as true would stream, or go on in the background, and its usage would not be seen."""
    person = world.person("1")
    _, clear = world.key(person)
    for path, body in (
        (CHAT, {**BODY, "stream": "true"}),
        (CHAT, {**BODY, "stream": 1}),
        ("/v1/messages", {**BODY, "stream": "yes"}),
        ("/v1/responses", {"model": "demo-chat", "input": "hi", "background": "true"}),
        ("/v1/responses", {"model": "demo-chat", "input": "hi", "background": 1}),
    ):
        error = post(world, clear, body, path)
        assert error.status_code == 400, body
        assert error.json()["error"]["code"] == "unsupported_parameter"
    form = {"model": (None, "demo-image"), "prompt": (None, "x"), "stream": (None, "yes"), "image": ("a.png", b"png")}
    headers = {"Authorization": f"Bearer {clear}"}
    refused = httpx.post(f"{world.relay.url}/v1/images/edits", files=form, headers=headers)
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "stream")
    assert world.upstream.calls()["total"] == 0
    assert (balance(person), held(person)) == (START, 0)
    assert post(world, clear, {**BODY, "stream": None}).status_code == 200


@pytest.mark.parametrize("path", [CHAT, "/v1/messages", "/v1/embeddings"])
def test_a_packed_body_is_unpacked(world: World, path: str):
    person = world.person("1")
    _, clear = world.key(person)
    body = {**BODY, "input": "hi [[usage 100 5]]"}
    raw = orjson.dumps(body)
    bare = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    packings = [("gzip", gzip.compress(raw)), ("x-gzip", gzip.compress(raw)), ("deflate", zlib.compress(raw))]
    packings += [("deflate", bare.compress(raw) + bare.flush()), ("identity", raw), ("gzip", raw)]
    sizes = set()
    for packing, packed in packings:
        answer = post(world, clear, packed, path, **{"Content-Encoding": packing})
        assert answer.status_code == 200, answer.text
        row = log_of(answer.headers["x-request-id"])
        sizes.add((row.cost_nano, row.held_nano))
    # What is held goes by what was packed, not by its packing.
    assert len(sizes) == 1
    for packing, packed in (("zstd", b"(\xb5/\xfd"), ("br", b"x"), ("gzip", b"\x1f\x8b no"), ("gzip", gzip.compress(raw)[:-9])):
        answer = post(world, clear, packed, path, **{"Content-Encoding": packing})
        assert (answer.status_code, answer.json()["error"]["code"]) == (415, "unsupported_encoding")
    # A small body that unpacks to more than is taken.
    bomb = post(world, clear, gzip.compress(b" " * (65 * 1024 * 1024)), path, **{"Content-Encoding": "gzip"})
    assert (bomb.status_code, bomb.json()["error"]["code"]) == (413, "request_too_large")
    assert balance(person) == START - sum(RequestLog.objects.filter(user_id=person.pk).values_list("cost_nano", flat=True))


def test_a_body_in_pieces_without_a_length_is_taken(world: World):
    person = world.person("1")
    _, clear = world.key(person)

    def pieces() -> Iterator[bytes]:
        raw = orjson.dumps(BODY)
        yield from (raw[at : at + 7] for at in range(0, len(raw), 7))

    answer = post(world, clear, pieces())
    assert log_of(answer.headers["x-request-id"]).cost_nano == COST


def test_a_browser_of_another_site_may_call_and_read_every_answer(world: World):
    """Clients such as LobeChat, NextChat or Open WebUI may call from the page itself; their browsers ask before they do."""
    person = world.person("1")
    _, clear = world.key(person)
    wanted = "authorization,content-type,x-stainless-os,anthropic-dangerous-direct-browser-access"
    asks = {**SITE, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": wanted}
    for path in (
        CHAT,
        "/api/v1/chat/completions",
        "/v1/messages",
        "/v1/models",
        "/v1/dashboard/billing/subscription",
        "/v1/key",
    ):
        allowed = httpx.options(world.relay.url + path, headers=asks)
        assert (allowed.status_code, allowed.content) == (204, b"")
        assert allowed.headers["access-control-allow-origin"] == "*"
        assert allowed.headers["access-control-allow-headers"] == wanted
        assert {"GET", "POST", "DELETE"} <= set(allowed.headers["access-control-allow-methods"].split(", "))
        # No cookie lets anybody in, so none is ever allowed.
        assert "access-control-allow-credentials" not in allowed.headers
    assert httpx.options(world.relay.url + CHAT).status_code == 405
    keyed = {**SITE, "Authorization": f"Bearer {clear}"}
    answers = [
        httpx.post(world.relay.url + CHAT, json=BODY, headers=keyed),
        httpx.post(world.relay.url + CHAT, json={**BODY, "stream": True}, headers=keyed),
        httpx.post(world.relay.url + CHAT, json=BODY, headers=SITE),
        httpx.post(world.relay.url + CHAT, json={**BODY, "model": "no"}, headers=keyed),
        httpx.get(world.relay.url + "/v1/models", headers=keyed),
        httpx.get(world.relay.url + "/v1/key", headers=keyed),
        httpx.get(world.relay.url + "/v1/nothing", headers=keyed),
    ]
    assert [one.status_code for one in answers] == [200, 200, 401, 404, 200, 200, 404]
    for one in answers:
        assert one.headers.get_list("access-control-allow-origin") == ["*"], one.request.url
        assert one.headers["access-control-expose-headers"] == "*"
    assert "access-control-allow-origin" not in world.ask(clear).headers


def test_on_the_old_route_a_browser_hears_one_permission_only(world: World, old_gateway: Server):
    entry = remember_old_entry(actor=None, name="old gateway", base_url=old_gateway.url)
    key, clear = world.key()
    set_routes(actor=None, key_ids=[key.pk], route="old", old_entry=entry)
    world.settle_in()
    answer = httpx.post(world.relay.url + CHAT, json=BODY, headers={**SITE, "Authorization": f"Bearer {clear}"})
    assert answer.status_code == 200
    assert answer.headers.get_list("access-control-allow-origin") == ["*"]


def test_slashes_too_many_change_nothing_and_a_wrong_method_is_named(world: World):
    person = world.person("1")
    _, clear = world.key(person)
    for path in ("/v1/chat/completions/", "//v1/chat/completions", "/v1//chat/completions", "/api/v1//chat/completions"):
        answer = post(world, clear, BODY, path)
        assert answer.status_code == 200, path
        assert log_of(answer.headers["x-request-id"]).endpoint == CHAT
    assert balance(person) == START - 4 * COST
    headers = {"x-api-key": clear}
    assert httpx.get(f"{world.relay.url}/v1/models/", headers=headers).json()["object"] == "list"
    assert httpx.head(f"{world.relay.url}/v1/models", headers=headers).status_code == 200
    for told in (headers, {}):
        answer = httpx.get(world.relay.url + CHAT, headers=told)
        assert (answer.status_code, answer.json()["error"]["code"], answer.headers["allow"]) == (
            405,
            "method_not_allowed",
            "POST",
        )
    # An address that is there twice stays a mistake that is told.
    assert post(world, clear, BODY, "/v1/v1/chat/completions").json()["error"]["code"] == "not_found"


def test_beside_django_the_entry_is_the_same_and_the_portal_stays_closed_to_other_sites(world: World):
    person = world.person("1")
    _, clear = world.key(person)
    asks = {**SITE, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
    with running(start_relay(app="config.asgi:application", ready_path="/healthz")) as portal:
        beside = World(world.upstream, portal)
        assert post(beside, clear, BODY, "//v1/chat/completions/", **SITE).status_code == 200
        assert httpx.options(portal.url + CHAT, headers=asks).headers["access-control-allow-origin"] == "*"
        billing = httpx.get(
            f"{portal.url}/dashboard/billing/subscription", headers={**SITE, "Authorization": f"Bearer {clear}"}
        )
        assert (billing.status_code, billing.headers["access-control-allow-origin"]) == (200, "*")
        # Where a cookie lets somebody in, no other site is let near.
        for path in ("/", "/sign-in/", "/api/portal/calls/", "/dp/v1/config"):
            for answer in (httpx.options(portal.url + path, headers=asks), httpx.get(portal.url + path, headers=SITE)):
                assert "access-control-allow-origin" not in answer.headers, path


@pytest.mark.parametrize("amount", ["100000", 100_000.0, " 100000 ", 10**25, 1e30])
def test_a_number_an_upstream_would_understand_is_held_for(world: World, amount: Any):
    """Many upstreams read "100000" and 100000.0 as the number: a text must not buy more than there is money for."""
    person = world.person("0.0001")
    _, clear = world.key(person)
    raw = orjson.dumps({**BODY, "max_tokens": "AMOUNT"})
    told = str(amount).encode() if isinstance(amount, int) else orjson.dumps(amount)
    for name in (b"max_tokens", b"max_completion_tokens"):
        answer = post(world, clear, raw.replace(b"max_tokens", name).replace(b'"AMOUNT"', told))
        assert (answer.status_code, answer.json()["error"]["code"]) == (402, "insufficient_quota")
    assert post(world, clear, {**BODY, "n": "100000"}).status_code == 402
    served = post(world, clear, {**BODY, "max_tokens": "60"})
    assert log_of(served.headers["x-request-id"]).cost_nano == COST
    assert held(person) == 0


def test_pictures_asked_for_in_any_number_are_held_for_and_none_made_cost_nothing(world: World):
    """R025: no picture is no result. A number as a text, with a fraction or without bounds is held for as upstreams read it."""
    world.publish({"demo-image": IMAGE})
    world.settle_in()
    person = world.person("0.1")
    _, clear = world.key(person)
    path = "/v1/images/generations"

    def ask(**more: Any) -> httpx.Response:
        return post(world, clear, {"model": "demo-image", "prompt": "a house", **more}, path)

    for n in (3, "3", 2.5, 10**9, "9" * 6000):
        assert ask(n=n).json()["error"]["code"] == "insufficient_quota", n
    assert world.upstream.calls()["total"] == 0
    nothing = ask(n=-2)
    assert (nothing.status_code, nothing.json()["error"]["code"]) == (502, "upstream_error")
    assert log_of(nothing.headers["x-request-id"]).cost_nano == 0
    assert (balance(person), held(person)) == (START // 10, 0)
    # What cannot be kept in a column is left out of the history, and the picture is made.
    odd = ask(size="a\0b", quality="h\0d", seed=2**60, style="\0")
    assert odd.status_code == 200
    row = log_of(odd.headers["x-request-id"])
    assert (row.cost_nano, row.media_size, row.media_quality) == (80_000_000, "ab", "hd")
    assert ask(template="a\0b/c").json()["error"]["code"] == "template_not_found"
    headers = {"Authorization": f"Bearer {clear}"}
    for n in ("²", "9" * 6000, "many"):
        form = {"model": (None, "demo-image"), "prompt": (None, "x"), "n": (None, n), "image": ("a.png", b"png")}
        answer = httpx.post(f"{world.relay.url}/v1/images/edits", files=form, headers=headers)
        assert answer.status_code < 500 or answer.json()["error"]["code"] == "upstream_error"
    assert not RequestLog.objects.filter(error_code="internal_error").exists()
