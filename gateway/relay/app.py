"""The unified entry: ``/v1/...`` and the same under ``/api/v1/...``, as a raw ASGI application.

It runs alone (``python -m config.stack.serving relay``) or beside Django (``config.asgi``). A request
never meets Django: no middleware, no request object, no ORM.
"""

import asyncio
import os
import re
import traceback
from urllib.parse import quote

import django
from django.apps import apps

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
if not apps.ready and not apps.apps_ready:
    django.setup()

import contextlib
import logging  # noqa: E402

import orjson  # noqa: E402

from config.foundation.clock import now  # noqa: E402
from config.foundation.ids import uuid7  # noqa: E402
from gateway.contract import denials  # noqa: E402
from gateway.contract.endpoints import ENDPOINTS, dialect_of  # noqa: E402
from gateway.contract.error_shapes import error_body  # noqa: E402
from gateway.contract.fallbacks import fallback_for  # noqa: E402
from gateway.contract.resolve import callable_models, check_key, clean_name, resolve  # noqa: E402
from gateway.contract.snapshot import Snapshot  # noqa: E402
from gateway.contract.types import Ask, Decision, Denial, KeyView  # noqa: E402
from gateway.relay import browsers, media, new_route, old_route, videos  # noqa: E402
from gateway.relay.bodies import take_json, unclear_switch  # noqa: E402
from gateway.relay.call import Call  # noqa: E402
from gateway.relay.client import address_of, presented_key  # noqa: E402
from gateway.relay.database import DatabaseGone  # noqa: E402
from gateway.relay.exchange import BodyTooLarge, ClientGone, Exchange, HeaderList, Receive, Scope, Send  # noqa: E402
from gateway.relay.forms import BadForm, read_form  # noqa: E402
from gateway.relay.limits import Refusal  # noqa: E402
from gateway.relay.models_list import answer_models  # noqa: E402
from gateway.relay.options import options  # noqa: E402
from gateway.relay.passing import PassedBody  # noqa: E402
from gateway.relay.portal import hand_over, is_portals  # noqa: E402
from gateway.relay.pricing import token_estimate  # noqa: E402
from gateway.relay.repeats import note_body  # noqa: E402
from gateway.relay.runtime import Runtime  # noqa: E402
from keys.profile_parameters import filled  # noqa: E402
from keys.secrets import Presented, normalise  # noqa: E402
from models_catalog.parameters import Problem  # noqa: E402

logger = logging.getLogger(__name__)

# The body of somebody whose key is not known is read no further than this before the answer.
STRANGER_LIMIT = 256 * 1024
SNAPSHOT_SECONDS = 3.0
USUAL_MODERATION = "omni-moderation-latest"
_SLASHES = re.compile("//+")
UNDECIDED = Decision(None, None)


class Relay:
    """The ASGI callable. It starts with the server's lifespan, or with the first request where there is none."""

    def __init__(self) -> None:
        self._runtime: Runtime | None = None
        self._starting = asyncio.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif scope["type"] == "http":
            runtime = self._runtime or await self._start()
            await _answer(runtime, scope, receive, send)
        elif scope["type"] == "websocket":
            await _refuse_socket(scope, receive, send)

    async def _start(self) -> Runtime:
        async with self._starting:
            if self._runtime is None:
                runtime = Runtime()
                await runtime.start()
                self._runtime = runtime
        return self._runtime

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                await self._start()
                await send({"type": "lifespan.startup.complete"})
            elif message["type"] == "lifespan.shutdown":
                if self._runtime is not None:
                    await self._runtime.stop()
                await send({"type": "lifespan.shutdown.complete"})
                return


application = Relay()


