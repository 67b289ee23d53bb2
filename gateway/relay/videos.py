"""Videos: made at a provider as tasks that run for minutes, under ids of ours.

Creating one is sent once. When nobody can say whether the provider took it, the client gets the id all the same (an error would
make it ask again, and two videos would be made), the money stays held, and operators see the task as "not known".
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

import aiohttp
import orjson

from config.foundation.clock import now
from gateway.contract import denials
from gateway.contract.error_shapes import status_of
from gateway.contract.resolve import check_key
from gateway.contract.snapshot import Snapshot
from gateway.contract.task_ends import what_follows
from gateway.contract.tasks import (
    UNKNOWN,
    VARIANTS,
    TaskView,
    clean_words,
    read_video,
    task_id_from,
    video_object,
)
from gateway.contract.types import Ask, Candidate, Decision, KeyView, UpstreamView
from gateway.relay import media, new_route
from gateway.relay.call import Call
from gateway.relay.database import DatabaseGone
from gateway.relay.exchange import Exchange
from gateway.relay.options import options
from gateway.relay.pricing import NotPriced, hold_amount
from gateway.relay.upstream import (
    AttemptFailed,
    failure_of,
    form_headers,
    headers_for,
    order_of,
    payload_for,
    refusal_of,
    since_now,
    timeout_of,
    url_of,
)
from keys.secrets import Presented

if TYPE_CHECKING:
    from gateway.relay.runtime import Runtime

ROOT = "/v1/videos"
POLL_SECONDS = 20
# A client that asks again at once gets what is known; the provider is asked at most this often.
FRESH = timedelta(seconds=1)
MOST_LISTED = 100
DOUBTFUL = frozenset({408, 502, 504, 520, 522, 524})
NO_RETRY = [(b"x-should-retry", b"false")]


def serves(method: str, path: str) -> bool:
    """Whether this is a look at videos that were asked for before."""
    return method in {"GET", "DELETE"} and (path == ROOT or path.startswith(ROOT + "/"))


async def create(runtime: "Runtime", call: Call, exchange: Exchange) -> None:
    """One new video for an admitted call."""
    denial = await media.take_callback(runtime, call) or (
        None if call.decision.candidates else denials.model_unavailable(call.decision.asked_model)
    )
    if denial is None and runtime.recorder.is_full:
        denial = denials.SERVICE_UNAVAILABLE
    if denial is not None:
        await runtime.refuse(call, exchange, denial)
        return
    if not await _reserve(runtime, call, exchange):
        return
    await media.begin(runtime, call)
    # From here on the money's end comes with the task's: no fault on the way gives it back while a video may be made.
    call.is_settled = True
    with runtime.serving(exchange):
        # Who leaves now has asked for a video all the same: the attempt goes on to its end.
        exchange.unwatch()
        try:
            await _hand_over(runtime, call, exchange)
        except AttemptFailed as failed:
            await _fail(runtime, call, exchange, failed)


async def look(
    runtime: "Runtime", exchange: Exchange, call: Call, snapshot: Snapshot, view: KeyView, presented: Presented, path: str
) -> None:
    """GET and DELETE under /v1/videos."""
    denial = check_key(view, Ask("", call.address, presented.pin is not None), now())
    if denial is not None:
        call.decision = Decision(denial, view, route=view.route, group_code=snapshot.group_code(view.payer_group_id))
        await runtime.refuse(call, exchange, denial)
        return
    method = exchange.scope["method"]
    rest = path.removeprefix(ROOT).strip("/")
    if not rest:
        await (_list(runtime, exchange, view) if method == "GET" else exchange.refuse(denials.NOT_FOUND))
        return
    name, _, what = rest.partition("/")
    task_id = task_id_from(name)
    task = await runtime.tasks.find(task_id, view) if task_id else None
    if task is None or task.kind != "video" or task.deleted_at is not None:
        await exchange.refuse(denials.TASK_NOT_FOUND, "video_id")
    elif method == "DELETE" and not what:
        await _delete(runtime, exchange, snapshot, task)
    elif method == "GET" and not what:
        task = await _fresh(runtime, snapshot, view, task)
        await exchange.reply(200, _body(task))
    elif method == "GET" and what == "content":
        await _content(runtime, exchange, snapshot, await _fresh(runtime, snapshot, view, task))
    else:
        await exchange.refuse(denials.NOT_FOUND)


async def _reserve(runtime: "Runtime", call: Call, exchange: Exchange) -> bool:
    """Hold the price of what is asked for, for as long as the task may run."""
    try:
        amount = hold_amount(call)
    except NotPriced:
        await runtime.refuse(call, exchange, denials.model_not_priced(call.decision.asked_model))
        return False
    return await new_route.hold(runtime, call, exchange, amount, timedelta(seconds=options().task_hold_seconds))


async def _hand_over(runtime: "Runtime", call: Call, exchange: Exchange) -> None:
    """Try the targets in order until one has been asked; raises AttemptFailed when none was."""
    usable = runtime.health.usable(order_of(call.decision.candidates), may_probe=False)
    if not usable:
        raise AttemptFailed(denials.model_unavailable(call.decision.asked_model), False, error="open")
    for n, candidate in enumerate(usable, 1):
        try:
            columns = await _send(runtime, call, candidate)
        except AttemptFailed as failed:
            if not failed.may_retry or n == len(usable):
                raise
            continue
        await exchange.reply(200, await _created(runtime, call, columns))
        return


async def _send(runtime: "Runtime", call: Call, candidate: Candidate) -> dict[str, Any]:
    """Ask one provider. Gives the columns to keep; raises AttemptFailed where it surely made nothing."""
    since = since_now()
    seconds = min(candidate.upstream.timeout_seconds, options().upstream_seconds)
    columns: dict[str, Any] = {"upstream_id": candidate.upstream.id, "upstream_name": candidate.upstream_name}
    payload, headers = _request_for(call, candidate)
    try:
        response = await runtime.session.post(
            url_of(candidate.upstream.base_url, ROOT),
            data=payload,
            headers=headers,
            timeout=timeout_of(seconds),
            allow_redirects=False,
        )
        async with response:
            raw = await response.read()
            status = response.status
    except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
        failed = failure_of(error, call)
        call.note(candidate, 0, since, failed.error)
        raise failed from None
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
        call.note(candidate, 0, since, type(error).__name__)
        return {**columns, **_doubt(f"create {type(error).__name__}")}
    if status in DOUBTFUL or (status >= 500 and not _is_error(raw)):
        call.note(candidate, status, since, "status")
        return {**columns, **_doubt(f"create answered {status}")}
    if not 200 <= status < 300:
        failed = refusal_of(call, status, response.headers.get("Retry-After", "").encode(), raw)
        call.note(candidate, status, since, failed.error)
        raise failed
    seen = read_video(200, raw)
    upstream_task_id = _id_of(raw)
    call.note(candidate, status, since, "" if upstream_task_id else "no_answer")
    if not upstream_task_id:
        return {**columns, **_doubt("create answered without an id")}
    moment = datetime.now(UTC)
    # Its end, should it be there already, is read where every end is: at the next look.
    state = seen.state if seen.state in {"queued", "in_progress"} else "in_progress"
    due = (moment + timedelta(seconds=2)).isoformat()
    return {
        **columns,
        "upstream_task_id": upstream_task_id,
        "state": state,
        "progress": seen.progress if state == seen.state else 0,
        "next_check_at": due,
    }


def _request_for(call: Call, candidate: Candidate) -> tuple[bytes | AsyncIterator[bytes], Mapping[str, str]]:
    if call.form is not None:
        return call.form.with_model(candidate.upstream_name), form_headers(call, candidate)
    return payload_for(call, candidate), headers_for(call, candidate.upstream)


async def _created(runtime: "Runtime", call: Call, columns: dict[str, Any]) -> bytes:
    """Keep what the provider said, trying for some seconds; the client's answer. Without a database the task is in doubt, and
    the client has its id all the same."""
    assert call.decision.key is not None
    for pause in (0.1, 0.5, 2.0, 0.0):
        try:
            await runtime.tasks.seen(call.request_id, columns)
            task = await runtime.tasks.find(call.request_id, call.decision.key)
            if task is not None:
                return _body(task)
        except DatabaseGone:
            await asyncio.sleep(pause)
    bare = {"id": f"video_{call.request_id.hex}", "object": "video", "status": "queued", "model": call.decision.asked_model}
    return orjson.dumps({**bare, "progress": 0, "created_at": int(datetime.now(UTC).timestamp()), "seconds": "", "size": ""})


async def _fail(runtime: "Runtime", call: Call, exchange: Exchange, failed: AttemptFailed) -> None:
    """Nothing was made: the hold goes back and the history says why."""
    denial = failed.denial
    event = call.failed(denial.outcome, status_of(denial, exchange.profile), denial.code)
    words = clean_words(denial.provider_message or denial.message)
    try:
        await runtime.tasks.seen(call.request_id, {"failure_code": denial.code, "failure_reason": words}, event)
    except DatabaseGone:
        call.is_settled = False
        runtime.end(call, event)
    extra = [(b"retry-after", failed.retry_after)] if failed.retry_after else []
    await exchange.refuse(denial, failed.param, extra)


async def _fresh(runtime: "Runtime", snapshot: Snapshot, view: KeyView, task: TaskView) -> TaskView:
    """The task as its provider sees it now; as we know it when the provider cannot be asked."""
    moment = datetime.now(UTC)
    if not task.is_open or not task.upstream_task_id or (task.checked_at and moment - task.checked_at < FRESH):
        return task
    upstream = _upstream_of(snapshot, task)
    if upstream is None:
        return task
    try:
        async with runtime.session.get(
            url_of(upstream.base_url, f"{ROOT}/{task.upstream_task_id}"),
            headers=_headers(upstream),
            timeout=timeout_of(POLL_SECONDS),
            allow_redirects=False,
        ) as response:
            seen = read_video(response.status, await response.read())
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError):
        return task
    if not seen.state:
        return task
    price = await runtime.tasks.price(task) if seen.state == "completed" else None
    columns, event = what_follows(task, seen, price, datetime.now(UTC))
    await runtime.tasks.seen(task.id, columns, event)
    return await runtime.tasks.find(task.id, view) or task


async def _list(runtime: "Runtime", exchange: Exchange, view: KeyView) -> None:
    asked = {name: values[0] for name, values in parse_qs(exchange.scope.get("query_string", b"").decode("latin-1")).items()}
    limit = int(asked["limit"]) if asked.get("limit", "").isdecimal() and len(asked["limit"]) < 6 else 20
    limit = max(1, min(limit, MOST_LISTED))
    after = task_id_from(asked.get("after", ""))
    found = await runtime.tasks.newest(view, after=after, limit=limit + 1, is_down=asked.get("order") != "asc")
    rows = [video_object(task, shows_served=options().shows_served) for task in found[:limit]]
    answer = {
        "object": "list",
        "data": rows,
        "first_id": rows[0]["id"] if rows else None,
        "last_id": rows[-1]["id"] if rows else None,
        "has_more": len(found) > limit,
    }
    await exchange.reply(200, orjson.dumps(answer))


async def _content(runtime: "Runtime", exchange: Exchange, snapshot: Snapshot, task: TaskView) -> None:
    """The video, or a picture of it, passed on as it comes; nothing of it stays here."""
    if task.state != "completed" or not task.upstream_task_id:
        await exchange.refuse(denials.TASK_NOT_READY, "video_id", NO_RETRY)
        return
    upstream = _upstream_of(snapshot, task)
    variant = parse_qs(exchange.scope.get("query_string", b"").decode("latin-1")).get("variant", ["video"])[0]
    if variant not in VARIANTS:
        await exchange.refuse(denials.unsupported_parameter(task.asked_model, "variant", ", ".join(VARIANTS)), "variant")
        return
    if task.assets_expire_at and task.assets_expire_at <= datetime.now(UTC):
        await exchange.refuse(denials.ASSET_GONE, "video_id")
        return
    if upstream is None:
        await exchange.refuse(denials.model_unavailable(task.asked_model))
        return
    with runtime.serving(exchange):
        await _pass_on(runtime, exchange, task, upstream, variant)


async def _pass_on(runtime: "Runtime", exchange: Exchange, task: TaskView, upstream: UpstreamView, variant: str) -> None:
    url = url_of(upstream.base_url, f"{ROOT}/{task.upstream_task_id}/content").with_query(variant=variant)
    try:
        async with runtime.session.get(
            url, headers=_headers(upstream), timeout=timeout_of(options().upstream_seconds)
        ) as response:
            if response.status in {404, 410}:
                await runtime.tasks.assets_gone(task.id)
                await exchange.refuse(denials.ASSET_GONE, "video_id")
                return
            if response.status != 200:
                await exchange.refuse(denials.UPSTREAM_ERROR)
                return
            extra = []
            if response.content_length is not None:
                extra.append((b"content-length", b"%d" % response.content_length))
            kind = response.headers.get("Content-Type", "application/octet-stream").encode("latin-1", "replace")
            await exchange.start(200, kind, extra)
            async for part in response.content.iter_any():
                await exchange.write(part)
            await exchange.write(b"", more=False)
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        if not exchange.is_started:
            await exchange.refuse(denials.UPSTREAM_TIMEOUT if isinstance(error, TimeoutError) else denials.UPSTREAM_ERROR)
    except asyncio.CancelledError:
        if not exchange.is_gone:
            raise


async def _delete(runtime: "Runtime", exchange: Exchange, snapshot: Snapshot, task: TaskView) -> None:
    """Delete a finished video at its provider and from the lists; the history keeps that there was one."""
    if task.is_open:
        await exchange.refuse(denials.TASK_RUNNING, "video_id", NO_RETRY)
        return
    upstream = _upstream_of(snapshot, task)
    if upstream is not None and task.upstream_task_id:
        try:
            async with runtime.session.delete(
                url_of(upstream.base_url, f"{ROOT}/{task.upstream_task_id}"),
                headers=_headers(upstream),
                timeout=timeout_of(POLL_SECONDS),
            ) as response:
                is_gone = response.status < 300 or response.status in {404, 410}
        except (aiohttp.ClientError, TimeoutError, OSError):
            is_gone = False
        if not is_gone:
            await exchange.refuse(denials.UPSTREAM_ERROR)
            return
    await runtime.tasks.delete(task.id)
    await exchange.reply(200, orjson.dumps({"id": task.public_id, "deleted": True, "object": "video.deleted"}))


def _upstream_of(snapshot: Snapshot, task: TaskView) -> UpstreamView | None:
    found = (one.upstream for candidates in snapshot.candidates.values() for one in candidates)
    return next((one for one in found if one.id == task.upstream_id), None)


def _headers(upstream: UpstreamView) -> dict[str, str]:
    headers = {"Accept-Encoding": "identity", "User-Agent": "portal-relay"}
    return {**headers, "Authorization": f"Bearer {upstream.credential}"} if upstream.credential else headers


def _body(task: TaskView) -> bytes:
    return orjson.dumps(video_object(task, shows_served=options().shows_served))


def _doubt(why: str) -> dict[str, Any]:
    return {"state": UNKNOWN, "doubt": why[:64], "next_check_at": None}


def _is_error(raw: bytes) -> bool:
    try:
        return isinstance(orjson.loads(raw).get("error"), dict)
    except (orjson.JSONDecodeError, AttributeError):
        return False


def _id_of(raw: bytes) -> str:
    try:
        found = orjson.loads(raw).get("id")
    except (orjson.JSONDecodeError, AttributeError):
        return ""
    # It becomes part of an address.
    is_safe = isinstance(found, str) and 0 < len(found) <= 255 and all(one.isalnum() or one in "-_.:" for one in found)
    return found if is_safe else ""
