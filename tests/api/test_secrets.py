"""R019, R099: whole keys and credentials in no answer, but for the one that makes a key."""

from collections.abc import Callable

import pytest
from rest_framework.test import APIClient

from accounts.models import AuditEvent, Role
from keys.models import KeySecret
from keys.secrets import digest_of
from tests.admin.world import World
from tests.api.test_rights import TABLE, addresses


@pytest.mark.parametrize("who", [Role.ADMIN, Role.OPS, "customer"])
def test_no_answer_of_any_reading_operation_holds_a_secret(world: World, caller: Callable[[str], APIClient], who: str) -> None:
    client, where = caller(who), addresses(world)
    planted = [*world.secrets, world.people[Role.ADMIN].password]
    planted += [bytes(secret.digest).hex() for secret in KeySecret.objects.all()]
    read = 0
    for operation in TABLE:
        method, path = operation.split(" ")
        if method != "GET":
            continue
        query = {"all": "true"} if path == "keys/" else {}
        answer = client.get("/api/portal/" + path.format(**where), query)
        body = answer.content.decode()
        assert [secret for secret in planted if secret in body] == [], operation
        read += answer.status_code == 200
    assert read >= (30 if who != "customer" else 12)


def test_a_key_is_told_once_and_then_by_its_tail(caller: Callable[[str], APIClient]) -> None:
    """R019: the answer that makes it has it, a second look has not."""
    client = caller(Role.DEVELOPER)
    answer = client.post("/api/portal/keys/", {"name": "laptop", "purpose": "personal"}, format="json")
    assert answer.status_code == 201
    assert answer.headers["Cache-Control"] == "no-store"
    clear = answer.json()["clear"]
    assert clear.startswith("sk-")
    stored = KeySecret.objects.get(digest=digest_of(clear.removeprefix("sk-")).digest)
    assert [secret["tail"] for secret in answer.json()["secrets"]] == [stored.tail] == [clear[-4:]]
    again = client.get(f"/api/portal/keys/{answer.json()['id']}/")
    assert clear not in again.content.decode()
    assert "clear" not in again.json()
    assert clear not in client.get("/api/portal/keys/").content.decode()
    assert clear not in str(list(AuditEvent.objects.values()))


def test_rotating_tells_the_new_key_and_keeps_the_old_for_the_overlap(caller: Callable[[str], APIClient]) -> None:
    client = caller(Role.DEVELOPER)
    made = client.post("/api/portal/keys/", {"name": "laptop"}, format="json").json()
    turned = client.post(f"/api/portal/keys/{made['id']}/rotate/", {"overlap_hours": 2}, format="json")
    assert turned.status_code == 200
    assert turned.json()["clear"] != made["clear"]
    assert turned.headers["Cache-Control"] == "no-store"
    ends = {secret["tail"]: secret["valid_until"] for secret in turned.json()["secrets"]}
    assert ends[turned.json()["clear"][-4:]] is None
    assert ends[made["clear"][-4:]] is not None


def test_a_credential_goes_in_and_does_not_come_out(world: World, caller: Callable[[str], APIClient]) -> None:
    client = caller(Role.OPS)
    clear = "another-credential-0123456789-QRST"
    body = {"name": "second", "provider": "provider-one", "base_url": "https://two.example.org/v1", "credential": clear}
    made = client.post("/api/portal/upstreams/", body, format="json")
    assert made.status_code == 201
    assert (made.json()["state"], made.json()["credential_tail"]) == ("enabled", "QRST")
    assert made.json()["base_url"] == "https://two.example.org"
    put = client.put(f"/api/portal/upstreams/{made.json()['id']}/credential/", {"credential": clear[::-1]}, format="json")
    assert (put.status_code, put.json()["credential_tail"]) == (200, clear[:4][::-1])
    for answer in (made, put, client.get("/api/portal/upstreams/")):
        assert clear not in answer.content.decode()
        assert clear[::-1] not in answer.content.decode()
    assert clear not in str(list(AuditEvent.objects.values()))
    bad = client.post("/api/portal/upstreams/", {**body, "base_url": f"https://user:{clear}@x/"}, format="json")
    assert (bad.status_code, bad.json()["error"]["code"]) == (422, "unusable_address")
    assert clear not in bad.content.decode()
