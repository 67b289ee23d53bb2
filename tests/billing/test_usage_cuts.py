"""R029: usage cut every way, over days of any zone, adds up to the ledger to the unit; pages and files say the same."""

import csv
import io
import threading
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.core.management import call_command
from django.db import connections
from django.test import Client
from openpyxl import load_workbook

from accounts.models import Group, GroupMembership, Role, User
from billing.models import LedgerEntry, RequestLog, UsageAccount, UsageCube, UsageDelta, UsageHouse, UsageKeyDaily
from billing.selectors.usage_cuts import CUTS, Period, Scope, ledger_total, scope_for, usage_chart, usage_report
from billing.services import ledger, partitions, usage
from billing.statements.months import start_of
from config.foundation.errors import InvalidInput, NotAllowed, NotFound
from config.foundation.ids import uuid7
from config.foundation.money import decimal_usd, format_usd
from keys.models import ApiKey
from tests.billing.helpers import broken, give, key_of, person, rich, wants

# Whole hours, half hours, quarters of hours, and two zones whose clocks change in the period.
ZONES = ["UTC", "Asia/Shanghai", "America/New_York", "Europe/London", "Asia/Kolkata", "Asia/Kathmandu", "Pacific/Apia"]
FIRST, LAST = date(2026, 10, 20), date(2026, 11, 5)
NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


def one(payer: User | Group, moment: datetime, cost: int, key: ApiKey | None = None, **log: Any) -> None:
    call = uuid7(int(moment.timestamp() * 1000))
    if isinstance(payer, User):
        ask = wants(payer, cost, key=key, call=call)
    else:
        ask = ledger.ReserveRequest(call, None, payer.pk, key.pk if key else None, cost, NOW + timedelta(days=1), {})
    (held,) = ledger.reserve([ask])
    assert held.status == "held"
    values = {"outcome": "ok", "user_id": payer.pk if isinstance(payer, User) else None, "input_tokens": 10, **log}
    (ended,) = ledger.record_calls([ledger.CallEvent(call, cost, True, "", values)])
    assert ended.status == "recorded"


def moments() -> list[datetime]:
    """A second before, at and a second after every border of a day of every zone, around the period."""
    days = [FIRST, date(2026, 10, 25), date(2026, 10, 26), date(2026, 11, 1), date(2026, 11, 2), LAST, LAST + timedelta(days=1)]
    borders = {start_of(day, zone) for day in days for zone in ZONES}
    return sorted({border + timedelta(seconds=n) for border in borders for n in (-1, 0, 1)})


@pytest.fixture
def busy(db: None) -> tuple[User, User, Group]:
    """Two people and a team with calls at every border, some folded, some pending; each costs its own power-like amount."""
    partitions.ensure_partitions(date(2026, 10, 1), date(2026, 11, 30))
    (ada, _a), (bob, _b) = rich("ada", 10**15), rich("bob", 10**15)
    crew = Group.objects.create(code="crew", name="Crew")
    give(ledger.purse_for(group=crew), 10**15)
    keys = {"ada": key_of(ada), "bob": key_of(bob), "crew": ApiKey.objects.create(name="robot", team=crew)}
    for n, moment in enumerate(moments()):
        payer: User | Group = (ada, bob, crew)[n % 3]
        kind = ("text", "image", "audio")[n % 3] if n % 5 else "text"
        key = keys["crew" if payer == crew else str(payer)] if n % 4 else None
        if payer == crew:
            key = keys["crew"]
        one(
            payer, moment, 1_000_003 + 7919 * n, key, billed_model=f"m{n % 11}", group_code=f"g{n % 2}", modality=kind,
            outcome="ok" if n % 7 else "cut_stream",
        )  # fmt: skip
        if n == 100:
            while usage.fold_usage(limit=13):
                pass
    return ada, bob, crew


def charged(scope: Scope, start: datetime, end: datetime) -> int:
    entries = LedgerEntry.objects.filter(kind="charge", effective_at__gte=start, effective_at__lt=end)
    if scope.user:
        entries = entries.filter(from_account__user=scope.user)
    if scope.team:
        entries = entries.filter(from_account__group=scope.team)
    return sum(entries.values_list("amount_nano", flat=True))


