"""Statements: issued once, never changed, each goes on where the one before ended, and every figure is the ledger's."""

import csv
import hashlib
import io
import os
import signal
import subprocess
import sys
import threading
import time
from datetime import UTC, date, datetime
from typing import Any

import pytest
import time_machine
from django.db import DatabaseError, connection, connections, transaction
from django.test import Client
from pypdf import PdfReader

from accounts.models import AuditEvent, Group, GroupMembership, Role, User
from billing.models import LedgerEntry, Statement, StatementFile, StatementPurse, StatementRun
from billing.selectors import statements as selectors
from billing.services import ledger, partitions
from billing.services import statements as service
from billing.statements.months import bounds_of, month_after, month_before
from config.foundation.errors import InvalidInput, NotAllowed, NotFound
from config.foundation.ids import uuid7
from config.foundation.money import decimal_usd, format_usd
from tests.billing.helpers import person, wants

AUGUST, SEPTEMBER = date(2026, 8, 1), date(2026, 9, 1)
SHANGHAI = "Asia/Shanghai"
IN_OCTOBER = datetime(2026, 10, 5, tzinfo=UTC)


def booked_as(moment: datetime, since: int) -> None:
    """Entries after number ``since`` look as if they had been booked then: the ledger's own clock cannot be turned back."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute("UPDATE billing_ledgerentry SET booked_at = %s WHERE id > %s", [moment, since])
        cursor.execute("SET LOCAL session_replication_role = origin")


def newest() -> int:
    return LedgerEntry.objects.order_by("-pk").values_list("pk", flat=True).first() or 0


def top_up(owner: User | Group, nano: int, booked: datetime, kind: str = "top_up") -> LedgerEntry:
    since = newest()
    purse = ledger.purse_for(**({"user": owner} if isinstance(owner, User) else {"group": owner}))
    house = ledger.house_account("cash" if kind == "top_up" else "adjustment")
    (posted,) = ledger.post_entries([ledger.Posting(uuid7(), kind, house.pk, purse.pk, nano, effective_at=booked)])
    booked_as(booked, since)
    return LedgerEntry.objects.get(pk=posted.entry_id)


def call(owner: User | Group, nano: int, started: datetime, booked: datetime | None = None, **log: Any) -> None:
    since = newest()
    request_id = uuid7(int(started.timestamp() * 1000))
    if isinstance(owner, User):
        ask = wants(owner, nano, call=request_id)
    else:
        ask = ledger.ReserveRequest(request_id, None, owner.pk, None, nano, datetime(2030, 1, 1, tzinfo=UTC), {})
    (held,) = ledger.reserve([ask])
    assert held.status == "held"
    values = {"outcome": "ok", "billed_model": "gpt-4o", "input_tokens": 100, "output_tokens": 20, **log}
    values["user_id"] = owner.pk if isinstance(owner, User) else None
    (ended,) = ledger.record_calls([ledger.CallEvent(request_id, nano, True, "", values)])
    assert ended.status == "recorded"
    booked_as(booked or started, since)


def a_customer(name: str = "ada", zone: str = SHANGHAI) -> User:
    """10 dollars in July; in August 5 more, three calls of two models, and one that began in July."""
    partitions.ensure_partitions(date(2026, 6, 1), date(2026, 10, 1))
    user = person(name, time_zone=zone)
    top_up(user, 10 * 10**9, datetime(2026, 7, 10, tzinfo=UTC))
    call(user, 250_000_001, datetime(2026, 7, 31, 15, 59, 59, tzinfo=UTC))  # 23:59:59 in Shanghai: July
    call(user, 111_000_000, datetime(2026, 7, 31, 16, 0, 0, tzinfo=UTC))  # midnight in Shanghai: August
    top_up(user, 5 * 10**9, datetime(2026, 8, 3, tzinfo=UTC))
    call(user, 222_000_000, datetime(2026, 8, 12, tzinfo=UTC))
    call(
        user,
        40_000_000,
        datetime(2026, 8, 13, tzinfo=UTC),
        billed_model="dall-e-3",
        modality="image",
        image_count=2,
        input_tokens=0,
    )
    return user


def files_of(statement: Statement) -> dict[tuple[str, str], tuple[bytes, str]]:
    rows = StatementFile.objects.filter(statement=statement)
    return {(row.format, row.language): (bytes(row.content), row.sha256) for row in rows}


def amounts_in(content: bytes) -> list[tuple[str, ...]]:
    rows = list(csv.reader(io.StringIO(content.decode("utf-8-sig"))))
    start = next(n for n, row in enumerate(rows) if row and row[-1] in ("Amount in USD", "金额（美元）"))
    end = next(n for n, row in enumerate(rows) if n > start and not row)
    return [tuple(row) for row in rows[start + 1 : end]]


@pytest.mark.django_db
@time_machine.travel(IN_OCTOBER, tick=True)
def test_R032_august_stays_and_what_comes_late_stands_in_september() -> None:
    """R032 and X7: issue August, add late usage and a correction, issue again: August identical, both in September."""
    user = a_customer()
    issued = service.issue_statement(actor=None, owner=user, month_on=AUGUST)
    august = issued.statement
    assert issued.status == "issued"
    assert august is not None
    assert august.time_zone == SHANGHAI
    assert (august.starts_at, august.ends_at) == (
        datetime(2026, 7, 31, 16, tzinfo=UTC),
        datetime(2026, 8, 31, 16, tzinfo=UTC),
    )
    assert august.opening_nano == 10 * 10**9 - 250_000_001
    assert august.credits_nano == 5 * 10**9
    assert august.usage_nano == -(111_000_000 + 222_000_000 + 40_000_000)
    assert (august.expiry_nano, august.adjustments_nano, august.earlier_nano) == (0, 0, 0)
    assert august.closing_nano == 15 * 10**9 - 250_000_001 - 373_000_000
    assert august.entry_count == 4
    usage = {(row["model"], row["modality"]): (row["count"], row["nano"]) for row in august.figures["lines"]["usage"]}
    assert usage == {("gpt-4o", "text"): (2, -333_000_000), ("dall-e-3", "image"): (1, -40_000_000)}
    kept = files_of(august)
    assert set(kept) == {(kind, language) for kind in ("csv", "pdf") for language in ("en", "zh-hans")}
    assert all(hashlib.sha256(content).hexdigest() == digest for content, digest in kept.values())

    call(user, 77_000_000, datetime(2026, 8, 20, tzinfo=UTC), booked=datetime(2026, 9, 2, tzinfo=UTC))
    old = LedgerEntry.objects.get(kind="top_up", amount_nano=5 * 10**9)
    since = newest()
    ledger.post_entries(
        [ledger.Posting(uuid7(), "reversal", old.to_account_id, old.from_account_id, 5 * 10**9, reverses_id=old.pk)]
    )
    booked_as(datetime(2026, 9, 4, tzinfo=UTC), since)
    call(user, 1_000_000, datetime(2026, 9, 5, tzinfo=UTC))
    again = service.issue_statement(actor=None, owner=user, month_on=AUGUST)
    assert (again.status, again.statement) == ("present", august)
    assert files_of(august) == kept

    september = service.issue_statement(actor=None, owner=user, month_on=SEPTEMBER).statement
    assert september is not None
    assert september.previous == august
    assert september.opening_nano == august.closing_nano
    assert september.usage_nano == -1_000_000
    assert september.earlier_nano == -77_000_000 - 5 * 10**9
    assert [(row["kind"], row["month"], row["nano"]) for row in september.figures["lines"]["earlier"]] == [
        ("reversal", "2026-08", -5 * 10**9),
        ("charge", "2026-08", -77_000_000),
    ]
    assert september.closing_nano == ledger.purse_for(user=user).balance_nano
    assert september.first_entry_id == (august.last_entry_id or 0) + 1
    assert files_of(august) == kept


@pytest.mark.django_db
@time_machine.travel(IN_OCTOBER, tick=True)
def test_R032_page_csv_and_pdf_say_the_same_in_both_languages(client: Client) -> None:
    user = a_customer()
    statement = service.issue_statement(actor=None, owner=user, month_on=AUGUST).statement
    assert statement is not None
    client.force_login(user)
    for language, credit in (("en", "top-up"), ("zh-hans", "充值")):
        User.objects.filter(pk=user.pk).update(language=language)
        answer = client.get(f"/statements/{statement.pk}/{language}.csv")
        content = answer.getvalue()
        assert hashlib.sha256(content).hexdigest() in answer["Content-Digest"]
        rows = amounts_in(content)
        assert rows[0][-1] == decimal_usd(statement.opening_nano)
        assert rows[-1][-1] == decimal_usd(statement.closing_nano)
        assert any(row[1] == credit for row in rows)
        page = client.get(f"/statements/{statement.pk}/").content.decode()
        pdf = client.get(f"/statements/{statement.pk}/{language}.pdf")
        assert pdf["Content-Type"] == "application/pdf"
        text = "".join(sheet.extract_text() for sheet in PdfReader(io.BytesIO(pdf.getvalue())).pages)
        for row in rows:
            nano = round(float(row[-1]) * 10**9)
            assert f'title="{format_usd(nano)}"' in page, row
            assert format_usd(nano) in text, row
        assert "dall-e-3" in page
        assert "dall-e-3" in text
        assert ("2 images" if language == "en" else "2 张图片") in page
        assert ("Closing balance" if language == "en" else "期末余额") in text
        files = StatementFile.objects.filter(statement=statement).values_list("sha256", flat=True)
        assert all(digest in page for digest in files)


@pytest.mark.django_db
@time_machine.travel(IN_OCTOBER, tick=True)
def test_files_of_the_same_figures_have_the_same_bytes() -> None:
    user = a_customer()
    statement = service.issue_statement(actor=None, owner=user, month_on=AUGUST).statement
    assert statement is not None
    kept = files_of(statement)
    time.sleep(1.1)
    made = {(file.format, file.language): (bytes(file.content), file.sha256) for file in service._files(statement)}
    assert made == kept


@pytest.mark.django_db
@time_machine.travel(IN_OCTOBER, tick=True)
def test_the_database_refuses_every_change_and_every_gap() -> None:
    user = a_customer()
    statement = service.issue_statement(actor=None, owner=user, month_on=AUGUST).statement
    assert statement is not None
    purse = StatementPurse.objects.get(statement=statement)
    tries = [
        lambda: Statement.objects.update(closing_nano=1, opening_nano=1),
        lambda: Statement.objects.filter(pk=statement.pk).delete(),
        lambda: StatementFile.objects.update(content=b"other"),
        lambda: StatementFile.objects.all()._raw_delete("default"),
        lambda: StatementPurse.objects.update(last_seq=9),
        lambda: connection.cursor().execute("TRUNCATE billing_statementfile"),
        # A second August, and a September that opens with another figure, skips entries or says what the ledger does not.
        lambda: Statement.objects.create(**_copy(statement)),
        lambda: Statement.objects.create(**_copy(statement, month_on=SEPTEMBER, previous=statement)),
        lambda: Statement.objects.create(
            **_copy(statement, month_on=SEPTEMBER, previous=None, opening_nano=statement.closing_nano)
        ),
        lambda: StatementPurse.objects.create(
            statement=statement, account_id=purse.account_id, first_seq=purse.last_seq + 2, last_seq=purse.last_seq + 2,
            opening_nano=purse.closing_nano, closing_nano=purse.closing_nano,
        ),
        lambda: StatementPurse.objects.create(
            statement=statement, account_id=ledger.purse_for(user=person("eve")).pk, first_seq=1, last_seq=0, opening_nano=5,
            closing_nano=5,
        ),
    ]  # fmt: skip
    for number, attempt in enumerate(tries):
        assert refused(attempt), number
    assert Statement.objects.get() == statement
    assert StatementFile.objects.count() == 4


def refused(attempt: Any) -> bool:
    try:
        with transaction.atomic():
            attempt()
    except DatabaseError:
        return True
    return False


def _copy(statement: Statement, **values: Any) -> dict[str, Any]:
    row = {field.attname: getattr(statement, field.attname) for field in Statement._meta.fields if field.name != "id"}
    if "previous" in values:
        row.pop("previous_id")
    later = {"starts_at": statement.ends_at, "ends_at": bounds_of(SEPTEMBER, SHANGHAI)[1]} if values else {}
    return {**row, **later, **values}


@pytest.mark.django_db
@time_machine.travel(datetime(2026, 8, 31, 16, 30, tzinfo=UTC), tick=True)
def test_R032_each_zone_has_its_own_first_of_the_month() -> None:
    """At 16:30 UTC on 31 August the month is over in Shanghai, not in London."""
    a_customer("ada", SHANGHAI)
    london = a_customer("bob", "Europe/London")
    for run in service.due_runs():
        while service.continue_run(run.pk):
            pass
    issued = {row.user.username: row.month_on for row in Statement.objects.filter(month_on=AUGUST)}
    assert issued == {"ada": AUGUST}
    with pytest.raises(InvalidInput):
        service.issue_statement(actor=None, owner=london, month_on=AUGUST)
    assert not Statement.objects.filter(user=london, month_on=AUGUST).exists()
    assert StatementRun.objects.get(month_on=AUGUST).finished_at is not None


@pytest.mark.django_db
@time_machine.travel(IN_OCTOBER, tick=True)
def test_a_move_to_another_zone_tells_nothing_twice_and_nothing_never() -> None:
    user = a_customer()
    august = service.issue_statement(actor=None, owner=user, month_on=AUGUST).statement
    assert august is not None
    call(user, 3_000_000, datetime(2026, 8, 31, 17, 0, tzinfo=UTC))  # September in Shanghai, August in New York
    User.objects.filter(pk=user.pk).update(time_zone="America/New_York")
    user.refresh_from_db()
    september = service.issue_statement(actor=None, owner=user, month_on=SEPTEMBER).statement
    assert september is not None
    assert september.time_zone == "America/New_York"
    assert august.time_zone == SHANGHAI
    assert september.entry_count == 1
    assert september.usage_nano + september.earlier_nano == -3_000_000
    assert september.opening_nano == august.closing_nano


@pytest.mark.django_db
@time_machine.travel(IN_OCTOBER, tick=True)
def test_R032_a_team_has_its_own_and_its_owners_see_it(client: Client) -> None:
    partitions.ensure_partitions(date(2026, 6, 1), date(2026, 10, 1))
    team = Group.objects.create(code="crew", name="Crew")
    owner, member, stranger = person("ada"), person("bob"), person("eve")
    GroupMembership.objects.create(group=team, user=owner, team_role="owner")
    GroupMembership.objects.create(group=team, user=member)
    top_up(team, 10**9, datetime(2026, 8, 2, tzinfo=UTC))
    call(team, 4_000_000, datetime(2026, 8, 3, tzinfo=UTC))
    statement = service.issue_statement(actor=None, owner=team, month_on=AUGUST).statement
    assert statement is not None
    assert (statement.usage_nano, statement.closing_nano) == (-4_000_000, 10**9 - 4_000_000)
    assert selectors.statements_for(owner) == [statement]
    assert selectors.statement_for(person("fin", Role.FINANCE), statement.pk) == statement
    for other in (member, stranger, person("sue", Role.SUPPORT)):
        assert selectors.statements_for(other) == []
        with pytest.raises(NotFound):
            selectors.statement_for(other, statement.pk)
        client.force_login(other)
        assert client.get(f"/statements/{statement.pk}/").status_code == 404
        assert client.get(f"/statements/{statement.pk}/en.csv").status_code == 404
    client.force_login(owner)
    assert "Crew" in client.get("/statements/").content.decode()
    assert client.get(f"/statements/{statement.pk}/en.exe").status_code == 404
    assert client.get("/statements/999999/").status_code == 404


@pytest.mark.django_db
@time_machine.travel(IN_OCTOBER, tick=True)
def test_finance_previews_issues_one_and_everybody(client: Client, django_capture_on_commit_callbacks: Any) -> None:
    user = a_customer()
    a_customer("bob", "UTC")
    person("idle")
    fin = person("fin", Role.FINANCE)
    client.force_login(fin)
    desk = client.get("/finance/statements/?month=2026-08").content.decode()
    assert "Issue 2026-08 for everybody" in desk
    preview = client.get("/finance/statements/preview/?month=2026-08&who=ada").content.decode()
    assert "Nothing is issued yet" in preview
    assert format_usd(15 * 10**9 - 250_000_001 - 373_000_000) in preview
    assert not Statement.objects.exists()
    assert client.post("/finance/statements/issue/", {"month": "2026-08", "who": "ada"}).status_code == 302
    assert Statement.objects.get().user == user
    for bad in ({"month": "nonsense"}, {"month": "2026-08", "who": "nobody"}, {"month": "2026-10", "who": "ada"}):
        assert client.post("/finance/statements/issue/", bad).status_code == 302
    assert Statement.objects.count() == 1
    for run in service.start_runs(actor=fin, month_on=AUGUST, again=True):
        while service.continue_run(run.pk, limit=1):
            pass
    runs = {run.time_zone: (run.issued_count, run.present_count, run.failed_count) for run in StatementRun.objects.all()}
    assert runs == {SHANGHAI: (0, 1, 0), "UTC": (1, 0, 0)}
    page = client.get("/finance/statements/?month=2026-08").content.decode()
    assert "1 issued, 0 there already" in page
    assert AuditEvent.objects.filter(action="statement.issued").count() == 2
    for who in (user, person("ops", Role.OPS), person("sue", Role.SUPPORT)):
        client.force_login(who)
        assert client.get("/finance/statements/").status_code == 403
        assert client.post("/finance/statements/issue/", {"month": "2026-09", "who": "ada"}).status_code == 403
        with pytest.raises(NotAllowed):
            service.issue_statement(actor=who, owner=user, month_on=SEPTEMBER)
    assert Statement.objects.count() == 2


@pytest.mark.django_db(transaction=True)
@time_machine.travel(IN_OCTOBER, tick=True)
def test_R032_issued_by_eight_at_once_is_issued_once() -> None:
    people = [a_customer(f"p{n}") for n in range(4)]
    answers: list[str] = []

    def work(owner: User) -> None:
        try:
            answers.append(service.issue_statement(actor=None, owner=owner, month_on=AUGUST).status)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=work, args=(people[n % 4],)) for n in range(32)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == ["issued"] * 4 + ["present"] * 28
    assert Statement.objects.count() == 4
    assert StatementFile.objects.count() == 16


_ISSUER = """
import django; django.setup()
import time_machine
from datetime import datetime, UTC
from django.db import connection
connection.settings_dict["NAME"] = {name!r}
from billing.services import statements
with time_machine.travel(datetime(2026, 10, 5, tzinfo=UTC), tick=True):
    print("ready", flush=True)
    while statements.continue_run({run}, limit=2):
        print("step", flush=True)
