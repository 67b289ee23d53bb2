"""Small databases of both products, written by the test itself."""

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Build = Callable[..., Path]

ONE_API = {
    "users": "id integer primary key, username text, password text, display_name text, role integer, "
    "status integer, email text, lark_id text, access_token text, quota integer, used_quota integer, "
    "request_count integer, `group` text, aff_code text",
    "tokens": "id integer primary key, user_id integer, `key` char(48), status integer, name text, "
    "created_time integer, accessed_time integer, expired_time integer, remain_quota integer, "
    "unlimited_quota numeric, used_quota integer, models text, subnet text",
    "channels": "id integer primary key, type integer, `key` text, status integer, name text, base_url text, "
    "models text, `group` text, model_mapping text, priority integer, weight integer, config text",
    "options": "`key` text primary key, value text",
    "redemptions": "id integer primary key, `key` char(32), status integer, name text, quota integer, "
    "created_time integer, redeemed_time integer",
    "logs": "id integer primary key, user_id integer, created_at integer, type integer, content text, "
    "username text, token_name text, model_name text, quota integer, prompt_tokens integer, "
    "completion_tokens integer, channel_id integer",
}
NEW_API = {
    "users": "id integer primary key, username text, password text, display_name text, role integer, "
    "status integer, email text, access_token text, quota integer, aff_quota integer, "
    "used_quota integer, request_count integer, `group` text, aff_code text, deleted_at datetime, "
    "created_at integer, setting text",
    "tokens": "id integer primary key, user_id integer, `key` varchar(128), status integer, name text, "
    "created_time integer, accessed_time integer, expired_time integer, remain_quota integer, "
    "unlimited_quota numeric, used_quota integer, model_limits_enabled numeric, model_limits text, "
    "allow_ips text, `group` text, deleted_at datetime",
    "channels": "id integer primary key, type integer, `key` text, status integer, name text, base_url text, "
    "models text, `group` text, model_mapping text, priority integer, weight integer, tag text",
    "options": "`key` text primary key, value text",
    "redemptions": "id integer primary key, `key` char(32), status integer, name text, quota integer, "
    "created_time integer, redeemed_time integer, used_user_id integer, expired_time integer, "
    "deleted_at datetime",
    "user_subscriptions": "id integer primary key, user_id integer, amount_total integer, amount_used integer, "
    "end_time integer, status text",
    "setups": "id integer primary key, version text, initialized_at integer",
    "logs": "id integer primary key, user_id integer, created_at integer, type integer, content text, "
    "username text, token_name text, token_id integer, model_name text, quota integer, "
    "prompt_tokens integer, completion_tokens integer, channel_id integer, use_time integer, "
    "`group` text, other text",
}


def write(path: Path, schema: dict[str, str], rows: dict[str, list[dict[str, Any]]]) -> Path:
    with sqlite3.connect(path) as db:
        for table, columns in schema.items():
            db.execute(f"CREATE TABLE `{table}` ({columns})")
        for table, found in rows.items():
            for row in found:
                names = ", ".join(f"`{name}`" for name in row)
                db.execute(f"INSERT INTO `{table}` ({names}) VALUES ({', '.join('?' * len(row))})", list(row.values()))
    db.close()
    return path


@pytest.fixture
def one_api(tmp_path: Path) -> Build:
    """``one_api(users=[...], tokens=[...])`` writes a One API file; ``drop`` leaves columns out."""
    return lambda name="one.db", drop=(), **rows: write(tmp_path / name, _without(ONE_API, drop), rows)


@pytest.fixture
def new_api(tmp_path: Path) -> Build:
    return lambda name="new.db", drop=(), **rows: write(tmp_path / name, _without(NEW_API, drop), rows)


def _without(schema: dict[str, str], drop: tuple[str, ...]) -> dict[str, str]:
    dropped: dict[str, str] = {}
    for table, columns in schema.items():
        if table in drop:
            continue
        kept = [c for c in columns.split(", ") if f"{table}.{c.split()[0].strip('`')}" not in drop]
        dropped[table] = ", ".join(kept)
    return dropped


def user(user_id: int, **fields: Any) -> dict[str, Any]:
    base = {
        "id": user_id,
        "username": f"user{user_id}",
        "password": "",
        "role": 1,
        "status": 1,
        "quota": 1000,
        "group": "default",
    }
    return {**base, "aff_code": f"a{user_id}", **fields}


def key(key_id: int, user_id: int, **fields: Any) -> dict[str, Any]:
    base = {"id": key_id, "user_id": user_id, "key": f"K{key_id:047d}", "status": 1, "name": f"key{key_id}"}
    return {**base, "expired_time": -1, "remain_quota": 0, "unlimited_quota": 1, "used_quota": 0, **fields}


def channel(channel_id: int, **fields: Any) -> dict[str, Any]:
    base = {
        "id": channel_id,
        "type": 1,
        "key": f"up-{channel_id}",
        "status": 1,
        "name": f"ch{channel_id}",
        "base_url": "http://up.test",
    }
    return {**base, "models": "gpt-4o", "group": "default", "priority": 0, "weight": 0, **fields}
