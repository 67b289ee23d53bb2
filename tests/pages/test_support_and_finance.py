"""The support's search, its five answers, and the pages of finance."""

import re
import uuid
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.test import Client
from django.urls import get_resolver, reverse

from accounts.models import User
from billing.explain import BY_CODE, BY_OUTCOME, explain_call
from billing.models import LedgerEntry, RequestLog
from billing.selectors import balance_of
from config.foundation.clock import now
from config.foundation.outcomes import Outcome
from gateway.contract import denials
from gateway.contract.types import Denial
from keys.services import issue_key
from tests.pages.conftest import DOLLAR, World, one_call
from tests.pages.test_own_pages import text_of

SignIn = Callable[[User], Client]

# Twenty ways a call ends: outcome, status, code, and whether another place would have helped.
CASES = [
    ("ok", 200, "", "Not needed"),
    ("no_balance", 402, "insufficient_quota", "No:"),
    ("no_balance", 403, "key_limit_reached", "No:"),
    ("bad_key", 401, "api_key_disabled", "No:"),
    ("bad_key", 401, "api_key_expired", "No:"),
    ("bad_key", 401, "invalid_api_key", "No:"),
    ("no_rights", 403, "model_not_allowed_for_key", "No:"),
    ("no_rights", 403, "model_not_available_for_group", "No:"),
    ("no_rights", 403, "network_not_allowed", "No:"),
    ("no_rights", 403, "account_disabled", "No:"),
    ("unknown_model", 404, "model_not_found", "No:"),
    ("model_unavailable", 403, "model_not_priced", "No:"),
    ("model_unavailable", 503, "model_unavailable", "Yes:"),
    ("client_error", 400, "model_required", "No:"),
    ("rate_limited", 429, "", "Yes:"),
    ("upstream_error", 502, "upstream_error", "Yes:"),
    ("timeout", 504, "", "Yes:"),
    ("cut_stream", 200, "", "Yes:"),
    ("cancelled", 499, "", "No:"),
    ("unsupported_input", 400, "", "No:"),
]


def test_r034_twenty_cases_each_with_its_five_answers(world: World, as_person: SignIn) -> None:
    browser = as_person(world.support)
    for outcome, status, code, fallback in CASES:
        call_id = one_call(world.alice, world.key, outcome=outcome, status=status, error_code=code)
        found = browser.get("/find/", {"q": str(call_id)}, follow=True)
        assert found.redirect_chain == [(f"/find/{call_id.hex}/", 302)]
        page = text_of(found)
        why = found.context["why"]
        assert "nightly job" in page, "the credential"
        assert f"sk-...{world.clear[-4:]}" in page
        assert found.context["paid_by"] == "svip", "the paying group"
        assert why.what, "what failed"
        assert why.what.split("“")[0] in page.replace("&#x27;", "'")
        assert why.fallback.startswith(fallback), (outcome, code)
        assert call_id.hex in found.context["tell"], "what to tell"
        assert why.todo in found.context["tell"]


def test_the_wording_is_in_the_persons_language_and_names_no_account(world: World, as_person: SignIn) -> None:
    User.objects.filter(pk=world.alice.pk).update(language="zh-hans")
    response = as_person(world.support).get(reverse("find_call", args=[world.call_id.hex]))
    assert response.context["tell_language"] == "zh-hans"
    assert 'lang="zh-hans"' in text_of(response)
    for hidden in ("alice", "svip", "nightly job", world.clear[-4:], "203.0.113"):
        assert hidden not in response.context["tell"]


def test_the_inner_route_is_for_operators_alone(world: World, as_person: SignIn) -> None:
    address = reverse("find_call", args=[world.call_id.hex])
    assert "upstream 4711" in text_of(as_person(world.ops).get(address))
    for person in (world.support, world.finance):
        page = text_of(as_person(person).get(address))
        assert "4711" not in page
        assert "Inner route" not in page
    assert "4711" not in text_of(as_person(world.alice).get(reverse("call_detail", args=[world.call_id.hex])))


