"""R011 and R016, their checks whole and through the real relay: purposes keep money apart, and the policy is obeyed."""

import os
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import AuditEvent, Group, Role
from accounts.services.people import create_person
from billing.invariants import check_all
from billing.models import LedgerAccount, LedgerEntry, RequestLog
from billing.selectors.mixed_keys import mixed_keys
from billing.services import ledger
from config.foundation.ids import uuid7
from keys.models import ApiKey
from keys.services_policy import set_policy, set_team_money
from models_catalog import services as catalog
from tests.gateway.servers import until
from tests.gateway.world import USD, World, hold_of, log_of

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]
BACKEND = "allauth.account.auth_backends.AuthenticationBackend"
CALLS = int(os.environ.get("TEST_PURPOSE_CALLS", "100"))


def team_of(world: World, code: str) -> Group:
    team = Group.objects.create(code=f"{world.group.code}-{code}", name=code.title(), kind=Group.Kind.TEAM)
    catalog.add_access(actor_name="t", grants=[("demo-chat", team.code)])
    world.top_up(team, 10 * USD)
    return team


def call_as(world: World, clear: str, program: str, text: str = "hello") -> int:
    body = {"model": "demo-chat", "messages": [{"role": "user", "content": text}], "max_tokens": 20}
    headers = {"Authorization": f"Bearer {clear}", "User-Agent": program}
    return httpx.post(f"{world.relay.url}/v1/chat/completions", json=body, headers=headers, timeout=60).status_code


def test_R011_a_hundred_test_calls_leave_production_alone_and_mixed_keys_are_listed(world: World, client: Client) -> None:
    team = team_of(world, "both")
    strict = team_of(world, "strict")
    test_money = ledger.purse_for(group=team, kind="test")
    cash = ledger.house_account("cash")
    ledger.post_entries([ledger.Posting(uuid7(), "top_up", cash.pk, test_money.pk, USD)])
    keys = {purpose: world.key(team=team, purpose=purpose) for purpose in ("production", "test", "script", "personal")}
    _key, astray = world.key(team=strict, purpose="test")
    set_team_money(actor=None, team=strict, money="production")
    world.settle_in()
    # A test key at a project for production only: 403, nothing held, nothing charged.
    refused = world.ask(astray)
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "test_key_not_allowed")
    assert log_of(refused.headers["x-request-id"]).cost_nano == 0
    assert hold_of(refused.headers["x-request-id"]) is None
    # A hundred test calls: every one is served and paid, and none of it by the wallet of production.
    wallet = LedgerAccount.objects.get(group=team, kind="prepaid")
    before = (wallet.balance_nano, LedgerEntry.objects.filter(from_account=wallet).count())
    clear = keys["test"][1]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda n: call_as(world, clear, "curl/8", f"call {n}"), range(CALLS)))
    assert answers == [200] * CALLS
    until(lambda: RequestLog.objects.filter(key=keys["test"][0], outcome="ok").count() == CALLS, 15)
    wallet.refresh_from_db()
    assert (wallet.balance_nano, LedgerEntry.objects.filter(from_account=wallet).count()) == before
    assert wallet.held_nano == 0
    paid = LedgerEntry.objects.filter(kind="charge", from_account=test_money)
    assert paid.count() == CALLS
    assert sum(paid.values_list("amount_nano", flat=True)) == USD - LedgerAccount.objects.get(pk=test_money.pk).balance_nano
    # One key, one purpose: two keys that people and programs share are on the report, the others are not.
    for purpose in ("production", "personal"):
        for program in ("Cursor/1.2", "OpenAI/Python 1.99"):
            assert call_as(world, keys[purpose][1], program) == 200
    assert call_as(world, keys["script"][1], "python-httpx/0.28") == 200
    support = create_person(actor=None, username="sue", role=Role.SUPPORT)
    ours = {key.pk: purpose for purpose, (key, _clear) in keys.items()}

    def mixed() -> set[str]:
        return {ours[row.key.pk] for row in mixed_keys(support) if row.is_mixed and row.key.pk in ours}

    until(lambda: mixed() == {"production", "personal"}, 10)
    client.force_login(support, backend=BACKEND)
    assert client.get(reverse("mixed_keys")).status_code == 200
    assert [finding.code for finding in check_all(None) if finding.breaches] == []


def test_R016_the_written_policy_is_what_happens(world: World, client: Client) -> None:
    """Who may create keys: 403 and an audit row. Which projects may spend production balance: the rest is refused a hold."""
    listed, other = team_of(world, "listed"), team_of(world, "other")
    _, of_listed = world.key(team=listed)
    _, of_other = world.key(team=other)
    set_policy(actor=None, issuers="operators", team_money="test", text="Only listed projects spend production balance.")
    set_team_money(actor=None, team=listed, money="any")
    world.settle_in()
    person = world.person("1")
    keys = ApiKey.objects.count()
    client.force_login(person, backend=BACKEND)
    form = {"name": "mine", "purpose": "production", "once": "0b8f4f0e-2f43-4a6b-a6ab-6a6a1d6fd6e8"}
    assert client.post(reverse("key_issue"), form).status_code == 403
    assert AuditEvent.objects.get(action="key.issue_refused").actor == person
    assert ApiKey.objects.count() == keys
    assert world.ask(of_listed).status_code == 200
    refused = world.ask(of_other)
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "production_not_allowed")
    assert hold_of(refused.headers["x-request-id"]) is None
    wallet = LedgerAccount.objects.get(group=other, kind="prepaid")
    assert (wallet.balance_nano, wallet.held_nano) == (10 * USD, 0)
