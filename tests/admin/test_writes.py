"""Forms and actions of the admin write through services: what is stored, what is refused and shown, what the trail says."""

from typing import Any

import pytest
from django.contrib.messages import get_messages
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from accounts.models import AuditEvent, GroupMembership, Invitation, OutboundMail, Role, User
from config.foundation.crypto import unseal
from models_catalog.models import AIModel, ModelAccess, Provider, Upstream, UpstreamModel
from models_catalog.selectors import current_name_map, newest_name_map_version
from tests.admin.world import CREDENTIAL, World


@pytest.fixture
def ops(world: World, client: Client) -> Client:
    client.force_login(world.people[Role.OPS])
    return client


@pytest.fixture
def boss(world: World, client: Client) -> Client:
    client.force_login(world.people[Role.ADMIN])
    return client


def post(client: Client, stem: str, values: dict[str, Any], *args: Any) -> Any:
    """Post the form as a browser does: with the hidden counters of the read-only tables below it."""
    address = reverse(f"admin:{stem}", args=args)
    counters = {}
    for table in client.get(address).context["inline_admin_formsets"]:
        form = table.formset.management_form
        counters |= {form.add_prefix(name): form[name].value() for name in ("TOTAL_FORMS", "INITIAL_FORMS")}
        counters |= {f"{row.prefix}-id": row.instance.pk for row in table.formset.initial_forms}
    return client.post(address, {**values, **counters})


def act(client: Client, stem: str, action: str, *rows: Any) -> str:
    """Run an action; gives the one message it leaves."""
    address = reverse(f"admin:{stem}_changelist")
    answer = client.post(address, {"action": action, "_selected_action": [row.pk for row in rows]})
    assert answer.status_code == 302
    return str(list(get_messages(answer.wsgi_request))[-1])


def last(action: str) -> AuditEvent:
    return AuditEvent.objects.filter(action=action).latest("id")


def upstream_values(world: World, **changes: Any) -> dict[str, Any]:
    upstream = world.things["upstream"]
    values = {
        "name": upstream.name,
        "provider": upstream.provider_id,
        "base_url": upstream.base_url,
        "credential": "",
        "state": upstream.state,
        "group_codes": "",
        "priority": "0",
        "weight": "1",
        "timeout_seconds": "600",
        "served_models": "model-one",
        "note": "",
        "reason": "",
    }
    return {**values, **changes}


def test_an_empty_credential_field_keeps_the_stored_one(world: World, ops: Client) -> None:
    upstream = world.things["upstream"]
    values = upstream_values(world, priority="7", group_codes="team-one, source-one/vip", reason="more load")
    answer = post(ops, "models_catalog_upstream_change", values, upstream.pk)
    assert answer.status_code == 302, answer.context["adminform"].form.errors
    stored = Upstream.objects.get(pk=upstream.pk)
    assert (stored.priority, stored.group_codes) == (7, ["team-one", "source-one/vip"])
    assert unseal(stored.credential_sealed) == CREDENTIAL
    event = last("catalog.upstream.updated")
    assert (event.actor, event.reason) == (world.people[Role.OPS], "more load")
    assert event.after == {"priority": 7, "group_codes": ["team-one", "source-one/vip"]}
    assert not AuditEvent.objects.filter(action="catalog.upstream.credential").exists()


def test_a_new_credential_replaces_the_stored_one_and_the_trail_has_its_tail(world: World, ops: Client) -> None:
    upstream = world.things["upstream"]
    values = upstream_values(world, credential="a-second-credential-987654321")
    answer = post(ops, "models_catalog_upstream_change", values, upstream.pk)
    assert answer.status_code == 302, answer.context["adminform"].form.errors
    assert unseal(Upstream.objects.get(pk=upstream.pk).credential_sealed) == "a-second-credential-987654321"
    event = last("catalog.upstream.credential")
    assert (event.before["credential_tail"], event.after["credential_tail"]) == ("wxyz", "4321")
    assert "a-second-credential" not in str(list(AuditEvent.objects.values()))


