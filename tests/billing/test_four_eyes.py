"""M21: two people behind money, and the override that ends by itself and is looked at afterwards."""

from collections import Counter
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from accounts.models import AuditEvent, Role, User
from billing import tasks
from billing.models import AdjustmentRequest, BreakGlass, CodeBatch, LedgerAccount, LedgerEntry
from billing.services import approvals, code_batches, four_eyes, ledger, money
from billing.services.errors import (
    AlreadyDecided,
    EntryMismatch,
    InsufficientBalance,
    OverrideRefused,
    SamePerson,
    SecondPersonNeeded,
)
from config.foundation.clock import now
from config.foundation.errors import InvalidInput, NotAllowed
from tests.billing.helpers import broken, end, figures, hold, person, rich
from tests.billing.test_code_batches import at, together

pytestmark = pytest.mark.django_db
USD = 10**9


def two() -> tuple[User, User]:
    return person("maker", Role.FINANCE), person("checker", Role.FINANCE)


def asked(maker: User, kind: str, purse: LedgerAccount, amount: int = 5 * USD, **more: Any) -> AdjustmentRequest:
    return approvals.ask(actor=maker, kind=kind, purse=purse, amount_nano=amount, reason="mistake of 3 May", **more)


def all_kinds(maker: User, purse: LedgerAccount) -> list[AdjustmentRequest]:
    entry = LedgerEntry.objects.get(kind="top_up")
    new = code_batches.NewBatch("big", 1001, USD, "bonus")
    return [
        asked(maker, "adjustment", purse, -5 * USD),
        asked(maker, "credit_limit", purse),
        approvals.ask(actor=maker, kind="reversal", entry=entry, amount_nano=entry.amount_nano, reason="bounced"),
        asked(maker, "top_up", purse, 2000 * USD),
        approvals.ask_for_batch(actor=maker, new=new),
    ]


def test_m21_the_same_person_is_refused_5_of_5_and_nothing_moves() -> None:
    """M21: same person approving: refused 5/5, one of each kind."""
    maker, _checker = two()
    _user, purse = rich(amount=100 * USD)
    requests, before = all_kinds(maker, purse), LedgerEntry.objects.count()
    refused = 0
    for request in requests:
        with pytest.raises(SamePerson):
            approvals.approve(actor=maker, request=request)
        with pytest.raises(SamePerson):
            approvals.refuse(actor=maker, request=request, note="no")
        refused += 1
    assert refused == 5
    assert figures(purse) == (100 * USD, 0)
    assert (LedgerEntry.objects.count(), CodeBatch.objects.count()) == (before, 0)
    assert set(AdjustmentRequest.objects.values_list("state", flat=True)) == {"open"}


def test_m21_the_database_refuses_the_same_person_as_well() -> None:
    maker, _checker = two()
    request = asked(maker, "adjustment", rich()[1])
    with pytest.raises(IntegrityError, match="request_two_people"), transaction.atomic():
        AdjustmentRequest.objects.filter(pk=request.pk).update(state="done", decided_by=maker, decided_at=now())


def test_m21_a_second_person_performs_each_kind() -> None:
    maker, checker = two()
    user, purse = rich(amount=100 * USD)
    wanted = all_kinds(maker, purse)
    for request in (wanted[0], wanted[1], wanted[3], wanted[4]):
        approvals.approve(actor=checker, request=request, note="seen the mail")
    purse.refresh_from_db()
    assert (purse.balance_nano, purse.credit_limit_nano) == (2095 * USD, 5 * USD)
    assert CodeBatch.objects.get().code_count == 1001
    approvals.approve(actor=checker, request=wanted[2])
    assert figures(purse)[0] == 1995 * USD
    entry = LedgerEntry.objects.get(kind="adjustment")
    assert (entry.actor, entry.transaction_id) == (maker, wanted[0].transaction_id)
    event = AuditEvent.objects.filter(action="approval.approved").earliest("pk")
    assert (event.actor, event.reason, event.after["asked_by"]) == (checker, "seen the mail", "maker")
    assert user.purses.count() == 1
    assert broken() == {}


def test_m21_nothing_is_done_alone_by_the_service_itself() -> None:
    maker, _checker = two()
    user, purse = rich(amount=100 * USD)
    other = asked(maker, "adjustment", purse, USD)
    for verb in (
        lambda: money.adjust(actor=maker, purse=purse, amount_nano=1, reason="x"),
        lambda: money.adjust(actor=maker, purse=purse, amount_nano=USD, reason="x", approval=other),
        lambda: money.reverse_entry(actor=maker, entry=LedgerEntry.objects.get(kind="top_up"), reason="x"),
        lambda: money.set_credit_limit(actor=maker, purse=purse, limit_nano=1, reason="x"),
        lambda: money.top_up(actor=maker, user=user, amount_nano=1001 * USD, reason="x"),
    ):
        with pytest.raises(SecondPersonNeeded):
            verb()
    assert figures(purse) == (100 * USD, 0)


