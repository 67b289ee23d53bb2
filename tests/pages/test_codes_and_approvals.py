"""The pages of codes and of the four eyes, as finance, an administrator and others use them."""

import csv
import io
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import AuditEvent, Role, User
from billing.models import AdjustmentRequest, BreakGlass, CodeBatch, LedgerEntry, RedemptionCode
from billing.selectors import balance_of
from billing.services import approvals, ledger
from tests.pages.conftest import DOLLAR, World
from tests.pages.test_own_pages import text_of

SignIn = Callable[[User], Client]


def form_of(browser: Client, address: str, **values: Any) -> dict[str, Any]:
    """What the page's form holds, with these values typed in."""
    form = browser.get(address).context["form"]
    held = {name: form.get_initial_for_field(field, name) for name, field in form.fields.items()}
    return {**{name: value for name, value in held.items() if value not in (None, False)}, **values}


@pytest.fixture
def batch(world: World, as_person: SignIn) -> CodeBatch:
    browser, address = as_person(world.finance), reverse("code_batch_create")
    typed = form_of(browser, address, name="Spring", count="3", amount="2.50", purse_kind="bonus", note="campaign")
    answer = browser.post(address, typed)
    made = CodeBatch.objects.get()
    assert answer["Location"] == reverse("code_batch_detail", args=[made.pk])
    return made


def download(browser: Client, batch: CodeBatch) -> list[str]:
    answer = browser.post(reverse("code_batch_download", args=[batch.pk]))
    assert answer["Content-Type"].startswith("text/csv")
    assert answer["Cache-Control"] == "no-store"
    rows = list(csv.DictReader(io.StringIO(b"".join(answer).decode("utf-8-sig"))))
    return [row["code"] for row in rows]


def test_finance_makes_downloads_and_ends_codes_and_alice_redeems_one(
    world: World, as_person: SignIn, batch: CodeBatch
) -> None:
    browser, detail = as_person(world.finance), reverse("code_batch_detail", args=[batch.pk])
    assert "it works once" in text_of(browser.get(detail))
    clear = download(browser, batch)
    assert len(clear) == 3
    again = browser.post(reverse("code_batch_download", args=[batch.pk]), follow=True)
    assert "downloaded already" in text_of(again)
    assert "it works once" not in text_of(again)
    alice = as_person(world.alice)
    answer = alice.post(reverse("code_redeem"), {"code": clear[0].lower()}, follow=True)
    assert "$2.50 was added to your bonus purse." in text_of(answer)
    page = text_of(browser.get(detail))
    assert "<strong>1</strong> of 3 codes were redeemed, for $2.50" in page
    assert not any(code in page for code in clear)
    for verb, state in (("pause", "disabled"), ("resume", "unused"), ("void", "void")):
        done = browser.post(reverse("code_batch_change", args=[batch.pk, verb]), {"reason": "a leak"}, follow=True)
        assert "2 codes were changed." in text_of(done)
        assert RedemptionCode.objects.filter(state=state).count() == 2
    assert browser.get(f"{detail}?state=void").status_code == 200
    assert "Redemption codes" in text_of(browser.get(reverse("code_batch_list")))
    assert browser.get(reverse("code_batch_change", args=[batch.pk, "burn"])).status_code == 404


def test_the_worth_is_changed_after_its_dry_run(world: World, as_person: SignIn, batch: CodeBatch) -> None:
    browser, address = as_person(world.finance), reverse("code_batch_revalue", args=[batch.pk])
    entries = LedgerEntry.objects.count()
    shown = browser.post(address, {"amount": "4", "reason": "raised", "seen": ""})
    assert shown.context["plan"].difference_nano == 4.5 * DOLLAR
    assert LedgerEntry.objects.count() == entries
    wrong = browser.post(address, {"amount": "4", "reason": "raised", "seen": "9,0,1,1,0", "confirm": "yes"})
    assert "Look at the numbers again" in text_of(wrong)
    assert LedgerEntry.objects.count() == entries
    seen = {"amount": "4", "reason": "raised", "seen": shown.context["seen"], "confirm": "yes"}
    assert browser.post(address, seen).status_code == 302
    assert set(RedemptionCode.objects.values_list("amount_nano", flat=True)) == {4 * DOLLAR}
    for bad in ("x", "0", "-1", "1" * 40):
        assert browser.post(address, {"amount": bad, "reason": "r", "seen": "not numbers"}).status_code == 200