async def _answer(runtime: Runtime, scope: Scope, receive: Receive, send: Send) -> None:
    path = _path_of(scope)
    exchange = Exchange(scope, receive, send, uuid7(), dialect_of(path))
    exchange.extra = browsers.headers_for(exchange.headers)
    if path == "/healthz":
        await _health(runtime, exchange)
        return
    if browsers.asks_first(scope["method"], exchange.headers):
        await browsers.allow(exchange)
        return
    call = Call(
        exchange.request_id,
        clean_name(path)[:64],
        UNDECIDED,
        address_of(scope, exchange.headers),
        exchange.headers,
        health=runtime.health,
    )
    try:
        await _route(runtime, call, exchange, scope["method"], path)
    except ClientGone:
        return
    except DatabaseGone:
        await runtime.refuse(call, exchange, denials.SERVICE_UNAVAILABLE)
    except Exception as error:
        _log_failure(call, error)
        runtime.end(call, call.failed(denials.INTERNAL.outcome, denials.INTERNAL.http_status, denials.INTERNAL.code))
        if not exchange.is_started:
            await exchange.refuse(denials.INTERNAL)
        else:
            await exchange.write(b"", more=False)


def _path_of(scope: Scope) -> str:
    """The address as it is meant: below /v1, and without the slashes that a base URL with one at its end makes."""
    path: str = scope["path"]
    if "//" in path or path.endswith("/"):
        path = _SLASHES.sub("/", path).rstrip("/") or "/"
    return path[4:] if path.startswith("/api/v1/") else path


