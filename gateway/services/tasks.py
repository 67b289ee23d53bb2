"""Videos that nobody asks after: a worker asks their providers, ends and settles them, and keeps their money held meanwhile.

Everything here may run twice at once: a task is claimed by one worker at a time, and its end is taken once by the database.
"""

import contextlib
import logging
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import httpx
import orjson
from cryptography.fernet import InvalidToken
from django.conf import settings
from django.db import DatabaseError, connection, transaction

from billing.pricing import Price
from billing.services.ledger import CallEvent, prolong_holds
from config.foundation.clock import now
from config.foundation.crypto import unseal
from gateway.contract.loading import PRICE_SQL, price_from_row
from gateway.contract.task_ends import after_no_answer, what_follows
from gateway.contract.tasks import COLUMNS, COMPLETED, UNKNOWN, Seen, TaskView, read_video, view_from_row
from gateway.models_tasks import MediaTask
from models_catalog.models import Upstream

logger = logging.getLogger(__name__)

BATCH = 40
AT_ONCE = 8
POLL_SECONDS = 15
# A claimed task is not another worker's for so long.
CLAIM = timedelta(seconds=90)
# An array, not IN: the planner may run a subquery behind IN anew for each row, and would claim more than the limit.
_CLAIM_SQL = f"""
UPDATE gateway_mediatask SET next_check_at = %(until)s WHERE id = ANY (ARRAY(
    SELECT id FROM gateway_mediatask WHERE next_check_at <= %(moment)s ORDER BY next_check_at LIMIT %(limit)s
    FOR UPDATE SKIP LOCKED
)) RETURNING {COLUMNS}
"""  # noqa: S608 - the columns are ours
SEEN_SQL = "SELECT gateway_task_seen(%s, %s::jsonb, %s::jsonb)"


def check_due_tasks(limit: int = BATCH) -> int:
    """Ask after what is due; gives the number of tasks that were looked at."""
    moment = now()
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_CLAIM_SQL, {"until": moment + CLAIM, "moment": moment, "limit": limit})
        tasks = [view_from_row(row) for row in cursor.fetchall()]
    if not tasks:
        return 0
    upstreams = _upstreams({task.upstream_id for task in tasks if task.upstream_task_id})
    with ThreadPoolExecutor(AT_ONCE) as pool:
        answers = list(pool.map(lambda task: _ask(task, upstreams.get(task.upstream_id or 0)), tasks))
    for task, answer in zip(tasks, answers, strict=True):
        try:
            apply_look(task, answer)
        except Exception as error:
            # One task that cannot be ended must not keep the others waiting; it is claimed again later.
            logger.error("Task %s cannot be brought on: %s", task.id.hex, type(error).__name__)
            _note_stuck(task, type(error).__name__)
    return len(tasks)


def _note_stuck(task: TaskView, why: str) -> None:
    """Count what went wrong, so that a task which never can be ended comes before people instead of holding money for ever."""
    with contextlib.suppress(DatabaseError):
        tell_seen(task, after_no_answer(task, f"end_not_kept {why}", now()))


def apply_look(task: TaskView, answer: "Seen | str") -> str:
    """Bring a task on after a look at its provider; ``answer`` may be a word for why there was none. See gateway_task_seen."""
    moment = now()
    if isinstance(answer, str) or not answer.state:
        why = answer if isinstance(answer, str) else answer.doubt
        return tell_seen(task, after_no_answer(task, why, moment))
    price = price_of(task) if answer.state == COMPLETED else None
    columns, event = what_follows(task, answer, price, moment)
    return tell_seen(task, columns, event)


def tell_seen(task: TaskView, columns: dict[str, Any], event: CallEvent | None = None) -> str:
    """Keep what was seen and, with an event, end and settle the task: one transaction, once."""
    told = orjson.dumps(event).decode() if event is not None else None
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(SEEN_SQL, [task.id, orjson.dumps(columns).decode(), told])
        (said,) = cursor.fetchone()
    return str(said)


def price_of(task: TaskView) -> Price | None:
    """The price a task was admitted at, whatever is in force now."""
    with connection.cursor() as cursor:
        cursor.execute(PRICE_SQL, [task.price_version_id, task.billed_model])
        row = cursor.fetchone()
    return price_from_row(row, task.price_multiplier) if row else None


def view_of(task: MediaTask) -> TaskView:
    """The same task as a value, read again."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {COLUMNS} FROM gateway_mediatask WHERE id = %s", [task.pk])  # noqa: S608 - our columns
        return view_from_row(cursor.fetchone())


def keep_holds() -> int:
    """Prolong the holds of videos that are still open, so that no sweeper gives their money back; gives their number."""
    life = timedelta(hours=settings.TASK_HOLD_HOURS)
    is_open = MediaTask.objects.filter(kind=MediaTask.Kind.VIDEO).exclude(state__in=MediaTask.CLOSED)
    return prolong_holds(hold_ids=list(is_open.values_list("pk", flat=True)), until=now() + life, margin=life / 2)


def _upstreams(ids: set[int | None]) -> dict[int, tuple[str, str]]:
    """Address and credential by id, in memory for this look only."""
    found = {}
    for upstream in Upstream.objects.filter(pk__in=[one for one in ids if one]):
        try:
            clear = unseal(bytes(upstream.credential_sealed)) if upstream.credential_sealed else ""
        except InvalidToken:
            logger.warning("The credential of upstream %s cannot be opened; its videos wait.", upstream.pk)
            continue
        found[upstream.pk] = (upstream.base_url.rstrip("/").removesuffix("/v1"), clear)
    return found


def _ask(task: TaskView, upstream: tuple[str, str] | None) -> "Seen | str":
    """Ask one provider; a word when it cannot be asked. Touches no database: it runs in a thread."""
    if not task.upstream_task_id:
        return Seen(UNKNOWN, doubt="create_was_not_answered")
    if upstream is None:
        return "upstream_missing"
    base, clear = upstream
    headers = {"User-Agent": "portal-worker", **({"Authorization": f"Bearer {clear}"} if clear else {})}
    try:
        answer = httpx.get(f"{base}/v1/videos/{task.upstream_task_id}", headers=headers, timeout=POLL_SECONDS)
    except httpx.TimeoutException:
        return "timeout"
    except (httpx.HTTPError, httpx.InvalidURL):
        return "unreachable"
    return read_video(answer.status_code, answer.content)