def test_a_correction_is_asked_by_one_and_approved_by_another(world: World, as_person: SignIn) -> None:
    """M21: the page shows the one who asked no button, and refuses the post behind it."""
    finance, admin = as_person(world.finance), as_person(world.admin)
    address, before = reverse("adjustment_create"), balance_of(world.alice).total_nano
    typed = form_of(finance, address, kind="adjustment", to="alice", amount="-1.50", reason="charged twice")
    typed |= {"evidence": "https://tickets.example.org/7"}
    answer = finance.post(address, typed, follow=True)
    asked = AdjustmentRequest.objects.get()
    own = reverse("approval_detail", args=[asked.pk])
    assert "somebody else has to approve it" in text_of(answer)
    assert b'value="approve"' not in answer.content
    refused = finance.post(own, {"verb": "approve"})
    assert "A second person has to." in text_of(refused)
    assert balance_of(world.alice).total_nano == before
    assert "<strong>1</strong> request waits for a second person" in text_of(admin.get(reverse("approval_list")))
    assert b'value="approve"' in admin.get(own).content
    assert "Approved and done." in text_of(admin.post(own, {"verb": "approve", "note": "seen"}, follow=True))
    assert balance_of(world.alice).total_nano == before - 3 * DOLLAR // 2
    again = finance.post(address, typed)
    assert again["Location"] == own
    assert balance_of(world.alice).total_nano == before - 3 * DOLLAR // 2


def test_the_admin_site_refuses_the_same_person_too(world: World, as_person: SignIn) -> None:
    """M21."""
    purse = ledger.purse_for(user=world.alice)
    asked = approvals.ask(actor=world.finance, kind="adjustment", purse=purse, amount_nano=DOLLAR, reason="x")
    address = reverse("admin:billing_adjustmentrequest_changelist")
    post = {"action": "approve", "_selected_action": [asked.pk]}
    answer = as_person(world.finance).post(address, post, follow=True)
    assert "0 done, 1 refused" in answer.content.decode()
    asked.refresh_from_db()
    assert asked.state == "open"
    assert "1 done, 0 refused" in as_person(world.admin).post(address, post, follow=True).content.decode()


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"to": "nobody-here"}, "to"),
        ({"to": ""}, "to"),
        ({"amount": ""}, "amount"),
        ({"amount": "0"}, "amount"),
        ({"amount": "much"}, "amount"),
        ({"amount": "99999999999999999999"}, "amount"),
        ({"reason": ""}, "reason"),
        ({"evidence": "javascript:alert(1)"}, "evidence"),
        ({"kind": "credit_limit", "amount": "-1"}, "amount"),
        ({"kind": "reversal", "entry": "999999"}, "entry"),
        ({"kind": "gift"}, "kind"),
    ],
)
def test_a_request_that_cannot_be_is_an_error_of_its_field(
    world: World, as_person: SignIn, change: dict[str, str], field: str
) -> None:
    browser, address = as_person(world.finance), reverse("adjustment_create")
    typed = form_of(browser, address, kind="adjustment", to="alice", amount="1", reason="x")
    answer = browser.post(address, {**typed, **change})
    assert answer.status_code == 200
    assert field in answer.context["form"].errors
    assert AdjustmentRequest.objects.count() == 0