@time_machine.travel(NOW, tick=False)
def test_R029_every_cut_equals_the_ledger_for_every_zone(busy: tuple[User, User, Group]) -> None:
    """R029: 7 cuts x 7 zones x everybody, a person and a team x several periods, to the unit."""
    ada, _bob, crew = busy
    ops = person("ops", Role.OPS)
    assert UsageDelta.objects.exists()
    assert UsageCube.objects.exists()
    spans = [
        (FIRST, LAST),
        (date(2026, 10, 25), date(2026, 10, 25)),
        (date(2026, 11, 1), date(2026, 11, 1)),
        (FIRST, date(2026, 11, 1)),
    ]
    seen = 0
    for zone in ZONES:
        for first, last in spans:
            period = Period(first, last, zone)
            for scope in (Scope(), Scope(user=ada), Scope(team=crew)):
                booked = charged(scope, period.start, period.end)
                calls = RequestLog.objects.filter(started_at__gte=period.start, started_at__lt=period.end)
                calls = calls.filter(user_id=ada.pk) if scope.user else calls.filter(key__team=crew) if scope.team else calls
                for by in CUTS:
                    report = usage_report(ops, scope, period, by)
                    assert report.total.cost_nano == booked, (zone, first, last, scope, by)
                    assert report.total.call_count == calls.count(), (zone, first, last, scope, by)
                    assert report.total.cost_nano == sum(row.cost_nano for row in report.rows)
                chart = usage_chart(ops, scope, period)
                assert sum(sum(values) for values in chart.by_model.values()) == booked
                assert ledger_total(ops, scope, period) == booked
                seen += booked > 0
    assert seen > 60
    assert broken(NOW) == {}


@time_machine.travel(NOW, tick=False)
def test_R029_days_are_days_of_the_zone(busy: tuple[User, User, Group]) -> None:
    """Each day's sum is recounted here from the log by the zone's own calendar, also on the days of 23 and 25 hours."""
    from zoneinfo import ZoneInfo

    ops = person("ops", Role.OPS)
    for zone in ZONES:
        wanted: dict[str, int] = {}
        for call in RequestLog.objects.all():
            day = call.started_at.astimezone(ZoneInfo(zone)).date()
            if FIRST <= day <= LAST:
                wanted[day.isoformat()] = wanted.get(day.isoformat(), 0) + call.cost_nano
        report = usage_report(ops, Scope(), Period(FIRST, LAST, zone), "day")
        assert {row.label: row.cost_nano for row in report.rows if row.call_count} == wanted, zone
        assert len(report.rows) == (LAST - FIRST).days + 1
    assert (Period(date(2026, 11, 1), date(2026, 11, 1), "America/New_York")).end - start_of(
        date(2026, 11, 1), "America/New_York"
    ) == timedelta(hours=25)


def rolled_up() -> list[list[Any]]:
    """Every row of every roll-up."""
    cube = ("day_on", "user_id", "key_id", "group_code", "model_name", "modality", "origin", "call_count", "cost_nano")
    return [
        sorted(UsageCube.objects.values_list(*cube)),
        sorted(UsageHouse.objects.values_list("minutes", "begins_at", "cut", "value", "origin", "call_count", "cost_nano")),
        sorted(UsageKeyDaily.objects.values_list("day_on", "key_id", "origin", "call_count", "cost_nano")),
        sorted(
            UsageAccount.objects.values_list(
                "minutes", "begins_at", "user_id", "key_id", "origin", "call_count", "failed_count", "cost_nano"
            )
        ),
    ]


@time_machine.travel(NOW, tick=False)
def test_R029_folded_in_any_steps_equals_a_recount_and_running_it_again_changes_nothing(busy: Any) -> None:
    while usage.fold_usage(limit=17):
        pass
    folded = rolled_up()
    UsageCube.objects.filter(group_code="g0", model_name="m3").delete()
    UsageAccount.objects.filter(begins_at__date=LAST).update(cost_nano=7, call_count=99)
    UsageAccount.objects.filter(minutes=14400).update(cost_nano=7)
    UsageKeyDaily.objects.filter(day_on=LAST).update(cost_nano=8, call_count=98)
    UsageHouse.objects.create(minutes=15, begins_at=NOW, cut="model", value="ghost", call_count=5)
    assert set(broken(NOW)) == {"usage_cube", "usage_accounts", "usage_keys", "usage_house", "usage_spans"}
    for _again in range(2):
        call_command("usage_recount", "--until", "2026-11-30", stdout=io.StringIO())
        assert rolled_up() == folded
    assert broken(NOW) == {}


@pytest.mark.django_db(transaction=True)
def test_R029_folded_by_four_at_once_while_calls_end() -> None:
    user, _purse = rich(amount=10**12)
    key = key_of(user)
    stop = threading.Event()

    def fold() -> None:
        try:
            while not stop.is_set():
                usage.fold_usage(limit=5)
        finally:
            connections.close_all()

    def calls() -> None:
        try:
            for n in range(40):
                one(user, datetime.now(UTC), 10 + n, key, billed_model=f"m{n % 3}", modality=("text", "image")[n % 2])
        finally:
            connections.close_all()

    folders, callers = [threading.Thread(target=fold) for _ in range(4)], [threading.Thread(target=calls) for _ in range(4)]
    for thread in [*folders, *callers]:
        thread.start()
    for thread in callers:
        thread.join()
    stop.set()
    for thread in folders:
        thread.join()
    today = datetime.now(UTC).date()
    report = usage_report(user, Scope(user=user), Period(today - timedelta(days=1), today), "modality")
    assert report.total.call_count == 160
    assert (
        report.total.cost_nano
        == 4 * sum(10 + n for n in range(40))
        == ledger_total(user, Scope(user=user), Period(today - timedelta(days=1), today))
    )
    assert broken() == {}


