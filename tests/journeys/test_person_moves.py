"""A person of a real old database calls with the old key: served, charged what it always cost, and seen within seconds."""

import json
import math
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import httpx
import openai
import pytest
from django.test import Client

from accounts.models import Role, User
from accounts.services.people import create_person
from billing.dashboard import home_of
from billing.invariants import check_all
from billing.models import LedgerAccount, LedgerEntry, RequestLog
from billing.selectors import balance_of
from billing.selectors.calls import CallFilters, calls_for
from tests.gateway.conftest import _is_quiet
from tests.gateway.servers import Server, until
from tests.gateway.world import charges, hold_of, log_of
from tests.journeys.conftest import demo_upstream, sample, settle_in

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]

NANO_PER_UNIT = 2_000  # 500,000 units a dollar
MODEL = "gpt-4.1"
# As long as the tokens that the scripted upstream counts, so that the estimate covers the charge.
LONG = "hello " * 1_300 + "[[usage 1234 567]]"


@dataclass
class OldWorld:
    """The One API sample, imported and served here, with what its own files say about it."""

    relay: Server
    upstream: Server
    totals: dict[str, Any]
    options: dict[str, str]

    def key(self, username: str) -> str:
        return next(key["key"] for key in self.totals["keys"] if key["username"] == username and key["name"] == "main")

    def quota(self, username: str) -> int:
        rows = self.totals["balances (user_id, username, group, status, quota, used_quota, request_count)"]
        return int(next(row[4] for row in rows if row[1] == username))

    def old_price(self, group: str, model: str, prompt: int, completion: int) -> int:
        """What the old gateway took for such a call, in nano-USD, by its own ratios."""
        ratios = {name: json.loads(self.options[name]) for name in ("ModelRatio", "GroupRatio", "CompletionRatio")}
        ratio = ratios["ModelRatio"][model] * ratios["GroupRatio"][group]
        return math.ceil((prompt + completion * ratios["CompletionRatio"][model]) * ratio) * NANO_PER_UNIT

    def client(self, username: str) -> openai.OpenAI:
        """The public client library, told the new address and nothing else."""
        return openai.OpenAI(api_key=f"sk-{self.key(username)}", base_url=f"{self.relay.url}/v1", max_retries=0)

    def purse(self, username: str) -> LedgerAccount:
        return LedgerAccount.objects.get(user__username=username, is_purse=True, origin="import:one-api", kind="prepaid")


@pytest.fixture
def old_world(relay: Server, upstream: Server, bring_in: Callable[..., Any]) -> Iterator[OldWorld]:
    upstream.reset()
    demo_upstream(upstream.url)
    bring_in("one-api.sqlite3", upstream="demo")
    settle_in(relay)
    yield OldWorld(relay, upstream, sample("one-api.totals.json"), sample("one-api.server-said.json")["options"])
    until(lambda: _is_quiet(relay), 10)


def test_a_plain_call_with_the_old_key_costs_what_it_always_did(old_world: OldWorld) -> None:
    """R013 R046: bob is in a group of its own price; hold and settle are in the ledger, to the nano-dollar."""
    before = balance_of(User.objects.get(username="bob")).total_nano
    assert before == old_world.quota("bob") * NANO_PER_UNIT
    raw = old_world.client("bob").chat.completions.with_raw_response.create(
        model=MODEL, messages=[{"role": "user", "content": LONG}], max_tokens=600
    )
    assert raw.parse().choices[0].message.content.startswith("the demo upstream answers")
    assert_charged(old_world, raw.headers["x-request-id"], "bob", before, old_world.old_price("vip", MODEL, 1234, 567))


def test_a_streamed_call_with_the_old_key_costs_the_same(old_world: OldWorld) -> None:
    before = balance_of(User.objects.get(username="bob")).total_nano
    raw = old_world.client("bob").chat.completions.with_raw_response.create(
        model=MODEL, stream=True, messages=[{"role": "user", "content": LONG}], max_tokens=600
    )
    text = "".join(chunk.choices[0].delta.content or "" for chunk in raw.parse() if chunk.choices)
    assert len(text.split()) == 567
    assert_charged(old_world, raw.headers["x-request-id"], "bob", before, old_world.old_price("vip", MODEL, 1234, 567))


def assert_charged(old_world: OldWorld, request_id: str, username: str, before: int, price: int) -> None:
    row = log_of(request_id)
    assert (row.outcome, row.route, row.input_tokens, row.output_tokens) == ("ok", "new", 1234, 567)
    assert (row.asked_model, row.billed_model) == (MODEL, MODEL)
    assert price > 0
    assert row.cost_nano == price
    assert charges(request_id) == [price]
    hold = hold_of(request_id)
    assert hold is not None
    assert (hold.state, hold.settled_nano, hold.account_ids) == ("settled", price, [old_world.purse(username).pk])
    assert hold.part_amounts == [row.held_nano]
    assert row.held_nano >= price
    entry = LedgerEntry.objects.get(transaction_id=row.pk)
    assert (entry.from_account_id, entry.from_balance_nano) == (old_world.purse(username).pk, before - price)
    assert balance_of(User.objects.get(username=username)).total_nano == before - price
    assert [finding.code for finding in check_all(None) if finding.breaches] == []


