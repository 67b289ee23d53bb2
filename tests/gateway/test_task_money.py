"""Money of videos: held while they run or nobody knows, settled once whoever asks, released once, whatever is killed."""

import os
import signal
import subprocess
import sys
import threading
from datetime import timedelta
from decimal import Decimal
from typing import Any

import httpx
import pytest
from django.db import connection
from django.db.models import Sum

from accounts.models import AuditEvent, Role
from billing.invariants import check_all
from billing.models import Hold, LedgerEntry, RequestLog
from billing.services import ledger
from config.foundation.clock import now
from config.foundation.errors import Conflict, InvalidInput, NotAllowed
from gateway.contract.tasks import read_video
from gateway.models_tasks import MediaTask
from gateway.services import task_decisions, tasks
from tests.billing.helpers import person as plain_person
from tests.gateway.servers import start_relay, test_database_url, until
from tests.gateway.task_world import CENT, client_of, get, jobs, look_now, post, task_of, with_media
from tests.gateway.world import World, balance, charges, held, hold_of, log_of

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]
SHORT = {"seconds": "4", "size": "1280x720"}


def sound() -> None:
    """Every invariant of the ledger holds."""
    assert [one for one in check_all() if one.breaches] == []


def test_R025_what_gives_nothing_costs_nothing(world: World):
    """R025, the part of tasks: a failed task and every refused creation end at net 0, hold then release each."""
    with_media(world)
    person = world.person("20")
    _, clear = world.key(person)
    ended = [post(world, clear, "x [[fails content_policy]]", **SHORT).json()["id"] for _ in range(4)]
    ended += [post(world, clear, "x [[state expired]]", **SHORT).json()["id"]]
    look_now(*ended)
    refused = {model: post(world, clear, model=model, **SHORT) for model in ("demo-500", "demo-429", "demo-503", "demo-400")}
    assert {model: one.status_code for model, one in refused.items()} == {
        "demo-500": 502, "demo-429": 429, "demo-503": 503, "demo-400": 400,
    }  # fmt: skip
    ids = [*ended, *(one.headers["x-request-id"] for one in refused.values())]
    for one in ids:
        task = until(lambda one=one: MediaTask.objects.filter(pk=task_of(one).pk, state="failed").first())
        assert (task.cost_nano, task.held_nano, charges(task.pk.hex)) == (0, 40 * CENT, [])
        assert task.failure_code
        hold = hold_of(task.pk.hex)
        assert (hold.state, hold.amount_nano) == ("released", 40 * CENT)
        assert log_of(task.pk.hex).price_detail["rule"]["charged"] == "nothing"
    assert task_of(ended[0]).failure_code == "content_policy"
    assert task_of(ended[4]).failure_code == "expired"
    answer = get(world, clear, "/" + ended[0]).json()
    assert (answer["status"], answer["error"]["code"]) == ("failed", "content_policy")
    assert (balance(person), held(person)) == (2000 * CENT, 0)
    assert world.upstream.calls()["by_path"]["/v1/videos"] == 9
    sound()


def test_a_creation_is_never_sent_twice_and_its_doubt_holds_the_money(world: World):
    """Cut, timed out, answered by a broken proxy or with rubbish: one request went out, the money stays held."""
    with_media(world)
    person = world.person("20")
    _, clear = world.key(person)
    doubtful = ("demo-cut-before-output", "demo-502", "demo-garbage", "demo-timeout")
    for model in doubtful:
        before = world.upstream.calls()["by_model"].get(model, 0)
        answer = post(world, clear, model=model, **SHORT)
        assert (answer.status_code, answer.json()["status"]) == (200, "in_progress"), model
        task = task_of(answer.json()["id"])
        assert (task.state, task.upstream_task_id) == ("unknown", "")
        assert task.doubt.startswith("create")
        assert world.upstream.calls()["by_model"][model] == before + 1
        assert hold_of(task.pk.hex).state == "open"
    assert held(person) == 4 * 40 * CENT
    ledger.expire_holds(at=now() + timedelta(hours=2))
    assert held(person) == 4 * 40 * CENT
    assert (balance(person), MediaTask.objects.filter(state="unknown", user=person).count()) == (2000 * CENT, 4)


