"""Exports: the same rows in both formats, nothing a spreadsheet would run, numbers as numbers, and what the page shows."""

import csv
import io
from typing import Any

import pytest
from django.http import FileResponse, StreamingHttpResponse
from django.test import Client
from openpyxl import load_workbook

from billing.exports import csv_response, table_response, xlsx_response
from config.foundation.money import decimal_usd
from tests.billing.helpers import end, hold, key_of, rich

EVIL = ["=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "=HYPERLINK(\"http://x\")"]  # fmt: skip


def read_csv(answer: Any) -> list[list[str]]:
    return list(csv.reader(io.StringIO(b"".join(answer.streaming_content).decode("utf-8-sig"), newline="")))


def read_xlsx(answer: Any) -> list[list[Any]]:
    sheet = load_workbook(io.BytesIO(b"".join(answer.streaming_content))).active
    return [[cell.value for cell in row] for row in sheet.iter_rows()]


def test_formulas_are_text_in_both_formats() -> None:
    rows = [[text, 5, "-1.500000000"] for text in EVIL]
    assert [row[0] for row in read_csv(csv_response("x", ["name", "n", "usd"], rows))[1:]] == ["'" + text for text in EVIL]
    book = load_workbook(io.BytesIO(b"".join(xlsx_response("x", ["=name", "n", "usd"], rows).streaming_content))).active
    for row in book.iter_rows():
        assert all(cell.data_type != "f" for cell in row)
    assert [row[0].value.lstrip("'").strip() for row in book.iter_rows(min_row=2)] == [text.strip() for text in EVIL]
    assert [row[1].value for row in book.iter_rows(min_row=2)] == [5] * len(EVIL)
    assert [row[2].value for row in book.iter_rows(min_row=2)] == [-1.5] * len(EVIL)


def test_long_numbers_stay_whole_and_bad_characters_do_not_break_a_book() -> None:
    found = read_xlsx(xlsx_response("x", ["a", "b"], [["12345678901234567890", "a\x00b\x1f"], [None, "1e999"]]))
    assert found[1:] == [["12345678901234567890", "ab"], [None, "1e999"]]


def test_both_are_sent_in_pieces_and_named() -> None:
    for kind, wanted in (("csv", StreamingHttpResponse), ("xlsx", FileResponse), ("nonsense", StreamingHttpResponse)):
        answer = table_response(kind, "calls", ["a"], iter([["1"]]))
        assert isinstance(answer, wanted)
        assert answer.streaming
        assert f"calls.{'xlsx' if kind == 'xlsx' else 'csv'}" in answer["Content-Disposition"]
        assert answer["Cache-Control"] == "no-store"


@pytest.mark.django_db
def test_calls_and_ledger_say_the_same_as_their_pages(client: Client) -> None:
    user, purse = rich("ada", 10**9)
    key = key_of(user, "=1+1")
    for n in range(12):
        call = hold(user, 1000, key=key).request_id
        end(call, 100 + n, user_id=user.pk, key_name="=1+1", key_tail="ab12", asked_model="m", output_tokens=3)
    client.force_login(user)
    page = client.get("/calls/")
    rows, book = read_csv(client.get("/calls/?export=csv")), read_xlsx(client.get("/calls/?export=xlsx"))
    assert [row[0] for row in rows[1:]] == [call.id.hex for call in page.context["rows"]] == [row[0] for row in book[1:]]
    assert [row[13] for row in rows[1:]] == [decimal_usd(call.cost_nano) for call in page.context["rows"]]
    assert {row[5] for row in rows[1:]} == {"'=1+1"}
    page = client.get("/billing/?calls=yes")
    rows, book = (
        read_csv(client.get("/billing/?calls=yes&export=csv")),
        read_xlsx(client.get("/billing/?calls=yes&export=xlsx")),
    )
    shown = [item["line"] for item in page.context["lines"]]
    assert [row[0] for row in rows[1:]] == [str(line.entry_id) for line in shown] == [str(row[0]) for row in book[1:]]
    assert [row[6] for row in rows[1:]] == [decimal_usd(line.amount_nano) for line in shown]
    assert sum(round(row[6] * 10**9) for row in book[1:]) == 10**9 - sum(100 + n for n in range(12))
    purse.refresh_from_db()
    assert sum(round(float(row[6]) * 10**9) for row in rows[1:]) == purse.balance_nano
