"""What happens to the money when an upstream or a client fails: R025, cut streams, aborts, missing usage."""

import threading

import httpx
import pytest
from django.core.management import call_command

from billing.models import Hold, LedgerEntry, RequestLog
from models_catalog import services as catalog
from tests.gateway.servers import free_port, until
from tests.gateway.world import CREDENTIAL, World, balance, charges, held, hold_of, log_of

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]


FAILURES = [
    ("demo-500", 502, "upstream_error", "upstream_error"),
    ("demo-401", 502, "upstream_error", "upstream_error"),
    ("demo-429", 429, "upstream_rate_limited", "rate_limited"),
    ("demo-timeout", 504, "upstream_timeout", "timeout"),
    ("demo-garbage", 502, "upstream_error", "upstream_error"),
    ("demo-cut-before-output", 502, "upstream_error", "upstream_error"),
    ("demo-400", 400, "demo_wrong_request", "client_error"),
]


def test_a_failed_call_without_output_costs_nothing(world: World, subtests: pytest.Subtests):
    """R025: no result means no net charge; the ledger shows hold, then release."""
    person = world.person("1")
    _, clear = world.key(person)
    for model, status, code, outcome in FAILURES:
        for is_stream in (False, True):
            with subtests.test(model=model, stream=is_stream):
                answer = world.ask(clear, "hi [[usage 1000 500]]", model, stream=is_stream)
                assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
                assert CREDENTIAL not in answer.text
                assert world.upstream.url not in answer.text
                assert answer.headers.get("retry-after") == ("7" if model == "demo-429" else None)
                row = log_of(answer.headers["x-request-id"])
                assert (row.outcome, row.http_status, row.error_code) == (outcome, status, code)
                assert (row.cost_nano, row.output_tokens, len(row.attempts)) == (0, 0, 1)
                hold = hold_of(answer.headers["x-request-id"])
                assert hold is not None
                assert (hold.state, hold.amount_nano > 0) == ("released", True)
                assert charges(answer.headers["x-request-id"]) == []
                assert (balance(person), held(person)) == (1_000_000_000, 0)


