"""Reconciliation: what differs is found, kept once, decided once; a call that was never billed is billed once."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from uuid import UUID

import pytest
from django.db import connection, connections
from django.test import Client
from django.urls import reverse

from accounts.models import AuditEvent, OutboundMail, Role, User
from billing.models import AlertEvent, DeskItem, Difference, LedgerEntry, ReconcileRun, RequestLog
from billing.services import desk, ledger, reconcile
from config.foundation.clock import now
from config.foundation.errors import Conflict, InvalidInput, NotAllowed
from config.foundation.ids import uuid7, uuid7_time
from tests.billing.helpers import broken, end, figures, give, hold, person, rich

USD = 1_000_000_000


def unbilled(user: User, cost: int = 370_000) -> UUID:
    """A call that was served and that nobody was charged for: only its log row is there."""
    call = uuid7()
    RequestLog.objects.create(
        id=call, started_at=uuid7_time(call), user=user, asked_model="gpt-4o", billed_model="gpt-4o", outcome="ok",
        input_tokens=1000, output_tokens=50, cost_nano=cost, price_detail={"cost_nano": cost},
    )  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute(
            """INSERT INTO billing_usagedelta (quarter_at, user_id, key_id, group_code, model_name, origin, call_count,
            failed_count, input_tokens, cached_tokens, output_tokens, cost_nano)
            VALUES (billing_usage_quarter(%s), %s, 0, '', 'gpt-4o', 'relay', 1, 0, 1000, 0, 50, %s)""",
            [uuid7_time(call), user.pk, cost],
        )
    return call


def client_of(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


@pytest.mark.django_db(transaction=True)
class TestRuns:
    def test_a_sound_ledger_has_no_difference(self) -> None:
        user, _purse = rich("ada", 1000)
        end(hold(user, 100).request_id, 70)
        for scope in ("quick", "full"):
            run = reconcile.start_and_execute(scope)
            assert run is not None
            assert (run.state, run.difference_count) == ("done", 0), run.results
            assert run.checks_done == run.checks_total == len(run.results)
        assert not AlertEvent.objects.exists()

    def test_a_call_that_was_never_billed_is_found_and_settled_once(self) -> None:
        """The issue's check: a planted usage without charge appears as unbilled and is settled once."""
        finance = person("finance", Role.FINANCE, email="finance@example.org")
        user, purse = rich("ada", USD)
        call = unbilled(user)
        for scope in ("quick", "full", "quick"):
            reconcile.start_and_execute(scope)
        item = DeskItem.objects.get()
        assert (item.kind, item.request_id, item.amount_nano, item.user) == ("unbilled", call, 370_000, user)
        assert not Difference.objects.filter(state="open").exists()
        assert list(OutboundMail.objects.values_list("to_address", flat=True)) == ["finance@example.org"]
        page = reverse("desk_item", args=[item.pk])
        client = client_of(finance)
        assert call.hex in client.get(reverse("desk_list")).content.decode()
        for _time in range(2):
            client.post(page, {"act": "settle", "reason": "found by reconciliation"})
        assert figures(purse) == (USD - 370_000, 0)
        item.refresh_from_db()
        assert (item.state, item.settled_nano) == ("settled", 370_000)
        assert LedgerEntry.objects.filter(kind="desk").count() == 1
        run = reconcile.start_and_execute("full")
        assert run is not None
        assert run.difference_count == 0, run.results
        assert broken() == {}
        assert AlertEvent.objects.filter(kind="difference").values_list("phase", flat=True).count() == 2

    def test_a_changed_balance_is_found_kept_once_and_gone_when_mended(self) -> None:
        _user, purse = rich("ada", 1000)
        with connection.cursor() as cursor:
            cursor.execute("UPDATE billing_ledgeraccount SET balance_nano = 1001 WHERE id = %s", [purse.pk])
        for scope in ("quick", "full", "full"):
            reconcile.start_and_execute(scope)
        found = Difference.objects.get(check_code="balance")
        assert (found.thing, found.state) == (f"purse {purse.pk}", "open")
        assert found.first_run_id != found.last_run_id
        assert AlertEvent.objects.count() == 1
        with connection.cursor() as cursor:
            cursor.execute("UPDATE billing_ledgeraccount SET balance_nano = 1000 WHERE id = %s", [purse.pk])
        reconcile.start_and_execute("full")
        found.refresh_from_db()
        assert found.state == "gone"
        assert list(AlertEvent.objects.order_by("fired_at").values_list("phase", flat=True)) == ["triggered", "resolved"]

    def test_an_explained_difference_stays_explained_until_it_changes(self) -> None:
        finance = person("finance", Role.FINANCE)
        _user, purse = rich("ada", 1000)
        with connection.cursor() as cursor:
            cursor.execute("UPDATE billing_ledgeraccount SET balance_nano = 1001 WHERE id = %s", [purse.pk])
        reconcile.start_and_execute("quick")
        difference = Difference.objects.get()
        reconcile.explain(actor=finance, difference=difference, reason="a drill")
        reconcile.start_and_execute("quick")
        assert Difference.objects.count() == 1
        with connection.cursor() as cursor:
            cursor.execute("UPDATE billing_ledgeraccount SET balance_nano = 1002 WHERE id = %s", [purse.pk])
        reconcile.start_and_execute("quick")
        assert sorted(Difference.objects.values_list("state", flat=True)) == ["explained", "open"]

    def test_a_charge_without_a_call_and_a_roll_up_that_is_off_are_found(self) -> None:
        user, _purse = rich("ada", 1000)
        call = hold(user, 100).request_id
        end(call, 70)
        RequestLog.objects.filter(pk=call).delete()
        reconcile.start_and_execute("quick")
        found = dict(Difference.objects.values_list("check_code", "detail"))
        assert set(found) == {"phantom", "usage_house"}
        assert call.hex in found["phantom"].replace("-", "")

    def test_one_run_at_a_time_and_a_killed_one_is_noted(self) -> None:
        finance = person("finance", Role.FINANCE)
        run = reconcile.begin_run(actor=finance, scope="full")
        with pytest.raises(Conflict):
            reconcile.begin_run(actor=finance, scope="quick")
        assert reconcile.start_and_execute("quick") is None
        ReconcileRun.objects.update(heartbeat_at=now() - timedelta(hours=1))
        assert reconcile.start_and_execute("quick") is not None
        run.refresh_from_db()
        assert run.state == "failed"

    def test_two_people_decide_at_once_and_one_does(self) -> None:
        finance = person("finance", Role.FINANCE)
        user, purse = rich("ada", USD)
        unbilled(user)
        reconcile.start_and_execute("quick")
        item = DeskItem.objects.get()
        barrier = threading.Barrier(6)

        def settle(_n: int) -> bool:
            try:
                barrier.wait(30)
                desk.settle_desk_item(actor=finance, item=DeskItem.objects.get(pk=item.pk), reason="twice?")
                return True
            except Conflict:
                return False
            finally:
                connections.close_all()

        with ThreadPoolExecutor(6) as threads:
            assert sorted(threads.map(settle, range(6))) == [False] * 5 + [True]
        assert figures(purse) == (USD - 370_000, 0)
        assert broken() == {}


