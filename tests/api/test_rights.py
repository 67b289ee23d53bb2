"""R018: every operation of the API against every role, as one table that is run both ways."""

from collections.abc import Callable

import pytest
from django.db import transaction
from drf_spectacular.generators import SchemaGenerator
from rest_framework.test import APIClient

from accounts.models import Role, User
from billing.models import HookDelivery, HookEndpoint
from config.foundation.ids import uuid7
from gateway.models_tasks import MediaTask
from tests.admin.world import World

ADMIN, OPS, SUPPORT, FINANCE = Role.ADMIN, Role.OPS, Role.SUPPORT, Role.FINANCE
PEOPLE = {ADMIN, OPS, SUPPORT, FINANCE}
MANAGERS = {ADMIN, OPS}
MONEY = {ADMIN, FINANCE}
PRICES = {ADMIN, OPS, FINANCE}
EVERYBODY = set(Role.values)
OTHERS = {Role.USER, Role.DEVELOPER, Role.CONTENT_LEAD}

# Operation: (who may, to whom the object does not exist); everybody else is refused.
# The objects belong to the customer; the plain user is a member of the customer's team, nobody's owner.
NOBODY: set[str] = set()
TABLE: dict[str, tuple[set[str], set[str]]] = {
    "GET me/": (EVERYBODY, NOBODY),
    "PATCH me/": (EVERYBODY, NOBODY),
    "GET people/": (PEOPLE, NOBODY),
    "POST people/": ({ADMIN}, NOBODY),
    "GET people/{person}/": (PEOPLE, NOBODY),
    "PATCH people/{person}/": ({ADMIN}, NOBODY),
    "POST people/{person}/disable/": ({ADMIN}, NOBODY),
    "POST people/{person}/enable/": ({ADMIN}, NOBODY),
    "GET groups/": (EVERYBODY, NOBODY),
    "POST groups/": (MANAGERS, NOBODY),
    "GET groups/{group}/": (PEOPLE | {Role.USER}, {Role.DEVELOPER, Role.CONTENT_LEAD}),
    "PATCH groups/{group}/": (MANAGERS, {Role.DEVELOPER, Role.CONTENT_LEAD}),
    "GET groups/{group}/members/": (PEOPLE | {Role.USER}, {Role.DEVELOPER, Role.CONTENT_LEAD}),
    "POST groups/{group}/members/": (MANAGERS, OTHERS),
    "PATCH groups/{group}/members/{person}/": (MANAGERS, {Role.DEVELOPER, Role.CONTENT_LEAD}),
    "DELETE groups/{group}/members/{person}/": (MANAGERS, {Role.DEVELOPER, Role.CONTENT_LEAD}),
    "GET audit-events/": ({ADMIN}, NOBODY),
    "GET models/": (EVERYBODY, NOBODY),
    "POST models/": (MANAGERS, NOBODY),
    "GET models/{model}/": (EVERYBODY, NOBODY),
    "PATCH models/{model}/": (MANAGERS, NOBODY),
    "GET providers/": (MANAGERS, NOBODY),
    "POST providers/": (MANAGERS, NOBODY),
    "PATCH providers/{provider}/": (MANAGERS, NOBODY),
    "GET upstreams/": (MANAGERS, NOBODY),
    "POST upstreams/": (MANAGERS, NOBODY),
    "GET upstreams/{upstream}/": (MANAGERS, NOBODY),
    "PATCH upstreams/{upstream}/": (MANAGERS, NOBODY),
    "PUT upstreams/{upstream}/credential/": (MANAGERS, NOBODY),
    "POST upstreams/{upstream}/enable/": (MANAGERS, NOBODY),
    "POST upstreams/{upstream}/disable/": (MANAGERS, NOBODY),
    "PUT upstreams/{upstream}/models/": (MANAGERS, NOBODY),
    "GET name-map/": (EVERYBODY, NOBODY),
    "POST name-map/": (MANAGERS, NOBODY),
    "GET name-map/versions/": (MANAGERS, NOBODY),
    "GET name-map/csv/": (MANAGERS, NOBODY),
    "GET proofs/": (PEOPLE, NOBODY),
    "POST proofs/": (MANAGERS, NOBODY),
    "GET proofs/{proof}/": (PEOPLE, NOBODY),
    "GET proofs/{proof}/results/": (PEOPLE, NOBODY),
    "POST proofs/{proof}/stop/": (MANAGERS, NOBODY),
    "GET tasks/": (EVERYBODY, NOBODY),
    "GET tasks/{task}/": (PEOPLE, OTHERS),
    "GET tasks/{task}/callbacks/": (PEOPLE, OTHERS),
    "POST tasks/{task}/callbacks/{delivery}/resend/": (MANAGERS, OTHERS),
    # Of a model that is not there.
    "POST tasks/preflight/": (NOBODY, EVERYBODY),
    "GET task-templates/": (EVERYBODY, NOBODY),
    "GET task-templates/{template}/": (PEOPLE | {Role.USER}, {Role.DEVELOPER, Role.CONTENT_LEAD}),
    "POST task-templates/": (NOBODY, EVERYBODY),
    "POST task-templates/{template}/versions/": (NOBODY, {Role.DEVELOPER, Role.CONTENT_LEAD}),
    "GET trials/": (EVERYBODY, NOBODY),
    "POST trials/": (MANAGERS, NOBODY),
    "GET trials/{trial}/": (MANAGERS | {Role.USER}, {SUPPORT, FINANCE, Role.DEVELOPER, Role.CONTENT_LEAD}),
    "POST trials/{trial}/checks/": (MANAGERS, {SUPPORT, FINANCE, Role.DEVELOPER, Role.CONTENT_LEAD}),
    "POST trials/{trial}/production/": (MANAGERS, NOBODY),
    "POST trials/{trial}/reopen/": (MANAGERS, NOBODY),
    "POST access/explain/": ({ADMIN, OPS, SUPPORT}, NOBODY),
    "GET keys/": (EVERYBODY, NOBODY),
    "POST keys/": (EVERYBODY, NOBODY),
    "GET keys/{key}/": ({ADMIN, OPS, SUPPORT}, OTHERS | {FINANCE}),
    "PATCH keys/{key}/": (MANAGERS, OTHERS | {FINANCE}),
    "POST keys/{key}/rotate/": (MANAGERS, OTHERS | {FINANCE}),
    "POST keys/{key}/revoke/": (MANAGERS, OTHERS | {FINANCE}),
    "POST keys/{key}/disable/": (MANAGERS, OTHERS | {FINANCE}),
    "POST keys/{key}/enable/": (MANAGERS, OTHERS | {FINANCE}),
    "GET keys/{key}/limit/": ({ADMIN, OPS, SUPPORT}, OTHERS | {FINANCE}),
    "PUT keys/{key}/limit/": (MANAGERS, OTHERS | {FINANCE}),
    "GET profiles/": (EVERYBODY, NOBODY),
    "POST profiles/": (EVERYBODY, NOBODY),
    "GET profiles/{profile}/": ({ADMIN, OPS, SUPPORT, Role.USER}, {FINANCE, Role.DEVELOPER, Role.CONTENT_LEAD}),
    "PATCH profiles/{profile}/": (MANAGERS, {FINANCE, Role.DEVELOPER, Role.CONTENT_LEAD}),
    "DELETE profiles/{profile}/": (MANAGERS, {FINANCE, Role.DEVELOPER, Role.CONTENT_LEAD}),
    "GET limits/": (EVERYBODY, NOBODY),
    "PUT limits/": (MANAGERS, NOBODY),
    "GET balance/": (EVERYBODY, NOBODY),
    "GET usage/": (EVERYBODY, NOBODY),
    "GET ledger-entries/": (EVERYBODY, NOBODY),
    "POST ledger-entries/{entry}/reverse/": (MONEY, NOBODY),
    "POST top-ups/": (MONEY, NOBODY),
    "POST adjustments/": (MONEY, NOBODY),
    "POST codes/redeem/": (EVERYBODY, NOBODY),
    "GET calls/": (EVERYBODY, NOBODY),
    "GET calls/{call}/": (PEOPLE, OTHERS),
    "GET calls/{call}/repeats/": (PEOPLE, OTHERS),
    "POST adjustments/credit-limit/": (MONEY, NOBODY),
    "GET code-batches/": (MONEY, NOBODY),
    "POST code-batches/": (MONEY, NOBODY),
    "GET code-batches/{batch}/": (MONEY, NOBODY),
    "GET code-batches/{batch}/codes/": (MONEY, NOBODY),
    "POST code-batches/{batch}/take/": (MONEY, NOBODY),
    "POST code-batches/{batch}/pause/": (MONEY, NOBODY),
    "POST code-batches/{batch}/resume/": (MONEY, NOBODY),
    "POST code-batches/{batch}/void/": (MONEY, NOBODY),
    "POST code-batches/{batch}/revalue/": (MONEY, NOBODY),
    "GET approvals/": (MONEY, NOBODY),
    "GET approvals/{approval}/": (MONEY, NOBODY),
    "POST approvals/{approval}/approve/": (MONEY, NOBODY),
    "POST approvals/{approval}/refuse/": (MONEY, NOBODY),
    "POST approvals/{approval}/withdraw/": (MONEY, NOBODY),
    "GET statements/": (EVERYBODY, NOBODY),
    "POST statements/": (MONEY, NOBODY),
    "GET statements/{statement}/": (MONEY, OTHERS | {OPS, SUPPORT}),
    "GET statements/{statement}/files/{language}/{kind}/": (MONEY, OTHERS | {OPS, SUPPORT}),
    "GET payments/": (EVERYBODY, NOBODY),
    "GET payments/{payment}/": (MONEY, OTHERS | {OPS, SUPPORT}),
    "GET payment-refunds/": (MONEY, NOBODY),
    "POST payment-refunds/": (MONEY, NOBODY),
    "GET payment-refunds/{payment_refund}/": (MONEY, NOBODY),
    "GET unmatched-payments/": (MONEY, NOBODY),
    "POST unmatched-payments/": (MONEY, NOBODY),
    "GET unmatched-payments/{incoming}/": (MONEY, NOBODY),
    "POST unmatched-payments/{incoming}/assign/": (MONEY, NOBODY),
    "POST unmatched-payments/{incoming}/return/": (MONEY, NOBODY),
    "GET disputes/": (MONEY, NOBODY),
    "GET call-refunds/": (MONEY, NOBODY),
    "POST call-refunds/": (MONEY, NOBODY),
    "GET conversions/": (MONEY, NOBODY),
    "POST conversions/": (MONEY, NOBODY),
    "GET desk-items/": (PRICES, NOBODY),
    "GET desk-items/{desk_item}/": (PRICES, NOBODY),
    "POST desk-items/{desk_item}/close/": (MONEY, NOBODY),
    "GET alerts/": (EVERYBODY, NOBODY),
    "GET alert-rules/": (EVERYBODY, NOBODY),
    "POST alert-rules/": (EVERYBODY, NOBODY),
    "GET alert-rules/{alert_rule}/": (NOBODY, EVERYBODY),
    "PATCH alert-rules/{alert_rule}/": (NOBODY, EVERYBODY),
    "GET web-hooks/": (EVERYBODY, NOBODY),
    "POST web-hooks/": (EVERYBODY, NOBODY),
    "PATCH web-hooks/{hook}/": (NOBODY, EVERYBODY),
    "GET fences/": (PEOPLE, NOBODY),
    "PUT fences/{group}/": (MANAGERS, NOBODY),
    "GET policy/": (EVERYBODY, NOBODY),
    "PUT policy/": ({ADMIN}, NOBODY),
    "GET prices/": (EVERYBODY, NOBODY),
    "GET outcome-rules/": (EVERYBODY, NOBODY),
    "GET price-books/": (PRICES, NOBODY),
    "GET price-versions/": (PRICES, NOBODY),
    "POST price-versions/": (MONEY, NOBODY),
    "GET price-versions/{price_version}/": (PRICES, NOBODY),
    "GET sources/": (PEOPLE, NOBODY),
    "GET imports/": (PEOPLE, NOBODY),
    "GET imports/{run}/": (PEOPLE, NOBODY),
    "GET imports/{run}/issues/": (PEOPLE, NOBODY),
    "GET plans/": (PEOPLE, NOBODY),
    "GET waves/": (PEOPLE, NOBODY),
    "GET waves/{wave}/": (PEOPLE, NOBODY),
    "GET waves/{wave}/keys/": (PEOPLE, NOBODY),
    "POST waves/{wave}/keys/": (MANAGERS, NOBODY),
    "GET waves/{wave}/members/": (PEOPLE, NOBODY),
    "POST waves/{wave}/ready/": (MANAGERS, NOBODY),
    "POST waves/{wave}/notify/": (MANAGERS, NOBODY),
    "POST waves/{wave}/switch/": (MANAGERS, NOBODY),
    "POST waves/{wave}/back/": (MANAGERS, NOBODY),
}
# What a request needs in order to reach the check of the right behind the check of the form.
BODIES = {
    "PATCH groups/{group}/": {"name": "Other"},
    "POST groups/{group}/members/": {"user_id": 0},
    "PATCH groups/{group}/members/{person}/": {"team_role": "member"},
    "PATCH keys/{key}/": {"name": "other"},
    "POST tasks/preflight/": {"model": "m"},
    "POST task-templates/": {"team_id": 1, "name": "t", "model_name": "m"},
    "POST task-templates/{template}/versions/": {"model_name": "m"},
    "POST trials/{trial}/checks/": {"key_id": 1, "model": "m"},
    "PUT keys/{key}/limit/": {"limit": "1.5"},
    "PATCH profiles/{profile}/": {"name": "Other"},
    "POST approvals/{approval}/refuse/": {"note": "no"},
}


