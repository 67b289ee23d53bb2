"""Which columns each product has, with the value that stands in where a version lacks one. Detection is by columns alone."""

from dataclasses import dataclass
from typing import Any

from migrations_center.sources.database import Database
from migrations_center.sources.errors import SourceAmbiguous, SourceOfAnotherProduct

ONE_API = "one_api"
NEW_API = "new_api"

_CORE = {
    "users": ("id", "username", "password", "quota"),
    "tokens": ("id", "user_id", "key", "status"),
    "channels": ("id", "type", "key", "models"),
    "options": ("key", "value"),
}
_NEW_TABLES = ("setups", "top_ups", "quota_data", "tasks", "midjourneys")
_NEW_COLUMNS = {
    "users": ("deleted_at", "setting", "aff_quota"),
    "tokens": ("model_limits", "model_limits_enabled", "group"),
    "channels": ("auto_ban", "tag", "setting"),
    "logs": ("other", "token_id"),
}
_ONE_COLUMNS = {
    "users": ("lark_id",),
    "tokens": ("subnet", "models"),
    "channels": ("config", "system_prompt"),
    "logs": ("elapsed_time", "system_prompt_reset"),
}

# Column -> default when the version has no such column. ``access_token`` is not here: it is never read.
COLUMNS: dict[str, dict[str, dict[str, Any]]] = {
    ONE_API: {
        "users": {
            "id": 0, "username": "", "password": "", "display_name": "", "role": 1, "status": 1, "email": "", "quota": 0,
            "used_quota": 0, "request_count": 0, "group": "default", "aff_code": "",
        },
        "tokens": {
            "id": 0, "user_id": 0, "key": "", "status": 1, "name": "", "created_time": 0, "accessed_time": 0,
            "expired_time": -1, "remain_quota": 0, "unlimited_quota": False, "used_quota": 0, "models": None, "subnet": "",
        },
        "channels": {
            "id": 0, "type": 0, "key": "", "status": 1, "name": "", "weight": 0, "base_url": "", "models": "",
            "group": "default", "model_mapping": "", "priority": 0,
        },
        "redemptions": {
            "id": 0, "key": "", "status": 1, "name": "", "quota": 0, "created_time": 0, "redeemed_time": 0,
        },
        "logs": {
            "id": 0, "user_id": 0, "created_at": 0, "type": 0, "content": "", "token_name": "", "model_name": "", "quota": 0,
            "prompt_tokens": 0, "completion_tokens": 0, "channel_id": 0, "request_id": "", "elapsed_time": 0,
            "is_stream": False,
        },
    },
    NEW_API: {
        "users": {
            "id": 0, "username": "", "password": "", "display_name": "", "role": 1, "status": 1, "email": "", "quota": 0,
            "aff_quota": 0, "used_quota": 0, "request_count": 0, "group": "default", "aff_code": "", "deleted_at": None,
            "created_at": 0, "setting": "",
        },
        "tokens": {
            "id": 0, "user_id": 0, "key": "", "status": 1, "name": "", "created_time": 0, "accessed_time": 0,
            "expired_time": -1, "remain_quota": 0, "unlimited_quota": False, "used_quota": 0, "model_limits_enabled": False,
            "model_limits": "", "allow_ips": "", "group": "", "auto_groups": "", "deleted_at": None,
        },
        "channels": {
            "id": 0, "type": 0, "key": "", "status": 1, "name": "", "weight": 0, "base_url": "", "models": "",
            "group": "default", "model_mapping": "", "priority": 0,
        },
        "redemptions": {
            "id": 0, "key": "", "status": 1, "name": "", "quota": 0, "created_time": 0, "redeemed_time": 0,
            "used_user_id": 0, "expired_time": 0, "deleted_at": None,
        },
        "user_subscriptions": {
            "id": 0, "user_id": 0, "amount_total": 0, "amount_used": 0, "end_time": 0, "status": "",
        },
        "logs": {
            "id": 0, "user_id": 0, "created_at": 0, "type": 0, "token_name": "", "token_id": 0, "model_name": "", "quota": 0,
            "prompt_tokens": 0, "completion_tokens": 0, "channel_id": 0, "use_time": 0, "is_stream": False, "group": "",
            "ip": "", "request_id": "", "other": "",
        },
    },
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class MissingColumn:
    table: str
    column: str
    default: Any


def detect(database: Database, wanted: str = "") -> str:
    """The product, from its columns; ``wanted`` decides when both have left theirs (one opened the other's database)."""
    for table, columns in _CORE.items():
        if not set(columns) <= database.columns(table):
            raise SourceOfAnotherProduct
    new = any(table in database.tables for table in _NEW_TABLES) or _has_any(database, _NEW_COLUMNS)
    one = _has_any(database, _ONE_COLUMNS)
    if new and one:
        if wanted in (ONE_API, NEW_API):
            return wanted
        raise SourceAmbiguous
    # Neither: a One API from before 0.6, which had no column of its own yet.
    return NEW_API if new else ONE_API


def missing_columns(database: Database, product: str, table: str) -> list[MissingColumn]:
    found = database.columns(table)
    return [MissingColumn(table, column, default) for column, default in COLUMNS[product][table].items() if column not in found]


def _has_any(database: Database, wanted: dict[str, tuple[str, ...]]) -> bool:
    return any(set(columns) & database.columns(table) for table, columns in wanted.items())
