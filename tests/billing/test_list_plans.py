"""Every list page walks an index in its order: it reads no table whole and sorts no history, however long that is.

The tables are empty here, so the planner is forbidden what must not be needed: a sequential scan and a sort of the table. A
plan that uses one all the same has no index to use. Issue 4: "every portal query under 100 ms p95 at 10 million rows".
"""

import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.db import connection

from accounts.models import Role, User
from accounts.selectors import audit_for, audit_of, mails_for, people_for
from billing.selectors import CallFilters, calls_for, ledger_lines
from billing.selectors.alerts import AlertFilters, alerts_for
from billing.selectors.mixed_keys import mixed_keys
from billing.selectors.payments import incoming_for, payments_for, refunds_for
from billing.selectors.reconcile import desk_items_for, differences_for
from billing.selectors.statements import issued_statements
from config.foundation.clock import now
from config.foundation.ids import uuid7
from migrations_center.selectors_imports import runs_for
from tests.billing.helpers import person

pytestmark = pytest.mark.django_db

Read = Callable[[User, User], Any]
OLDER = UUID("01930000-0000-7000-8000-000000000001")


def week() -> dict[str, Any]:
    return {"since": now() - timedelta(days=30)}


# Page: (the table that grows, what the page asks for). The first actor is an administrator, the second a customer.
LISTS: dict[str, tuple[str, Read]] = {
    "calls, newest": ("billing_requestlog", lambda staff, _user: calls_for(staff, CallFilters())),
    "calls, older": ("billing_requestlog", lambda staff, _user: calls_for(staff, CallFilters(**week()), uuid7())),
    "calls of a person": ("billing_requestlog", lambda _staff, user: calls_for(user, CallFilters(**week()))),
    "calls that failed": ("billing_requestlog", lambda staff, _user: calls_for(staff, CallFilters(outcome="failed"))),
    "calls that timed out": ("billing_requestlog", lambda staff, _user: calls_for(staff, CallFilters(outcome="timeout"))),
    "calls of a model": ("billing_requestlog", lambda staff, _user: calls_for(staff, CallFilters(model="gpt-4o"))),
    "calls with a key's tail": ("billing_requestlog", lambda staff, _user: calls_for(staff, CallFilters(key_tail="ab12"))),
    "calls of a group": ("billing_requestlog", lambda staff, _user: calls_for(staff, CallFilters(group_code="vip"))),
    "calls with a status": ("billing_requestlog", lambda staff, _user: calls_for(staff, CallFilters(http_status=504))),
    "one call": ("billing_requestlog", lambda staff, _user: calls_for(staff, CallFilters(request_id=uuid7().hex))),
    "ledger": ("billing_ledgerentry", lambda _staff, user: ledger_lines(user, user)),
    "ledger, older": ("billing_ledgerentry", lambda _staff, user: ledger_lines(user, user, before=10**9)),
    "ledger without calls": ("billing_ledgerentry", lambda _staff, user: ledger_lines(user, user, without_calls=True)),
    "keys nobody described": ("keys_apikey", lambda staff, _user: mixed_keys(staff)),
    "people": ("accounts_user", lambda staff, _user: people_for(staff)),
    "people, next": ("accounts_user", lambda staff, _user: people_for(staff, after="m")),
    "audit": ("accounts_auditevent", lambda staff, _user: audit_for(staff)),
    "audit, older": ("accounts_auditevent", lambda staff, _user: audit_for(staff, before_id=10**9)),
    "audit of a person": ("accounts_auditevent", lambda staff, user: audit_of(staff, user)),
    "mails": ("accounts_outboundmail", lambda staff, _user: mails_for(staff)),
    "mails, older": ("accounts_outboundmail", lambda staff, _user: mails_for(staff, before=now())),
    "alerts of everybody": ("billing_alertevent", lambda staff, _user: alerts_for(staff, AlertFilters(is_all=True))),
    "statements of everybody": ("billing_statement", lambda staff, _user: issued_statements(staff, None)),
    "statements, older": ("billing_statement", lambda staff, _user: issued_statements(staff, None, before=10**9)),
    "payments of everybody": ("billing_payment", lambda staff, _user: list(payments_for(staff, everybody=True)[:51])),
    "payments of a person": ("billing_payment", lambda _staff, user: list(payments_for(user)[:51])),
    "unmatched payments": ("billing_incomingpayment", lambda staff, _user: list(incoming_for(staff)[:51])),
    "refunds to payers": ("billing_paymentrefund", lambda staff, _user: list(refunds_for(staff)[:51])),
    "differences": ("billing_difference", lambda staff, _user: list(differences_for(staff, state="open"))),
    "desk": ("billing_deskitem", lambda staff, _user: list(desk_items_for(staff, kind="late", state="open"))),
    "imports": ("migrations_center_importrun", lambda staff, _user: runs_for(staff)),
}


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for part in plan.get("Plans", []):
        yield from nodes(part)


def is_of(node: dict[str, Any], table: str) -> bool:
    """The table itself or a partition of it."""
    name = str(node.get("Relation Name", ""))
    return name == table or name.removeprefix(table + "_").isdigit()


def faults(table: str, plan: dict[str, Any]) -> list[str]:
    found = []
    for node in nodes(plan):
        if node["Node Type"] == "Seq Scan" and is_of(node, table):
            found.append(f"reads {table} whole")
        if node["Node Type"] == "Sort" and not _sorts_a_page(node):
            found += [f"sorts by {node['Sort Key']}" for part in nodes(node) if is_of(part, table)]
    return found


def _sorts_a_page(sort: dict[str, Any]) -> bool:
    """Below it each part has its own end already: only pages are sorted, never what lies behind them."""
    return any(node["Node Type"] == "Limit" for node in nodes(sort))


@pytest.mark.parametrize("page", LISTS)
def test_a_list_walks_an_index(page: str, django_assert_max_num_queries: Any) -> None:
    table, read = LISTS[page]
    staff, user = person("root", Role.ADMIN), person("ada")
    with django_assert_max_num_queries(12) as asked:
        read(staff, user)
    wanted = [query["sql"] for query in asked.captured_queries if f"{table}" in query["sql"] and "SELECT" in query["sql"][:12]]
    assert wanted, "the page asked for something else"
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off; SET LOCAL enable_sort = off; SET LOCAL enable_bitmapscan = off")
        for sql in wanted:
            cursor.execute("EXPLAIN (FORMAT JSON) " + sql.replace("%", "%%"), [])
            (told,) = cursor.fetchone()
            plan = (json.loads(told) if isinstance(told, str) else told)[0]["Plan"]
            assert faults(table, plan) == [], json.dumps(plan, indent=1)[:4000]


def test_a_table_without_an_index_for_the_order_is_told() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off; SET LOCAL enable_sort = off")
        cursor.execute("EXPLAIN (FORMAT JSON) SELECT * FROM billing_requestlog ORDER BY duration_ms LIMIT 50")
        (told,) = cursor.fetchone()
    plan = (json.loads(told) if isinstance(told, str) else told)[0]["Plan"]
    assert any("sorts by" in fault for fault in faults("billing_requestlog", plan))
