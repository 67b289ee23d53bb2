"""R014: old quota and multiplier of every group beside its new budget, on the samples; the export is the page."""

import csv
import io
import json
import re
import sqlite3
from decimal import Decimal

import pytest
from django.test import Client
from django.urls import reverse
from django.utils.html import strip_tags

from accounts.models import Group, Role, User
from accounts.services.people import create_person
from billing.models import LedgerAccount
from billing.selectors import balance_of
from billing.services.budgets import set_spend_limit
from config.foundation.errors import NotAllowed
from config.foundation.money import decimal_usd
from config.templatetags.portal import money
from keys.services_limits import CallFigures, Subject, set_call_limit
from migrations_center.group_quota import GroupLine, group_lines, member_lines, total_of
from migrations_center.models import ImportedRow
from tests.migrations_center.imports.support import SAMPLES, do_import, sample

pytestmark = pytest.mark.django_db
UNIT = 500_000


@pytest.fixture
def finance() -> User:
    return create_person(actor=None, username="the-finance", role=Role.FINANCE)


def old_members(name: str) -> dict[str, list[tuple[int, int]]]:
    """Group -> (old id, quota) of everybody in the old gateway's own file, read without the portal; New API's bonus for
    invitations and what is left of a running subscription are part of it."""
    bonus = ""
    if name == "new-api":
        bonus = """
            + aff_quota + coalesce((SELECT sum(s.amount_total - s.amount_used) FROM user_subscriptions s
            WHERE s.user_id = users.id AND s.status = 'active' AND s.amount_total > 0
              AND s.end_time >= CAST(strftime('%s', 'now') AS INTEGER)), 0)"""
    with sqlite3.connect(SAMPLES / f"{name}.sqlite3") as db:
        rows = db.execute(f'SELECT "group", id, quota {bonus} FROM users').fetchall()
    found: dict[str, list[tuple[int, int]]] = {}
    for group, old_id, quota in rows:
        found.setdefault(group, []).append((old_id, quota))
    return found


def by_code(lines: list[GroupLine]) -> dict[str, GroupLine]:
    return {line.group.code.split("/")[-1]: line for line in lines if line.group}


def old_multipliers(name: str) -> dict[str, Decimal]:
    with sqlite3.connect(SAMPLES / f"{name}.sqlite3") as db:
        found = db.execute("SELECT value FROM options WHERE key = 'GroupRatio'").fetchone()
    return json.loads(found[0], parse_float=Decimal, parse_int=Decimal) if found else {}


@pytest.mark.parametrize("name", ["one-api", "new-api"])
def test_R014_group_totals_equal_the_sums_over_their_members(name: str, finance: User):
    do_import(sample(name))
    lines = by_code(group_lines(finance))
    landed = {
        int(row.row_id): row.figures
        for row in ImportedRow.objects.filter(table="users", target_type="accounts.user")
        if "nano" in row.figures
    }
    seen = 0
    for group, members in old_members(name).items():
        here = [(old_id, quota) for old_id, quota in members if old_id in landed]
        if group not in lines or not here:
            continue
        line = lines[group]
        # The file of the old gateway, the people of the portal and the ledger say the same.
        assert line.imported_count == len(here), group
        assert line.old_units == sum(quota for _, quota in here if _is_carried(landed[_])), group
        assert line.group is not None
        members_here = list(member_lines(finance, line.group))
        assert line.old_units == sum(member.old_units for member in members_here)
        assert line.old_nano == sum(member.old_nano for member in members_here)
        assert line.members_nano == sum(balance_of(member.person).total_nano for member in members_here)
        seen += 1
    assert seen >= 3
    total = total_of(list(lines.values()))
    purses = LedgerAccount.objects.filter(is_purse=True, user__billing_group__isnull=False)
    assert total.budget_nano == sum(purses.values_list("balance_nano", flat=True))
    assert total.old_nano == sum(figures["nano"] for figures in landed.values())
    multipliers = {group: ratio for group, ratio in old_multipliers(name).items() if group in lines}
    assert {group: lines[group].multiplier for group in multipliers} == multipliers
    assert len(multipliers) >= 3


def _is_carried(figures: dict[str, object]) -> bool:
    return bool(figures.get("quota"))


def test_R014_the_export_equals_the_page(finance: User, client: Client):
    do_import(sample("one-api"))
    group = Group.objects.get(code__endswith="/vip")
    set_spend_limit(actor=None, group=group, span="monthly", limit_nano=50_000_000_000)
    set_call_limit(actor=None, subject=Subject(group=group), figures=CallFigures(requests_per_minute=600))
    client.force_login(finance)
    page = client.get(reverse("group_quota"))
    text = re.sub(r"\s+", " ", strip_tags(page.content.decode()))
    answer = client.get(reverse("group_quota"), {"export": "csv"})
    rows = list(csv.DictReader(io.StringIO(b"".join(answer.streaming_content).decode("utf-8-sig"))))
    lines = page.context["lines"]
    assert [row["group"] for row in rows] == [line.group.code for line in lines] + ["total"]
    for row, line in zip(rows, [*lines, page.context["total"]], strict=True):
        assert (int(row["old_quota_units"]), row["old_quota_usd"]) == (line.old_units, decimal_usd(line.old_nano))
        assert row["budget_usd"] == decimal_usd(line.budget_nano)
        assert f"{line.old_units:,}" in text
        assert strip_tags(money(line.budget_nano)) in text
    vip = next(row for row in rows if row["group"] == group.code)
    assert (vip["limit_monthly_usd"], vip["calls_a_minute"]) == ("50.000000000", "600")
    assert "$50.00 a month" in text
    assert "600 calls a minute" in text
    # Down to the people behind one line.
    members = client.get(reverse("group_quota_members", args=[group.pk]))
    assert members.context["old_units"] == int(vip["old_quota_units"])


@pytest.mark.parametrize("role", [Role.USER, Role.OPS, Role.SUPPORT])
def test_R014_the_table_is_for_finance(role: str, client: Client):
    person = create_person(actor=None, username="somebody", role=role)
    group = Group.objects.create(code="crew", name="Crew")
    with pytest.raises(NotAllowed):
        group_lines(person)
    with pytest.raises(NotAllowed):
        next(member_lines(person, group))
    client.force_login(person)
    assert client.get(reverse("group_quota")).status_code == 403
    assert client.get(reverse("group_quota_members", args=[group.pk])).status_code == 403
