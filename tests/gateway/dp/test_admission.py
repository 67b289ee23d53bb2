"""What a data plane asks before a call: the decision, the hold, and the price that is fixed with it."""

from datetime import timedelta

import pytest
from django.core.management import call_command
from django.utils import timezone

from billing.models import Hold
from billing.pricing import RuleFigures
from billing.services.outcomes import change_outcome_rules
from config.foundation.ids import uuid7
from tests.gateway.planes import Company, Plane, end, hash_of
from tests.gateway.world import RULE, balance, charges, held, log_of

pytestmark = pytest.mark.django_db

# 1,000 in at 1 nano-dollar and 200 out at 3.
COST = 1_600


def test_a_call_is_held_for_and_charged_at_the_price_of_its_admission(world: Company, plane: Plane):
    person = world.person("1")
    key, clear = world.key(person)
    found = plane.ask(clear, client_ip="203.0.113.9")
    assert found["decision"] == "allow"
    assert found["reserved_nano"] == 1000 + 500 * 3 == held(person)
    assert (found["key_id"], found["resolved"]["public_name"]) == (key.pk, "demo-chat")
    # The price and the rules of ends change while the call runs.
    world.publish({"demo-chat": RuleFigures(input_nano=RULE.input_nano * 100)})
    change_outcome_rules(actor=None, cells={"client_gone_after_output": ("nothing", "nothing")})
    assert plane.told(end(found["request_id"])) == [{"event_id": f"{found['request_id']}:1", "status": "accepted"}]
    assert charges(found["request_id"]) == [COST]
    assert (balance(person), held(person)) == (10**9 - COST, 0)
    row = log_of(found["request_id"])
    assert (row.outcome, row.cost_nano, row.usage_source, row.key_id) == ("ok", COST, "upstream", key.pk)
    assert (row.asked_model, row.served_model, row.client_network) == ("demo-chat", "demo-chat-001", "203.0.113.x")
    assert row.price_version_id == found["price_id"]
    second = plane.ask(clear)
    assert second["price_id"] != found["price_id"]
    call_command("ledger_check")


def test_the_same_question_twice_is_one_hold(world: Company, plane: Plane):
    person = world.person("1")
    _, clear = world.key(person)
    request_id = uuid7()
    first, second = plane.ask(clear, request_id=request_id), plane.ask(clear, request_id=request_id)
    assert first["reservation_id"] == second["reservation_id"] == str(request_id)
    assert held(person) == first["reserved_nano"]
    other = plane.post("authorize", {"request_id": str(request_id), "key_hash": hash_of(clear), "model": "demo-chat",
                                     "est": {"input_tokens": 5}})  # fmt: skip
    assert (other.status_code, other.json()["error"]["code"]) == (409, "request_id_used")
    assert held(person) == first["reserved_nano"]


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"model": "nothing"}, 404, "model_not_found"),
        ({"key_hash": "0" * 64}, 401, "invalid_api_key"),
        ({"endpoint": "/v1/nothing"}, 400, "endpoint_not_supported"),
        ({"est": {"input_tokens": 10**9}}, 402, "insufficient_quota"),
        ({"model": ""}, 400, "model_required"),
    ],
)
def test_a_refusal_says_what_the_client_is_to_be_told_and_is_logged(
    world: Company, plane: Plane, change: dict, status: int, code: str
):
    person = world.person("0.5")
    _, clear = world.key(person)
    found = plane.ask(clear, **change)
    assert (found["decision"], found["http_status"], found["code"]) == ("deny", status, code)
    assert found["body"]["error"]["code"] == code
    row = log_of(found["request_id"])
    assert (row.http_status, row.error_code, row.cost_nano) == (status, code, 0)
    assert held(person) == 0
    assert not Hold.objects.filter(pk=row.pk).exists()
    # The data plane's own word about it changes nothing.
    assert plane.told(end(found["request_id"], "refused_local", error_class=code))[0]["status"] == "duplicate"


def test_a_model_without_a_price_is_refused(world: Company, plane: Plane):
    """gateway.md 3.6: an unknown price is a refusal, never a free call."""
    from models_catalog import services as catalog

    model = catalog.create_model(actor_name="test", figures=catalog.ModelFigures(name="unpriced"))
    catalog.set_access(actor_name="test", model=model, group_codes=[world.group.code])
    catalog.serve_model(actor_name="test", upstream=world.route, model=model)
    _, clear = world.key()
    found = plane.ask(clear, model="unpriced")
    assert (found["decision"], found["code"]) == ("deny", "model_not_priced")


@pytest.mark.parametrize("endpoint", ["/v1/chat/completions", "/v1/embeddings", "/v1/audio/transcriptions", "/v1/audio/speech"])
def test_a_call_without_the_unit_that_alone_has_a_price_is_refused(world: Company, plane: Plane, endpoint: str):
    """As the relay and the access check decide, whether the data plane tells the amount or not."""
    world.publish({"demo-chat": RuleFigures(unit_prices={"image:*:*": 40_000_000})})
    person = world.person("1")
    _, clear = world.key(person)
    found = plane.ask(clear, endpoint=endpoint)
    assert (found["decision"], found["http_status"], found["code"]) == ("deny", 403, "model_not_priced")
    assert held(person) == 0
    assert plane.ask(clear, endpoint="/v1/images/generations")["reserved_nano"] == 40_000_000


@pytest.mark.parametrize(
    "body",
    [
        None, [], "x", {}, {"request_id": "x"}, {"request_id": 7},
        {"key_hash": "zz"}, {"key_hash": "A" * 64}, {"est": {"input_tokens": 1.5}}, {"est": {"input_tokens": "5"}},
        {"est": {"input_tokens": -1}}, {"est": {"tokens": 5}}, {"est": {"input_tokens": 10**12}}, {"modle": "x"}, {"model": 5},
        {"model": "a\x00b"}, {"params": {"a": [1]}}, {"params": 5}, {"is_stream": "perhaps"}, {"client_ip": "x" * 65},
    ],
)  # fmt: skip
def test_a_question_that_cannot_be_read_is_refused_with_our_body(world: Company, plane: Plane, body: object):
    person = world.person("1")
    _, clear = world.key(person)
    fine = {"request_id": str(uuid7()), "key_hash": hash_of(clear), "model": "demo-chat"}
    answer = plane.post("authorize", {**fine, **body} if isinstance(body, dict) and body else body)
    assert answer.status_code in (400, 422), answer.content
    assert answer.json()["error"]["code"] == "invalid_input"
    assert held(person) == 0


def test_a_clock_that_is_wrong_is_told(world: Company, plane: Plane):
    _, clear = world.key()
    for off in (-3600, 3600):
        wrong = uuid7(int((timezone.now() + timedelta(seconds=off)).timestamp() * 1000))
        answer = plane.post("authorize", {"request_id": str(wrong), "key_hash": hash_of(clear), "model": "demo-chat"})
        assert (answer.status_code, answer.json()["error"]["code"]) == (422, "clock_skew")
        assert abs(answer.json()["error"]["off_by_seconds"] - off) <= 2
    assert plane.post("authorize", {"request_id": "7b0d6b8e-0000-4000-8000-000000000000", "key_hash": hash_of(clear),
                                    "model": "demo-chat"}).json()["error"]["code"] == "invalid_input"  # fmt: skip