def test_a_form_that_is_shown_again_does_not_repeat_the_credential(world: World, ops: Client) -> None:
    values = upstream_values(world, credential="typed-but-not-stored-0123", base_url="ftp://nowhere")
    answer = post(ops, "models_catalog_upstream_change", values, world.things["upstream"].pk)
    assert answer.status_code == 200
    assert "A base URL is http or https" in answer.content.decode()
    assert "typed-but-not-stored" not in answer.content.decode()
    assert unseal(Upstream.objects.get(pk=world.things["upstream"].pk).credential_sealed) == CREDENTIAL


def test_what_a_service_refuses_is_an_error_of_the_form_and_nothing_is_half_saved(world: World, ops: Client) -> None:
    """The name changes first and the unknown model refuses later: neither is stored."""
    upstream = world.things["upstream"]
    values = upstream_values(world, name="renamed", served_models="model-one\nnot-in-the-catalogue")
    answer = post(ops, "models_catalog_upstream_change", values, upstream.pk)
    assert answer.status_code == 200
    assert "Not in the catalogue: not-in-the-catalogue." in answer.content.decode()
    assert Upstream.objects.get(pk=upstream.pk).name == "upstream one"
    assert not AuditEvent.objects.filter(action="catalog.upstream.updated").exists()


def test_an_upstream_is_added_with_its_models(world: World, ops: Client) -> None:
    values = upstream_values(
        world, name="second", credential="c" * 20, state="needs_credential", served_models="model-one = their-name"
    )
    assert post(ops, "models_catalog_upstream_add", values).status_code == 302
    stored = Upstream.objects.get(name="second")
    assert (stored.state, stored.credential_tail) == ("enabled", "cccc")
    assert UpstreamModel.objects.get(upstream=stored).upstream_name == "their-name"


def test_upstreams_are_stopped_and_started_and_refusals_say_why(world: World, ops: Client) -> None:
    bare = Upstream.objects.create(
        name="bare", provider=world.things["provider"], base_url="http://x", state="needs_credential"
    )
    upstream = world.things["upstream"]
    assert act(ops, "models_catalog_upstream", "disable", upstream) == "1 done, 0 refused."
    assert Upstream.objects.get(pk=upstream.pk).state == "disabled"
    said = act(ops, "models_catalog_upstream", "enable", upstream, bare)
    assert said == "1 done, 1 refused. 1 x The upstream has no credential yet, so it cannot be enabled."
    assert last("catalog.upstream.state").after == {"state": "enabled"}


def test_a_model_and_its_groups(world: World, ops: Client) -> None:
    values = {"name": "fresh", "modality": "text", "is_active": "on", "capabilities": "vision\ntools", "group_codes": "a\nb"}
    assert post(ops, "models_catalog_aimodel_add", values).status_code == 302
    model = AIModel.objects.get(name="fresh")
    assert model.capabilities == ["vision", "tools"]
    values = {**values, "group_codes": "b\nc", "context_tokens": "128000"}
    assert post(ops, "models_catalog_aimodel_change", values, model.pk).status_code == 302
    assert set(ModelAccess.objects.filter(model=model).values_list("group_code", flat=True)) == {"b", "c"}
    assert last("catalog.model.access").after == {"groups": ["b", "c"]}
    assert last("catalog.model.updated").after == {"context_tokens": 128000}
    assert act(ops, "models_catalog_aimodel", "deactivate", model) == "1 done, 0 refused."
    assert not AIModel.objects.get(pk=model.pk).is_active


def test_a_provider_code_can_be_taken_once(world: World, ops: Client) -> None:
    assert post(ops, "models_catalog_provider_add", {"code": "p2", "name": "P", "protocol": "openai"}).status_code == 302
    again = post(ops, "models_catalog_provider_add", {"code": "p2", "name": "Q", "protocol": "openai"})
    assert again.status_code == 200
    assert Provider.objects.filter(code="p2").count() == 1


