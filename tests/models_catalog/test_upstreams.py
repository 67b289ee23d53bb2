"""Providers and upstreams: what is stored, what is refused, what the audit trail says."""

import json

import pytest
from django.db import connection

from accounts.models import AuditEvent, User
from config.foundation.crypto import unseal
from config.foundation.errors import InvalidInput
from models_catalog.errors import CredentialMissing, EmptyCredential, NameTaken, UnknownModels, UnusableAddress
from models_catalog.models import Provider, Upstream, UpstreamModel
from models_catalog.services import (
    ModelFigures,
    create_provider,
    create_upstream,
    ensure_models,
    ensure_provider,
    serve_model,
    serve_models,
    set_credential,
    set_upstream_state,
    update_provider,
    update_upstream,
)
from tests.models_catalog.conftest import CREDENTIAL


def last_event(action: str) -> AuditEvent:
    return AuditEvent.objects.filter(action=action).latest("id")


def test_a_new_upstream_is_stored_without_v1_and_with_a_sealed_credential(upstream: Upstream, ops: User) -> None:
    """R099: the credential rests sealed; the trail names the tail alone."""
    upstream.refresh_from_db()
    assert upstream.base_url == "http://acme:3000"
    assert upstream.state == "enabled"
    assert upstream.credential_tail == "wxyz"
    assert unseal(upstream.credential_sealed) == CREDENTIAL
    assert CREDENTIAL.encode() not in bytes(upstream.credential_sealed)
    event = last_event("catalog.upstream.created")
    assert (event.actor, event.actor_name, event.object_id) == (ops, "ops-one", str(upstream.pk))
    assert event.after == {
        "name": "acme-1",
        "provider": "acme",
        "base_url": "http://acme:3000",
        "group_codes": [],
        "priority": 0,
        "weight": 1,
        "state": "enabled",
        "timeout_seconds": 600,
        "credential_tail": "wxyz",
        "note": "",
    }


def test_no_table_holds_the_credential_in_clear(upstream: Upstream) -> None:
    """R099: every row of the tables touched, as JSON, has neither the credential nor its hexadecimal form."""
    for table in ("models_catalog_upstream", "accounts_auditevent"):
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT coalesce(json_agg(t)::text, '') FROM {table} t")
            text = cursor.fetchone()[0]
        assert text
        assert CREDENTIAL not in text
        assert CREDENTIAL.encode().hex() not in text


def test_without_a_credential_it_waits_for_one_and_cannot_be_enabled(provider: Provider) -> None:
    upstream = create_upstream(actor_name="ops-one", name="bare", provider=provider, base_url="https://bare.example.org")
    assert upstream.state == "needs_credential"
    with pytest.raises(CredentialMissing):
        set_upstream_state(actor_name="ops-one", upstream=upstream, state="enabled")
    assert Upstream.objects.get(pk=upstream.pk).state == "needs_credential"
    set_credential(actor_name="ops-one", upstream=upstream, credential=" short-one ", reason="came by post")
    upstream.refresh_from_db()
    assert (upstream.state, upstream.credential_tail, unseal(upstream.credential_sealed)) == ("enabled", "", "short-one")
    event = last_event("catalog.upstream.credential")
    assert event.before == {"credential_tail": "", "state": "needs_credential"}
    assert event.after == {"credential_tail": "", "state": "enabled"}
    assert event.reason == "came by post"


def test_an_upstream_that_needs_no_credential_can_be_said_to_be_enabled(provider: Provider) -> None:
    upstream = create_upstream(actor_name="x", name="lan", provider=provider, base_url="http://10.0.0.7:8000", state="enabled")
    assert (upstream.state, upstream.credential_sealed) == ("enabled", None)


def test_an_empty_credential_keeps_the_old_one(upstream: Upstream) -> None:
    with pytest.raises(EmptyCredential):
        set_credential(actor_name="ops-one", upstream=upstream, credential="  ")
    assert unseal(Upstream.objects.get(pk=upstream.pk).credential_sealed) == CREDENTIAL


