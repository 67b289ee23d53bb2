"""Lists of the admin: queries counted, searches exact, big tables not counted in full."""

from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from accounts.models import Role
from billing.models import RequestLog
from config.foundation.admin import COUNT_LIMIT, BoundedPaginator
from config.foundation.ids import uuid7, uuid7_time
from tests.admin.test_rights import TABLE
from tests.admin.world import World, build

# Queries of one list page: session, person, bounded count, rows; one more where a filter offers rows or secrets come along.
QUERIES = dict.fromkeys(TABLE, 4) | {
    "models_catalog.upstream": 5,
    "models_catalog.upstreammodel": 5,
    "keys.apikey": 5,
    "billing.priceversion": 5,
    "billing.groupbook": 5,
    "billing.pricerule": 5,
    "gateway.dataplaneinstance": 5,
    "gateway.planeevent": 6,
    "gateway.keywatch": 5,
    "migrations_center.importrun": 5,
    "migrations_center.wave": 5,
}


def queries_of(client: Client, label: str) -> int:
    with CaptureQueriesContext(
        connection,
    ) as seen:
        answer = client.get(reverse(f"admin:{label.replace('.', '_')}_changelist"))
    assert answer.status_code == 200
    return len(seen)


def test_the_queries_of_every_list_are_pinned_and_do_not_grow_with_the_rows(world: World, client: Client) -> None:
    client.force_login(world.people[Role.ADMIN])
    client.get("/admin/")
    with_one = {label: queries_of(client, label) for label in TABLE}
    for tag in ("two", "three", "four"):
        build(tag, world)
    with_four = {label: queries_of(client, label) for label in TABLE}
    assert with_four == with_one
    assert with_four == QUERIES


@pytest.mark.parametrize(
    ("label", "term", "name"),
    [
        ("accounts.user", "customer-two@example", "customer"),
        ("accounts.group", "team-two", "group"),
        ("models_catalog.upstream", "upstream two", "upstream"),
        ("models_catalog.aimodel", "model-two", "model"),
        ("models_catalog.namemapentry", "old-two", "entry"),
        ("keys.apikey", "customer-two", "key"),
        ("billing.ledgeraccount", "customer-two", "account"),
        ("billing.redemptioncode", "ctwo", "code"),
        ("billing.hold", "customer-two", "hold"),
        ("billing.lease", "customer-two", "lease"),
        ("billing.requestlog", "customer-two", "call"),
        ("billing.requestlog", "model-two", "call"),
        ("migrations_center.wave", "Batch two", "wave"),
    ],
)
def test_searching_finds_the_one_row(world: World, client: Client, label: str, term: str, name: str) -> None:
    build("two", world)
    client.force_login(world.people[Role.ADMIN])
    answer = client.get(reverse(f"admin:{label.replace('.', '_')}_changelist"), {"q": term})
    assert [row.pk for row in answer.context["cl"].result_list] == [world.things[name].pk]


def test_a_call_is_found_by_its_id_its_key_tail_and_not_by_a_wrong_one(world: World, client: Client) -> None:
    call = world.things["call"]
    client.force_login(world.people[Role.SUPPORT])
    address = reverse("admin:billing_requestlog_changelist")
    for term in (str(call.id), call.id.hex, call.key_tail):
        assert [row.pk for row in client.get(address, {"q": term}).context["cl"].result_list] == [call.pk]
    for term in (str(uuid7()), "nobody", "%", "'"):
        assert list(client.get(address, {"q": term}).context["cl"].result_list) == []


def test_entries_and_runs_are_found_by_their_ids(world: World, client: Client) -> None:
    client.force_login(world.people[Role.ADMIN])
    entry, run = world.things["ledger_entry"], world.things["run"]
    found = client.get(reverse("admin:billing_ledgerentry_changelist"), {"q": str(entry.transaction_id)})
    assert [row.pk for row in found.context["cl"].result_list] == [entry.pk]
    found = client.get(reverse("admin:migrations_center_importrun_changelist"), {"q": str(run.pk)})
    assert [row.pk for row in found.context["cl"].result_list] == [run.pk]


def test_a_big_list_is_counted_no_further_than_the_limit(db: Any) -> None:
    ids = [uuid7() for _ in range(COUNT_LIMIT + 20)]
    RequestLog.objects.bulk_create([RequestLog(id=i, started_at=uuid7_time(i), outcome="ok") for i in ids], batch_size=2000)
    with CaptureQueriesContext(connection) as seen:
        count = BoundedPaginator(RequestLog.objects.order_by("-started_at"), 50).count
    assert count == COUNT_LIMIT
    assert "LIMIT 5000" in seen[0]["sql"]


def test_the_name_map_shows_what_is_in_force_and_its_history_when_asked(world: World, client: Client) -> None:
    from models_catalog.services import NameChange, publish_name_map

    publish_name_map(actor_name="x", changes=[NameChange("old-one", "retired")])
    client.force_login(world.people[Role.OPS])
    address = reverse("admin:models_catalog_namemapentry_changelist")
    assert [row.kind for row in client.get(address).context["cl"].result_list] == ["retired"]
    assert len(client.get(address, {"in_force": "all"}).context["cl"].result_list) == 2


@pytest.mark.parametrize(
    "term", ["%", "'; --", '"', "x" * 300, "-1", "99999999999999999999", "0" * 32, "\u4f60\u597d", "a\x00b"]
)
def test_no_search_term_breaks_a_list(world: World, client: Client, term: str) -> None:
    client.force_login(world.people[Role.ADMIN])
    for label in TABLE:
        answer = client.get(reverse(f"admin:{label.replace('.', '_')}_changelist"), {"q": term})
        assert answer.status_code in (200, 302), label


@pytest.mark.parametrize("number", ["0", "-1", "abc", "99999999999999999999", "%00", "'"])
def test_no_object_id_breaks_a_page(world: World, client: Client, number: str) -> None:
    client.force_login(world.people[Role.ADMIN])
    for label in TABLE:
        answer = client.get(f"/admin/{label.replace('.', '/')}/{number}/change/")
        assert answer.status_code in (302, 404), label