def test_an_approval_is_good_for_what_was_asked_and_not_for_more() -> None:
    maker, checker = two()
    _user, purse = rich(amount=100 * USD)
    request = approvals.approve(actor=checker, request=asked(maker, "adjustment", purse, USD))
    with pytest.raises(SecondPersonNeeded):
        money.adjust(actor=maker, purse=purse, amount_nano=2 * USD, reason="x", approval=request)
    with pytest.raises(SecondPersonNeeded):
        money.set_credit_limit(actor=maker, purse=purse, limit_nano=USD, reason="x", approval=request)
    with pytest.raises(AlreadyDecided):
        approvals.approve(actor=checker, request=request)
    assert figures(purse)[0] == 101 * USD


def test_a_large_top_up_in_pieces_is_still_large() -> None:
    maker, _checker = two()
    user = person("ada")
    for _n in range(2):
        money.top_up(actor=maker, user=user, amount_nano=500 * USD, reason="transfer")
    act = uuid4()
    with pytest.raises(SecondPersonNeeded):
        money.top_up(actor=maker, user=user, amount_nano=1, reason="transfer", transaction_id=act)
    assert LedgerAccount.objects.get(user=user).balance_nano == 1000 * USD
    money.top_up(actor=person("other", Role.FINANCE), user=user, amount_nano=1, reason="transfer", transaction_id=act)


def test_a_small_correction_needs_nobody_when_the_settings_say_so(settings: Any) -> None:
    settings.ADJUST_ALONE_USD = 2
    maker, _checker = two()
    _user, purse = rich(amount=USD)
    small = asked(maker, "adjustment", purse, 2 * USD)
    assert (small.state, small.is_alone, small.decided_by) == ("done", True, None)
    large = asked(maker, "adjustment", purse, 2 * USD + 1)
    assert large.state == "open"
    assert figures(purse)[0] == 3 * USD


def test_asking_twice_is_asking_once() -> None:
    maker, _checker = two()
    _user, purse = rich()
    act = uuid4()
    first = asked(maker, "adjustment", purse, transaction_id=act)
    assert asked(maker, "adjustment", purse, transaction_id=act) == first
    with pytest.raises(EntryMismatch):
        asked(maker, "adjustment", purse, 6 * USD, transaction_id=act)
    assert AdjustmentRequest.objects.count() == 1


def test_an_approval_that_cannot_be_performed_changes_nothing() -> None:
    maker, checker = two()
    _user, purse = rich(amount=USD)
    request = asked(maker, "adjustment", purse, -2 * USD)
    with pytest.raises(InsufficientBalance):
        approvals.approve(actor=checker, request=request)
    request.refresh_from_db()
    assert (request.state, request.decided_by) == ("open", None)
    assert not AuditEvent.objects.filter(action="approval.approved").exists()


def test_refused_and_withdrawn_requests_stay_what_they_are() -> None:
    maker, checker = two()
    _user, purse = rich(amount=USD)
    no, back = asked(maker, "adjustment", purse), asked(maker, "adjustment", purse)
    with pytest.raises(InvalidInput):
        approvals.refuse(actor=checker, request=no, note=" ")
    approvals.refuse(actor=checker, request=no, note="no evidence")
    with pytest.raises(InvalidInput):
        approvals.withdraw(actor=checker, request=back)
    approvals.withdraw(actor=maker, request=back)
    for request in (no, back):
        with pytest.raises(AlreadyDecided):
            approvals.approve(actor=checker, request=request)
    assert figures(purse) == (USD, 0)


@pytest.mark.parametrize("role", [Role.USER, Role.OPS, Role.SUPPORT, Role.DEVELOPER, Role.CONTENT_LEAD])
def test_r018_others_neither_ask_nor_approve(role: str) -> None:
    maker, _checker = two()
    _user, purse = rich()
    request, other = asked(maker, "adjustment", purse), person("other", role)
    with pytest.raises(NotAllowed):
        asked(other, "adjustment", purse)
    with pytest.raises(NotAllowed):
        approvals.approve(actor=other, request=request)
    with pytest.raises(NotAllowed):
        four_eyes.open_override(actor=other, reason="nobody is there tonight")


@pytest.mark.django_db(transaction=True)
def test_sixteen_approvals_at_once_book_once() -> None:
    maker, _checker = two()
    _user, purse = rich(amount=USD)
    request = asked(maker, "adjustment", purse, USD)
    people = [person(f"c{n}", Role.FINANCE) for n in range(16)]
    answers = together([lambda who=who: approvals.approve(actor=who, request=request) for who in people])
    assert Counter(type(answer).__name__ for answer in answers) == {"AdjustmentRequest": 1, "AlreadyDecided": 15}
    assert figures(purse) == (2 * USD, 0)
    assert broken() == {}