def test_a_large_top_up_by_page_waits(world: World, as_person: SignIn) -> None:
    browser, address = as_person(world.finance), reverse("top_up")
    before = balance_of(world.bob).total_nano
    typed = form_of(browser, address, to="bob", amount="5000", reason="bank transfer")
    answer = browser.post(address, typed, follow=True)
    assert "needs a second person" in text_of(answer)
    assert balance_of(world.bob).total_nano == before
    asked = AdjustmentRequest.objects.get()
    as_person(world.admin).post(reverse("approval_detail", args=[asked.pk]), {"verb": "approve"})
    assert balance_of(world.bob).total_nano == before + 5000 * DOLLAR


def test_the_override_by_page_and_its_review(world: World, as_person: SignIn) -> None:
    admin, finance = as_person(world.admin), as_person(world.finance)
    assert finance.get(reverse("override_open")).status_code == 403
    short = admin.post(reverse("override_open"), {"reason": "short"})
    assert "nobody else can be asked" in text_of(short)
    assert BreakGlass.objects.count() == 0
    opened = admin.post(reverse("override_open"), {"reason": "everybody else is asleep tonight"}, follow=True)
    override = BreakGlass.objects.get()
    assert "Nothing was approved with it." in text_of(opened)
    purse = ledger.purse_for(user=world.alice)
    asked = approvals.ask(actor=world.admin, kind="adjustment", purse=purse, amount_nano=DOLLAR, reason="outage")
    own = reverse("approval_detail", args=[asked.pk])
    assert b'value="approve"' in admin.get(own).content
    assert "by an emergency override" in text_of(admin.post(own, {"verb": "approve"}, follow=True))
    detail = reverse("override_detail", args=[override.pk])
    early = finance.post(detail, {"note": "looked"})
    assert "It still runs" in text_of(early)
    admin.post(reverse("override_close", args=[override.pk]))
    assert "waits for a review" in text_of(finance.get(reverse("approval_list")))
    assert "cannot review it" in text_of(admin.post(detail, {"note": "fine"}))
    assert finance.post(detail, {"note": "right amount"}).status_code == 302
    assert "waits for a review" not in text_of(finance.get(reverse("approval_list")))
    actions = AuditEvent.objects.filter(object_type="billing.breakglass").order_by("pk").values_list("action", flat=True)
    assert list(actions) == ["override.opened", "override.used", "override.closed", "override.reviewed"]


def test_r018_others_see_none_of_it(world: World, as_person: SignIn, batch: CodeBatch) -> None:
    purse = ledger.purse_for(user=world.alice)
    asked = approvals.ask(actor=world.finance, kind="adjustment", purse=purse, amount_nano=DOLLAR, reason="x")
    places = [reverse(name) for name in ("code_batch_list", "code_batch_create", "approval_list", "adjustment_create")]
    places += [reverse("code_batch_detail", args=[batch.pk]), reverse("code_batch_change", args=[batch.pk, "void"])]
    places += [reverse("approval_detail", args=[asked.pk]), reverse("override_open")]
    for who in (world.alice, world.support, world.ops):
        browser = as_person(who)
        assert [browser.get(place).status_code for place in places] == [403] * len(places)
        assert browser.post(reverse("code_batch_download", args=[batch.pk])).status_code == 403
    batch.refresh_from_db()
    assert batch.sealed_codes is not None
    assert world.finance.role == Role.FINANCE


def test_the_list_of_batches_asks_a_fixed_number_of_questions(
    world: World, as_person: SignIn, django_assert_num_queries: Any
) -> None:
    browser = as_person(world.finance)

    def make(count: int) -> None:
        for n in range(count):
            CodeBatch.objects.create(
                name=f"b{count}-{n}", purse_kind="bonus", amount_nano=1, code_count=1, created_by=world.admin
            )

    make(1)
    with django_assert_num_queries(6):
        browser.get(reverse("code_batch_list"))
    make(20)
    with django_assert_num_queries(6):
        browser.get(reverse("code_batch_list"))
