"""A small company on the gateway: people with money and keys, models with prices, made through the services."""

import itertools
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from uuid import UUID

import httpx
from django.db import connection

from accounts.models import Group, User
from accounts.services.people import create_person
from billing.models import Hold, LedgerAccount, LedgerEntry, RequestLog
from billing.pricing import RuleFigures
from billing.services import ledger, prices
from config.foundation.ids import uuid7
from keys.models import ApiKey
from keys.services import issue_key
from models_catalog import services as catalog
from models_catalog.models import AIModel, Upstream
from tests.gateway.servers import Server, until

USD = 1_000_000_000
# 1 nano-dollar a token in, 3 out: 1,000 in and 500 out cost 2,500 nano-dollars.
RULE = RuleFigures(input_nano=1_000_000, cached_nano=500_000, output_nano=3_000_000)
FAILING = ("demo-500", "demo-429", "demo-timeout", "demo-cut-stream", "demo-cut-before-output", "demo-no-usage")
FAILING += ("demo-slow", "demo-garbage", "demo-other-model", "demo-400", "demo-401", "demo-503", "demo-stall")
FAILING += ("demo-garbage-stream", "demo-same-id", "demo-null-id")
CREDENTIAL = "sk-upstreamCREDENTIALcanary0123456789abcdefghij"
_numbers = itertools.count(1)


@dataclass
class World:
    """The catalogue and what was made in it. ``relay`` is the process under test."""

    upstream: Server
    relay: Server
    models: dict[str, AIModel] = field(default_factory=dict)
    group: Group = None  # type: ignore[assignment]
    route: Upstream = None  # type: ignore[assignment]
    messages_route: Upstream = None  # type: ignore[assignment]

    def build(self) -> "World":
        """One group that may call every model of the demo upstream, all at the price RULE."""
        self.group = Group.objects.create(code=f"staff-{next(_numbers)}", name="Staff")
        provider = catalog.create_provider(actor_name="test", code=f"demo-{next(_numbers)}", name="Demo")
        self.route = catalog.create_upstream(
            actor_name="test",
            name="demo",
            provider=provider,
            base_url=self.upstream.url,
            credential=CREDENTIAL,
            timeout_seconds=2,
        )
        speaker = catalog.create_provider(
            actor_name="test", code=f"demo-{next(_numbers)}", name="Demo messages", protocol="anthropic"
        )
        self.messages_route = catalog.create_upstream(
            actor_name="test",
            name="demo messages",
            provider=speaker,
            base_url=self.upstream.url,
            credential=CREDENTIAL,
            timeout_seconds=2,
        )
        for name in ("demo-chat", "demo-embedding", "demo-image", "demo-sound", *FAILING):
            self.models[name] = catalog.create_model(actor_name="test", figures=catalog.ModelFigures(name=name))
            catalog.set_access(actor_name="test", model=self.models[name], group_codes=[self.group.code])
            catalog.serve_model(actor_name="test", upstream=self.route, model=self.models[name])
            catalog.serve_model(actor_name="test", upstream=self.messages_route, model=self.models[name])
        self.book = prices.create_book(actor=None, code="test", name="Test", formula="portal", is_default=True)
        self.publish({})
        self.settle_in()
        return self

    def publish(self, more: dict[str, RuleFigures], multipliers: dict[tuple[str, str], Decimal] | None = None) -> None:
        rules = dict.fromkeys(self.models, RULE) | more
        prices.publish_version(actor=None, book=self.book, rules=rules, multipliers=multipliers or {})

    def person(self, usd: str = "1", **fields: Any) -> User:
        name = f"person{next(_numbers)}"
        person = create_person(actor=None, username=name, billing_group=fields.pop("group", self.group), **fields)
        self.top_up(person, int(Decimal(usd) * USD))
        return person

    def top_up(self, person: User | Group, nano: int) -> LedgerAccount:
        purse = ledger.purse_for(**({"user": person} if isinstance(person, User) else {"group": person}))
        if nano:
            cash = ledger.house_account("cash")
            ledger.post_entries([ledger.Posting(uuid7(), "top_up", cash.pk, purse.pk, nano)])
        return purse

    def key(self, owner: User | None = None, **fields: Any) -> tuple[ApiKey, str]:
        if owner is None and "team" not in fields:
            owner = self.person()
        changes = {name: fields.pop(name) for name in ("group", "auto_group_codes", "ignores_channel_pin") if name in fields}
        key, clear = issue_key(actor=None, owner=owner, name="test key", **fields)
        if changes:
            ApiKey.objects.filter(pk=key.pk).update(**changes)
        return key, clear

    def settle_in(self) -> None:
        """Return once the relay serves what the database says now."""
        with connection.cursor() as cursor:
            cursor.execute("UPDATE models_catalog_provider SET name = name")
            cursor.execute("SELECT last_value FROM gateway_config_version")
            (wanted,) = cursor.fetchone()
        until(lambda: httpx.get(f"{self.relay.url}/healthz").json().get("config_version", 0) >= wanted)

    def ask(self, clear: str, text: str = "hello", model: str = "demo-chat", **fields: Any) -> httpx.Response:
        body = {"model": model, "messages": [{"role": "user", "content": text}], "max_tokens": 600, **fields}
        headers = {"Authorization": f"Bearer {clear}"}
        # Without TLS to check: reading the certificates of the machine would cost more than the call.
        return httpx.post(f"{self.relay.url}/v1/chat/completions", json=body, headers=headers, timeout=30, verify=False)  # noqa: S501


def log_of(request_id: str) -> RequestLog:
    """The one row of the request log for a call, waiting until it is written."""
    return until(lambda: RequestLog.objects.filter(pk=UUID(request_id)).first())


def balance(person: User | Group) -> int:
    owner = {"user": person} if isinstance(person, User) else {"group": person}
    return sum(LedgerAccount.objects.filter(is_purse=True, **owner).values_list("balance_nano", flat=True))


def held(person: User | Group) -> int:
    owner = {"user": person} if isinstance(person, User) else {"group": person}
    return sum(LedgerAccount.objects.filter(is_purse=True, **owner).values_list("held_nano", flat=True))


def charges(request_id: str) -> list[int]:
    return list(
        LedgerEntry.objects.filter(transaction_id=UUID(request_id), kind="charge").values_list("amount_nano", flat=True)
    )


def hold_of(request_id: str) -> Hold | None:
    return Hold.objects.filter(pk=UUID(request_id)).first()