print("end", flush=True)
"""


@pytest.mark.django_db(transaction=True)
@time_machine.travel(IN_OCTOBER, tick=True)
def test_R032_a_killed_job_goes_on_where_it_was() -> None:
    """kill -9 in the middle of issuing: what was issued stands whole, the next worker issues the rest, each once."""
    for n in range(12):
        a_customer(f"p{n:02}")
    (run,) = [run for run in service.start_runs(actor=None, month_on=AUGUST) if run.time_zone == SHANGHAI]
    code = _ISSUER.format(name=connection.settings_dict["NAME"], run=run.pk)
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, env=os.environ.copy())
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    assert process.stdout.readline() == b"step\n"
    process.send_signal(signal.SIGKILL)
    process.wait()
    run.refresh_from_db()
    assert run.finished_at is None
    assert Statement.objects.count() == run.issued_count >= 2
    assert StatementFile.objects.count() == 4 * Statement.objects.count()
    while service.continue_run(run.pk):
        pass
    run.refresh_from_db()
    assert (run.issued_count + run.present_count, run.failed_count) == (12, 0)
    assert Statement.objects.count() == 12
    assert StatementFile.objects.count() == 48
    before = set(Statement.objects.values_list("pk", flat=True))
    for again in service.start_runs(actor=None, month_on=AUGUST, again=True):
        while service.continue_run(again.pk):
            pass
    assert set(Statement.objects.values_list("pk", flat=True)) == before


@pytest.mark.django_db
@time_machine.travel(IN_OCTOBER, tick=True)
def test_three_years_of_months_chain_and_add_up_to_the_balance() -> None:
    user = person("ada", time_zone="America/New_York")
    partitions.ensure_partitions(date(2023, 8, 1), date(2026, 10, 1))
    month = date(2023, 9, 1)
    while month < date(2026, 10, 1):
        start, end = bounds_of(month, "America/New_York")
        top_up(user, 1000, start)
        call(user, 7, end - (end - start) / 1000)
        month = month_after(month)
    month = date(2023, 9, 1)
    while month < date(2026, 10, 1):
        found = service.issue_statement(actor=None, owner=user, month_on=month).statement
        assert found is not None
        assert (found.credits_nano, found.usage_nano, found.earlier_nano, found.entry_count) == (1000, -7, 0, 2)
        assert found.opening_nano == 993 * (Statement.objects.count() - 1)
        month = month_after(month)
    assert Statement.objects.order_by("-month_on")[0].closing_nano == ledger.purse_for(user=user).balance_nano == 993 * 37
    with pytest.raises(InvalidInput):
        service.issue_statement(actor=None, owner=user, month_on=date(2022, 1, 1))


def test_months() -> None:
    assert month_after(date(2026, 12, 1)) == date(2027, 1, 1)
    assert month_before(date(2027, 1, 1)) == date(2026, 12, 1)
    assert bounds_of(date(2026, 3, 1), "America/New_York") == (
        datetime(2026, 3, 1, 5, tzinfo=UTC),
        datetime(2026, 4, 1, 4, tzinfo=UTC),
    )