@pytest.mark.parametrize(
    ("typed", "leads_to"),
    [
        ("alice", "/find/?person=alice&period=30&as=person"),
        ("ALICE@example.org", "/find/?person=alice&period=30&as=person"),
        ("gpt-4o", "/find/?model=gpt-4o&period=30&as=model"),
        ("svip", "/find/?group=svip&period=30&as=group"),
    ],
)
def test_the_box_says_what_it_recognised(world: World, as_person: SignIn, typed: str, leads_to: str) -> None:
    response = as_person(world.support).get("/find/", {"q": typed})
    assert (response.status_code, response["Location"]) == (302, leads_to)
    assert "Recognised as a" in text_of(as_person(world.support).get(leads_to))


def test_the_box_reads_a_key_tail_in_every_spelling(world: World, as_person: SignIn) -> None:
    tail = world.clear[-4:]
    for typed in (tail, f"...{tail}", f"sk-...{tail}"):
        response = as_person(world.support).get("/find/", {"q": typed}, follow=True)
        assert response.redirect_chain[0][0] == f"/find/?tail={tail}&period=30&as=tail"
        assert world.call_id.hex in text_of(response)


def test_a_whole_key_in_the_box_is_refused_and_leaves_the_address(world: World, as_person: SignIn) -> None:
    browser = as_person(world.support)
    for query in ({"q": world.clear}, {"q": f"why does {world.clear} fail?"}, {"model": world.clear.removeprefix("sk-")}):
        response = browser.get("/find/", query, follow=True)
        assert response.redirect_chain == [("/find/", 302)]
        page = text_of(response)
        assert "That was a whole API key" in page
        assert world.clear.removeprefix("sk-") not in page


def test_filters_narrow_by_status_group_and_time(world: World, as_person: SignIn) -> None:
    browser = as_person(world.support)
    failed = one_call(world.alice, world.key, outcome="upstream_error", status=502)
    earlier = one_call(world.alice, world.key, at=now() - timedelta(days=20), outcome="upstream_error", status=502)

    def found(query: dict[str, str]) -> set[str]:
        return set(re.findall(r"/find/([0-9a-f]{32})/", text_of(browser.get("/find/", query))))

    assert found({"status": "502"}) == {failed.hex}
    assert found({"status": "502", "period": "30"}) == {failed.hex, earlier.hex}
    assert found({"group": "svip", "outcome": "ok"}) == {world.call_id.hex}
    assert found({"group": "nobody"}) == set()
    assert found({"person": "alice"}) == {failed.hex, world.call_id.hex}
    assert found({"person": "no-such-person"}) == set()
    day = (now() - timedelta(days=20)).strftime("%Y-%m-%dT")
    assert found({"since": day + "00:00", "until": day + "23:59"}) == {earlier.hex}


@pytest.mark.parametrize("address", ["/find/", "/finance/ledger/", "/finance/top-up/"])
def test_r018_pages_of_staff_refuse_everybody_else(world: World, as_person: SignIn, address: str) -> None:
    for person in (world.alice, world.charlie):
        response = as_person(person).get(address)
        assert response.status_code == 403
        assert "<h1>Your role does not allow this</h1>" in text_of(response)
        assert "This was not done" not in text_of(response)
    if address != "/find/":
        assert as_person(world.support).get(address).status_code == 403
        assert as_person(world.finance).get(address).status_code == 200


def test_a_top_up_is_booked_once_with_its_reason(world: World, as_person: SignIn) -> None:
    browser = as_person(world.finance)
    sent = {"once": str(uuid.uuid4()), "to": "bob", "amount": "12.50", "reason": "transfer 81"}
    assert "$12.50 was booked to bob" in text_of(browser.post("/finance/top-up/", sent, follow=True))
    assert "was booked already" in text_of(browser.post("/finance/top-up/", sent, follow=True))
    assert balance_of(world.bob).total_nano == 25 * DOLLAR // 2
    entry = LedgerEntry.objects.get(reason="transfer 81")
    assert (entry.kind, entry.actor) == ("top_up", world.finance)


@pytest.mark.parametrize(
    "wrong",
    [{"to": "nobody"}, {"amount": "-5"}, {"amount": "0"}, {"amount": "1e3"}, {"amount": "0.0000000001"}, {"reason": " "}],
)
def test_a_wrong_top_up_books_nothing(world: World, as_person: SignIn, wrong: dict[str, str]) -> None:
    before = LedgerEntry.objects.count()
    sent = {"once": str(uuid.uuid4()), "to": "bob", "amount": "5", "reason": "x", **wrong}
    response = as_person(world.finance).post("/finance/top-up/", sent)
    assert response.status_code == 200
    assert 'class="error"' in text_of(response)
    assert LedgerEntry.objects.count() == before