@time_machine.travel(NOW, tick=False)
def test_R029_page_csv_and_xlsx_say_the_same(busy: tuple[User, User, Group], client: Client) -> None:
    ada, _bob, _crew = busy
    client.force_login(ada)
    for by in ("model", "modality", "day", "key", "group"):
        query = f"/usage/?since={FIRST}&until={LAST}&zone=Asia/Shanghai&by={by}"
        report = usage_report(ada, Scope(user=ada), Period(FIRST, LAST, "Asia/Shanghai"), by)
        rows = list(csv.reader(io.StringIO(client.get(query + "&export=csv").getvalue().decode("utf-8-sig"))))
        book = load_workbook(io.BytesIO(client.get(query + "&export=xlsx").getvalue()))
        cells = list(book.active.iter_rows(values_only=True))
        assert rows[0][1:] == list(cells[0][1:])
        assert sum(round(float(row[-1]) * 10**9) for row in rows[1:]) == report.total.cost_nano
        assert [row[0] for row in rows[1:]] == [str(row[0] or "") for row in cells[1:]]
        assert [row[-1] for row in rows[1:]] == [decimal_usd(round(float(row[-1]) * 10**9)) for row in cells[1:]]
        page = client.get(query + "&check=yes").content.decode()
        assert f'title="{format_usd(report.total.cost_nano)}"' in page
        assert 'title="$0.00">$0.00</span></dd></dl>' in page
        for row in report.rows:
            if row.call_count:
                assert f'title="{format_usd(row.cost_nano)}"' in page


@time_machine.travel(NOW, tick=False)
def test_whose_usage_one_may_see(busy: tuple[User, User, Group], client: Client) -> None:
    ada, bob, crew = busy
    GroupMembership.objects.create(group=crew, user=ada, team_role="owner")
    GroupMembership.objects.create(group=crew, user=bob)
    period = Period(FIRST, LAST)
    assert scope_for(ada, team="crew") == Scope(team=crew)
    assert usage_report(ada, Scope(team=crew), period, "key").total.call_count > 0
    for who, named in ((bob, {"team": "crew"}), (bob, {"who": "ada"}), (bob, {"who": "all"}), (ada, {"team": "nix"})):
        with pytest.raises(NotFound):
            scope_for(who, **named)
    for scope in (Scope(), Scope(user=ada), Scope(team=crew)):
        with pytest.raises(NotAllowed):
            usage_report(bob, scope, period, "model")
    client.force_login(bob)
    for address in ("/usage/?whose=all", "/usage/?whose=team:crew", "/usage/?who=ada"):
        answer = client.get(address)
        # Choices that are not theirs do not exist in their form: they see their own.
        assert answer.context["scope"] == Scope(user=bob)
    client.force_login(person("sue", Role.SUPPORT))
    assert client.get("/usage/?who=ada").context["scope"] == Scope(user=ada)
    # Without a word of whose, somebody who may see everybody's sees everybody's; one's own is asked for.
    assert client.get("/usage/").context["scope"] == Scope()
    assert client.get("/usage/?whose=").context["scope"] == Scope(user=User.objects.get(username="sue"))
    assert client.get("/usage/?whose=all&by=team").context["report"].by == "team"
    assert client.get("/usage/?who=nobody").status_code == 404
    client.force_login(ada)
    assert client.get("/usage/?whose=team:crew&by=key").context["scope"] == Scope(team=crew)


@time_machine.travel(NOW, tick=False)
def test_bad_periods_zones_and_cuts_are_said_or_left_out(client: Client, db: None) -> None:
    ada = person("ada", time_zone="Asia/Shanghai")
    client.force_login(ada)
    bad = [
        "since=x", "zone=Mars/Olympus", "by=colour", "days=0", "days=999999999999", "where=nowhere", "since=0001-01-01",
        "until=9999-12-31", "since=2026-11-05&until=2026-11-01", "since=2000-01-01&until=2026-11-01", "export=exe",
    ]  # fmt: skip
    for query in bad:
        assert client.get(f"/usage/?{query}").status_code == 200, query
    with pytest.raises(InvalidInput):
        usage_report(ada, Scope(user=ada), Period(date(2020, 1, 1), date(2026, 1, 1)), "model")
    with pytest.raises(InvalidInput):
        usage_report(ada, Scope(user=ada), Period(FIRST, LAST), "colour")
    assert client.get("/usage/").context["period"].zone == "Asia/Shanghai"