def test_operators_decide_what_is_in_doubt_once(world: World):
    with_media(world)
    person = world.person("20")
    _, clear = world.key(person)
    made = [post(world, clear, model="demo-cut-before-output", **SHORT).json()["id"] for _ in range(3)]
    ops, eve = plain_person("ops", Role.OPS), plain_person("eve")
    linked, settled, released = (task_of(one) for one in made)
    with pytest.raises(NotAllowed):
        task_decisions.release_task(actor=eve, task=released, note="I say so")
    with pytest.raises(InvalidInput):
        task_decisions.release_task(actor=ops, task=released, note=" ")
    task_decisions.release_task(actor=ops, task=released, note="not in the provider's list")
    task_decisions.settle_task(actor=ops, task=settled, seconds=Decimal("2.5"), size="1280x720", note="seen there")
    task_decisions.link_task(actor=ops, task=linked, upstream_task_id=jobs(world)[0]["id"], note="same time")
    for done in (released, settled):
        with pytest.raises(Conflict):
            task_decisions.settle_task(actor=ops, task=done, seconds=Decimal(4), size="", note="again")
    look_now(made[0], rounds=2)
    states = [(task_of(one).state, task_of(one).cost_nano, charges(task_of(one).pk.hex)) for one in made]
    assert states == [("completed", 40 * CENT, [40 * CENT]), ("completed", 25 * CENT, [25 * CENT]), ("failed", 0, [])]
    assert (balance(person), held(person)) == ((2000 - 65) * CENT, 0)
    assert AuditEvent.objects.filter(action__in=("task.settled", "task.released", "task.linked"), actor=ops).count() == 3
    sound()


def test_an_unknown_state_holds_until_the_provider_speaks_again(world: World):
    with_media(world)
    person = world.person("5")
    _, clear = world.key(person)
    made = post(world, clear, "x [[state odd]]", **SHORT).json()["id"]
    lost = post(world, clear, "x [[polls 9]]", **SHORT).json()["id"]
    httpx.delete(f"{world.upstream.url}/v1/videos/{task_of(lost).upstream_task_id}")
    look_now(made, lost)
    assert [(task_of(one).state, task_of(one).doubt) for one in (made, lost)] == [
        ("unknown", "state odd"),
        ("unknown", "provider_knows_no_such_task"),
    ]
    assert get(world, clear, "/" + made).json()["status"] == "in_progress"
    assert held(person) == 80 * CENT
    httpx.post(f"{world.upstream.url}/__videos", json={"id": task_of(made).upstream_task_id, "end": "completed"})
    look_now(made)
    assert (task_of(made).state, task_of(made).doubt, held(person)) == ("completed", "", 40 * CENT)


def test_a_length_nobody_names_is_never_guessed(world: World):
    """Completed without a length: as asked for, flagged; without that in doubt. More than asked for: what was delivered."""
    with_media(world)
    person = world.person("20")
    _, clear = world.key(person)
    flagged = post(world, clear, "x [[no length]]", seconds="6", size="1280x720").json()["id"]
    doubtful = post(world, clear, "x [[no length]]", size="1280x720").json()["id"]
    longer = post(world, clear, "x [[delivers 9]]", **SHORT).json()["id"]
    dear = post(world, clear, "x", seconds="4").json()["id"]
    # Nobody said a size: the dearest is held.
    assert hold_of(task_of(dear).pk.hex).amount_nano == 120 * CENT
    look_now(flagged, doubtful, longer)
    assert (charges(task_of(flagged).pk.hex), log_of(task_of(flagged).pk.hex).usage_source) == ([60 * CENT], "estimated")
    assert (task_of(doubtful).state, task_of(doubtful).doubt) == ("unknown", "completed_without_a_length")
    assert sum(charges(task_of(longer).pk.hex)) == 90 * CENT


def test_a_length_that_cannot_be_is_refused_or_in_doubt(world: World):
    """Nobody holds money for weeks of video: asked for it is a 400, and a provider that says so is looked at by people."""
    with_media(world)
    person = world.person("20")
    _, clear = world.key(person)
    for field, value in (("seconds", 3601), ("seconds", "1e5"), ("duration", 10**12), ("seconds", 1e300)):
        answer = post(world, clear, **{"size": "1280x720", field: value})
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, field)
        assert answer.json()["error"]["allowed"] == "up to 3600"
    assert world.upstream.calls()["total"] == 0
    # Of two lengths the longer one is held for.
    both = post(world, clear, seconds="4", duration=8, size="1280x720").json()["id"]
    assert hold_of(task_of(both).pk.hex).amount_nano == 80 * CENT
    odd = [post(world, clear, "x [[delivers 90000]]", **SHORT).json()["id"]]
    # A form says every number as a text.
    form = {"model": (None, "demo-video"), "prompt": (None, "x"), "size": (None, "1280x720"), "seed": (None, "1e300")}
    headers = {"Authorization": f"Bearer {clear}"}
    made = httpx.post(f"{world.relay.url}/v1/videos", files={**form, "seconds": (None, "4")}, headers=headers)
    assert task_of(made.json()["id"]).parameters["seed"] == {"characters": 5}
    look_now(*odd, both)
    for one in odd:
        task = task_of(one)
        assert (task.state, task.doubt) == ("unknown", "completed_with_a_length_that_cannot_be")
        assert hold_of(task.pk.hex).state == "open"
        assert charges(task.pk.hex) == []