def test_the_ledger_lists_filters_and_exports(world: World, as_person: SignIn) -> None:
    browser = as_person(world.finance)
    page = text_of(browser.get("/finance/ledger/"))
    assert "$9.99611" in page or "$10.00" in page
    only = text_of(browser.get("/finance/ledger/?kind=top_up&person=alice"))
    assert "invoice 7" in only
    assert "$0.00389" not in only
    export = text_of(browser.get("/finance/ledger/?kind=charge&export=csv"))
    assert len(export.strip().splitlines()) == 2
    assert ",0.003890000," in export


def test_every_refusal_of_the_entry_is_explained() -> None:
    made = [value for value in vars(denials).values() if isinstance(value, Denial)]
    made += [
        make("m")
        for name, make in vars(denials).items()
        if name.startswith("model_") and callable(make) and isinstance(make("m"), Denial)
    ]
    made += [denials.tier_not_allowed("m", 3, 2), denials.parallel_calls("key", 1), denials.calls_per_minute("key", 1, 1)]
    made += [denials.tokens_per_minute("group", 10, needed, 1) for needed in (5, 11)]
    assert len(made) >= 15
    # These say no more than their outcome does, and are explained by it.
    by_outcome = {"model_unavailable", "internal_error", "upstream_error", "upstream_timeout", "stream_cut", "stream_timeout"}
    missing = [denial.code for denial in made if denial.code not in BY_CODE and denial.code not in by_outcome]
    assert missing == []
    assert set(BY_OUTCOME) == set(Outcome.values)


def test_what_the_old_gateway_charged_is_not_said_to_be_charged_here(world: World) -> None:
    call = RequestLog.objects.get(id=world.call_id)
    call.origin = "imported"
    assert explain_call(call).money == "It was served and charged by the old gateway; nothing was charged here."
    call.origin, call.route, call.cost_nano = "relay", "old", 0
    assert "passed on to the old entry" in explain_call(call).money


def test_r096_no_address_tells_an_anonymous_visitor_anything(world: World) -> None:
    """Every address of the portal is asked for without signing in; planted names, keys and figures must not come back."""
    _key, clear = issue_key(actor=world.alice, owner=world.alice, name="canary-key-name")
    canaries = [
        world.clear.removeprefix("sk-"),
        clear.removeprefix("sk-"),
        f"...{world.clear[-4:]}",
        "canary-key-name",
        "nightly job",
        world.call_id.hex,
        "9.99611",
        "0.00389",
        "invoice 7",
        "gpt-4o-2024-11-20",
        "alice@example.org",
        "203.0.113",
        "svip",
    ]
    asked = 0
    for address in sorted(every_address(world)):
        response = Client().get(address)
        page = text_of(response)
        told = [canary for canary in canaries if canary in page and canary not in address]
        assert told == [], (address, told)
        asked += 1
    assert asked > 60


def every_address(world: World) -> set[str]:
    """Each URL pattern once, its parts filled with what exists."""
    values = {
        "request_id": world.call_id.hex,
        "key_id": str(world.key.pk),
        "secret_id": str(world.key.secrets.get().pk),
        "person_id": str(world.alice.pk),
        "provider_id": "demo",
    }

    def walk(patterns: list[object], prefix: str) -> set[str]:
        found: set[str] = set()
        for pattern in patterns:
            path = prefix + str(pattern.pattern)  # type: ignore[attr-defined]
            if hasattr(pattern, "url_patterns"):
                found |= walk(pattern.url_patterns, path)
            elif not path.startswith("admin/r/"):
                found.add(path)
        return found

    def fill(path: str) -> str:
        path = re.sub(r"<(?:(\w+):)?(\w+)>", lambda m: values.get(m[2], str(uuid.uuid4()) if m[1] == "uuid" else "1"), path)
        path = re.sub(r"\(\?P<(\w+)>[^)]*\)", lambda m: values.get(m[1], "1"), path)
        return "/" + re.sub(r"[\^$?\\]|\(\)|\[[^\]]*\]\+?", "", path)

    return {fill(path) for path in walk(get_resolver().url_patterns, "")}
