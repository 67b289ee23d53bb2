"""Requests for pictures and videos before they cost anything: templates, what the target takes, and the row of the history."""

import contextlib
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import orjson

from billing.services.hooks import clean_url
from config.foundation.errors import InvalidInput
from gateway.contract import denials
from gateway.contract.error_shapes import status_of
from gateway.contract.tasks import MOST_SECONDS, kept_parameters, parameters_hash, too_long
from gateway.contract.types import Candidate, Denial, KeyView
from gateway.relay.call import Call
from gateway.relay.database import DatabaseGone
from gateway.relay.exchange import Exchange
from gateway.relay.options import options
from models_catalog.parameters import Problem, Wanted, problems, wanted_from

if TYPE_CHECKING:
    from gateway.relay.runtime import Runtime

# "poster", "poster@1", or with the team's code where two teams have one of that name: "studio/poster@1".
_TEMPLATE = re.compile(r"(?:([^/@\0]{1,191})/)?([-\w]{1,64})(?:@(\d{1,9}))?")
# A task that was never answered is looked at this long after its time was over.
GRACE = timedelta(seconds=60)


async def apply_template(runtime: "Runtime", call: Call, view: KeyView) -> Denial | None:
    """Fill in what the request leaves to the template it names ("poster", or "poster@1" for one version)."""
    named = call.body.pop("template")
    found = _TEMPLATE.fullmatch(named) if isinstance(named, str) else None
    if found is None:
        return denials.BAD_TEMPLATE
    row = await runtime.tasks.template(found[1], found[2], int(found[3]) if found[3] else None, view)
    if row is None or row[2] != call.spec.modality:
        return denials.BAD_TEMPLATE
    call.template = (row[0], row[1])
    for name, value in {"model": row[3], **row[4]}.items():
        if name in call.body:
            continue
        call.body[name] = value
        if call.form is not None and name != "model":
            call.form.added[name] = value if isinstance(value, str) else orjson.dumps(value).decode()
    return None


async def take_callback(runtime: "Runtime", call: Call) -> Denial | None:
    """Take the callback's address off the request; it is ours to call, not the provider's. Raises DatabaseGone."""
    given = call.body.pop("callback_url", None)
    if given is None:
        return None
    try:
        call.callback_url = clean_url(given if isinstance(given, str) else "")
    except InvalidInput:
        return denials.CALLBACK_REFUSED
    assert call.decision.key is not None
    return None if await runtime.tasks.has_secret(call.decision.key) else denials.CALLBACK_SECRET_MISSING


def wanted_by(call: Call) -> Wanted:
    return wanted_from(call.body, call.form.files if call.form is not None else None)


def check(call: Call) -> Problem | None:
    """Leave only targets that take the request; the first problem of the best one when there is none."""
    if call.spec.kind == "videos" and (name := too_long(call.body)):
        return Problem(name, f"up to {MOST_SECONDS}")
    wanted = wanted_by(call)
    decision = call.decision
    fitting, problem = _fitting(decision.candidates, wanted)
    if decision.candidates and not fitting and problem is not None:
        return problem
    call.decision = replace(decision, candidates=fitting)
    if call.possible_fallback is not None:
        others, _ = _fitting(call.possible_fallback.candidates, wanted)
        call.possible_fallback = replace(call.possible_fallback, candidates=others) if others else None
    return None


async def refuse(runtime: "Runtime", call: Call, exchange: Exchange, problem: Problem) -> None:
    """400 with the field and what is allowed; no money was touched."""
    denial = denials.unsupported_parameter(call.decision.asked_model, problem.field, problem.allowed)
    runtime.end(call, call.refused(denial, status_of(denial, exchange.profile)))
    await exchange.refuse(denial, problem.field)


async def begin(runtime: "Runtime", call: Call) -> None:
    """Keep the task before anything is sent. Raises DatabaseGone."""
    await runtime.tasks.begin(_columns(call))


async def begin_picture(runtime: "Runtime", call: Call) -> None:
    """The same for a picture, which ends with its answer: without a database its row is made with the end of the call, unless
    somebody is to be told of it. Raises DatabaseGone then."""
    with contextlib.nullcontext() if call.callback_url else contextlib.suppress(DatabaseGone):
        await begin(runtime, call)


def _fitting(candidates: tuple[Candidate, ...], wanted: Wanted) -> tuple[tuple[Candidate, ...], Problem | None]:
    first: Problem | None = None
    fitting = []
    for one in candidates:
        found = problems(one.takes, wanted) if one.takes else []
        if not found:
            fitting.append(one)
        elif first is None:
            first = found[0]
    return tuple(fitting), first


def _columns(call: Call) -> dict[str, Any]:
    decision, key, wanted = call.decision, call.decision.key, wanted_by(call)
    assert key is not None
    assert decision.price is not None
    described = decision.candidates[0].takes.get("parameters") if decision.candidates else None
    parameters = kept_parameters(wanted, described)
    is_video = call.spec.kind == "videos"
    due = datetime.now(UTC) + timedelta(seconds=options().upstream_seconds) + GRACE
    return {
        "id": call.request_id.hex,
        "kind": call.spec.modality,
        "state": "submitted" if is_video else "in_progress",
        "user_id": None if key.team_id is not None else key.owner_id,
        "team_id": key.team_id,
        "key_id": key.id,
        "key_name": key.name,
        "key_tail": key.tail,
        "group_code": decision.group_code,
        "endpoint": call.endpoint,
        "asked_model": decision.asked_model,
        "billed_model": decision.billed_model,
        "parameters": parameters,
        "parameters_hash": parameters_hash(decision.asked_model, call.endpoint, parameters, wanted.references),
        "reference_count": min(wanted.references, 1000),
        "template_id": call.template[0] if call.template else None,
        "template_number": call.template[1] if call.template else None,
        "callback_url": call.callback_url,
        "price_version_id": decision.price.version_id,
        "price_multiplier": str(decision.price.multiplier)[:40],
        "held_nano": call.held_nano or 0,
        "next_check_at": due.isoformat() if is_video else None,
    }