def addresses(world: World) -> dict[str, str]:
    things = world.things
    numbers = {
        name: things[name].pk for name in ("group", "model", "provider", "upstream", "key", "call", "run", "wave", "profile")
    }
    return {
        **{name: str(pk) for name, pk in numbers.items()},
        "person": str(things["customer"].pk),
        "trial": str(things["group"].pk),
        "task": str(things["task"].pk),
        "delivery": str(_callback(things["task"], things["customer"]).pk),
        "template": str(things["template"].pk),
        "proof": str(things["proof"].pk),
        "batch": str(things["code_batch"].pk),
        "approval": str(things["approval"].pk),
        "entry": str(things["ledger_entry"].pk),
        "payment": str(things["payment"].pk),
        "payment_refund": str(things["payment_refund"].pk),
        "incoming": str(things["incoming"].pk),
        "alert_rule": str(things["alert_rule"].pk),
        "statement": str(things["statement"].pk),
        "language": "en",
        "kind": "csv",
        "desk_item": str(things["desk_item"].pk),
        "hook": str(things["hook"].pk),
        "price_version": str(things["price_version"].pk),
    }


def _callback(task: MediaTask, customer: User) -> HookDelivery:
    endpoint = HookEndpoint.objects.create(user=customer, url="https://hooks.example.org/tasks", secret_sealed=b"s")
    return HookDelivery.objects.create(endpoint=endpoint, sent_id=uuid7(), subject_id=task.pk, body="{}", state="failed")


