"""The desk: what nothing could book by itself is settled or written off once, and the money says so."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection, transaction

from accounts.models import AuditEvent, Group, Role
from billing.models import DeskItem, LedgerEntry
from billing.services import ledger
from billing.services.desk import open_desk_item, settle_desk_item, write_off_desk_item
from billing.services.errors import DeskItemClosed
from config.foundation.errors import InvalidInput, NotAllowed
from tests.billing.helpers import broken, figures, give, person, rich

pytestmark = pytest.mark.django_db


def house(kind: str) -> int:
    """What an account of the house has, by its entries."""
    account = ledger.house_account(kind)
    came = sum(LedgerEntry.objects.filter(to_account=account).values_list("amount_nano", flat=True))
    return came - sum(LedgerEntry.objects.filter(from_account=account).values_list("amount_nano", flat=True))


def unbilled(user=None, amount: int = 400, reference: str = "call-1") -> DeskItem:
    return open_desk_item(actor=None, kind="unbilled", reference=reference, reason="usage_found", amount_nano=amount, user=user)


def test_an_item_is_opened_once_and_settled_by_the_payer() -> None:
    user, purse = rich(amount=1000)
    finance = person("finance", Role.FINANCE)
    item = unbilled(user)
    assert unbilled(user, 999).pk == item.pk
    assert (item.amount_nano, item.state) == (400, "open")
    settle_desk_item(actor=finance, item=item, reason="the provider's bill has it")
    assert figures(purse) == (600, 0)
    assert (house("revenue"), house("operator_loss")) == (400, 0)
    assert (item.state, item.settled_nano, item.closed_by, item.note) == ("settled", 400, finance, "the provider's bill has it")
    assert LedgerEntry.objects.get(transaction_id=item.closing_id).kind == "desk"
    for again in (settle_desk_item, write_off_desk_item):
        with pytest.raises(DeskItemClosed):
            again(actor=finance, item=item, reason="again")
    assert figures(purse) == (600, 0)
    assert list(AuditEvent.objects.filter(action__startswith="desk.").values_list("action", flat=True).order_by("pk")) == [
        "desk.opened",
        "desk.settled",
    ]
    assert broken() == {}


def test_a_part_is_settled_and_the_rest_is_the_operators_loss() -> None:
    user, purse = rich(amount=100)
    item = unbilled(user)
    settle_desk_item(actor=person("finance", Role.FINANCE), item=item, reason="agreed", amount_nano=150)
    # The work was done, so the purse may go into debt.
    assert figures(purse) == (-50, 0)
    assert (house("revenue"), house("operator_loss")) == (400, -250)
    assert broken() == {}


def test_a_team_can_be_named_as_payer_at_the_desk() -> None:
    team = Group.objects.create(code="crew", name="Crew")
    purse = give(ledger.purse_for(group=team), 1000)
    item = open_desk_item(actor=None, kind="unmatched", reference="x", reason="no_hold", amount_nano=70)
    finance = person("finance", Role.FINANCE)
    with pytest.raises(InvalidInput):
        settle_desk_item(actor=finance, item=item, reason="whose?")
    settle_desk_item(actor=finance, item=item, reason="their batch", group=team)
    assert figures(purse) == (930, 0)
    assert broken() == {}


def test_written_off_is_the_operators_loss() -> None:
    item = unbilled()
    write_off_desk_item(actor=person("finance", Role.FINANCE), item=item, reason="too old to ask for")
    assert (house("revenue"), house("operator_loss")) == (400, -400)
    assert (item.state, item.settled_nano) == ("written_off", None)
    assert broken() == {}


def test_what_is_refused_changes_nothing() -> None:
    user, purse = rich(amount=1000)
    finance = person("finance", Role.FINANCE)
    item = unbilled(user)
    refusals = [
        (NotAllowed, settle_desk_item, {"actor": user, "reason": "mine"}),
        (NotAllowed, write_off_desk_item, {"actor": person("helper", Role.SUPPORT), "reason": "theirs"}),
        (InvalidInput, settle_desk_item, {"actor": finance, "reason": "more", "amount_nano": 401}),
        (InvalidInput, settle_desk_item, {"actor": finance, "reason": "nothing", "amount_nano": 0}),
        (InvalidInput, settle_desk_item, {"actor": finance, "reason": "  "}),
        (InvalidInput, write_off_desk_item, {"actor": finance, "reason": ""}),
    ]
    for error, act, arguments in refusals:
        with pytest.raises(error), transaction.atomic():
            act(item=item, **arguments)
    for arguments in ({"kind": "other"}, {"reference": " "}, {"reason": ""}, {"amount_nano": -1}):
        with pytest.raises(InvalidInput):
            open_desk_item(**{"actor": None, "kind": "late", "reference": "r", "reason": "r", **arguments})
    item.refresh_from_db()
    assert (item.state, DeskItem.objects.count(), figures(purse)) == ("open", 1, (1000, 0))
    assert not LedgerEntry.objects.filter(kind="desk").exists()


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_eight_people_at_the_desk_at_once_close_an_item_once() -> None:
    user, purse = rich(amount=1000)
    finance = person("finance", Role.FINANCE)
    item = unbilled(user)
    barrier = threading.Barrier(8)

    def act(number: int) -> str:
        try:
            barrier.wait(30)
            close = settle_desk_item if number % 2 else write_off_desk_item
            return close(actor=finance, item=DeskItem.objects.get(pk=item.pk), reason=str(number)).state
        except DeskItemClosed:
            return "closed"
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(act, range(8)))
    assert answers.count("closed") == 7
    (entry,) = LedgerEntry.objects.filter(kind="desk")
    assert entry.amount_nano == 400
    assert figures(purse)[0] == (600 if "settled" in answers else 1000)
    assert broken() == {}


def test_an_act_that_breaks_in_the_middle_leaves_the_item_open(monkeypatch: pytest.MonkeyPatch) -> None:
    user, purse = rich(amount=1000)
    item = unbilled(user)

    class Gone(Exception):
        pass

    def die(**_: object) -> None:
        raise Gone

    monkeypatch.setattr("billing.services.desk.audit.record", die)
    with pytest.raises(Gone):
        settle_desk_item(actor=person("finance", Role.FINANCE), item=item, reason="cut off")
    item.refresh_from_db()
    assert (item.state, figures(purse)) == ("open", (1000, 0))
    assert not LedgerEntry.objects.filter(kind="desk").exists()
    assert broken() == {}
