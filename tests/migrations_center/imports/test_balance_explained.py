"""R022: the six numbers of twelve imported people, worked out here from the old database and the ledger's rows alone."""

import re
import sqlite3
from html import unescape

import pytest
from django.test import Client

from accounts.models import Role, User
from billing.models import LedgerAccount, LedgerEntry, RequestLog
from billing.selectors.explanation import purse_stories, six_numbers
from billing.services import ledger
from billing.services.usage import fold_usage
from config.foundation.ids import uuid7
from config.foundation.money import format_usd
from tests.billing.helpers import broken, end, hold, person
from tests.migrations_center.imports.support import do_import, sample

# One has a bonus, one a debt, one nothing.
TWELVE = ["alice", "bob", "carol", "dave", "erin", "victor", "walter", "peggy", "rupert", "zack", "mallory", "niaj"]
pytestmark = pytest.mark.django_db


def old_units() -> dict[str, int]:
    with sqlite3.connect(sample("new-api")) as old:
        return {name: quota + bonus for name, quota, bonus in old.execute("SELECT username, quota, aff_quota FROM users")}


@pytest.fixture
def moved_in() -> dict[str, User]:
    """The sample, then a life here: calls good and failed, a top-up, a correction with its reversal, and one who went back."""
    do_import(sample("new-api"))
    people = {user.username: user for user in User.objects.filter(username__in=TWELVE)}
    assert len(people) == 12
    for n, name in enumerate(TWELVE[:10]):
        for call in range(n + 1):
            (request_id, cost) = (hold(people[name], 5_000_000).request_id, 1_000_001 * (call + 1) % 5_000_000)
            failed = call % 3 == 2
            end(request_id, 0 if failed else cost, **({"outcome": "upstream_error"} if failed else {"output_tokens": 9}),
                user_id=people[name].pk)  # fmt: skip
    fold_usage()
    four = ("walter", "peggy", "niaj", "bob")
    purse = {name: ledger.purse_for(user=people[name]) if name == "niaj" else prepaid(people[name]) for name in four}
    cash, house = ledger.house_account("cash").pk, ledger.house_account("adjustment").pk
    ledger.post_entries([ledger.Posting(uuid7(), "top_up", cash, purse["niaj"].pk, 7_000_000_001)])
    (booked,) = ledger.post_entries([ledger.Posting(uuid7(), "adjustment", house, purse["walter"].pk, 333)])
    ledger.post_entries([ledger.Posting(uuid7(), "adjustment", purse["bob"].pk, house, 10_000_019)])
    reverse = ledger.Posting(uuid7(), "reversal", purse["walter"].pk, house, 333, reverses_id=booked.entry_id)
    ledger.post_entries([reverse])
    purse["peggy"].refresh_from_db()
    back = ledger.house_account("moved_back", purse["peggy"].origin).pk
    ledger.post_entries([ledger.Posting(uuid7(), "moved_back", purse["peggy"].pk, back, purse["peggy"].balance_nano)])
    assert broken() == {}
    return people


def prepaid(user: User) -> LedgerAccount:
    return LedgerAccount.objects.get(user=user, kind="prepaid")


def by_hand(user: User) -> dict[str, int]:
    """Every number from rows: entries one by one, calls one by one."""
    mine = set(LedgerAccount.objects.filter(is_purse=True, user=user).values_list("pk", flat=True))
    sums = {"converted": 0, "spent": 0, "moved": 0}
    for entry in LedgerEntry.objects.all():
        signed = entry.amount_nano * ((entry.to_account_id in mine) - (entry.from_account_id in mine))
        where = {"opening": "converted", "opening_correction": "converted", "charge": "spent"}.get(entry.kind, "moved")
        sums[where] += signed
    failed = [call for call in RequestLog.objects.filter(user=user, origin="relay") if call.outcome != "ok"]
    sums |= {"now": sum(sums.values()), "failed_calls": len(failed), "failed": sum(call.cost_nano for call in failed)}
    return sums


