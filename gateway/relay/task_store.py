"""The relay's reads and writes of the task history: plain statements over connections of their own."""

import itertools
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson

from billing.pricing import Price
from billing.services.ledger import CallEvent
from gateway.contract.loading import PRICE_SQL, price_from_row
from gateway.contract.tasks import COLUMNS, TaskView, view_from_row
from gateway.contract.types import KeyView
from gateway.relay.database import Line

BEGIN_SQL = "SELECT gateway_task_begin(%s::jsonb)"
SEEN_SQL = "SELECT gateway_task_seen(%s, %s::jsonb, %s::jsonb)"
# Whoever has the key of a person sees that person's tasks, and of a team the team's.
FIND_SQL = f"SELECT {COLUMNS} FROM gateway_mediatask WHERE id = %s AND (user_id = %s OR team_id = %s)"  # noqa: S608
LIST_SQL = f"""
SELECT {COLUMNS} FROM gateway_mediatask
WHERE kind = 'video' AND deleted_at IS NULL AND (user_id = %(user)s OR team_id = %(team)s)
  AND (%(after)s::uuid IS NULL OR CASE WHEN %(down)s THEN id < %(after)s::uuid ELSE id > %(after)s::uuid END)
ORDER BY CASE WHEN %(down)s THEN id END DESC, id LIMIT %(limit)s
"""  # noqa: S608 - the columns are ours
DELETE_SQL = "UPDATE gateway_mediatask SET deleted_at = now(), assets = '[]' WHERE id = %s AND deleted_at IS NULL"
GONE_SQL = "UPDATE gateway_mediatask SET assets = '[]' WHERE id = %s"
TEMPLATE_SQL = """
SELECT t.id, v.number, t.kind, v.model_name, v.parameters::text
FROM gateway_tasktemplate t JOIN gateway_tasktemplateversion v ON v.template_id = t.id
JOIN accounts_group g ON g.id = t.team_id AND g.is_active AND (%(code)s::text IS NULL OR g.code = %(code)s)
WHERE t.name = %(name)s AND t.is_active AND (%(number)s::int IS NULL OR v.number = %(number)s)
  AND (t.team_id = %(team)s OR t.team_id IN (SELECT m.group_id FROM accounts_groupmembership m WHERE m.user_id = %(user)s))
ORDER BY t.team_id, v.number DESC LIMIT 1
"""
HOOK_SQL = """
SELECT 1 FROM billing_hookendpoint WHERE purpose = 'tasks' AND is_active AND (user_id = %s OR group_id = %s) LIMIT 1
"""
LINES = 2


class TaskStore:
    """Everything raises DatabaseGone when PostgreSQL does not answer."""

    def __init__(self) -> None:
        self._lines = [Line() for _ in range(LINES)]
        self._turn = itertools.cycle(range(LINES))

    async def stop(self) -> None:
        for line in self._lines:
            await line.close()

    async def begin(self, columns: dict[str, Any]) -> None:
        """Keep a task before anything is sent: whatever happens then, somebody knows of it."""
        await self._run(BEGIN_SQL, (orjson.dumps(columns).decode(),))

    async def seen(self, task_id: UUID, columns: dict[str, Any], event: CallEvent | None = None) -> str:
        """What was seen of a task, and its end with it; see ``gateway_task_seen``."""
        told = orjson.dumps(event).decode() if event is not None else None
        rows = await self._run(SEEN_SQL, (task_id, orjson.dumps(columns).decode(), told))
        return str(rows[0][0])

    async def find(self, task_id: UUID, key: KeyView) -> TaskView | None:
        rows = await self._run(FIND_SQL, (task_id, _payer(key), key.team_id))
        return view_from_row(rows[0]) if rows else None

    async def newest(self, key: KeyView, *, after: UUID | None, limit: int, is_down: bool) -> list[TaskView]:
        named = {"user": _payer(key), "team": key.team_id, "after": after, "down": is_down, "limit": limit}
        return [view_from_row(row) for row in await self._run(LIST_SQL, named)]

    async def delete(self, task_id: UUID) -> None:
        await self._run(DELETE_SQL, (task_id,))

    async def assets_gone(self, task_id: UUID) -> None:
        await self._run(GONE_SQL, (task_id,))

    async def price(self, task: TaskView) -> Price | None:
        """The price the task was admitted at."""
        rows = await self._run(PRICE_SQL, (task.price_version_id, task.billed_model))
        return price_from_row(rows[0], task.price_multiplier) if rows else None

    async def template(
        self, code: str | None, name: str, number: int | None, key: KeyView
    ) -> tuple[int, int, str, str, dict[str, Any]] | None:
        """(id, version, kind, model, parameters) of a template that the key's payer may use; ``code``: of which team."""
        named = {"code": code, "name": name, "number": number, "team": key.team_id, "user": _payer(key)}
        rows = await self._run(TEMPLATE_SQL, named)
        return (*rows[0][:4], orjson.loads(rows[0][4])) if rows else None

    async def has_secret(self, key: KeyView) -> bool:
        """Whether callbacks of this payer can be signed."""
        return bool(await self._run(HOOK_SQL, (_payer(key), key.team_id)))

    async def _run(self, query: str, params: Any) -> list[Any]:
        return await self._lines[next(self._turn)].run(query, params)


def _payer(key: KeyView) -> int | None:
    return None if key.team_id is not None else key.owner_id


def moment_text(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None
