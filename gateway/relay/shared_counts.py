"""Counts shared by all relay processes, in Valkey: one script, asked in batches, that hands out shares of a limit.

Every relay writes its own part as an absolute number, so that a repeated or lost word changes nothing, and a Valkey that was
emptied is told again what each relay has: the script's answer carries a mark that changes when that happened.
"""

import asyncio
import logging
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import redis.asyncio as redis
from django.conf import settings
from redis.exceptions import RedisError

logger = logging.getLogger(__name__)

PREFIX = "portal:limits:"
# Valkey answers within a millisecond; a call does not wait longer than this for it.
ANSWER_SECONDS = 0.25
# After a failure the relays count by themselves for so long before they ask again.
PAUSE_SECONDS = 1.0
# A relay that was not heard of for so long no longer has calls running.
ALIVE_MS = 15_000
WINDOW_KEPT_SECONDS = 180
SLOTS_KEPT_SECONDS = 3600

# KEYS: the mark, this relay's sign of life, then one hash of relay -> part for each wish.
# ARGV: relay, milliseconds of life, a new mark, then for each wish: kind, mine, want, need, limit, seconds to keep.
SCRIPT = """
local mark = redis.call('GET', KEYS[1])
if not mark then
    mark = ARGV[3]
    redis.call('SET', KEYS[1], mark)
end
redis.call('SET', KEYS[2], '1', 'PX', ARGV[2])
local out = {mark}
for i = 3, #KEYS do
    local a = 4 + (i - 3) * 6
    local mine, want, need, limit = tonumber(ARGV[a + 1]), tonumber(ARGV[a + 2]), tonumber(ARGV[a + 3]), tonumber(ARGV[a + 4])
    local others = 0
    local parts = redis.call('HGETALL', KEYS[i])
    for n = 1, #parts, 2 do
        if parts[n] ~= ARGV[1] then
            if ARGV[a] == 's' and redis.call('EXISTS', 'portal:limits:alive:' .. parts[n]) == 0 then
                redis.call('HDEL', KEYS[i], parts[n])
            else
                others = others + tonumber(parts[n + 1])
            end
        end
    end
    local give = math.min(want, limit - others - mine)
    if give < need then give = 0 end
    if give < 0 then give = 0 end
    if mine + give > 0 then
        redis.call('HSET', KEYS[i], ARGV[1], mine + give)
        redis.call('EXPIRE', KEYS[i], ARGV[a + 5])
    else
        redis.call('HDEL', KEYS[i], ARGV[1])
    end
    out[#out + 1] = give
    out[#out + 1] = others + mine + give
end
return out
"""


@dataclass(slots=True)
class Wish:
    """``mine`` is what this relay has; ``want`` more of it, at least ``need``, while all relays together stay in ``limit``.

    ``is_slots``: calls that run now, where parts of dead relays do not count; else amounts of one minute.
    """

    name: str
    mine: int
    want: int
    need: int
    limit: int
    is_slots: bool


@dataclass(frozen=True, slots=True)
class Answer:
    """``given`` of what was wanted, and ``taken`` of the limit by all relays together."""

    given: int
    taken: int


class CountsGone(Exception):
    """Valkey is not there: the relay counts its own share until it is."""


class SharedCounts:
    """Asks for many wishes at once; what comes while one batch is on its way goes with the next."""

    def __init__(self, relay: str) -> None:
        self._relay = f"{relay}:{secrets.token_hex(4)}"
        self._client: redis.Redis | None = None
        self._script: Any = None
        # One question at a time: a part that was read before must not be written after a newer one.
        self._line = asyncio.Lock()
        self._queue: list[tuple[Wish, asyncio.Future[Answer]]] = []
        self._task: asyncio.Task[None] | None = None
        self._failed_at = -PAUSE_SECONDS
        self._has_warned = False
        self.mark = ""

    @property
    def is_away(self) -> bool:
        return time.monotonic() - self._failed_at < PAUSE_SECONDS

    async def ask(self, wish: Wish) -> Answer:
        """Raises CountsGone."""
        if self.is_away:
            raise CountsGone
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._queue.append((wish, future))
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._work())
        return await future

    async def tell(self, parts: Callable[[], Sequence[Wish]]) -> None:
        """Write parts as they are when it is their turn, without wanting more; also the sign of life. Raises CountsGone."""
        if self.is_away:
            raise CountsGone
        async with self._line:
            await self._send(parts())

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._client is not None:
            await self._client.aclose()

    async def _work(self) -> None:
        while self._queue:
            batch, self._queue = self._queue, []
            try:
                async with self._line:
                    answers = await self._send([wish for wish, _ in batch])
            except CountsGone as gone:
                for _, future in batch:
                    if not future.done():
                        future.set_exception(gone)
            except BaseException:
                for _, future in batch:
                    if not future.done():
                        future.set_exception(CountsGone())
                raise
            else:
                for (_, future), answer in zip(batch, answers, strict=True):
                    if not future.done():
                        future.set_result(answer)

    async def _send(self, wishes: Sequence[Wish]) -> list[Answer]:
        if self._client is None:
            self._client = redis.Redis.from_url(
                settings.REDIS_URL, socket_timeout=ANSWER_SECONDS, socket_connect_timeout=ANSWER_SECONDS, retry=None
            )
            self._script = self._client.register_script(SCRIPT)
        keys = [f"{PREFIX}mark", f"{PREFIX}alive:{self._relay}"]
        values: list[str | int] = [self._relay, ALIVE_MS, secrets.token_hex(8)]
        for wish in wishes:
            keys.append(f"{PREFIX}{wish.name}")
            kind, kept = ("s", SLOTS_KEPT_SECONDS) if wish.is_slots else ("m", WINDOW_KEPT_SECONDS)
            values += (kind, wish.mine, wish.want, wish.need, wish.limit, kept)
        try:
            said = await self._script(keys=keys, args=values)
        except (RedisError, OSError, TimeoutError) as error:
            self._failed_at = time.monotonic()
            if not self._has_warned:
                logger.warning(
                    "Valkey does not answer (%s): each relay keeps to its share of the limits.", type(error).__name__
                )
                self._has_warned = True
            raise CountsGone from None
        self._has_warned = False
        self.mark = said[0].decode()
        return [Answer(said[n], said[n + 1]) for n in range(1, len(said), 2)]