def test_two_workers_and_a_client_at_once_settle_once(world: World):
    """Concurrency: every look sees the end at the same moment; one charge, one log row, one callback each."""
    with_media(world)
    person = world.person("20")
    _, clear = world.key(person)
    made = [post(world, clear, "x", **SHORT).json()["id"] for _ in range(int(os.environ.get("TASKS_AT_ONCE", "6")))]
    tasks_made = [task_of(one) for one in made]
    views = [tasks.view_of(task) for task in tasks_made]
    raw = b'{"status": "completed", "seconds": "4", "size": "1280x720"}'
    said: list[str] = []
    errors: list[Exception] = []
    start = threading.Barrier(3 * len(made))

    def work(n: int) -> None:
        start.wait()
        try:
            said.append(tasks.apply_look(views[n], read_video(200, raw)))
        except Exception as error:
            errors.append(error)
        finally:
            connection.close()

    def ask(n: int) -> None:
        start.wait()
        get(world, clear, "/" + made[n])

    threads = [threading.Thread(target=work, args=(n,)) for n in range(len(made)) for _ in range(2)]
    threads += [threading.Thread(target=ask, args=(n,)) for n in range(len(made))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert said.count("ended") <= len(made)
    assert set(said) <= {"ended", "closed"}
    for task in tasks_made:
        assert charges(task.pk.hex) == [40 * CENT]
        assert RequestLog.objects.filter(pk=task.pk).count() == 1
        assert hold_of(task.pk.hex).settled_nano == 40 * CENT
    assert (balance(person), held(person)) == ((2000 - 40 * len(made)) * CENT, 0)
    sound()


KILLED = """
import os, signal, sys
import django
django.setup()
from gateway.services import tasks
from gateway.services.tasks import tell_seen as real

def stop_before(task, columns, event=None):
    if event is not None:
        os.kill(os.getpid(), signal.SIGKILL)
    return real(task, columns, event)

def stop_inside(task, columns, event=None):
    from django.db import transaction
    with transaction.atomic():
        said = real(task, columns, event)
        if event is not None:
            os.kill(os.getpid(), signal.SIGKILL)
    return said

tasks.tell_seen = {"before": stop_before, "inside": stop_inside}[sys.argv[1]]
tasks.check_due_tasks()
"""


@pytest.mark.parametrize("where", ["before", "inside"])
def test_a_worker_killed_between_the_end_and_its_settlement_loses_nothing(world: World, where: str):
    """Crash: kill -9 after the provider said completed, before and inside the transaction; the next look settles once."""
    with_media(world)
    person = world.person("5")
    _, clear = world.key(person)
    made = post(world, clear, "x", **SHORT).json()["id"]
    MediaTask.objects.filter(pk=task_of(made).pk).update(next_check_at=now())
    environment = {**os.environ, "DATABASE_URL": test_database_url(), "DJANGO_SETTINGS_MODULE": "config.settings.test"}
    killed = subprocess.run([sys.executable, "-c", KILLED, where], env=environment, timeout=60, check=False)
    assert killed.returncode == -signal.SIGKILL
    task = task_of(made)
    assert (task.state in MediaTask.CLOSED, charges(task.pk.hex), held(person)) == (False, [], 40 * CENT)
    look_now(made)
    look_now(made)
    assert (task_of(made).state, charges(task.pk.hex), held(person)) == ("completed", [40 * CENT], 0)
    sound()


def test_a_relay_killed_while_it_hands_over_leaves_a_task_in_doubt(world: World):
    """Crash: kill -9 of the relay between the provider's creation and its answer: held, found by the worker, decided."""
    with_media(world)
    person = world.person("5")
    _, clear = world.key(person)
    relay = start_relay()
    try:
        body = {"model": "demo-timeout", "prompt": "x", **SHORT}
        headers = {"Authorization": f"Bearer {clear}"}

        def ask() -> None:
            try:
                httpx.post(f"{relay.url}/v1/videos", json=body, headers=headers, timeout=30)
            except httpx.HTTPError:
                return

        asking = threading.Thread(target=ask)
        asking.start()
        until(lambda: world.upstream.calls()["by_model"].get("demo-timeout"), 10)
        relay.kill()
        asking.join()
    finally:
        relay.stop()
    task = MediaTask.objects.get(user=person)
    assert (task.state, held(person)) == ("submitted", 40 * CENT)
    look_now(task.public_id)
    task.refresh_from_db()
    assert (task.state, task.doubt, held(person)) == ("unknown", "create_was_not_answered", 40 * CENT)
    task_decisions.release_task(actor=plain_person("ops", Role.OPS), task=task, note="not there")
    assert (balance(person), held(person)) == (500 * CENT, 0)


def test_the_hold_of_an_open_task_outlives_the_sweeper_and_is_prolonged(world: World, settings: Any):
    with_media(world)
    person = world.person("5")
    _, clear = world.key(person)
    made = post(world, clear, "x [[polls 9]]", **SHORT).json()["id"]
    hold = hold_of(task_of(made).pk.hex)
    assert hold.expires_at - now() > timedelta(hours=167)
    assert ledger.expire_holds(at=now() + timedelta(seconds=901)) == 0
    Hold.objects.filter(pk=hold.pk).update(expires_at=now() + timedelta(minutes=1))
    assert tasks.keep_holds() >= 1
    assert Hold.objects.get(pk=hold.pk).expires_at - now() > timedelta(hours=167)
    assert ledger.expire_holds(at=now() + timedelta(hours=1)) == 0
    look_now(made, rounds=9)
    assert task_of(made).state == "completed"
    before = Hold.objects.get(pk=hold.pk).expires_at
    tasks.keep_holds()
    assert Hold.objects.get(pk=hold.pk).expires_at == before


def test_a_completed_task_that_is_no_result_is_refunded_once(world: World):
    with_media(world)
    person = world.person("5")
    _, clear = world.key(person)
    made = post(world, clear, "x", **SHORT).json()["id"]
    look_now(made)
    fin = plain_person("fin", Role.FINANCE)
    results = [task_decisions.refund_task(actor=fin, task=task_of(made), reason="black picture") for _ in range(2)]
    assert [one.status for one in results] == ["refunded", "repeated"]
    assert balance(person) == 500 * CENT
    assert (
        LedgerEntry.objects.filter(transaction_id=task_of(made).pk, kind="refund").aggregate(n=Sum("amount_nano"))["n"]
        == 40 * CENT
    )


def test_no_balance_and_no_price_are_refused_before_the_provider_is_asked(world: World):
    with_media(world)
    poor = world.person("0.1")
    _, clear = world.key(poor)
    answer = post(world, clear, **SHORT)
    assert (answer.status_code, answer.json()["error"]["code"]) == (402, "insufficient_quota")
    unpriced = post(world, clear, model="demo-chat", **SHORT)
    assert (unpriced.status_code, unpriced.json()["error"]["code"]) == (403, "model_not_priced")
    assert world.upstream.calls()["total"] == 0
    assert MediaTask.objects.filter(user=poor).count() == 0


def test_strangers_see_no_video_and_a_running_one_is_not_deleted(world: World):
    with_media(world)
    _, clear = world.key(world.person("5"))
    _, other = world.key(world.person("5"))
    made = post(world, clear, "x [[polls 9]]", **SHORT).json()["id"]
    assert get(world, other, "/" + made).json()["error"]["code"] == "task_not_found"
    assert get(world, other, "").json()["data"] == []
    assert get(world, clear, f"/{made}/content").json()["error"]["code"] == "video_not_ready"
    gone = httpx.delete(f"{world.relay.url}/v1/videos/{made}", headers={"Authorization": f"Bearer {clear}"})
    assert (gone.status_code, gone.json()["error"]["code"]) == (400, "task_running")
    assert get(world, "sk-wrong", "").status_code == 401
    assert get(world, clear, "/video_nothing").status_code == 404
    expired = post(world, clear, "x [[expires 0]]", **SHORT).json()["id"]
    look_now(expired)
    assert get(world, clear, f"/{expired}/content").json()["error"]["code"] == "asset_expired"
    rows = [post(world, clear, "x", **SHORT).json()["id"] for _ in range(3)]
    page = client_of(world, clear).videos.list(limit=2)
    assert [one.id for one in page] == [*reversed(rows), expired, made]
