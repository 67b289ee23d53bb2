"""Large workbooks are made by a worker: asked for once, whole, one's own, taken over when a worker dies."""

import csv
import io
import tempfile
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from openpyxl import load_workbook

from accounts.models import Role, User
from billing.models import ExportJob, ExportPart, PriceVersion
from billing.pricing import RuleFigures
from billing.services import exports, prices
from billing.services.exports import Table, export_for, make_export, make_waiting, register, start_export
from billing.views import exports as pages
from config.foundation.clock import now
from config.foundation.errors import Conflict, InvalidInput, NotFound
from config.foundation.ids import uuid7
from gateway import views_tasks as task_pages
from gateway.models_tasks import MediaTask
from tests.billing.helpers import end, hold, key_of, person, rich
from tests.billing.test_code_batches import together
from tests.billing.test_exports import EVIL

pytestmark = pytest.mark.django_db


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A list is large from 6 rows on, so that a test need not make 5,000."""
    monkeypatch.setattr(pages, "IN_REQUEST", 5)


def with_calls(count: int) -> User:
    user, _purse = rich("ada", 10**9)
    key = key_of(user)
    for n in range(count):
        end(hold(user, 1000, key=key).request_id, 100 + n, user_id=user.pk, key_name=EVIL[n % len(EVIL)], asked_model="m")
    return user


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def book_of(client: Client, job: ExportJob) -> Any:
    answer = client.get(reverse("export_download", args=[job.pk]))
    content = b"".join(answer.streaming_content)
    assert int(answer["Content-Length"]) == len(content) == job.byte_count
    return load_workbook(io.BytesIO(content))


def test_a_long_list_is_made_by_a_worker_and_says_what_the_page_says(
    small: None, django_capture_on_commit_callbacks: Any, settings: Any
) -> None:
    settings.CELERY_TASK_ALWAYS_EAGER = True
    client = signed_in(with_calls(12))
    answer = client.get("/calls/?period=30&export=xlsx")
    job = ExportJob.objects.get()
    assert answer.url == reverse("export_detail", args=[job.pk])
    # Asked again while it is on its way: the same.
    client.get("/calls/?period=30&export=xlsx")
    assert ExportJob.objects.count() == 1
    assert 'hx-trigger="every 2s"' in client.get(answer.url).content.decode()
    assert client.get(reverse("export_download", args=[job.pk])).status_code == 404
    assert make_export(job.pk) == "done"
    job.refresh_from_db()
    assert (job.state, job.row_count) == ("done", 12)
    page = client.get(answer.url).content.decode()
    assert reverse("export_download", args=[job.pk]) in page
    assert "every 2s" not in page
    rows = list(book_of(client, job).active.iter_rows())
    shown = client.get("/calls/?period=30").context["rows"]
    assert [row[0].value for row in rows[1:]] == [call.id.hex for call in shown]
    assert all(cell.data_type != "f" for row in rows for cell in row)
    assert str(job.pk) in client.get(reverse("export_list")).content.decode()


def test_a_short_list_comes_at_once_and_the_csv_always_does(small: None) -> None:
    client = signed_in(with_calls(5))
    assert client.get("/calls/?export=xlsx")["Content-Type"].endswith("sheet")
    client = signed_in(User.objects.get(username="ada"))
    with_more = client.get("/calls/?export=csv")
    assert len(b"".join(with_more.streaming_content).splitlines()) == 6
    assert not ExportJob.objects.exists()


def with_prices() -> User:
    book = prices.create_book(actor=None, code="portal", name="Portal", formula="portal", is_default=True)
    groups = {(f"group-{n}", ""): Decimal(n) for n in range(1, 9)}
    for cents in (100, 110):
        rules = {f"model-{n}": RuleFigures(input_nano=n * cents * 10**7) for n in range(1, 9)}
        prices.publish_version(actor=None, book=book, rules=rules, multipliers=groups, note="")
    return person("finance", Role.FINANCE)


def with_tasks() -> User:
    user = person("ada")
    at = now()
    for n in range(8):
        MediaTask.objects.create(
            id=uuid7(), kind="video", state="completed", user=user, asked_model=f"m{n}", created_at=at, finished_at=at
        )
    return user


# List: (who asks, with what in the database; the address, with what a worker must find).
LARGE: dict[str, tuple[Callable[[], User], str]] = {
    "usage": (lambda: with_calls(3), "/usage/?by=day&export={kind}"),
    "prices": (with_prices, "/prices/versions/{version}/export/?as={kind}"),
    "prices, groups": (with_prices, "/prices/versions/{version}/export/?what=multipliers&as={kind}"),
    "price-comparison": (with_prices, "/prices/compare/?export={kind}"),
    "tasks": (with_tasks, "/tasks/?period=30&export={kind}"),
}


@pytest.mark.parametrize("name", LARGE)
def test_every_list_is_made_by_a_worker_when_it_is_long(small: None, name: str) -> None:
    """The workbook of the worker has the lines of the CSV of the same address."""
    make, address = LARGE[name]
    client = signed_in(make())
    version = PriceVersion.objects.order_by("-pk").first()
    known = {"version": version.pk if version else 0}
    plain = b"".join(client.get(address.format(kind="csv", **known)).streaming_content).decode("utf-8-sig")
    assert client.get(address.format(kind="xlsx", **known)).status_code == 302
    job = ExportJob.objects.get()
    assert job.name == name.split(",")[0]
    assert make_export(job.pk) == "done"
    job.refresh_from_db()
    assert job.row_count > 5
    rows = [
        ["" if cell is None else str(cell) for cell in row] for row in book_of(client, job).active.iter_rows(values_only=True)
    ]
    lines = list(csv.reader(io.StringIO(plain)))
    assert len(lines) > 6
    assert [row[0] for row in rows] == [line[0] for line in lines]
    assert rows[0] == lines[0]
    assert job.row_count == len(lines) - 1


def test_tasks_beyond_the_limit_are_told_in_the_last_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(task_pages, "EXPORT_LIMIT", 5)
    answer = signed_in(with_tasks()).get("/tasks/?period=30&export=csv")
    lines = b"".join(answer.streaming_content).decode().splitlines()
    assert len(lines) == 1 + 5 + 1
    assert lines[-1].startswith("The export stops here")


def test_an_export_is_its_owner_s_alone_and_keeps_within_their_rights(small: None) -> None:
    user = with_calls(6)
    job = start_export(actor=user, name="calls", query="period=30")
    stranger = person("eve")
    with pytest.raises(NotFound):
        export_for(stranger, job.pk)
    for name in ("export_detail", "export_download"):
        assert signed_in(stranger).get(reverse(name, args=[job.pk])).status_code == 404
    refused = start_export(actor=stranger, name="house-ledger", query="")
    assert make_export(refused.pk) == "failed"
    assert not ExportPart.objects.exists()
    with pytest.raises(InvalidInput):
        start_export(actor=stranger, name="no-such", query="")
    for n in range(2):
        start_export(actor=user, name="calls", query=f"period={n}")
    with pytest.raises(Conflict):
        start_export(actor=user, name="calls", query="period=90")


def test_a_job_of_a_dead_worker_is_taken_over_and_the_dead_one_writes_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first worker stops in the middle (its process is gone for the second); when it wakes up it finds it lost the job."""
    user, taken = person("ada"), []
    monkeypatch.setattr(exports, "STEP", 2)

    def rows() -> Any:
        for n in range(9):
            if n == 5 and not taken:
                taken.append(n)
                ExportJob.objects.update(touched_at=now() - timedelta(minutes=6))
                assert make_waiting() == 1
            yield [n, "=1+1"]

    register("test-list", lambda _user, _query: Table(["n", "text"], rows()))
    job = start_export(actor=user, name="test-list", query="")
    assert make_export(job.pk) == "done"
    job.refresh_from_db()
    assert job.row_count == 9
    sheet = book_of(signed_in(user), job).active
    assert [row[0].value for row in islice(sheet.iter_rows(), 1, None)] == list(range(9))
    assert make_export(job.pk) == "done"
    assert make_waiting() == 0


