"""Price drafts in the admin: edited, published, frozen."""

from decimal import Decimal
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.models import AuditEvent, Group, Role
from billing.models import GroupBook, PriceBook, PriceVersion, SpendLimit
from billing.price_csv import (
    UnreadablePrices,
    multipliers_from_csv,
    multipliers_to_csv,
    rules_from_csv,
    rules_to_csv,
)
from billing.pricing import RuleFigures
from billing.services.price_drafts import NotADraft, change_draft, discard_draft, publish_draft, start_draft
from billing.services.prices import create_book, publish_version
from tests.admin.test_writes import act, last, post
from tests.admin.world import World

HEAD = "model,basis,input,cached_input,cache_write,output,per_call,per_item,minimum,source_figures\n"
RULES = {
    "a": RuleFigures(input_nano=2_500_000_000, cached_nano=None, output_nano=10_000_000_001),
    "b": RuleFigures(basis="call", call_nano=40_000_000),
    "c": RuleFigures(cached_nano=0, cache_write_nano=3, source_figures={"model_ratio": "1.25", "名": "x,y"}),
}
MULTIPLIERS = {("vip", ""): Decimal("0.8"), ("vip", "svip"): Decimal("0.123456789012")}


@pytest.fixture
def finance(world: World, client: Client) -> Client:
    client.force_login(world.people[Role.FINANCE])
    return client


@pytest.fixture
def book(world: World) -> PriceBook:
    book = create_book(actor=None, code="standard", name="Standard", formula="portal")
    publish_version(actor=None, book=book, rules=RULES, multipliers=MULTIPLIERS)
    return book


def form_of(client: Client, draft: PriceVersion, **changes: Any) -> dict[str, Any]:
    page = client.get(reverse("admin:billing_priceversion_change", args=[draft.pk]))
    initial = page.context["adminform"].form.initial
    moment = initial["valid_from"].astimezone(timezone.get_current_timezone())
    return {
        "valid_from_0": moment.date().isoformat(),
        "valid_from_1": moment.time().isoformat(timespec="seconds"),
        "note": initial["note"],
        "rules_csv": initial["rules_csv"],
        "multipliers_csv": initial["multipliers_csv"],
        **changes,
    }


def test_prices_go_out_as_lines_and_come_back_equal() -> None:
    assert rules_from_csv(rules_to_csv(RULES)) == RULES
    assert multipliers_from_csv(multipliers_to_csv(MULTIPLIERS)) == MULTIPLIERS
    assert rules_from_csv("") == {}
    assert rules_to_csv(RULES).splitlines()[1] == "a,token,2.5,,,10.000000001,0,0,0,,,,,,,,"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("model,input\na,1\n", "The first line must be"),
        (HEAD + "a,token,1\n", "Line 2: another number of cells"),
        (HEAD + "a,token,-1,,,1,0,0,0,\n", "Line 2: input is out of range"),
        (HEAD + "a,token,1.0000000001,,,1,0,0,0,\n", "Line 2: input is no amount in dollars"),
        (HEAD + "a,token,1,,,1,0,0,0,\na,token,2,,,1,0,0,0,\n", "Line 3: named twice"),
        (HEAD + "a,weekly,1,,,1,0,0,0,\n", "Line 2: there is no basis"),
        (HEAD + ",token,1,,,1,0,0,0,\n", "Line 2: a price needs a model"),
        (HEAD + "a,token,1,,,1,0,0,0,[1]\n", "Line 2: source_figures must be"),
    ],
)
def test_lines_that_are_no_prices_are_refused_with_their_number(text: str, said: str) -> None:
    with pytest.raises(UnreadablePrices, match=said):
        rules_from_csv(text)


@pytest.mark.parametrize("value", ["x", "-1", "NaN", "1e30", "0.1234567890123"])
def test_multipliers_that_are_none_are_refused(value: str) -> None:
    with pytest.raises(UnreadablePrices, match="Line 2"):
        multipliers_from_csv(f"group,payer_group,multiplier\nvip,,{value}\n")


def test_a_draft_is_edited_and_published_and_the_old_version_stays(world: World, finance: Client, book: PriceBook) -> None:
    answer = finance.post(reverse("admin:billing_pricebook_changelist"), {"action": "draft", "_selected_action": [book.pk]})
    draft = PriceVersion.objects.get(book=book, published_at=None)
    assert answer.headers["Location"] == reverse("admin:billing_priceversion_change", args=[draft.pk])
    assert (draft.number, draft.rules.count(), draft.multipliers.count()) == (2, 3, 2)
    values = form_of(finance, draft, note="cheaper")
    assert values["rules_csv"] == rules_to_csv(RULES)
    values["rules_csv"] = values["rules_csv"].replace("a,token,2.5,", "a,token,2.25,")
    assert post(finance, "billing_priceversion_change", values, draft.pk).status_code == 302
    event = last("price_draft.changed")
    assert (event.after["models"], event.after["multipliers"]) == (["a"], [])
    assert act(finance, "billing_priceversion", "publish", draft) == "1 done, 0 refused."
    old, new = PriceVersion.objects.filter(book=book).order_by("number")
    assert (old.number, new.number, new.note, new.created_by) == (1, 2, "cheaper", "finance-person")
    assert new.published_at is not None
    assert old.rules.get(model_name="a").input_nano == 2_500_000_000
    assert new.rules.get(model_name="a").input_nano == 2_250_000_000
    assert new.rules.get(model_name="c").source_figures == {"model_ratio": "1.25", "名": "x,y"}
    page = finance.get(reverse("admin:billing_priceversion_change", args=[new.pk]))
    assert b'name="_save"' not in page.content
    assert post(finance, "billing_priceversion_change", values, new.pk).status_code == 403


