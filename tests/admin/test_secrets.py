"""R099: credentials, keys and password hashes in no page of the admin, for nobody."""

from django.contrib import admin
from django.test import Client
from django.urls import reverse

from accounts.models import Role
from tests.admin.test_rights import TABLE, row_of
from tests.admin.world import PASSWORD, World


def test_no_page_of_the_admin_holds_a_secret(world: World, client: Client) -> None:
    """Lists, pages, add forms and autocomplete answers, as the one who sees most."""
    admin_person = world.people[Role.ADMIN]
    planted = [*world.secrets, PASSWORD, admin_person.password, world.things["customer"].password]
    planted += [bytes(world.things["upstream"].credential_sealed).decode()]
    planted += [bytes(secret.digest).hex() for secret in world.things["key"].secrets.all()]
    assert len(set(planted)) >= 8
    client.force_login(admin_person)
    looked_at = 0
    for label, (_viewers, _changers, adders, name) in TABLE.items():
        stem = f"admin:{label.replace('.', '_')}"
        addresses = [reverse(f"{stem}_changelist"), reverse(f"{stem}_change", args=[row_of(world, name).pk])]
        addresses += [reverse(f"{stem}_add")] if adders else []
        for address in addresses:
            body = client.get(address).content.decode()
            assert len(body) > 1000
            assert [secret for secret in planted if secret in body] == [], address
            looked_at += 1
    assert looked_at == 2 * len(admin.site._registry) + sum(1 for row in TABLE.values() if row[2])


def test_the_tail_alone_is_shown_of_a_key_and_of_a_credential(world: World, client: Client) -> None:
    client.force_login(world.people[Role.OPS])
    upstreams = client.get(reverse("admin:models_catalog_upstream_changelist")).content.decode()
    assert "...wxyz" in upstreams
    keys = client.get(reverse("admin:keys_apikey_changelist")).content.decode()
    assert f"...{world.things['key'].secrets.first().tail}" in keys


def test_the_link_in_an_invitation_mail_is_not_shown(world: World, client: Client) -> None:
    client.force_login(world.people[Role.ADMIN])
    mail = world.things["mail"]
    assert "[[sealed:" in mail.text
    body = client.get(reverse("admin:accounts_outboundmail_change", args=[mail.pk])).content.decode()
    assert "[[sealed:" not in body
    assert "***" in body


def test_the_inner_route_of_a_call_is_for_operators(world: World, client: Client) -> None:
    address = reverse("admin:billing_requestlog_change", args=[world.things["call"].pk])
    for role, sees in ((Role.SUPPORT, False), (Role.FINANCE, False), (Role.OPS, True), (Role.ADMIN, True)):
        client.force_login(world.people[role])
        assert ("4711" in client.get(address).content.decode()) is sees, role


def test_models_of_packages_that_hold_secrets_have_no_page(world: World, client: Client) -> None:
    client.force_login(world.people[Role.ADMIN])
    for path in ("mfa/authenticator", "socialaccount/socialapp", "socialaccount/socialtoken", "usersessions/usersession"):
        assert client.get(f"/admin/{path}/").status_code == 404