def test_what_breaks_is_failed_and_old_files_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    user = person("ada")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    def broken() -> Any:
        yield [1]
        raise RuntimeError("the disk")

    register("test-broken", lambda _user, _query: Table(["n"], broken()))
    job = start_export(actor=user, name="test-broken", query="")
    assert make_export(job.pk) == "failed"
    assert not list(tmp_path.iterdir())
    assert "could not be made" in signed_in(user).get(reverse("export_detail", args=[job.pk])).content.decode()
    ExportJob.objects.update(created_at=now() - timedelta(hours=25))
    assert make_waiting() == 0
    assert not ExportJob.objects.exists()


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_four_workers_at_once_make_it_once() -> None:
    user = with_calls(7)
    job = start_export(actor=user, name="calls", query="period=30")
    answers = together([lambda: make_export(job.pk)] * 4)
    assert set(answers) <= {"done", "running"}
    assert "done" in answers
    job.refresh_from_db()
    assert (job.state, job.row_count, job.parts.count()) == ("done", 7, 1)


def test_a_full_sheet_is_followed_by_another(monkeypatch: pytest.MonkeyPatch) -> None:
    from billing import exports as files

    monkeypatch.setattr(files, "SHEET_ROWS", 3)
    target = io.BytesIO()
    files.write_book(target, ["n"], ([n] for n in range(7)))
    book = load_workbook(io.BytesIO(target.getvalue()))
    assert [[row[0].value for row in sheet.iter_rows()] for sheet in book] == [["n", 0, 1, 2], ["n", 3, 4, 5], ["n", 6]]
