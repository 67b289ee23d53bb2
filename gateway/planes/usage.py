"""Takes batches of usage events: each event has one effect, however often it is sent, and one bad event spoils no other.

An event is noted, its call is logged, its hold closed and its purse charged in one transaction; the last three by
``billing_record``, as for the embedded relay.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
from django.db import DatabaseError, connection, transaction

from billing.models import Hold
from billing.services.ledger import CallEvent, hurry_holds, record_calls
from config.foundation.clock import now
from config.foundation.errors import InvalidInput
from config.foundation.ids import uuid7_time
from config.foundation.redaction import mask
from gateway.models import DataPlane, PlaneEvent
from gateway.planes.authorize import note_use
from gateway.planes.config import MOST_EVENTS
from gateway.planes.ends import Prices, attempt_of, end_of, leased_end, refused_end, unheld_end
from gateway.planes.events import BadEvent, Event, read_event
from gateway.planes.leases import own_leases, terms_of

logger = logging.getLogger(__name__)

ACCEPTED, DUPLICATE, REJECTED = "accepted", "duplicate", "rejected"
NOTE_SQL = """
INSERT INTO gateway_planeevent (plane_id, source, event_id, fingerprint, request_id, attempt, is_final, status, reason,
    attempt_log, received_at)
SELECT %(plane)s, %(source)s, x.event_id, x.fingerprint, x.request_id, x.attempt, x.is_final, 'accepted', '', x.log::jsonb,
    %(at)s
FROM unnest(%(ids)s::text[], %(prints)s::bytea[], %(requests)s::uuid[], %(attempts)s::smallint[], %(finals)s::boolean[],
    %(logs)s::text[]) AS x(event_id, fingerprint, request_id, attempt, is_final, log)
ORDER BY x.event_id
ON CONFLICT (plane_id, event_id) DO NOTHING
RETURNING event_id
"""
FORGET_SQL = "DELETE FROM gateway_planeevent WHERE received_at < now() - interval '36 days'"


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of one event. ``reason`` of an accepted one: late, too_late (on the desk), already_settled, sweeper."""

    event_id: str
    status: str
    reason: str = ""
    retryable: bool = False

    def as_dict(self) -> dict[str, Any]:
        told: dict[str, Any] = {"event_id": self.event_id, "status": self.status}
        if self.reason:
            told["reason"] = self.reason
        if self.status == REJECTED:
            told["retryable"] = self.retryable
        return told


def take_usage(plane: DataPlane, source: str, seq: int, raw_events: Sequence[object]) -> dict[str, Any]:
    """Take a batch; the answers come in the order of the events. ``ack_seq`` is ``seq`` when nothing is to be sent again."""
    if len(raw_events) > MOST_EVENTS:
        raise InvalidInput(f"A batch holds at most {MOST_EVENTS} events.")
    moment = now()
    answers: list[Answer | None] = [None] * len(raw_events)
    sound: dict[int, Event] = {}
    seen: dict[str, bytes] = {}
    for place, raw in enumerate(raw_events):
        try:
            event = read_event(raw, moment)
        except BadEvent as bad:
            answers[place] = Answer(_id_of(raw), REJECTED, str(bad))
            continue
        if event.event_id in seen:
            same = seen[event.event_id] == event.fingerprint
            answers[place] = Answer(event.event_id, DUPLICATE) if same else Answer(event.event_id, REJECTED, "event_changed")
            continue
        seen[event.event_id] = event.fingerprint
        sound[place] = event
    for place, answer in _settle(plane, source, sound, moment).items():
        answers[place] = answer
    told = [answer for answer in answers if answer is not None]
    is_done = not any(answer.retryable for answer in told)
    return {"results": [answer.as_dict() for answer in told], "ack_seq": seq if is_done else seq - 1}


def forget_old_events() -> int:
    """Remove notes of events older than any that is still taken; gives their number."""
    with connection.cursor() as cursor:
        cursor.execute(FORGET_SQL)
        return int(cursor.rowcount)


def _settle(plane: DataPlane, source: str, sound: dict[int, Event], moment: datetime) -> dict[int, Answer]:
    if not sound:
        return {}
    with transaction.atomic():
        fresh = _note(plane, source, list(sound.values()), moment)
        answers = _known(plane, {place: event for place, event in sound.items() if event.event_id not in fresh})
        new = {place: event for place, event in sound.items() if event.event_id in fresh}
        answers |= _record(plane, new)
        _keep_answers(plane, [answers[place] for place in new])
    # The sweeper ends these: a true report that comes after all is still charged.
    hurry_holds([event.request_id for place, event in new.items() if answers[place].reason == "sweeper"])
    return answers


def _note(plane: DataPlane, source: str, events: list[Event], moment: datetime) -> set[str]:
    """Write down which events came; gives those that were not there. A twin that is being written elsewhere is waited for."""
    logs = [None if event.is_final else orjson.dumps(attempt_of(event, is_loss=True)).decode() for event in events]
    with connection.cursor() as cursor:
        cursor.execute(
            NOTE_SQL,
            {
                "plane": plane.pk,
                "source": source,
                "at": moment,
                "ids": [event.event_id for event in events],
                "prints": [event.fingerprint for event in events],
                "requests": [event.request_id for event in events],
                "attempts": [event.attempt for event in events],
                "finals": [event.is_final for event in events],
                "logs": logs,
            },
        )
        return {row[0] for row in cursor.fetchall()}


