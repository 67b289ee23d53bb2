"""Rows of an old gateway in one form for both products. Secrets are in no ``repr``."""

from dataclasses import dataclass, field
from typing import NamedTuple

ROLE_ADMIN = 10
ROLE_ROOT = 100
STATUS_ENABLED = 1
STATUS_DISABLED = 2
KEY_EXPIRED = 3
KEY_EXHAUSTED = 4
CODE_UNUSED = 1
CODE_DISABLED = 2
CODE_USED = 3
LOG_TOP_UP = 1
LOG_CALL = 2
LOG_MANAGE = 3
LOG_SYSTEM = 4
LOG_ERROR = 5
LOG_REFUND = 6
LOG_LOGIN = 7


@dataclass(frozen=True, slots=True)
class OldUser:
    """A person. ``quota`` is the balance and ``bonus_quota`` the invite bonus not yet moved to it, in units, signed."""

    id: int
    username: str
    password: str = field(repr=False)
    display_name: str
    role: int
    status: int
    email: str
    quota: int
    bonus_quota: int
    used_quota: int
    request_count: int
    group: str
    aff_code: str
    is_deleted: bool
    created_time: int
    language: str
    # New API: the person chose to be served by models without a price, at ratio 37.5.
    accepts_unpriced: bool

    @property
    def is_enabled(self) -> bool:
        return self.status == STATUS_ENABLED and not self.is_deleted


@dataclass(frozen=True, slots=True)
class OldKey:
    """An API key. ``models`` None allows all, an empty tuple none; ``networks`` are CIDR blocks, empty: from anywhere."""

    id: int
    user_id: int
    key: str = field(repr=False)
    status: int
    name: str
    created_time: int
    accessed_time: int
    # Unix seconds; -1: never.
    expired_time: int
    remain_quota: int
    is_unlimited: bool
    used_quota: int
    models: tuple[str, ...] | None
    networks: tuple[str, ...]
    networks_unreadable: tuple[str, ...]
    # "" for the owner's group, "auto" for several in order.
    group: str
    own_auto_groups: tuple[str, ...]
    is_deleted: bool


@dataclass(frozen=True, slots=True)
class OldChannel:
    """A place that serves models. ``mapping`` is requested name to upstream name, as it was written."""

    id: int
    type: int
    key: str = field(repr=False)
    status: int
    name: str
    base_url: str
    models: tuple[str, ...]
    groups: tuple[str, ...]
    mapping: dict[str, str]
    priority: int
    weight: int

    @property
    def is_enabled(self) -> bool:
        return self.status == STATUS_ENABLED


@dataclass(frozen=True, slots=True)
class OldCode:
    id: int
    key: str = field(repr=False)
    status: int
    name: str
    quota: int
    created_time: int
    redeemed_time: int
    used_user_id: int
    # Unix seconds; 0: never.
    expired_time: int
    is_deleted: bool


@dataclass(frozen=True, slots=True)
class OldSubscription:
    id: int
    user_id: int
    # Units; 0 stands for unlimited.
    amount_total: int
    amount_used: int
    end_time: int
    status: str


class OldLog(NamedTuple):
    """A log row, only what is carried: never the text of a row, never an address in full."""

    id: int
    user_id: int
    created_at: int
    type: int
    token_name: str
    token_id: int
    model_name: str
    served_model: str
    quota: int
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int
    cache_write_tokens: int
    channel_id: int
    duration_ms: int
    first_token_ms: int | None
    is_stream: bool
    group: str
    network: str
    request_id: str
    request_path: str
    error_code: str
    http_status: int
    figures: dict[str, object]


class LogGroup(NamedTuple):
    """Sums over log rows of one type and person, by SQL."""

    type: int
    user_id: int
    rows: int
    quota: int


class LogFact(NamedTuple):
    """What the newest call rows of a model prove about its price."""

    model_name: str
    rows: int
    figures: dict[str, object]