def test_forty_failures_among_two_hundred_calls_cost_nothing(world: World):
    """R025: 200 calls, 40 planted failures, net charge of the 40 is 0."""
    person = world.person("1")
    _, clear = world.key(person)
    planted = ["demo-500", "demo-garbage", "demo-cut-before-output", "demo-429"] * 10
    for n in range(200):
        model = planted[n // 5] if n % 5 == 0 else "demo-chat"
        world.ask(clear, "[[usage 100 10]]", model, stream=n % 2 == 0)
    until(lambda: RequestLog.objects.filter(user_id=person.pk).count() == 200)
    failed = RequestLog.objects.filter(user_id=person.pk).exclude(outcome="ok")
    assert failed.count() == 40
    assert sum(row.cost_nano for row in failed) == 0
    assert not LedgerEntry.objects.filter(transaction_id__in=failed.values("id")).exists()
    assert set(Hold.objects.filter(id__in=failed.values("id")).values_list("state", flat=True)) == {"released"}
    assert balance(person) == 1_000_000_000 - 160 * 130
    assert held(person) == 0
    call_command("ledger_check")


def test_a_stream_cut_after_output_is_charged_by_what_came(world: World):
    person = world.person("1")
    _, clear = world.key(person)
    answer = world.ask(clear, "hi [[usage 1000 20]]", "demo-cut-stream", stream=True)
    assert "stream_cut" in answer.text
    assert "[DONE]" not in answer.text
    row = log_of(answer.headers["x-request-id"])
    assert (row.outcome, row.error_code, row.usage_source) == ("cut_stream", "stream_cut", "estimated")
    assert 0 < row.output_tokens < 20
    assert row.cost_nano == row.input_tokens + 3 * row.output_tokens
    assert charges(answer.headers["x-request-id"]) == [row.cost_nano]


@pytest.mark.parametrize("is_stream", [False, True], ids=["plain", "stream"])
def test_missing_usage_is_counted_and_flagged_and_never_free(world: World, is_stream: bool):
    _, clear = world.key()
    answer = world.ask(clear, "some words to count [[usage 1000 12]]", "demo-no-usage", stream=is_stream)
    assert answer.status_code == 200
    row = log_of(answer.headers["x-request-id"])
    assert (row.outcome, row.usage_source) == ("ok", "estimated")
    assert row.input_tokens > 5
    assert row.output_tokens > 8
    assert row.cost_nano == row.input_tokens + 3 * row.output_tokens
    assert charges(answer.headers["x-request-id"]) == [row.cost_nano]


def test_a_client_that_leaves_a_stream_pays_for_what_it_got_and_the_upstream_is_told(world: World):
    person = world.person("1")
    _, clear = world.key(person)
    body = {"model": "demo-slow", "stream": True, "messages": [{"role": "user", "content": "hi [[usage 1000 100]]"}]}
    with httpx.stream(
        "POST", f"{world.relay.url}/v1/chat/completions", json=body, headers={"Authorization": f"Bearer {clear}"}, timeout=20
    ) as answer:
        request_id = answer.headers["x-request-id"]
        parts = answer.iter_raw()
        next(parts)
        next(parts)
    row = log_of(request_id)
    assert (row.outcome, row.error_code, row.http_status, row.usage_source) == ("cancelled", "client_gone", 499, "estimated")
    assert 0 < row.output_tokens < 50
    assert charges(request_id) == [row.cost_nano]
    assert held(person) == 0
    until(lambda: world.upstream.calls()["aborted"] == 1)


def test_a_client_that_leaves_before_the_answer_pays_for_its_input_only(world: World):
    person = world.person("1")
    _, clear = world.key(person)
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(
            f"{world.relay.url}/v1/chat/completions",
            json={"model": "demo-chat", "messages": [{"role": "user", "content": "hi [[delay 1.5]]"}]},
            headers={"Authorization": f"Bearer {clear}"},
            timeout=0.5,
        )
    row = until(lambda: RequestLog.objects.filter(user_id=person.pk).first())
    assert (row.outcome, row.output_tokens, row.usage_source) == ("cancelled", 0, "estimated")
    assert row.cost_nano == row.input_tokens > 0
    until(lambda: world.upstream.calls()["aborted"] == 1)
    assert held(person) == 0


def test_another_upstream_takes_over_before_the_first_byte_and_only_then(world: World):
    person = world.person("1")
    _, clear = world.key(person)
    first = catalog.create_upstream(
        actor_name="test",
        name="broken",
        provider=world.route.provider,
        base_url=f"http://127.0.0.1:{free_port()}",
        credential="sk-nobody",
        priority=10,
    )
    second = catalog.create_upstream(
        actor_name="test",
        name="failing",
        provider=world.route.provider,
        base_url=world.upstream.url,
        credential="sk-other",
        priority=5,
    )
    catalog.serve_model(actor_name="test", upstream=first, model=world.models["demo-chat"])
    catalog.serve_model(actor_name="test", upstream=second, model=world.models["demo-chat"], upstream_name="demo-500")
    world.settle_in()
    for is_stream in (False, True):
        answer = world.ask(clear, "[[usage 100 10]]", stream=is_stream)
        assert answer.status_code == 200
        row = log_of(answer.headers["x-request-id"])
        assert [one["upstream"] for one in row.attempts] == [first.pk, second.pk, world.route.pk]
        assert [one["status"] for one in row.attempts] == [0, 500, 200]
        assert (row.served_model, row.cost_nano) == ("demo-chat", 130)
    # A stream that has begun is never begun again elsewhere.
    catalog.serve_models(actor_name="test", upstream=second, served={"demo-chat": "demo-cut-stream"}, replace=True)
    world.settle_in()
    world.upstream.reset()
    cut = world.ask(clear, "[[usage 100 10]]", stream=True)
    assert "stream_cut" in cut.text
    assert world.upstream.calls()["by_model"] == {"demo-cut-stream": 1}


def test_a_wrong_request_is_not_tried_elsewhere(world: World):
    _, clear = world.key()
    spare = catalog.create_upstream(
        actor_name="test", name="spare", provider=world.route.provider, base_url=world.upstream.url, credential="sk-spare"
    )
    catalog.serve_model(actor_name="test", upstream=spare, model=world.models["demo-400"])
    world.settle_in()
    assert world.ask(clear, model="demo-400").status_code == 400
    assert world.upstream.calls()["total"] == 1


def test_the_weights_share_the_calls(world: World):
    _, clear = world.key()
    heavy = catalog.create_upstream(
        actor_name="test",
        name="heavy",
        provider=world.route.provider,
        base_url=world.upstream.url,
        credential="sk-heavy",
        weight=3,
    )
    catalog.serve_model(actor_name="test", upstream=heavy, model=world.models["demo-chat"])
    world.settle_in()
    done = threading.Semaphore(0)

    def many() -> None:
        for _ in range(25):
            world.ask(clear)
            done.release()

    threads = [threading.Thread(target=many) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    counts = sorted(world.upstream.calls()["by_credential"].values())
    assert sum(counts) == 100
    assert 8 <= counts[0] <= 45
