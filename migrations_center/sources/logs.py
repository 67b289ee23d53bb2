"""Log rows of an old gateway: sums by SQL, what they prove about prices, and the rows themselves as a stream."""

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import sqlalchemy as sa

from config.foundation.http import cut_network
from migrations_center.sources import schema
from migrations_center.sources.database import BATCH, Database
from migrations_center.sources.gateway import OldGateway
from migrations_center.sources.records import LOG_CALL, LogFact, LogGroup, OldLog
from migrations_center.sources.values import as_flag, as_int, as_object, as_text

# One API writes the three ratios of a call into its text, rounded to two places.
_RATIOS = re.compile(r"(\d+(?:\.\d+)?) × (\d+(?:\.\d+)?)(?: × (\d+(?:\.\d+)?))?")
# Keys of New API's ``other`` that explain a price; everything else there is inner routing or personal.
_PRICE_KEYS = (
    "model_ratio", "group_ratio", "user_group_ratio", "completion_ratio", "model_price", "cache_ratio",
    "cache_creation_ratio", "cache_creation_ratio_5m", "cache_creation_ratio_1h", "image_ratio", "audio_ratio",
    "audio_completion_ratio", "billing_mode", "matched_tier", "usage_semantic", "billing_source",
    "web_search_call_count", "web_search_price", "file_search_call_count", "file_search_price", "tool_surcharges",
)  # fmt: skip
FACT_ROWS = 3
# No row of these products is older, and none may lie more than two days ahead: such times are damage.
EARLIEST = 1_577_836_800
AHEAD = 172_800


def earliest_time() -> int:
    """Unix seconds of the oldest time that is believed."""
    return EARLIEST


def latest_time(now: int) -> int:
    """Unix seconds of the latest time that is believed."""
    return now + AHEAD


def sums(gateway: OldGateway) -> list[LogGroup]:
    """Rows and units per type and person."""
    found: dict[tuple[int, int], list[int]] = {}
    for database in gateway.log_databases:
        there = database.table("logs")
        user, kind, quota = there.c["user_id"], there.c["type"], there.c["quota"]
        statement = sa.select(kind, user, sa.func.count().label("n"), sa.func.sum(quota).label("units")).group_by(kind, user)
        for row in database.all(statement):
            total = found.setdefault((as_int(row["type"]), as_int(row["user_id"])), [0, 0])
            total[0] += as_int(row["n"])
            total[1] += as_int(row["units"])
    return [LogGroup(kind, user, *total) for (kind, user), total in sorted(found.items())]


def unusable(gateway: OldGateway, now: int) -> list[dict[str, int]]:
    """Call rows that cannot be history: without a possible time, or with units below zero; with id, type, user_id, quota."""
    found = []
    for database in gateway.log_databases:
        there = database.table("logs")
        when, quota = there.c["created_at"], there.c["quota"]
        statement = sa.select(there.c["id"], there.c["type"], there.c["user_id"], quota).where(
            sa.or_(when.is_(None), when < EARLIEST, when > latest_time(now), quota < 0), there.c["type"].in_((LOG_CALL, 5))
        )
        found += [{name: as_int(value) for name, value in row.items()} for row in database.all(statement)]
    return found


def span(gateway: OldGateway, now: int) -> tuple[int, int] | None:
    """First and last time of a usable row, Unix seconds."""
    edges: list[int] = []
    for database in gateway.log_databases:
        when = database.table("logs").c["created_at"]
        for edge in database.all(
            sa.select(sa.func.min(when).label("a"), sa.func.max(when).label("b")).where(
                when >= EARLIEST, when <= latest_time(now)
            )
        ):
            edges += [as_int(value) for value in edge.values() if value is not None]
    return (min(edges), max(edges)) if edges else None


def key_names(gateway: OldGateway) -> dict[int, set[str]]:
    """Key names that the calls of each person carry; tells which deleted keys once had a name."""
    names: dict[int, set[str]] = {}
    for database in gateway.log_databases:
        there = database.table("logs")
        if "token_name" not in there.c:
            continue
        statement = sa.select(there.c["user_id"], there.c["token_name"]).where(there.c["type"] == LOG_CALL).distinct()
        for row in database.all(statement):
            names.setdefault(as_int(row["user_id"]), set()).add(as_text(row["token_name"]))
    return names