def test_lines_that_cannot_be_read_are_an_error_of_the_form(world: World, finance: Client, book: PriceBook) -> None:
    draft = start_draft(actor=world.people[Role.FINANCE], book=book)
    values = form_of(finance, draft, rules_csv=HEAD + "a,token,-1,,,1,0,0,0,\n")
    answer = post(finance, "billing_priceversion_change", values, draft.pk)
    assert answer.status_code == 200
    assert "Line 2: input is out of range" in answer.content.decode()
    assert draft.rules.count() == 3


def test_a_book_has_one_draft_and_a_published_version_is_none(world: World, book: PriceBook) -> None:
    actor = world.people[Role.FINANCE]
    draft = start_draft(actor=actor, book=book)
    assert start_draft(actor=actor, book=book) == draft
    published = PriceVersion.objects.get(book=book, number=1)
    for verb in (publish_draft, discard_draft):
        with pytest.raises(NotADraft):
            verb(actor=actor, draft=published)
    with pytest.raises(NotADraft):
        change_draft(actor=actor, draft=published, rules={}, multipliers={}, note="", valid_from=timezone.now())
    assert published.rules.count() == 3
    # Nothing was changed: publishing gives the version that says the same, and no new one.
    assert publish_draft(actor=actor, draft=draft) == published
    assert PriceVersion.objects.filter(book=book).count() == 1


def test_a_draft_is_thrown_away(world: World, finance: Client, book: PriceBook) -> None:
    draft = start_draft(actor=world.people[Role.FINANCE], book=book)
    assert act(finance, "billing_priceversion", "discard", draft) == "1 done, 0 refused."
    assert not PriceVersion.objects.filter(published_at=None).exists()
    published = PriceVersion.objects.get(book=book)
    assert act(finance, "billing_priceversion", "discard", published).startswith(
        "0 done, 1 refused. 1 x This version is published"
    )


def test_ops_look_at_drafts_and_touch_none(world: World, client: Client, book: PriceBook) -> None:
    draft = start_draft(actor=world.people[Role.FINANCE], book=book)
    client.force_login(world.people[Role.OPS])
    page = client.get(reverse("admin:billing_priceversion_change", args=[draft.pk]))
    assert page.status_code == 200
    assert b"rules_csv" not in page.content
    address = reverse("admin:billing_priceversion_changelist")
    client.post(address, {"action": "publish", "_selected_action": [draft.pk]})
    assert PriceVersion.objects.get(pk=draft.pk).published_at is None


def test_books_groups_limits_and_old_entries_are_written_by_their_services(world: World, client: Client) -> None:
    client.force_login(world.people[Role.ADMIN])
    values = {"code": "gold", "name": "Gold", "formula": "portal", "quota_per_unit": "0"}
    assert post(client, "billing_pricebook_add", values).status_code == 302
    gold = PriceBook.objects.get(code="gold")
    team = Group.objects.get(code="team-one")
    assert post(client, "billing_groupbook_add", {"group": team.pk, "book": gold.pk}).status_code == 302
    row = GroupBook.objects.get(group=team)
    assert last("group.book_changed").after == {"book": "gold"}
    assert act(client, "billing_groupbook", "use_default", row) == "1 done, 0 refused."
    assert not GroupBook.objects.filter(group=team).exists()
    key, limit = world.things["key"], world.things["limit"]
    assert post(client, "billing_spendlimit_change", {"limit": "2.5"}, limit.pk).status_code == 302
    assert last("key.limit_changed").after == {"span": "total", "limit_nano": 2_500_000_000, "time_zone": "UTC"}
    for wrong in ("-1", "1.0000000001", "x"):
        assert post(client, "billing_spendlimit_change", {"limit": wrong}, limit.pk).status_code == 200
    assert post(client, "billing_spendlimit_change", {"limit": "2", "time_zone": "Mars/Base"}, limit.pk).status_code == 200
    assert post(client, "billing_spendlimit_change", {"limit": ""}, limit.pk).status_code == 302
    assert not SpendLimit.objects.filter(key=key).exists()
    values = {"key": key.pk, "span": "daily", "limit": "1", "time_zone": "Asia/Shanghai"}
    assert post(client, "billing_spendlimit_add", values).status_code == 302
    assert SpendLimit.objects.get(key=key, span="daily").limit_nano == 1_000_000_000
    assert post(client, "billing_spendlimit_add", {**values, "key": ""}).status_code == 200
    entry = world.things["old_entry"]
    assert post(client, "gateway_oldentry_change", {"base_url": "http://old-gateway:3000/v1"}, entry.pk).status_code == 302
    entry.refresh_from_db()
    assert entry.base_url == "http://old-gateway:3000"
    refused = post(client, "gateway_oldentry_add", {"name": "x", "base_url": "https://me:pw@old.example.org"})
    assert refused.status_code == 200
    assert AuditEvent.objects.filter(action="old_entry.changed").count() == 1