@pytest.mark.parametrize(
    "address",
    ["", "ftp://host", "acme", "http://", "https://me:hunter2@host/", "https://host/?key=hunter2", "http://[1", "http://a b/"],
)
def test_addresses_that_cannot_be_used_are_refused_without_being_repeated(provider: Provider, address: str) -> None:
    with pytest.raises(UnusableAddress) as caught:
        create_upstream(actor_name="x", name="bad", provider=provider, base_url=address)
    assert "hunter2" not in str(caught.value)
    assert not Upstream.objects.exists()


def test_a_change_is_told_field_by_field_and_no_change_is_not_told(upstream: Upstream) -> None:
    update_upstream(actor_name="ops-one", upstream=upstream, priority=5, weight=1, group_codes=["a", "b"])
    event = last_event("catalog.upstream.updated")
    assert (event.before, event.after) == ({"group_codes": [], "priority": 0}, {"group_codes": ["a", "b"], "priority": 5})
    count = AuditEvent.objects.count()
    update_upstream(actor_name="ops-one", upstream=upstream, priority=5)
    assert AuditEvent.objects.count() == count


def test_a_field_that_cannot_be_is_refused_and_nothing_is_saved(upstream: Upstream) -> None:
    with pytest.raises(InvalidInput) as caught:
        update_upstream(actor_name="ops-one", upstream=upstream, weight=-1)
    assert "weight" in caught.value.details["fields"]
    assert Upstream.objects.get(pk=upstream.pk).weight == 1


def test_the_state_changes_with_a_reason(upstream: Upstream) -> None:
    set_upstream_state(actor_name="ops-one", upstream=upstream, state="disabled", reason="bill unpaid")
    event = last_event("catalog.upstream.state")
    assert (event.before, event.after, event.reason) == ({"state": "enabled"}, {"state": "disabled"}, "bill unpaid")


def test_served_models_are_added_renamed_and_replaced(upstream: Upstream) -> None:
    models = ensure_models(actor_name="ops-one", models=[ModelFigures("m-1"), ModelFigures("m-2"), ModelFigures("m-3")])
    serve_models(actor_name="ops-one", upstream=upstream, served={"m-1": "", "m-2": "their-2"})
    serve_model(actor_name="ops-one", upstream=upstream, model=models["m-3"])
    served = UpstreamModel.objects.filter(upstream=upstream).values_list("model__name", "upstream_name")
    assert dict(served) == {"m-1": "m-1", "m-2": "their-2", "m-3": "m-3"}
    serve_models(actor_name="ops-one", upstream=upstream, served={"m-1": "m-1", "m-2": "new-2"}, replace=True)
    assert dict(served.all()) == {"m-1": "m-1", "m-2": "new-2"}
    event = last_event("catalog.upstream.models")
    assert event.before == {"models": {"m-2": "their-2", "m-3": "m-3"}}
    assert event.after == {"models": {"m-2": "new-2"}}


def test_a_model_that_is_not_in_the_catalogue_cannot_be_served(upstream: Upstream) -> None:
    ensure_models(actor_name="ops-one", models=[ModelFigures("m-1")])
    with pytest.raises(UnknownModels) as caught:
        serve_models(actor_name="ops-one", upstream=upstream, served={"m-1": "", "m-x": ""})
    assert caught.value.details == {"models": ["m-x"]}
    assert not UpstreamModel.objects.exists()


def test_providers_have_one_row_per_code(provider: Provider) -> None:
    with pytest.raises(NameTaken):
        create_provider(actor_name="x", code="acme", name="Acme again")
    assert ensure_provider(actor_name="x", code="acme", name="Other") == provider
    update_provider(actor_name="ops-one", provider=provider, name="Acme Ltd")
    assert list(Provider.objects.values_list("code", "name")) == [("acme", "Acme Ltd")]
    assert last_event("catalog.provider.updated").after == {"name": "Acme Ltd"}


def test_a_change_without_a_person_keeps_the_name_of_what_made_it(provider: Provider) -> None:
    create_provider(actor_name="import one-api", code="other", name="Other", reason="run 7")
    event = last_event("catalog.provider.created")
    assert (event.actor, event.actor_name, event.reason) == (None, "system", "[import one-api] run 7")
    json.dumps(event.after)
