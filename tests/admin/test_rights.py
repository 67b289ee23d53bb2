"""R018: every list and page of the admin against every role, as one table that is run both ways."""

from typing import Any

import pytest
from django.contrib import admin
from django.test import Client
from django.urls import reverse

from accounts.models import Role
from tests.admin.world import STAFF, World

ADMIN, OPS, SUPPORT, FINANCE = STAFF
# Model of the admin: (who sees it, who has a form to change a row, who may add, a row of the world)
TABLE: dict[str, tuple[set[str], set[str], set[str], str]] = {
    "accounts.user": ({ADMIN, OPS, SUPPORT, FINANCE}, {ADMIN}, {ADMIN}, "customer"),
    "accounts.group": ({ADMIN, OPS, SUPPORT, FINANCE}, {ADMIN, OPS}, {ADMIN, OPS}, "group"),
    "accounts.groupmembership": ({ADMIN, OPS, SUPPORT, FINANCE}, {ADMIN, OPS}, {ADMIN, OPS}, "membership"),
    "accounts.invitation": ({ADMIN}, set(), {ADMIN}, "invitation"),
    "accounts.auditevent": ({ADMIN}, set(), set(), "audit"),
    "accounts.outboundmail": ({ADMIN, OPS}, set(), set(), "mail"),
    "models_catalog.provider": ({ADMIN, OPS}, {ADMIN, OPS}, {ADMIN, OPS}, "provider"),
    "models_catalog.upstream": ({ADMIN, OPS}, {ADMIN, OPS}, {ADMIN, OPS}, "upstream"),
    "models_catalog.aimodel": ({ADMIN, OPS}, {ADMIN, OPS}, {ADMIN, OPS}, "model"),
    "models_catalog.upstreammodel": ({ADMIN, OPS}, {ADMIN, OPS}, set(), "target"),
    "models_catalog.namemapentry": ({ADMIN, OPS}, set(), set(), "entry"),
    "models_catalog.namemapversion": ({ADMIN, OPS}, set(), set(), "version"),
    "keys.apikey": ({ADMIN, OPS, SUPPORT}, {ADMIN, OPS}, set(), "key"),
    "keys.useprofile": ({ADMIN, OPS, SUPPORT}, {ADMIN, OPS}, {ADMIN, OPS}, "profile"),
    "billing.spendlimit": ({ADMIN, OPS, SUPPORT}, {ADMIN, OPS}, {ADMIN, OPS}, "limit"),
    "billing.pricebook": ({ADMIN, OPS, FINANCE}, set(), {ADMIN, FINANCE}, "book"),
    "billing.groupbook": ({ADMIN, OPS, FINANCE}, {ADMIN, FINANCE}, {ADMIN, FINANCE}, "group_book"),
    "billing.priceversion": ({ADMIN, OPS, FINANCE}, set(), set(), "price_version"),
    "billing.pricerule": ({ADMIN, OPS, FINANCE}, set(), set(), "rule"),
    "billing.ledgeraccount": ({ADMIN, FINANCE}, set(), set(), "account"),
    "billing.ledgerentry": ({ADMIN, FINANCE}, set(), set(), "ledger_entry"),
    "billing.hold": ({ADMIN, FINANCE}, set(), set(), "hold"),
    "billing.lease": ({ADMIN, FINANCE}, set(), set(), "lease"),
    "billing.redemptioncode": ({ADMIN, FINANCE}, set(), set(), "code"),
    "billing.codebatch": ({ADMIN, FINANCE}, set(), set(), "code_batch"),
    "billing.payment": ({ADMIN, FINANCE}, set(), set(), "payment"),
    "billing.paymentevent": ({ADMIN, FINANCE}, set(), set(), "payment_event"),
    "billing.incomingpayment": ({ADMIN, FINANCE}, set(), set(), "incoming"),
    "billing.paymentrefund": ({ADMIN, FINANCE}, set(), set(), "payment_refund"),
    "billing.adjustmentrequest": ({ADMIN, FINANCE}, set(), set(), "approval"),
    "billing.breakglass": ({ADMIN, FINANCE}, set(), set(), "override"),
    "billing.requestlog": ({ADMIN, OPS, SUPPORT, FINANCE}, set(), set(), "call"),
    "gateway.oldentry": ({ADMIN, OPS}, {ADMIN, OPS}, {ADMIN, OPS}, "old_entry"),
    "gateway.mediatask": ({ADMIN, OPS}, set(), set(), "task"),
    "gateway.tasktemplate": ({ADMIN, OPS}, set(), set(), "template"),
    "gateway.relayinstance": ({ADMIN, OPS}, set(), set(), "relay"),
    "gateway.dataplane": ({ADMIN, OPS}, set(), set(), "plane"),
    "gateway.dataplaneinstance": ({ADMIN, OPS}, set(), set(), "plane_instance"),
    "gateway.planeevent": ({ADMIN, OPS}, set(), set(), "plane_event"),
    "gateway.proofrun": ({ADMIN, OPS, SUPPORT, FINANCE}, set(), set(), "proof"),
    "gateway.triallist": ({ADMIN, OPS}, set(), set(), "trial"),
    "gateway.keywatch": ({ADMIN, OPS, SUPPORT, FINANCE}, set(), set(), "watch"),
    "gateway.entrypoint": ({ADMIN, OPS, SUPPORT, FINANCE}, set(), set(), "entry_point"),
    "migrations_center.source": ({ADMIN, OPS}, set(), set(), "source"),
    "migrations_center.importrun": ({ADMIN, OPS, SUPPORT, FINANCE}, set(), set(), "run"),
    "migrations_center.plan": ({ADMIN, OPS, SUPPORT, FINANCE}, set(), set(), "plan"),
    "migrations_center.wave": ({ADMIN, OPS, SUPPORT, FINANCE}, set(), set(), "wave"),
}