@pytest.mark.django_db
class TestRightsAndPages:
    def test_who_may_look_and_who_may_decide(self) -> None:
        run = ReconcileRun.objects.create(scope="quick", since=now())
        row = Difference.objects.create(check_code="balance", thing="purse 1", detail="x", first_run=run, last_run=run)
        pages = [
            reverse("reconcile_list"),
            reverse("reconcile_run", args=[run.pk.hex]),
            reverse("reconcile_difference", args=[row.pk]),
            reverse("desk_list"),
        ]
        people = {role: person(role, role) for role in (Role.FINANCE, Role.OPS, Role.SUPPORT, Role.USER)}
        for role, user in people.items():
            expected = 200 if role in (Role.FINANCE, Role.OPS) else 403
            assert [client_of(user).get(page).status_code for page in pages] == [expected] * 4
        with pytest.raises(NotAllowed):
            reconcile.explain(actor=people[Role.OPS], difference=row, reason="no right")
        answer = client_of(people[Role.OPS]).post(pages[2], {"act": "explain", "reason": "x"})
        assert answer.status_code == 403
        row.refresh_from_db()
        assert row.state == "open"
        finance = client_of(people[Role.FINANCE])
        assert "Name the entry" in finance.post(pages[2], {"act": "fix", "reason": "x"}).content.decode()
        assert "no ledger entry" in finance.post(pages[2], {"act": "fix", "reason": "x", "entry": "999"}).content.decode()
        assert finance.post(pages[2], {"act": "write_off", "reason": "small"}).status_code == 302
        row.refresh_from_db()
        assert (row.state, row.reason) == ("written_off", "small")
        assert AuditEvent.objects.filter(action="difference.written_off").count() == 1
        assert finance.get(reverse("reconcile_run", args=["none"])).status_code == 404
        assert finance.get(reverse("desk_item", args=[1])).status_code == 404

    def test_an_item_is_set_aside_without_money_and_bad_input_is_a_field_error(self) -> None:
        finance = person("finance", Role.FINANCE)
        item = desk.open_desk_item(actor=None, kind="unbilled", reference="r1", reason="never_charged")
        client, page = client_of(finance), reverse("desk_item", args=[item.pk])
        for values, problem in (
            ({"act": "settle", "reason": "x"}, "Settle more than nothing"),
            ({"act": "settle", "reason": "x", "amount": "-1"}, "greater than zero"),
            ({"act": "settle", "reason": "x", "amount": "1", "payer": "nobody"}, "no such person"),
            ({"act": "ignore", "reason": ""}, "required"),
        ):
            assert problem in client.post(page, values).content.decode()
        assert client.post(page, {"act": "ignore", "reason": "a test call"}).status_code == 302
        item.refresh_from_db()
        assert item.state == "ignored"
        assert not LedgerEntry.objects.exists()
        assert broken() == {}

    def test_money_in_suspense_is_not_set_aside(self) -> None:
        finance = person("finance", Role.FINANCE)
        purse = give(ledger.purse_for(user=finance), 5)
        entry = LedgerEntry.objects.get(to_account=purse)
        item = desk.open_desk_item(actor=None, kind="late", reference="r", reason="too_late", amount_nano=5, entry=entry)
        with pytest.raises(InvalidInput):
            desk.ignore_desk_item(actor=finance, item=item, reason="no")
