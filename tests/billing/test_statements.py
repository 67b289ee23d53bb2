"""Statements: issued once, never changed, each goes on where the one before ended, and every figure is the ledger's."""

import csv
import hashlib
import io
import time
from datetime import UTC, datetime
from typing import Any

import pytest
import time_machine
from django.db import DatabaseError, connection, transaction
from django.test import Client
from openpyxl import load_workbook
from pypdf import PdfReader

from accounts.models import User
from billing.models import LedgerEntry, Statement, StatementFile, StatementPurse, StatementRun
from billing.services import ledger
from billing.services import statements as service
from billing.statements.document import document_of
from billing.statements.months import bounds_of
from billing.statements.workbook import xlsx_bytes
from config.foundation.errors import InvalidInput
from config.foundation.ids import uuid7
from config.foundation.money import decimal_usd, format_usd
from tests.billing.helpers import person
from tests.billing.statement_world import (
    AUGUST,
    IN_OCTOBER,
    SEPTEMBER,
    SHANGHAI,
    a_customer,
    amounts_in,
    booked_as,
    call,
    files_of,
    newest,
)


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
    assert set(kept) == {(kind, language) for kind in ("csv", "pdf", "xlsx") for language in ("en", "zh-hans")}
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
    assert StatementFile.objects.count() == 6


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
@time_machine.travel(IN_OCTOBER, tick=False)
def test_R032_the_workbook_says_what_the_csv_says_in_numbers_and_runs_no_formula() -> None:
    """R032: every row of the CSV in both languages, with numbers as numbers; the bytes do not know when they were made."""
    user = a_customer()
    User.objects.filter(pk=user.pk).update(username="=1+1")
    user.refresh_from_db()
    statement = service.issue_statement(actor=None, owner=user, month_on=AUGUST).statement
    assert statement is not None
    files = {key: content for key, (content, _digest) in files_of(statement).items()}
    for language in ("en", "zh-hans"):
        rows = list(csv.reader(io.StringIO(files["csv", language].decode("utf-8-sig"))))
        sheet = load_workbook(io.BytesIO(files["xlsx", language])).active
        assert all(cell.data_type != "f" for row in sheet.iter_rows() for cell in row)
        found = [[cell.value for cell in row if cell.value is not None] for row in sheet.iter_rows()]
        assert len(found) == len(rows)
        for in_book, in_csv in zip(found, rows, strict=True):
            wanted = [cell for cell in in_csv if cell]
            assert len(in_book) == len(wanted)
            for value, text in zip(in_book, wanted, strict=True):
                assert value == (float(text) if isinstance(value, int | float) else text)
        amounts = [row[-1] for row in found if len(row) > 1 and isinstance(row[-1], float)]
        assert amounts
    document = document_of(statement.figures, statement.number, statement.issued_at)
    first = xlsx_bytes(document)
    with time_machine.travel(datetime(2031, 1, 1, tzinfo=UTC), tick=False):
        assert xlsx_bytes(document) == first
