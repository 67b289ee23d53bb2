"""One row as the database gives it -> one record, per product."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from migrations_center.sources.records import OldChannel, OldCode, OldKey, OldSubscription, OldUser
from migrations_center.sources.values import (
    as_flag,
    as_int,
    as_list,
    as_networks,
    as_object,
    as_text,
    split_names,
)

# One API marks a deleted person by this status; New API by a time.
STATUS_DELETED = 3
Row = dict[str, Any]


@dataclass(frozen=True)
class Readers:
    user: Callable[[Row], OldUser]
    key: Callable[[Row], OldKey]
    channel: Callable[[Row], OldChannel]
    code: Callable[[Row], OldCode]


def one_api_user(row: Row) -> OldUser:
    status = as_int(row["status"], 1)
    return _user(row, status=status, is_deleted=status == STATUS_DELETED, bonus=0, created=0, setting={})


def new_api_user(row: Row) -> OldUser:
    setting = as_object(row["setting"])
    return _user(
        row,
        status=as_int(row["status"], 1),
        is_deleted=bool(row["deleted_at"]),
        bonus=as_int(row["aff_quota"]),
        created=as_int(row["created_at"]),
        setting=setting,
    )


def _user(row: Row, *, status: int, is_deleted: bool, bonus: int, created: int, setting: Row) -> OldUser:
    return OldUser(
        id=as_int(row["id"]),
        username=as_text(row["username"]),
        password=as_text(row["password"]),
        display_name=as_text(row["display_name"]),
        role=as_int(row["role"], 1),
        status=status,
        email=as_text(row["email"]).strip(),
        quota=as_int(row["quota"]),
        bonus_quota=bonus,
        used_quota=as_int(row["used_quota"]),
        request_count=as_int(row["request_count"]),
        group=as_text(row["group"]) or "default",
        aff_code=as_text(row["aff_code"]),
        is_deleted=is_deleted,
        created_time=created,
        language=as_text(setting.get("language")),
        accepts_unpriced=as_flag(setting.get("accept_unset_model_ratio_model")),
    )


def one_api_key(row: Row) -> OldKey:
    # Blank or NULL allows every model.
    models = split_names(row["models"]) or None
    good, bad = as_networks(row["subnet"], ",")
    return _key(row, models=models, networks=good, unreadable=bad, group="", own=(), is_deleted=False)


def new_api_key(row: Row) -> OldKey:
    # Switched on but empty allows nothing; not switched on allows everything, whatever is in the list.
    models = split_names(row["model_limits"]) if as_flag(row["model_limits_enabled"]) else None
    good, bad = as_networks(row["allow_ips"], "\n\r")
    own = tuple(as_text(name) for name in as_list(row["auto_groups"]))
    return _key(
        row,
        models=models,
        networks=good,
        unreadable=bad,
        group=as_text(row["group"]),
        own=own,
        is_deleted=bool(row["deleted_at"]),
    )


def _key(
    row: Row,
    *,
    models: tuple[str, ...] | None,
    networks: tuple[str, ...],
    unreadable: tuple[str, ...],
    group: str,
    own: tuple[str, ...],
    is_deleted: bool,
) -> OldKey:
    return OldKey(
        id=as_int(row["id"]),
        user_id=as_int(row["user_id"]),
        key=as_text(row["key"]),
        status=as_int(row["status"], 1),
        name=as_text(row["name"]),
        created_time=as_int(row["created_time"]),
        accessed_time=as_int(row["accessed_time"]),
        expired_time=as_int(row["expired_time"], -1),
        remain_quota=as_int(row["remain_quota"]),
        is_unlimited=as_flag(row["unlimited_quota"]),
        used_quota=as_int(row["used_quota"]),
        models=models,
        networks=networks,
        networks_unreadable=unreadable,
        group=group,
        own_auto_groups=own,
        is_deleted=is_deleted,
    )


def channel(row: Row) -> OldChannel:
    mapping = {
        as_text(name): as_text(target)
        for name, target in as_object(row["model_mapping"]).items()
        if isinstance(target, str) and target.strip()
    }
    return OldChannel(
        id=as_int(row["id"]),
        type=as_int(row["type"]),
        key=as_text(row["key"]),
        status=as_int(row["status"], 1),
        name=as_text(row["name"]),
        base_url=as_text(row["base_url"]).strip(),
        models=split_names(row["models"]),
        groups=split_names(row["group"]),
        mapping=mapping,
        priority=as_int(row["priority"]),
        weight=as_int(row["weight"]),
    )


def one_api_code(row: Row) -> OldCode:
    return _code(row, used_by=0, expires=0, is_deleted=False)


def new_api_code(row: Row) -> OldCode:
    return _code(
        row,
        used_by=as_int(row["used_user_id"]),
        expires=as_int(row["expired_time"]),
        is_deleted=bool(row["deleted_at"]),
    )


def _code(row: Row, *, used_by: int, expires: int, is_deleted: bool) -> OldCode:
    return OldCode(
        id=as_int(row["id"]),
        key=as_text(row["key"]),
        status=as_int(row["status"], 1),
        name=as_text(row["name"]),
        quota=as_int(row["quota"]),
        created_time=as_int(row["created_time"]),
        redeemed_time=as_int(row["redeemed_time"]),
        used_user_id=used_by,
        expired_time=expires,
        is_deleted=is_deleted,
    )


def subscription(row: Row) -> OldSubscription:
    return OldSubscription(
        id=as_int(row["id"]),
        user_id=as_int(row["user_id"]),
        amount_total=as_int(row["amount_total"]),
        amount_used=as_int(row["amount_used"]),
        end_time=as_int(row["end_time"]),
        status=as_text(row["status"]),
    )


READERS = {
    "one_api": Readers(one_api_user, one_api_key, channel, one_api_code),
    "new_api": Readers(new_api_user, new_api_key, channel, new_api_code),
}