def test_the_table_names_every_operation_and_nothing_else() -> None:
    paths = SchemaGenerator().get_schema(request=None, public=True)["paths"]
    generated = sorted(
        # A trial list is known by its team.
        f"{method.upper()} {path.removeprefix('/api/portal/').replace('{team}', '{id}')}"
        for path, methods in paths.items()
        for method in methods
        # Data planes have no role: tests/gateway/dp.
        if not path.startswith("/dp/")
    )
    table = sorted(_with_generic_names(operation) for operation in TABLE)
    assert generated == table


def _with_generic_names(operation: str) -> str:
    """The schema calls the object ``{id}``, a member of a group ``{user_id}``, a task's callback
    ``{delivery_id}``, and a file by its language and kind."""
    import re

    second = ["{language}", "{kind}"] if "/files/" in operation else ["{user_id}"]
    names = iter(["{id}", *(["{delivery_id}"] if "{delivery}" in operation else second)])
    return re.sub(r"\{\w+\}", lambda _found: next(names), operation)


@pytest.mark.parametrize("role", Role.values)
def test_operations_by_role(world: World, caller: Callable[[str], APIClient], role: str) -> None:
    client = caller(role)
    where = addresses(world)
    wrong = []
    for operation, (allowed, not_there) in TABLE.items():
        method, path = operation.split(" ")
        body = dict(BODIES.get(operation, {}))
        if "user_id" in body:
            body["user_id"] = world.people[Role.DEVELOPER].pk
        if "key_id" in body:
            body["key_id"] = world.things["key"].pk
        with transaction.atomic():
            answer = client.generic(method, "/api/portal/" + path.format(**where), _json(body), "application/json")
            transaction.set_rollback(True)
        code = answer.json()["error"]["code"] if answer.status_code >= 400 else ""
        if role in allowed:
            fine = answer.status_code not in (401, 403, 404, 405) and answer.status_code < 500
        elif role in not_there:
            fine = (answer.status_code, code) == (404, "not_found")
        else:
            fine = (answer.status_code, code) == (403, "not_allowed")
        if not fine:
            wrong.append((operation, answer.status_code, answer.content[:200]))
    assert wrong == []


