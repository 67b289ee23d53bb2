"""R011: the list of keys that serve several purposes at once, and that a test key is none of production's money."""

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import Role, User
from accounts.services.people import create_person
from billing.models import RequestLog
from billing.selectors.mixed_keys import mixed_keys
from config.foundation.errors import NotAllowed
from config.foundation.ids import uuid7, uuid7_time
from keys.models import ApiKey
from keys.services import import_secret, issue_key, rename_key

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
