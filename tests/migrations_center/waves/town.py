"""A source with people, keys, balances and history as an import leaves them, small enough to know every figure.

The journeys over real old databases are in ``test_wave_journey.py``; here each rule is looked at on its own.
"""

import itertools
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from accounts.models import Group, Role, User
from accounts.services.people import create_person
from billing.models import LedgerAccount, RequestLog
from billing.pricing import RuleFigures
from billing.services import ledger, prices
from config.foundation.clock import now
from config.foundation.ids import uuid7, uuid7_time
from gateway.models import OldEntry
from gateway.services import remember_old_entry
from keys.models import ApiKey
from keys.services import import_secret
from migrations_center.models import ImportedRow, ImportRun, Plan, Source, Wave
from migrations_center.services import plans, waves
from models_catalog import services as catalog

USD = 1_000_000_000
RULE = RuleFigures(input_nano=1_000_000, output_nano=3_000_000)
MODELS = ("town-chat", "town-mini")
_numbers = itertools.count(1)


@dataclass
class Town:
    """``people`` by name; everybody has one key, 2.5 dollars and a week of history unless said otherwise."""

    source: Source = None  # type: ignore[assignment]
    run: ImportRun = None  # type: ignore[assignment]
    group: Group = None  # type: ignore[assignment]
    ops: User = None  # type: ignore[assignment]
    old_entry: OldEntry = None  # type: ignore[assignment]
    people: dict[str, User] = field(default_factory=dict)
    keys: dict[str, ApiKey] = field(default_factory=dict)
    secrets: dict[str, str] = field(default_factory=dict)

    def build(self, *names: str, old_url: str = "https://old.example.org", upstream_url: str = "http://127.0.0.1:9") -> "Town":
        number = next(_numbers)
        code = f"town-{number}"
        self.ops = create_person(actor=None, username=f"ops{number}", email=f"ops{number}@example.org", role=Role.OPS)
        self.source = Source.objects.create(
            code=code, name="Town gateway", product=Source.Product.ONE_API, kind=Source.Kind.FILE, fingerprint=code
        )
        self.run = ImportRun.objects.create(
            source=self.source, state=ImportRun.State.APPLIED, report={"totals": {"balances": {"ties_out": True}}}
        )
        self.group = Group.objects.create(code=f"{code}/default", name="default", kind=Group.Kind.PRICE_CLASS)
        self.old_entry = remember_old_entry(actor=None, name=f"Town gateway {number}", base_url=old_url)
        self.catalogue(upstream_url)
        for name in names:
            self.move_in(name)
        return self

    def catalogue(self, upstream_url: str) -> None:
        provider = catalog.create_provider(actor_name="test", code=f"town-{next(_numbers)}", name="Town")
        upstream = catalog.create_upstream(
            actor_name="test", name="town", provider=provider, base_url=upstream_url, credential="sk-town"
        )
        for name in MODELS:
            model = catalog.create_model(actor_name="test", figures=catalog.ModelFigures(name=name))
            catalog.set_access(actor_name="test", model=model, group_codes=[self.group.code])
            catalog.serve_model(actor_name="test", upstream=upstream, model=model)
        book = prices.create_book(actor=None, code=f"town-{next(_numbers)}", name="Town", formula="portal", is_default=True)
        prices.publish_version(actor=None, book=book, rules=dict.fromkeys(MODELS, RULE), multipliers={})

    def move_in(self, name: str, nano: int = 2_500_000_000, **fields: Any) -> User:
        fields.setdefault("email", f"{name}@example.org")
        person = create_person(actor=None, username=name, billing_group=self.group, **fields)
        self.people[name] = person
        self.row("users", person, {"nano": nano})
        purse = ledger.purse_for(user=person, origin=f"import:{self.source.code}")
        equity = ledger.house_account("opening_equity", f"import:{self.source.code}")
        if nano > 0:
            ledger.post_entries([ledger.Posting(uuid7(), "opening", equity.pk, purse.pk, nano)])
        elif nano < 0:
            ledger.post_entries([ledger.Posting(uuid7(), "opening", purse.pk, equity.pk, -nano, allow_debt=True)])
        self.give_key(name)
        self.called(name, "town-chat", times=3)
        return person

    def give_key(self, name: str, owner: bool = True) -> ApiKey:
        key = ApiKey.objects.create(name=f"{name} key", owner=self.people[name] if owner else None)
        bare = f"{name}{next(_numbers)}".ljust(48, "x")
        import_secret(key=key, bare=bare)
        self.row("tokens", key, {})
        self.keys[name], self.secrets[name] = key, bare
        return key

    def row(self, table: str, target: Any, figures: dict[str, Any]) -> None:
        ImportedRow.objects.create(
            source=self.source,
            table=table,
            row_id=str(next(_numbers)),
            target_type=target._meta.label_lower,
            target_id=str(target.pk),
            digest="0" * 64,
            figures=figures,
            first_run=self.run,
            last_run=self.run,
        )

    def called(
        self, name: str, model: str, *, times: int = 1, at: datetime | None = None, outcome: str = "ok", **fields: Any
    ) -> list[RequestLog]:
        """Rows of the request log; without more, history of the old gateway from yesterday."""
        at = at or now() - timedelta(days=1)
        fields = {"origin": "imported", "route": "old", **fields}
        rows = []
        for _ in range(times):
            call_id: UUID = uuid7(int(at.timestamp() * 1000))
            rows.append(
                RequestLog.objects.create(
                    id=call_id,
                    started_at=uuid7_time(call_id),
                    user=self.people[name],
                    key=self.keys[name],
                    asked_model=model,
                    billed_model=model,
                    outcome=outcome,
                    http_status=200 if outcome == "ok" else 502,
                    group_code=self.group.code,
                    **fields,
                )
            )
        return rows

    def plan(self) -> Plan:
        return plans.create_plan(actor=self.ops, source=self.source, name="Town moves", old_entry=self.old_entry).plan

    def wave(self, plan: Plan, *names: str, name: str = "First wave", **fields: Any) -> Wave:
        fields.setdefault("planned_at", now() + timedelta(days=4))
        wave = waves.create_wave(actor=self.ops, plan=plan, name=name, **fields)
        waves.add_members(actor=self.ops, wave=wave, user_ids=[self.people[one].pk for one in names])
        return wave

    def purse(self, name: str) -> LedgerAccount:
        return LedgerAccount.objects.get(user=self.people[name], origin=f"import:{self.source.code}")

    def routes(self) -> dict[str, str]:
        return {name: ApiKey.objects.get(pk=key.pk).route for name, key in sorted(self.keys.items())}

    def spend(self, name: str, nano: int) -> UUID:
        """One served and charged call: held, then settled, through the ledger's own doors."""
        call = self.start_call(name, nano)
        self.end_call(call, nano)
        return call

    def start_call(self, name: str, nano: int, seconds: int = 300) -> UUID:
        call = uuid7()
        person, key = self.people[name], self.keys[name]
        context = {"user_id": person.pk, "key_id": key.pk, "asked_model": "town-chat", "route": "new"}
        (answer,) = ledger.reserve(
            [ledger.ReserveRequest(call, person.pk, None, key.pk, nano, now() + timedelta(seconds=seconds), context)]
        )
        assert answer.status == "held", answer
        return call

    def end_call(self, call: UUID, nano: int) -> str:
        hold_user = ledger_user(call)
        log = {"outcome": "ok", "user_id": hold_user, "asked_model": "town-chat", "route": "new", "http_status": 200}
        (answer,) = ledger.record_calls([ledger.CallEvent(call, nano, True, "", log)])
        return answer.status


def ledger_user(call: UUID) -> int | None:
    from billing.models import Hold

    return Hold.objects.get(pk=call).user_id
