"""People of every kind, keys, prices, money and calls, made through the services the portal uses."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from django.test import Client

from accounts.models import Group, Role, User
from accounts.services import people
from billing.pricing import RuleFigures, Usage
from billing.services import ledger, money, prices
from billing.services.usage import fold_usage
from config.foundation.clock import now
from config.foundation.ids import uuid7
from keys.models import ApiKey
from keys.services import issue_key
from models_catalog.models import AIModel, ModelAccess

PASSWORD = "correct-horse-battery"
DOLLAR = 10**9


@dataclass
class World:
    """What most page tests need; ``clear`` is the secret of Alice's key."""

    alice: User
    bob: User
    charlie: User
    support: User
    finance: User
    ops: User
    admin: User
    key: ApiKey
    clear: str
    call_id: UUID


def _person(username: str, role: str = Role.USER, **values: Any) -> User:
    return people.create_person(
        actor=None, username=username, email=f"{username}@example.org", password=PASSWORD, role=role, **values
    )


def one_call(
    person: User,
    key: ApiKey,
    *,
    at: datetime | None = None,
    outcome: str = "ok",
    status: int = 200,
    error_code: str = "",
    **log: Any,
) -> UUID:
    """One call through hold and settle, as the relay records it; a call that is not ok costs nothing."""
    request_id = uuid7(int((at or now()).timestamp() * 1000))
    price = prices.price_for(model_name="gpt-4o")
    assert price is not None
    quote = price.quote(Usage(input=1204, output=88))
    is_ok = outcome == "ok"
    columns = {
        "duration_ms": 1500,
        "first_token_ms": 210 if is_ok else None,
        "user_id": person.pk,
        "key_id": key.pk,
        "key_name": key.name,
        "key_tail": key.secrets.all()[0].tail,
        "group_code": "svip",
        "endpoint": "/v1/chat/completions",
        "asked_model": "our-chat" if is_ok else "gpt-4o",
        "billed_model": "gpt-4o" if is_ok else "",
        "served_model": "gpt-4o-2024-11-20" if is_ok else "",
        "outcome": outcome,
        "http_status": status,
        "error_code": error_code,
        "input_tokens": 1204 if is_ok else 0,
        "output_tokens": 88 if is_ok else 0,
        "usage_source": "upstream" if is_ok else "none",
        "price_version_id": price.version_id,
        "price_detail": quote.explain() if is_ok else {},
        "attempts": [{"upstream": 4711, "status": status, "ms": 1400, "error": ""}],
        "client_network": "203.0.113.x",
    }
    if is_ok:
        hold = ledger.ReserveRequest(request_id, person.pk, None, key.pk, quote.cost_nano * 2, now() + timedelta(minutes=5), {})
        assert ledger.reserve([hold])[0].status == "held"
    event = ledger.CallEvent(request_id, quote.cost_nano if is_ok else 0, is_ok, outcome, {**columns, **log})
    assert ledger.record_calls([event])[0].status == "recorded"
    return request_id


@pytest.fixture
def world(db: Any, clean_cache: Any) -> World:
    return build_world()


def build_world() -> World:
    """Everything of ``World``, in the database as it is."""
    admin = _person("root", Role.ADMIN)
    group = Group.objects.create(code="svip", name="svip", kind=Group.Kind.PRICE_CLASS)
    alice = _person("alice", billing_group=group, display_name="Alice", time_zone="Asia/Shanghai")
    for name in ("gpt-4o", "our-chat"):
        ModelAccess.objects.create(model=AIModel.objects.create(name=name), group_code="*")
    book = prices.create_book(actor=admin, code="portal", name="Portal", formula="portal", is_default=True)
    rule = RuleFigures(input_nano=5 * DOLLAR // 2, output_nano=10 * DOLLAR)
    prices.publish_version(actor=admin, book=book, rules={"gpt-4o": rule}, multipliers={}, note="")
    money.top_up(actor=admin, user=alice, amount_nano=10 * DOLLAR, reason="invoice 7")
    key, clear = issue_key(actor=alice, owner=alice, name="nightly job", networks=["203.0.113.0/24"])
    call_id = one_call(alice, key)
    fold_usage()
    return World(
        alice,
        _person("bob"),
        _person("charlie"),
        _person("sue", Role.SUPPORT),
        _person("fin", Role.FINANCE),
        _person("olga", Role.OPS),
        admin,
        key,
        clear,
        call_id,
    )


@pytest.fixture
def as_person() -> Callable[[User], Client]:
    """A browser that is signed in as this person."""

    def sign_in(person: User) -> Client:
        client = Client()
        client.force_login(person, backend="allauth.account.auth_backends.AuthenticationBackend")
        return client

    return sign_in