def test_m21_break_glass_ends_after_30_minutes_and_leaves_a_review(monkeypatch: pytest.MonkeyPatch) -> None:
    """M21: break-glass after 30 min: rights gone, review task open, both in the trail."""
    admin, checker = person("root", Role.ADMIN), person("checker", Role.FINANCE)
    _user, purse = rich(amount=100 * USD)
    first, second = asked(admin, "adjustment", purse, USD), asked(admin, "adjustment", purse, USD)
    with pytest.raises(SamePerson):
        approvals.approve(actor=admin, request=first)
    with pytest.raises(InvalidInput):
        four_eyes.open_override(actor=admin, reason="short")
    override = four_eyes.open_override(actor=admin, reason="a customer is cut off and everybody else is asleep")
    done = approvals.approve(actor=admin, request=first)
    assert (done.state, done.override) == ("done", override)
    start = now()
    at(monkeypatch, start + timedelta(minutes=29, seconds=50))
    assert four_eyes.active_override(admin) == override
    with pytest.raises(InvalidInput):
        four_eyes.review_override(actor=checker, override=override, note="too early")
    at(monkeypatch, start + timedelta(minutes=30, seconds=1))
    with pytest.raises(SamePerson):
        approvals.approve(actor=admin, request=second)
    assert figures(purse)[0] == 101 * USD
    tasks.note_ended_overrides_task()
    tasks.note_ended_overrides_task()
    override.refresh_from_db()
    assert (override.closed_at, override.reviewed_at) == (override.expires_at, None)
    with pytest.raises(OverrideRefused):
        four_eyes.open_override(actor=admin, reason="once more, it was so convenient")
    with pytest.raises(SamePerson):
        four_eyes.review_override(actor=admin, override=override, note="all fine")
    four_eyes.review_override(actor=checker, override=override, note="right amount, customer confirmed")
    with pytest.raises(AlreadyDecided):
        four_eyes.review_override(actor=checker, override=override, note="again")
    trail = AuditEvent.objects.filter(object_type="billing.breakglass").order_by("pk")
    assert list(trail.values_list("action", flat=True)) == [
        "override.opened",
        "override.used",
        "override.expired",
        "override.reviewed",
    ]
    ended = trail.get(action="override.expired")
    assert (ended.actor_name, ended.after["used"], ended.after["review"]) == ("system", 1, "open")
    four_eyes.open_override(actor=admin, reason="another night, another reason to do it")


def test_m21_an_override_is_nobody_elses_and_goes_with_the_role() -> None:
    admin, other = person("root", Role.ADMIN), person("second", Role.ADMIN)
    _user, purse = rich(amount=USD)
    request = asked(other, "adjustment", purse)
    four_eyes.open_override(actor=admin, reason="everybody else is asleep now")
    with pytest.raises(SamePerson):
        approvals.approve(actor=other, request=request)
    User.objects.filter(pk=admin.pk).update(role=Role.FINANCE)
    admin.refresh_from_db()
    assert four_eyes.active_override(admin) is None
    with pytest.raises(IntegrityError, match="override_reviewed_by_another"), transaction.atomic():
        BreakGlass.objects.update(reviewed_by=admin, reviewed_at=now())


def test_an_override_closed_early_is_still_reviewed() -> None:
    admin, checker = person("root", Role.ADMIN), person("checker", Role.FINANCE)
    override = four_eyes.open_override(actor=admin, reason="everybody else is asleep now")
    four_eyes.close_override(actor=admin, override=override)
    assert four_eyes.active_override(admin) is None
    four_eyes.review_override(actor=checker, override=override, note="nothing was done")


def test_r093_editing_a_person_never_touches_a_balance() -> None:
    """R093, and new-api 1870: an old form sent late writes the name and leaves what was spent meanwhile."""
    from accounts.services import people

    admin, (user, purse) = person("root", Role.ADMIN), rich(amount=100 * USD)
    stale = User.objects.get(pk=user.pk)
    end(hold(user, 40 * USD).request_id, 40 * USD)
    entries, before = LedgerEntry.objects.count(), figures(purse)
    people.set_role(actor=admin, person=stale, role=Role.DEVELOPER)
    people.change_profile(actor=admin, person=stale, display_name="Ada L.")
    people.disable_person(actor=admin, person=stale)
    people.enable_person(actor=admin, person=stale)
    assert figures(purse) == before == (60 * USD, 0)
    assert LedgerEntry.objects.count() == entries
    assert not {field.name for field in User._meta.fields} & {"balance", "quota", "balance_nano", "credit"}
    assert broken() == {}


def test_a_broken_transaction_in_the_middle_of_an_approval_leaves_it_open(monkeypatch: pytest.MonkeyPatch) -> None:
    maker, checker = two()
    _user, purse = rich(amount=USD)
    request = asked(maker, "adjustment", purse, USD)

    def breaks(*_args: Any, **_more: Any) -> None:
        raise ConnectionError("the connection went away")

    with monkeypatch.context() as patch:
        patch.setattr(approvals.audit, "record", breaks)
        with pytest.raises(ConnectionError):
            approvals.approve(actor=checker, request=request)
    assert figures(purse) == (USD, 0)
    approvals.approve(actor=checker, request=request)
    assert figures(purse) == (2 * USD, 0)
    assert ledger.house_account("adjustment").entries_out.count() == 1
    assert timezone.now() >= request.requested_at
    assert broken() == {}