def test_a_call_is_on_the_dashboard_and_in_the_support_search_within_five_seconds(old_world: OldWorld) -> None:
    """R034, the part of the fresh call: real time, no worker running, from the answer to what people see."""
    alice = User.objects.get(username="alice")
    helper = create_person(actor=None, username="helper", role=Role.SUPPORT)
    # Log rows of the old gateway may fall on this day too.
    calls_before = home_of(alice).today.call_count
    answer = old_world.client("alice").chat.completions.with_raw_response.create(
        model=MODEL, messages=[{"role": "user", "content": "hello [[usage 1000 50]]"}], max_tokens=100
    )
    call = answer.headers["x-request-id"].replace("-", "")
    tail = old_world.key("alice")[-4:]
    searches = {
        "id": CallFilters(request_id=call),
        "tail": CallFilters(key_tail=tail),
        "model and status": CallFilters(model=MODEL, http_status=200),
        "group": CallFilters(group_code="one-api/default"),
        "person": CallFilters(user_id=alice.pk),
    }

    def seen_everywhere() -> bool:
        found = {name: [row.pk.hex for row in calls_for(helper, wanted).rows] for name, wanted in searches.items()}
        own = [row.pk.hex for row in calls_for(alice, CallFilters()).rows]
        return (
            home_of(alice).today.call_count == calls_before + 1 and call in own and all(call in ids for ids in found.values())
        )

    until(seen_everywhere, 5)
    page = signed_in(alice).get("/").content.decode()
    assert f"/calls/{call}/" in page
    page = signed_in(helper).get(f"/find/?tail={tail}&period=1").content.decode()
    assert f"/find/{call}/" in page
    assert old_world.key("alice") not in page


def signed_in(person: User) -> Client:
    client = Client()
    client.force_login(person, backend="allauth.account.auth_backends.AuthenticationBackend")
    return client


def test_sixty_four_calls_at_once_on_a_balance_for_ten(old_world: OldWorld) -> None:
    """At most ten are served, the purse that came with the import never falls below zero, the ledger is clean."""
    quota = old_world.quota("dora")
    prompt, completion = 196, 600
    ratios = {name: json.loads(old_world.options[name]) for name in ("ModelRatio", "GroupRatio")}
    # gpt-4 counts an answer's token twice; that ratio lives in the old product's code.
    price = math.ceil((prompt + completion * 2) * ratios["ModelRatio"]["gpt-4"]) * NANO_PER_UNIT
    assert 10 * price <= quota * NANO_PER_UNIT < 11 * price, "a balance for ten"
    text = "hello " * 200 + f"[[usage {prompt} {completion}]] [[delay 0.3]]"
    body = {"model": "gpt-4", "messages": [{"role": "user", "content": text}], "max_tokens": completion}
    headers = {"Authorization": f"Bearer sk-{old_world.key('dora')}"}

    def call(_number: int) -> httpx.Response:
        return httpx.post(f"{old_world.relay.url}/v1/chat/completions", json=body, headers=headers, timeout=60)

    with ThreadPoolExecutor(64) as pool:
        answers = list(pool.map(call, range(64)))
    by_status = Counter(answer.status_code for answer in answers)
    assert set(by_status) == {200, 402}
    assert 1 <= by_status[200] <= 10
    assert {answer.json()["error"]["code"] for answer in answers if answer.status_code == 402} == {"insufficient_quota"}
    assert old_world.upstream.calls()["total"] == by_status[200]
    until(lambda: RequestLog.objects.filter(user__username="dora", origin="relay").count() == 64, 20)
    purse = old_world.purse("dora")
    assert (purse.balance_nano, purse.held_nano) == (quota * NANO_PER_UNIT - by_status[200] * price, 0)
    lows = LedgerEntry.objects.filter(from_account=purse).values_list("from_balance_nano", flat=True)
    assert len(lows) == by_status[200]
    assert min(lows) >= 0
    assert [finding.code for finding in check_all(None) if finding.breaches] == []


def test_a_short_balance_is_told_and_no_upstream_is_called(old_world: OldWorld) -> None:
    """402 with a stable code; the upstream's own counter proves that nothing was sent, the ledger that nothing was taken."""
    before = old_world.purse("dora").balance_nano
    with pytest.raises(openai.APIStatusError) as refused:
        old_world.client("dora").chat.completions.create(
            model="gpt-4", messages=[{"role": "user", "content": "hello"}], max_tokens=100_000
        )
    assert refused.value.status_code == 402
    assert refused.value.code == "insufficient_quota"
    row = log_of(refused.value.response.headers["x-request-id"])
    assert (row.outcome, row.cost_nano, row.attempts) == ("no_balance", 0, [])
    assert old_world.upstream.calls()["total"] == 0
    assert hold_of(row.pk.hex) is None
    assert old_world.purse("dora").balance_nano == before
    assert not LedgerEntry.objects.filter(transaction_id=row.pk).exists()