def row_of(world: World, name: str) -> Any:
    from accounts.models import AuditEvent

    if name == "audit":
        return AuditEvent.objects.first()
    return world.things[name]


def test_the_table_names_what_is_registered_and_nothing_else() -> None:
    assert {model._meta.label_lower for model in admin.site._registry} == set(TABLE)


@pytest.mark.parametrize("role", Role.values)
def test_lists_pages_and_forms_by_role(world: World, client: Client, role: str) -> None:
    client.force_login(world.people[role])
    wrong = []
    for label, (viewers, changers, adders, name) in TABLE.items():
        stem = f"admin:{label.replace('.', '_')}"
        row = row_of(world, name)
        pages = {
            "list": (reverse(f"{stem}_changelist"), viewers),
            "page": (reverse(f"{stem}_change", args=[row.pk]), viewers),
            "add": (reverse(f"{stem}_add"), adders),
        }
        for what, (address, allowed) in pages.items():
            refused = 403 if role in STAFF else 302
            expected = 200 if role in allowed else refused
            got = client.get(address)
            if got.status_code != expected:
                wrong.append((label, what, got.status_code, expected))
            elif what == "page" and expected == 200:
                has_save = b'name="_save"' in got.content
                if has_save != (role in changers):
                    wrong.append((label, "form", has_save, role in changers))
        # Nobody deletes anything here.
        deleting = client.post(reverse(f"{stem}_delete", args=[row.pk]), {"post": "yes"})
        if deleting.status_code != (403 if role in STAFF else 302):
            wrong.append((label, "delete", deleting.status_code))
        type(row).objects.get(pk=row.pk)
    assert wrong == []


@pytest.mark.parametrize("role", [SUPPORT, FINANCE, OPS])
def test_a_form_posted_without_the_right_is_refused_and_changes_nothing(world: World, client: Client, role: str) -> None:
    client.force_login(world.people[role])
    customer = world.things["customer"]
    address = reverse("admin:accounts_user_change", args=[customer.pk])
    assert client.post(address, {"display_name": "Other", "role": "admin"}).status_code == 403
    customer.refresh_from_db()
    assert (customer.role, customer.display_name) == ("user", "")


@pytest.mark.parametrize("role", STAFF)
def test_no_role_can_change_a_balance_in_the_admin(world: World, client: Client, role: str) -> None:
    """R018: also those who may look at it."""
    client.force_login(world.people[role])
    purse = world.things["account"]
    address = reverse("admin:billing_ledgeraccount_change", args=[purse.pk])
    assert client.post(address, {"balance_nano": "1", "kind": "prepaid"}).status_code == 403
    purse.refresh_from_db()
    assert purse.balance_nano == 12_345_678_900


def test_actions_are_offered_to_those_who_may_act(world: World, client: Client) -> None:
    address = reverse("admin:keys_apikey_changelist")
    client.force_login(world.people[SUPPORT])
    page = client.get(address)
    assert b'value="revoke"' not in page.content
    answer = client.post(address, {"action": "revoke", "_selected_action": [world.things["key"].pk]})
    assert answer.status_code in (200, 302)
    world.things["key"].refresh_from_db()
    assert world.things["key"].state == "active"
    client.force_login(world.people[OPS])
    assert b'value="revoke"' in client.get(address).content


def test_a_stranger_is_sent_to_the_one_login_page(db: None, client: Client) -> None:
    first = client.get("/admin/accounts/user/")
    assert (first.status_code, first.headers["Location"]) == (302, "/admin/login/?next=/admin/accounts/user/")
    second = client.get(first.headers["Location"])
    assert second.status_code == 302
    assert second.headers["Location"].startswith("/accounts/login/?next=")
    assert client.post("/admin/login/", {"username": "x", "password": "y"}).headers["Location"].startswith("/accounts/login/")


def test_staff_without_a_second_factor_come_no_further(world: World, client: Client, settings: Any) -> None:
    settings.STAFF_SECOND_FACTOR = True
    client.force_login(world.people[ADMIN])
    answer = client.get("/admin/")
    assert answer.status_code == 302
    assert "/accounts/2fa/" in answer.headers["Location"]


def test_a_plain_person_cannot_enter_by_the_login_page(world: World, client: Client) -> None:
    client.force_login(world.people[Role.USER])
    assert client.get("/admin/login/").status_code == 403