def test_several_lines_are_published_as_one_version(world: World, ops: Client) -> None:
    address = reverse("admin:models_catalog_namemapentry_changelist") + "publish/"
    assert b"Publish changes of the name map" in ops.get(address).content
    lines = "gpt-3.5, replacement, model-one\nwithdrawn, retired\nold-one, remove"
    answer = ops.post(address, {"version": "1", "lines": lines, "bill_as_called": "on", "reason": "spring"})
    assert answer.status_code == 302
    assert newest_name_map_version() == 2
    shown = [(e.old_name, e.kind, e.callable_model and e.callable_model.name, e.approved_by) for e in current_name_map()]
    assert shown == [("gpt-3.5", "replacement", "model-one", "ops-person"), ("withdrawn", "retired", None, "ops-person")]
    # The same page posted again was made for version 1.
    again = ops.post(address, {"version": "1", "lines": "a, retired", "reason": "x"})
    assert "published by somebody else meanwhile" in again.content.decode()
    assert newest_name_map_version() == 2


def test_a_map_that_cannot_be_is_refused_with_its_lines(world: World, ops: Client) -> None:
    address = reverse("admin:models_catalog_namemapentry_changelist") + "publish/"
    answer = ops.post(address, {"version": "1", "lines": "a, alias, nowhere", "reason": "x"})
    assert "a: the called name is no active model" in answer.content.decode()
    assert newest_name_map_version() == 1


def test_the_exported_csv_comes_back_and_changes_nothing(world: World, ops: Client) -> None:
    """R043: CSV out and in are equal; an edit raises the version."""
    base = reverse("admin:models_catalog_namemapentry_changelist")
    exported = ops.get(base + "csv/")
    assert exported.headers["Content-Type"].startswith("text/csv")
    body = exported.content
    upload = {"version": "1", "reason": "back", "csv_file": SimpleUploadedFile("map.csv", body)}
    assert ops.post(base + "publish/", upload).status_code == 302
    assert newest_name_map_version() == 1
    edited = body.replace(b"alias,model-one", b"retired,")
    assert edited != body
    upload = {"version": "1", "reason": "edit", "csv_file": SimpleUploadedFile("map.csv", edited)}
    assert ops.post(base + "publish/", upload).status_code == 302
    assert newest_name_map_version() == 2
    assert ops.get(base + "csv/").content == edited


def test_the_publish_page_is_for_those_who_manage_the_catalogue(world: World, client: Client) -> None:
    client.force_login(world.people[Role.SUPPORT])
    base = reverse("admin:models_catalog_namemapentry_changelist")
    for path in ("publish/", "csv/"):
        assert client.get(base + path).status_code == 403


def test_a_person_is_added_and_changed_through_the_services(world: World, boss: Client) -> None:
    values = {
        "username": "dora",
        "email": "dora@example.org",
        "role": "ops",
        "language": "zh-hans",
        "time_zone": "Asia/Shanghai",
    }
    assert post(boss, "accounts_user_add", values).status_code == 302
    dora = User.objects.get(username="dora")
    assert (dora.role, dora.is_staff, dora.has_usable_password()) == ("ops", True, False)
    values = {"display_name": "Dora", "role": "support", "language": "en", "time_zone": "UTC"}
    assert post(boss, "accounts_user_change", values, dora.pk).status_code == 302
    dora.refresh_from_db()
    assert (dora.role, dora.display_name, dora.time_zone) == ("support", "Dora", "UTC")
    assert last("person.set_role").object_id == str(dora.pk)


def test_the_last_administrator_stays_one(world: World, boss: Client) -> None:
    admin_person = world.people[Role.ADMIN]
    values = {"display_name": "x", "role": "user", "language": "en", "time_zone": "UTC"}
    answer = post(boss, "accounts_user_change", values, admin_person.pk)
    assert answer.status_code == 200
    assert "Somebody must stay administrator" in answer.content.decode()
    admin_person.refresh_from_db()
    assert (admin_person.role, admin_person.display_name) == ("admin", "")
    said = act(boss, "accounts_user", "disable", admin_person, world.things["customer"])
    assert said.startswith("1 done, 1 refused. 1 x Somebody must stay administrator")
    assert not User.objects.get(pk=world.things["customer"].pk).is_active