def _known(plane: DataPlane, again: dict[int, Event]) -> dict[int, Answer]:
    """Answers to events that came before: the same ones, if they are the same."""
    rows = PlaneEvent.objects.filter(plane=plane, event_id__in=[event.event_id for event in again.values()])
    kept = {row.event_id: row for row in rows}
    answers = {}
    for place, event in again.items():
        row = kept.get(event.event_id)
        if row is None:
            answers[place] = Answer(event.event_id, REJECTED, "try_again", retryable=True)
        elif bytes(row.fingerprint) != event.fingerprint:
            answers[place] = Answer(event.event_id, REJECTED, "event_changed")
        elif row.status == REJECTED:
            answers[place] = Answer(event.event_id, REJECTED, row.reason)
        else:
            answers[place] = Answer(event.event_id, DUPLICATE)
    return answers


def _record(plane: DataPlane, new: dict[int, Event]) -> dict[int, Answer]:
    answers = {place: Answer(event.event_id, ACCEPTED) for place, event in new.items() if not event.is_final}
    finals = {place: event for place, event in new.items() if event.is_final}
    ids = [event.request_id for event in finals.values()]
    holds = {row["id"]: row for row in Hold.objects.filter(pk__in=ids).values("id", "amount_nano", "context", "state")}
    lent = own_leases(plane, {event.lease_id for event in finals.values() if event.lease_id is not None})
    before = _attempts(plane, ids)
    prices, calls, places = Prices(), [], []
    for place, event in finals.items():
        hold = holds.get(event.request_id)
        if not _is_own(plane, event, hold, lent):
            answers[place] = Answer(event.event_id, REJECTED, "not_yours")
        elif event.outcome == "unknown" and event.lease_id is None:
            reason = "sweeper" if hold is not None and hold["state"] == Hold.State.OPEN else ""
            answers[place] = Answer(event.event_id, ACCEPTED, reason)
        else:
            try:
                calls.append(_call(event, hold, before.get(event.request_id, []), prices))
                places.append(place)
            except DatabaseError:
                raise
            except Exception as error:
                logger.error("Usage event of call %s failed: %s", event.request_id.hex, type(error).__name__)
                answers[place] = Answer(event.event_id, REJECTED, "internal", retryable=True)
    for place, result in zip(places, record_calls(calls), strict=True):
        answers[place] = _answer(finals[place], result.status, result.reason)
    return answers


def _is_own(plane: DataPlane, event: Event, hold: Mapping[str, Any] | None, lent: set[UUID]) -> bool:
    """Whether the plane may end this call: it asked for it, or lent for it, or nobody knows it."""
    if event.lease_id is not None:
        return event.lease_id in lent
    return hold is None or hold["context"].get("plane", {}).get("id") == plane.pk


def _call(event: Event, hold: Mapping[str, Any] | None, before: list[Any], prices: Prices) -> CallEvent:
    if event.lease_id is not None:
        terms = terms_of(event.key_id, event.model_requested, event.endpoint, uuid7_time(event.request_id))
        note_use(event.key_id)
        return leased_end(event, terms)
    if hold is not None:
        return end_of(event, hold["context"], hold["amount_nano"], before, prices)
    return refused_end(event) if event.outcome in ("refused_local", "not_dispatched") else unheld_end(event)


def _answer(event: Event, status: str, reason: str) -> Answer:
    if status == "recorded":
        return Answer(event.event_id, ACCEPTED)
    if status == "late":
        return Answer(event.event_id, ACCEPTED, "late")
    if status == "parked":
        return Answer(event.event_id, ACCEPTED, "too_late")
    if status == "repeated":
        return Answer(event.event_id, DUPLICATE, "already_settled")
    return Answer(event.event_id, REJECTED, "no_reservation" if reason in ("no_hold", "cost_without_hold") else reason[:64])


def _attempts(plane: DataPlane, ids: list[UUID]) -> dict[UUID, list[Any]]:
    """Attempts that did not serve, in their order, by call."""
    found: dict[UUID, list[Any]] = {}
    rows = PlaneEvent.objects.filter(plane=plane, request_id__in=ids, is_final=False).order_by("attempt", "pk")
    for request_id, log in rows.values_list("request_id", "attempt_log"):
        if request_id is not None and log:
            found.setdefault(request_id, []).append(log)
    return found


def _keep_answers(plane: DataPlane, answers: list[Answer]) -> None:
    """Other answers than "accepted" are kept, so that the same event gets the same one; what comes again is not noted."""
    again = [answer.event_id for answer in answers if answer.retryable]
    if again:
        PlaneEvent.objects.filter(plane=plane, event_id__in=again).delete()
    for answer in answers:
        if not answer.retryable and (answer.status != ACCEPTED or answer.reason):
            PlaneEvent.objects.filter(plane=plane, event_id=answer.event_id).update(status=answer.status, reason=answer.reason)


def _id_of(raw: object) -> str:
    found = raw.get("event_id") if isinstance(raw, dict) else None
    return mask(found[:128]) if isinstance(found, str) else ""