def numbers_on(page: str) -> dict[str, str]:
    """The six numbers as the page shows them."""
    found = re.findall(r'id="number-(\w+)"><dt>.*?</dt><dd>(?:<a href="[^"]*">)?([^<]*)', page)
    return {code: unescape(figure).strip() for code, figure in found}


def test_R022_six_numbers_of_twelve_people_equal_the_page_in_two_languages(moved_in: dict[str, User], client: Client) -> None:
    units = old_units()
    for name, user in moved_in.items():
        hand = by_hand(user)
        # 500,000 units are a dollar in the sample, so one unit is 2,000 nano-dollars.
        assert hand["converted"] == units[name] * 2_000, name
        for language in ("en", "zh-hans"):
            User.objects.filter(pk=user.pk).update(language=language)
            client.force_login(user)
            shown = numbers_on(client.get("/billing/explained/").content.decode())
            word = "units" if language == "en" else "单位"
            assert shown == {
                "before": f"{units[name]:,} {word}",
                "conversion": format_usd(hand["converted"]),
                "spent": format_usd(hand["spent"]),
                "moved": format_usd(hand["moved"]),
                "now": format_usd(hand["now"]),
                "failed": format_usd(hand["failed"]),
            }, (name, language)
        six = six_numbers(user, user)
        assert six.failed_calls == hand["failed_calls"]
        assert six.now_nano == sum(
            LedgerAccount.objects.filter(user=user, is_purse=True).values_list("balance_nano", flat=True)
        )
    assert any(by_hand(user)["failed_calls"] for user in moved_in.values())
    assert by_hand(moved_in["peggy"])["moved"] < 0 < by_hand(moved_in["niaj"])["moved"]


def test_R022_every_number_links_to_its_rows(moved_in: dict[str, User], client: Client) -> None:
    client.force_login(moved_in["erin"])
    page = client.get("/billing/explained/").content.decode()
    links = re.findall(r'id="number-\w+"><dt>.*?</dt><dd><a href="([^"]*)"', page)
    assert len(links) == 6
    for link in links:
        if link.startswith("#"):
            assert f'id="{link[1:]}"' in page
        else:
            assert client.get(unescape(link)).status_code == 200, link
    assert len(client.get(unescape(links[5])).context["rows"]) == by_hand(moved_in["erin"])["failed_calls"]


def test_R022_support_has_a_text_to_send_in_the_persons_language_without_account_numbers(
    moved_in: dict[str, User], client: Client
) -> None:
    sue = person("sue", Role.SUPPORT)
    client.force_login(sue)
    chen = moved_in["erin"]
    for language, words in (("en", "Balance of"), ("zh-hans", "余额")):
        User.objects.filter(pk=chen.pk).update(language=language)
        copy = client.get("/billing/explained/?who=erin").context["copy"]
        assert words in copy
        assert format_usd(by_hand(chen)["now"]) in copy
        figures = set(re.findall(r"\d+", copy.replace(",", "")))
        accounts = LedgerAccount.objects.filter(user=chen).values_list("pk", flat=True)
        known = {str(by_hand(chen)["failed_calls"])}
        assert not (figures - known) & {str(pk) for pk in accounts if pk > 9}
        assert "#" not in copy
        assert str(chen.pk) not in figures or chen.pk < 10
    for other in ("alice", "nobody"):
        client.force_login(moved_in["bob"])
        assert client.get(f"/billing/explained/?who={other}").status_code == 404


def test_the_story_of_every_purse_ends_at_its_balance(moved_in: dict[str, User]) -> None:
    for user in moved_in.values():
        for story in purse_stories(user, user):
            running = 0
            for line in story.lines:
                running += line.amount_nano
                assert running == line.balance_nano
            assert running == story.balance_nano
    kinds = [line.kind for story in purse_stories(moved_in["walter"], moved_in["walter"]) for line in story.lines]
    assert kinds == ["opening", "calls", "adjustment", "reversal"]


def test_who_came_without_an_old_account_has_an_explanation_too(client: Client) -> None:
    user = person("fresh")
    client.force_login(user)
    page = client.get("/billing/explained/").content.decode()
    assert "There was no account at an old gateway." in page
    assert numbers_on(page)["now"] == "$0.00"