def test_teams_memberships_and_invitations(world: World, boss: Client) -> None:
    assert post(boss, "accounts_group_add", {"code": "new", "name": "New", "description": ""}).status_code == 302
    team, customer = world.things["group"], world.things["customer"]
    support = world.people[Role.SUPPORT]
    values = {"group": team.pk, "user": support.pk, "team_role": "member"}
    assert post(boss, "accounts_groupmembership_add", values).status_code == 302
    row = GroupMembership.objects.get(group=team, user=support)
    assert post(boss, "accounts_groupmembership_change", {"team_role": "owner"}, row.pk).status_code == 302
    row.refresh_from_db()
    assert row.team_role == "owner"
    assert act(boss, "accounts_groupmembership", "take_out", row) == "1 done, 0 refused."
    owner = GroupMembership.objects.get(group=team, user=customer)
    assert act(boss, "accounts_groupmembership", "take_out", owner).startswith("0 done, 1 refused. 1 x A team keeps one owner")
    values = {"email": "late@example.org", "role": "user", "team_role": "member", "language": "en", "group": ""}
    assert post(boss, "accounts_invitation_add", values).status_code == 302
    invitation = Invitation.objects.get(email="late@example.org")
    assert invitation.invited_by == world.people[Role.ADMIN]
    assert act(boss, "accounts_invitation", "withdraw", invitation) == "1 done, 0 refused."


def test_keys_are_stopped_started_and_ended(world: World, ops: Client) -> None:
    key = world.things["key"]
    assert act(ops, "keys_apikey", "disable", key) == "1 done, 0 refused."
    assert act(ops, "keys_apikey", "disable", key) == "0 done, 1 refused. 1 x it is in this state already"
    assert act(ops, "keys_apikey", "enable", key) == "1 done, 0 refused."
    assert act(ops, "keys_apikey", "revoke", key) == "1 done, 0 refused."
    assert act(ops, "keys_apikey", "enable", key).startswith("0 done, 1 refused. 1 x The key is revoked.")
    assert last("key.revoke").actor == world.people[Role.OPS]
    key.refresh_from_db()
    assert key.state == "revoked"


def test_a_key_is_renamed_and_a_pasted_secret_is_refused(world: World, ops: Client) -> None:
    key = world.things["key"]
    assert post(ops, "keys_apikey_change", {"name": "other", "purpose": "test"}, key.pk).status_code == 302
    key.refresh_from_db()
    assert (key.name, key.purpose) == ("other", "test")
    answer = post(ops, "keys_apikey_change", {"name": "sk-" + "a1" * 24, "purpose": "test"}, key.pk)
    assert "looks like a whole API key" in answer.content.decode()
    key.refresh_from_db()
    assert key.name == "other"


def test_a_mail_that_was_not_confirmed_is_sent_again(world: World, ops: Client) -> None:
    mail = world.things["mail"]
    assert act(ops, "accounts_outboundmail", "send_again", mail).startswith("0 done, 1 refused.")
    OutboundMail.objects.filter(pk=mail.pk).update(state="handed_over", attempts=3)
    assert act(ops, "accounts_outboundmail", "send_again", mail) == "1 done, 0 refused."
    mail.refresh_from_db()
    assert (mail.state, mail.attempts) == ("queued", 0)
    assert last("mail.send_again").actor == world.people[Role.OPS]


def test_policies_admin_and_docs_are_relaxed_and_nothing_else(world: World, ops: Client) -> None:
    admin_policy = ops.get("/admin/").headers["Content-Security-Policy"]
    assert "script-src 'self' 'unsafe-eval'" in admin_policy
    assert "frame-ancestors 'none'" in admin_policy
    assert "'unsafe-inline'" not in admin_policy.split("script-src")[1].split(";")[0]
    for path in ("/accounts/password/change/", "/api/portal/schema/", "/nowhere/"):
        policy = ops.get(path).headers["Content-Security-Policy"]
        assert "unsafe" not in policy, path
    docs = ops.get("/api/portal/docs/").headers["Content-Security-Policy"]
    assert "unsafe-eval" not in docs
