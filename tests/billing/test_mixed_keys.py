"""R011: the list of keys that serve several purposes at once, and that a test key is none of production's money."""

import json
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.urls import reverse

from accounts.models import AuditEvent, Role, User
from accounts.services.people import create_person
from billing.models import RequestLog
from billing.selectors.mixed_keys import mixed_keys
from config.foundation.errors import NotAllowed
from config.foundation.ids import uuid7, uuid7_time
from keys.models import ApiKey
from keys.services import import_secret, issue_key, rename_key
from tests.billing.test_list_plans import faults

pytestmark = pytest.mark.django_db


def call(key: ApiKey, client_family: str) -> None:
    call_id = uuid7()
    at = uuid7_time(call_id)
    RequestLog.objects.create(
        id=call_id, started_at=at, key=key, user_id=key.owner_id, client_family=client_family, outcome="ok"
    )


def test_R011_the_report_lists_the_two_keys_that_look_like_both_and_imported_ones_nobody_described(client: Client):
    alice = create_person(actor=None, username="alice")
    support = create_person(actor=None, username="sue", role=Role.SUPPORT)
    made = {name: issue_key(actor=alice, owner=alice, name=name)[0] for name in ("both", "other both", "chat", "job", "idle")}
    for name, families in (
        ("both", ("Cursor", "openai-python", "openai-python")),
        ("other both", ("Chatbox", "curl")),
        ("chat", ("Cherry Studio", "Cursor", "other", "")),
        ("job", ("openai-node", "python-httpx")),
    ):
        for family in families:
            call(made[name], family)
    old = ApiKey.objects.create(name="old", owner=alice)
    import_secret(key=old, bare="a" * 48)
    said = ApiKey.objects.create(name="said", owner=alice)
    import_secret(key=said, bare="b" * 48)
    rename_key(actor=alice, key=said, name="said", purpose="script")
    rows = {row.key.name: row for row in mixed_keys(support)}
    assert {name for name, row in rows.items() if row.is_mixed} == {"both", "other both"}
    assert rows["both"].by_hand == (("Cursor", 1),)
    assert rows["both"].by_program == (("openai-python", 2),)
    assert {name for name, row in rows.items() if row.is_unsaid} == {"old"}
    assert set(rows) == {"both", "other both", "old"}
    client.force_login(support)
    page = client.get(reverse("mixed_keys")).content.decode()
    assert "openai-python 2" in page
    assert "imported, purpose never said" in page


def test_R011_the_report_is_for_those_who_see_keys(client: Client):
    person: User = create_person(actor=None, username="alice")
    with pytest.raises(NotAllowed):
        mixed_keys(person)
    client.force_login(person)
    assert client.get(reverse("mixed_keys")).status_code == 403


# Without the checks of foreign keys, which hold as they are made.
MANY_KEYS = """
SET LOCAL session_replication_role = replica;
INSERT INTO keys_apikey (name, owner_id, purpose, state, state_reason, route, networks, auto_group_codes, ignores_channel_pin,
    created_at)
SELECT 'key ' || n, %(owner)s, 'production', 'active', '', 'new', '{}', '{}', false, now() FROM generate_series(1, %(keys)s) n;
INSERT INTO keys_keysecret (key_id, digest, pepper_number, tail, origin, created_at)
SELECT id, sha256(id::text::bytea), 1, 'tail', 'imported', now() FROM keys_apikey;
SET LOCAL session_replication_role = origin;
"""


@pytest.mark.slow
def test_R011_the_report_over_100_000_keys_walks_an_index_to_the_first_500(django_assert_max_num_queries: Any) -> None:
    alice = create_person(actor=None, username="alice")
    support = create_person(actor=None, username="sue", role=Role.SUPPORT)
    with connection.cursor() as cursor:
        cursor.execute(MANY_KEYS, {"owner": alice.pk, "keys": 100_000})
        cursor.execute("ANALYZE keys_apikey, keys_keysecret, accounts_auditevent")
    newest = list(ApiKey.objects.order_by("-pk")[:4])
    for key in newest[:2]:
        rename_key(actor=alice, key=key, name="said", purpose="script")
    call(newest[1], "Cursor")
    call(newest[1], "curl")
    with django_assert_max_num_queries(5) as asked:
        rows = mixed_keys(support)
    # The one that is called both ways first, then the newest that nobody described.
    assert len(rows) == 500
    assert rows[0].key == newest[1]
    assert (rows[0].is_mixed, rows[0].is_unsaid) == (True, False)
    assert newest[3] in [row.key for row in rows]
    assert newest[0] not in [row.key for row in rows]
    assert AuditEvent.objects.filter(action="key.rename").count() == 2
    for query in [one["sql"] for one in asked.captured_queries if "keys_apikey" in one["sql"]]:
        with connection.cursor() as cursor:
            cursor.execute("EXPLAIN (FORMAT JSON) " + query.replace("%", "%%"), [])
            (told,) = cursor.fetchone()
        plan = (json.loads(told) if isinstance(told, str) else told)[0]["Plan"]
        found = faults("keys_apikey", plan) + faults("keys_keysecret", plan)
        assert found == [], json.dumps(plan, indent=1)[:4000]