def price_facts(gateway: OldGateway) -> list[LogFact]:
    """Per model, the figures of its newest call rows (New API: ``other``; One API: the ratios of the text)."""
    facts: list[LogFact] = []
    for database in gateway.log_databases:
        there = database.table("logs")
        name = there.c["model_name"]
        newest = (
            sa.select(name.label("m"), sa.func.max(there.c["id"]).label("last"), sa.func.count().label("n"))
            .where(there.c["type"] == LOG_CALL, name != "")
            .group_by(name)
        )
        for group in database.all(newest):
            statement = (
                sa.select(*_columns(gateway.product, there))
                .where(there.c["type"] == LOG_CALL, name == group["m"], there.c["id"] <= group["last"])
                .order_by(there.c["id"].desc())
                .limit(FACT_ROWS)
            )
            for row in database.all(statement):
                figures = _figures(gateway.product, row) | {
                    "quota": as_int(row.get("quota")),
                    "prompt_tokens": as_int(row.get("prompt_tokens")),
                    "completion_tokens": as_int(row.get("completion_tokens")),
                }
                facts.append(LogFact(as_text(group["m"]), as_int(group["n"]), figures))
    return facts


def stream(
    gateway: OldGateway, *, after: tuple[int, int] = (0, -(2**63)), size: int = BATCH
) -> Iterator[tuple[int, list[OldLog]]]:
    """Batches of rows in id order as (number of the database, rows), starting behind ``after`` = (number, id)."""
    for number, database in enumerate(gateway.log_databases):
        if number < after[0]:
            continue
        yield from (
            (number, part) for part in _stream_one(gateway.product, database, after[1] if number == after[0] else None, size)
        )


def _stream_one(product: str, database: Database, after: int | None, size: int) -> Iterator[list[OldLog]]:
    there = database.table("logs")
    statement = sa.select(*_columns(product, there)).order_by(there.c["id"])
    if after is not None and after > -(2**63):
        statement = statement.where(there.c["id"] > after)
    make = _one_api if product == schema.ONE_API else _new_api
    for part in database.stream(statement, size):
        yield [make(row) for row in part]


def _columns(product: str, there: sa.TableClause) -> list[Any]:
    return [there.c[name] for name in schema.COLUMNS[product]["logs"] if name in there.c]


def _figures(product: str, row: dict[str, Any]) -> dict[str, object]:
    if product == schema.NEW_API:
        other = as_object(row.get("other"))
        figures = {name: other[name] for name in _PRICE_KEYS if name in other}
        if as_text(row.get("other")) and other.get("upstream_model_name"):
            figures["upstream_model_name"] = as_text(other["upstream_model_name"])
        return figures
    found = _RATIOS.search(as_text(row.get("content")))
    if not found:
        return {}
    figures = {"model_ratio": found[1], "group_ratio": found[2]}
    if found[3]:
        figures["completion_ratio"] = found[3]
    return figures


def _one_api(row: dict[str, Any]) -> OldLog:
    get = row.get
    model = as_text(get("model_name"))
    return OldLog(
        id=as_int(get("id")),
        user_id=as_int(get("user_id")),
        created_at=as_int(get("created_at")),
        type=as_int(get("type")),
        token_name=as_text(get("token_name")),
        token_id=0,
        model_name=model,
        served_model=model,
        quota=as_int(get("quota")),
        prompt_tokens=as_int(get("prompt_tokens")),
        completion_tokens=as_int(get("completion_tokens")),
        cached_tokens=0,
        cache_write_tokens=0,
        channel_id=as_int(get("channel_id")),
        duration_ms=as_int(get("elapsed_time")),
        first_token_ms=None,
        is_stream=as_flag(get("is_stream")),
        group="",
        network="",
        request_id=as_text(get("request_id")),
        request_path="",
        error_code="",
        http_status=0,
        figures=_figures(schema.ONE_API, row),
    )


@lru_cache(maxsize=4096)
def _network(address: str) -> str:
    return cut_network(address) if address else ""


def _new_api(row: dict[str, Any]) -> OldLog:
    get = row.get
    other = as_object(get("other"))
    model = as_text(get("model_name"))
    first = as_int(other.get("frt"), -1)
    written = max(as_int(other.get("cache_write_tokens")), as_int(other.get("cache_creation_tokens")))
    return OldLog(
        id=as_int(get("id")),
        user_id=as_int(get("user_id")),
        created_at=as_int(get("created_at")),
        type=as_int(get("type")),
        token_name=as_text(get("token_name")),
        token_id=as_int(get("token_id")),
        model_name=model,
        served_model=as_text(other.get("upstream_model_name")) or model,
        quota=as_int(get("quota")),
        prompt_tokens=as_int(get("prompt_tokens")),
        completion_tokens=as_int(get("completion_tokens")),
        cached_tokens=as_int(other.get("cache_tokens")),
        cache_write_tokens=written,
        channel_id=as_int(get("channel_id")),
        duration_ms=as_int(get("use_time")) * 1000,
        first_token_ms=first if first >= 0 else None,
        is_stream=as_flag(get("is_stream")),
        group=as_text(get("group")),
        network=_network(as_text(get("ip"))),
        request_id=as_text(get("request_id")),
        request_path=as_text(other.get("request_path")),
        error_code=as_text(other.get("error_code")),
        http_status=as_int(other.get("status_code")),
        figures={name: other[name] for name in _PRICE_KEYS if name in other},
    )