def _json(body: dict[str, object]) -> str:
    import json

    return json.dumps(body)


def test_nobody_who_is_not_logged_in_gets_anything(world: World) -> None:
    client = APIClient()
    where = addresses(world)
    for operation in TABLE:
        method, path = operation.split(" ")
        answer = client.generic(method, "/api/portal/" + path.format(**where), "{}", "application/json")
        assert answer.status_code == 403, operation
        assert answer.json()["error"]["code"] == "not_authenticated"
    assert client.get("/api/portal/schema/").status_code == 403
    # The page is for people: it leads to the door.
    answer = client.get("/api/portal/docs/")
    assert (answer.status_code, answer["location"]) == (302, "/accounts/login/?next=/api/portal/docs/")


@pytest.mark.parametrize("path", ["balance/", "usage/", "ledger-entries/"])
def test_the_money_of_others_does_not_exist_without_the_right(
    world: World, caller: Callable[[str], APIClient], path: str
) -> None:
    """R018: finance and administrators see a balance; usage also those who search calls; a stranger gets 404."""
    customer = world.things["customer"]
    may_see = {ADMIN, FINANCE} if path != "usage/" else PEOPLE
    for role in Role.values:
        answer = caller(role).get(f"/api/portal/{path}", {"user_id": customer.pk})
        assert answer.status_code == (200 if role in may_see else 404), role


def test_support_cannot_change_a_balance(world: World, caller: Callable[[str], APIClient]) -> None:
    """R018: complete, well-formed requests, refused and without effect."""
    client, purse = caller(SUPPORT), world.things["account"]
    requests = (
        ("top-ups/", {"user_id": world.things["customer"].pk, "amount": "5", "reason": "x"}),
        ("adjustments/", {"purse_id": purse.pk, "amount": "5", "reason": "x"}),
        (f"ledger-entries/{world.things['ledger_entry'].pk}/reverse/", {"reason": "x"}),
    )
    for path, body in requests:
        answer = client.post(f"/api/portal/{path}", body, format="json")
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "not_allowed")
    purse.refresh_from_db()
    assert purse.balance_nano == 12_345_678_900


def test_the_content_lead_never_sees_a_key_of_others(world: World, caller: Callable[[str], APIClient]) -> None:
    """R018."""
    client = caller(Role.CONTENT_LEAD)
    for query in ({}, {"all": "true"}, {"all": "1", "owner_id": world.things["customer"].pk}):
        assert client.get("/api/portal/keys/", query).json()["results"] == []
    assert client.get(f"/api/portal/keys/{world.things['key'].pk}/").status_code == 404
