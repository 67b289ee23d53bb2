"""Leases of data planes: money of one payer lent to a plane, so that it serves calls without asking for each.

The lease itself is billing's (``billing.services.leases``); here is who may have one, and what its calls cost: the rates that a
data plane needs to keep the most a call may cost free, and the price in force when a call was admitted.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection

from billing.expressions import ExpressionError
from billing.models import Lease
from billing.outcome_rules import OutcomeRules
from billing.pricing import NoPrice, Price
from billing.services import leases as billing
from config.foundation.clock import now
from gateway.contract.endpoints import CHAT, ENDPOINTS
from gateway.contract.loading import load_key, load_price_at
from gateway.contract.resolve import callable_models, check_key, resolve
from gateway.contract.snapshot import Snapshot
from gateway.contract.types import Ask, KeyView
from gateway.models import DataPlane
from gateway.planes.cache import snapshots

MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class Wish:
    """A new lease: ``lease_id`` is a UUID of the data plane; at least ``least_nano``, what one call may cost."""

    lease_id: UUID
    key_id: int
    wanted_nano: int
    least_nano: int


@dataclass(frozen=True, slots=True)
class Terms:
    """What is known of a call that drew on a lease, when it has ended."""

    columns: dict[str, Any]
    price: Price | None
    rules: OutcomeRules
    kept: dict[str, Any]


def source_of(plane: DataPlane) -> str:
    """The name a plane lends under: only it can renew, close or spend a lease of its own."""
    return f"data plane {plane.pk}"


def open_leases(plane: DataPlane, wishes: Sequence[Wish]) -> list[dict[str, Any]]:
    """Lend, each wish on its own; with the rates of what the key may call. A key that may not call gets none."""
    keys = {wish.lease_id: _key(wish.key_id) for wish in wishes}
    sound = [wish for wish in wishes if keys[wish.lease_id] is not None]
    asked = [
        billing.LeaseRequest(wish.lease_id, source_of(plane), wish.key_id, wish.wanted_nano, wish.least_nano) for wish in sound
    ]
    results = {result.lease_id: result for result in billing.open_leases(asked)}
    snapshot = snapshots.get()
    answers = []
    for wish in wishes:
        key, result = keys[wish.lease_id], results.get(wish.lease_id)
        if key is None or result is None:
            answers.append({"lease_id": str(wish.lease_id), "status": "refused", "granted_nano": 0, "rates": []})
        else:
            rates = rates_of(snapshot, key) if result.status in ("open", "repeated") else []
            answers.append({**_told(result), "rates": rates})
    return answers


def renew_leases(plane: DataPlane, renewals: Sequence[tuple[UUID, int]]) -> list[dict[str, Any]]:
    """Bring each lease to so much in all; twice is once."""
    asked = [billing.LeaseRenewal(lease_id, source_of(plane), granted) for lease_id, granted in renewals]
    return [{**_told(result), "rates": []} for result in billing.renew_leases(asked)]


def close_leases(plane: DataPlane, lease_ids: Sequence[UUID]) -> list[dict[str, Any]]:
    """Give back what is left. The ends of their calls are reported first."""
    results = billing.close_leases(source=source_of(plane), lease_ids=lease_ids)
    return [{"lease_id": str(one.lease_id), "status": one.status, "returned_nano": one.returned_nano} for one in results]


def own_leases(plane: DataPlane, lease_ids: set[UUID]) -> set[UUID]:
    """Those of these leases that are the plane's."""
    return set(Lease.objects.filter(pk__in=lease_ids, source=source_of(plane)).values_list("pk", flat=True))


def rates_of(snapshot: Snapshot, key: KeyView) -> list[dict[str, Any]]:
    """For each name the key may call: the most it costs, nano-USD a call and a million tokens in and out.

    Names whose price reads more of the request than its size are left out: they are asked for one by one.
    """
    moment, rates = now(), []
    for name, _ in callable_models(snapshot, key, moment):
        price = resolve(snapshot, replace(key, networks=()), Ask(name), moment).price
        if price is None or price.rule.basis == "expression":
            continue
        try:
            base, given, output = (
                price.estimate(input_tokens=tokens_in, max_output_tokens=tokens_out)
                for tokens_in, tokens_out in ((0, 0), (MILLION, 0), (0, MILLION))
            )
        except (NoPrice, ExpressionError):
            continue
        rates.append({"name": name, "call_nano": base, "input_nano": given, "output_nano": output})
    return rates


def terms_of(key_id: int | None, name: str, endpoint: str, at: datetime) -> Terms:
    """The terms of a call that was admitted at ``at``. The key may have been closed since: what was served is paid for."""
    key = None
    if key_id is not None:
        with connection.cursor() as cursor:
            key = load_key(cursor, key_id)
    snapshot = snapshots.get()
    if key is None:
        return Terms({"asked_model": name}, None, OutcomeRules(), {})
    as_it_was = replace(
        key, state="active", route="new", networks=(), expires_at=None, secret_valid_until=None, secret_revoked_at=None,
        owner_state="enabled", model_names=None,
    )  # fmt: skip
    decision = resolve(snapshot, as_it_was, Ask(name), now())
    payer_code = snapshot.group_code(key.payer_group_id)
    price = None
    if decision.billed_model:
        book_id = snapshot.prices.group_books.get(payer_code, snapshot.prices.default_book_id)
        with connection.cursor() as cursor:
            price = load_price_at(cursor, book_id, decision.billed_model, payer_code, decision.group_code, at)
    columns = {**decision.log_columns(), "endpoint": endpoint, "price_version_id": price.version_id if price else None}
    spec = ENDPOINTS.get(endpoint, CHAT)
    kept = {"kind": spec.kind, "modality": spec.modality}
    return Terms(columns, price, decision.outcome_rules, kept)


def _key(key_id: int) -> KeyView | None:
    """A key that may call now, wherever it is used from; None for every other one."""
    with connection.cursor() as cursor:
        key = load_key(cursor, key_id)
    if key is None or key.route != "new" or snapshots.get().rules.refused_money(key) is not None:
        return None
    return key if check_key(replace(key, networks=()), Ask(""), now()) is None else None


def _told(result: billing.LeaseResult) -> dict[str, Any]:
    return {
        "lease_id": str(result.lease_id),
        "status": result.status,
        "granted_nano": result.granted_nano,
        "draw_until": result.draw_until.isoformat() if result.draw_until else None,
        "expires_at": result.expires_at.isoformat() if result.expires_at else None,
    }