async def _refuse_socket(scope: Scope, receive: Receive, send: Send) -> None:
    """There are no sockets here: an HTTP answer in our error body where the server can give one, else a closed door."""
    await receive()
    if "websocket.http.response" not in scope.get("extensions", {}):
        await send({"type": "websocket.close", "code": 1008, "reason": denials.NO_REALTIME.code})
        return
    request_id = uuid7()
    headers = [(b"content-type", b"application/json"), (b"x-request-id", request_id.hex.encode())]
    body = error_body(denials.NO_REALTIME, dialect="openai", request_id=request_id.hex)
    await send({"type": "websocket.http.response.start", "status": denials.NO_REALTIME.http_status, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": body})


async def _health(runtime: Runtime, exchange: Exchange) -> None:
    """For probes of a relay that runs alone; beside Django that address is Django's."""
    snapshot = runtime.config.snapshot
    found = {
        "status": "ok" if snapshot else "starting",
        "config_version": snapshot.version if snapshot else 0,
        "config_age_seconds": round(runtime.config.age_seconds, 1) if snapshot else None,
        "waiting_events": runtime.recorder.waiting,
        "oldest_event_seconds": round(runtime.recorder.oldest_seconds, 1),
        "spooled_calls": runtime.spool.waiting,
        "spool_error": runtime.spool.error,
        "leases": runtime.lease_count,
        "open_calls": runtime.open_calls,
    }
    await exchange.reply(200 if snapshot else 503, orjson.dumps(found))


async def _route(runtime: Runtime, call: Call, exchange: Exchange, method: str, path: str) -> None:
    spec = ENDPOINTS.get(path) if method == "POST" else None
    is_call = spec is not None
    is_list = method in {"GET", "HEAD"} and (path == "/v1/models" or path.startswith("/v1/models/"))
    is_look = not is_call and videos.serves(method, path)
    is_known = is_call or is_list or is_look
    is_portal = not is_call and is_portals(path)
    sent = presented_key(exchange.headers)
    presented = normalise(sent) if sent else None
    if presented is None and is_portal:
        await hand_over(exchange)
        return
    if presented is None:
        denial = (denials.INVALID_KEY if sent else denials.MISSING_KEY) if is_known else _nothing_at(method, path)
        await _turn_away(runtime, call, exchange, denial)
        return
    view = await runtime.keys.find(presented.bare)
    snapshot = await runtime.config.ready(SNAPSHOT_SECONDS)
    if snapshot is None:
        raise DatabaseGone("no snapshot yet")
    if is_portal and (view is None or view.route != "old"):
        await hand_over(exchange)
        return
    exchange.profile = snapshot.profiles.profile_for(view)
    if view is None:
        await _turn_away(runtime, call, exchange, denials.INVALID_KEY if is_known else _nothing_at(method, path))
        return
    runtime.sightings.note(view.id, view.route, exchange)
    if view.route == "old":
        await _to_old_entry(runtime, call, exchange, snapshot, view, presented, method, path)
    elif spec is not None:
        call.spec = spec
        try:
            await _to_new_entry(runtime, call, exchange, snapshot, view, presented)
        finally:
            if call.form is not None:
                call.form.close()
    elif is_look:
        await videos.look(runtime, exchange, call, snapshot, view, presented, path)
    elif is_list:
        await _to_list(runtime, call, exchange, snapshot, view, presented, path)
    else:
        denial = _nothing_at(method, path)
        call.decision = Decision(denial, view)
        await runtime.refuse(call, exchange, denial, _allowed(denial))


def _nothing_at(method: str, path: str) -> Denial:
    if path == "/v1/realtime" or path.startswith("/v1/realtime/"):
        return denials.NO_REALTIME
    return denials.WRONG_METHOD if path in ENDPOINTS and method != "POST" else denials.NOT_FOUND


async def _to_new_entry(
    runtime: Runtime, call: Call, exchange: Exchange, snapshot: Snapshot, view: KeyView, presented: Presented
) -> None:
    unreadable = await _take_in(call, exchange, view)
    if unreadable is denials.TOO_LARGE:
        await runtime.refuse(call, exchange, denials.TOO_LARGE)
        return
    if call.spec.is_task and unreadable is None and "template" in call.body:
        unreadable = await media.apply_template(runtime, call, view)
    if call.spec.kind == "moderations" and unreadable is None and call.body.get("model") is None:
        # OpenAI's SDKs may leave the model out here. Where this name is not served, the refusal says what to set.
        call.body["model"] = USUAL_MODERATION if snapshot.serves(USUAL_MODERATION) else None
    model = call.body.get("model")
    call.is_stream = call.spec.streams and (call.body.get("stream") is True or call.body.get("stream_format") == "sse")
    ask = Ask(model if isinstance(model, str) else "", call.address, presented.pin is not None, call.spec.protocol)
    call.decision = resolve(snapshot, view, ask, now())
    note_body(call, view.id)
    denial = call.decision.denial
    if denial is None or denial.code == "model_unavailable":
        call.possible_fallback = (
            fallback_for(snapshot, call.decision, call.spec.protocol, now()) if snapshot.fallbacks else None
        )
        if call.possible_fallback is not None:
            denial = None
    if unreadable is not None and (denial is None or denial is denials.NO_MODEL):
        denial = unreadable
    elif denial is None and call.spec.kind == "responses" and call.body.get("background") is True:
        denial = denials.NO_BACKGROUND
    if denial is not None:
        await runtime.refuse(call, exchange, denial)
        return
    if name := unclear_switch(call):
        await media.refuse(runtime, call, exchange, Problem(name, "true, false"))
        return
    if view.profile is not None and call.form is None:
        call.body = filled(call.body, call.spec.kind, view.profile.parameters)
    if call.spec.is_task and (problem := media.check(call)) is not None:
        await media.refuse(runtime, call, exchange, problem)
        return
    runtime.last_use.note(view.id)
    runtime.features.note(call, is_here=True)
    if view.limits:
        await _within_limits(runtime, call, exchange, view)
    else:
        await _serve(runtime, call, exchange)


async def _serve(runtime: Runtime, call: Call, exchange: Exchange) -> None:
    serve = videos.create if call.spec.kind == "videos" else new_route.serve
    await serve(runtime, call, exchange)


async def _within_limits(runtime: Runtime, call: Call, exchange: Exchange, view: KeyView) -> None:
    """Serve a call whose key, person, team or membership has limits of calls, if they allow it."""
    tokens = 0
    if any(one.tokens is not None for one in view.limits):
        tokens = token_estimate(call.decision, call.body, call.text_size, has_output=call.spec.writes)
    permit = await runtime.limits.admit(view.limits, tokens)
    if isinstance(permit, Refusal):
        await runtime.refuse(call, exchange, permit.denial, permit.headers)
        return
    exchange.extra = [*exchange.extra, *permit.headers()]
    try:
        await _serve(runtime, call, exchange)
    finally:
        runtime.limits.end(permit, call.used_tokens)


async def _take_in(call: Call, exchange: Exchange, view: KeyView) -> Denial | None:
    """The request's body onto the call; or why it cannot be read."""
    call.decision = Decision(denials.TOO_LARGE, view, route=view.route)
    try:
        if call.spec.takes_form and b"multipart/form-data" in exchange.headers.get(b"content-type", b"").lower():
            call.form = await read_form(exchange, options().body_limit)
            call.body, call.size = call.form.fields, call.form.size
            return None
        return await take_json(call, exchange, options().body_limit)
    except BodyTooLarge:
        return denials.TOO_LARGE
    except BadForm:
        return denials.BAD_FORM


async def _to_old_entry(
    runtime: Runtime,
    call: Call,
    exchange: Exchange,
    snapshot: Snapshot,
    view: KeyView,
    presented: Presented,
    method: str,
    path: str,
) -> None:
    """Any address of the old entry, served by us or not; the body goes on as it comes in."""
    body = PassedBody(exchange, options().body_limit)
    try:
        await body.begin()
    except BodyTooLarge:
        call.decision = Decision(denials.TOO_LARGE, view, route=view.route)
        await runtime.refuse(call, exchange, denials.TOO_LARGE)
        return
    call.is_stream = body.is_stream
    call.decision = resolve(snapshot, view, Ask(body.model, call.address, presented.pin is not None), now())
    if call.decision.denial is not None:
        await runtime.refuse(call, exchange, call.decision.denial)
        return
    runtime.last_use.note(view.id)
    call.body, call.size = body.fields, body.size
    runtime.features.note(call, is_here=False)
    note_body(call, view.id)
    call.body = {}
    sent_path = exchange.scope.get("raw_path") or quote(exchange.scope["path"]).encode()
    target = sent_path.partition(b"?")[0].decode("latin-1")
    if exchange.scope["path"].startswith("/api/v1/"):
        target = target.removeprefix("/api")
    await old_route.forward(runtime, call, exchange, method, target, exchange.scope.get("query_string", b""), body)


async def _to_list(
    runtime: Runtime, call: Call, exchange: Exchange, snapshot: Snapshot, view: KeyView, presented: Presented, path: str
) -> None:
    moment = now()
    denial = check_key(view, Ask("", call.address, presented.pin is not None), moment)
    if denial is not None:
        call.decision = Decision(denial, view, route=view.route, group_code=snapshot.group_code(view.payer_group_id))
        await runtime.refuse(call, exchange, denial)
        return
    models = callable_models(snapshot, view, moment)
    wanted = path.removeprefix("/v1/models").lstrip("/")
    answer = answer_models(models, wanted, for_anthropic=b"anthropic-version" in exchange.headers)
    if answer is None:
        await exchange.refuse(denials.model_not_found(clean_name(wanted)), "model")
    else:
        await exchange.reply(200, answer)


async def _turn_away(runtime: Runtime, call: Call, exchange: Exchange, denial: Denial) -> None:
    """Answer somebody unknown; a body of usual size is taken off the line first, so that the answer is read."""
    call.decision = Decision(denial, None)
    with contextlib.suppress(BodyTooLarge):
        await exchange.body(STRANGER_LIMIT)
    if denial in {denials.NOT_FOUND, denials.NO_REALTIME, denials.WRONG_METHOD}:
        await exchange.refuse(denial, extra=_allowed(denial))
    else:
        await runtime.refuse(call, exchange, denial)


def _allowed(denial: Denial) -> HeaderList:
    return [(b"allow", b"POST")] if denial is denials.WRONG_METHOD else []


def _log_failure(call: Call, error: Exception) -> None:
    """Where it happened and of what kind, never the text of the error: it may hold what a client sent."""
    frames = traceback.extract_tb(error.__traceback__)[-4:]
    where = " < ".join(f"{frame.name}:{frame.lineno}" for frame in reversed(frames))
    logger.error("Call %s failed inside the relay: %s at %s", call.request_id.hex, type(error).__name__, where)
