"""Pages of prices: the import of a list with its preview, the comparison, and what a failed call costs."""

import io
from collections.abc import Callable
from datetime import timedelta

import openpyxl
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from accounts.models import User
from billing.models import OutcomeRuleSet, PriceBook, PriceVersion
from billing.pricing import RuleFigures, image_key, video_key
from billing.services import prices
from billing.services.price_drafts import rules_of
from config.foundation.clock import now
from tests.pages.conftest import DOLLAR, World

SignIn = Callable[[User], Client]
HEAD = "model,basis,input,cached_input,output,per_call,units,rounding,rounded_to\n"
LIST = HEAD + (
    "gpt-4o,token,2.75,,11,,,,\n"
    "image-one,token,,,,,image:1024x1024:hd=0.08; image:1024x1024:*=0.04,,\n"
    "video-one,token,,,,,video:720p=0.1,up,0.000001\n"
    "@cf/meta/llama,token,0.1,0.05,0.2,,,,\n"
)


def upload(text: str | bytes, name: str = "list.csv") -> SimpleUploadedFile:
    return SimpleUploadedFile(name, text.encode() if isinstance(text, str) else text)


def look(client: Client, text: str | bytes = LIST, name: str = "list.csv", **more: object) -> object:
    return client.post("/prices/books/portal/import/", {"file": upload(text, name), "rise_percent": "20", **more})


def test_a_list_is_shown_row_by_row_and_written_only_when_confirmed(world: World, as_person: SignIn) -> None:
    client = as_person(world.finance)
    before = PriceVersion.objects.count()
    page = look(client)
    assert page.status_code == 200, page.content
    states = {row.model: (row.state, bool(row.marks)) for row in page.context["rows"]}
    assert states == {
        "gpt-4o": ("changed", False),
        "image-one": ("new", False),
        "video-one": ("new", False),
        "@cf/meta/llama": ("new", False),
    }
    changed = next(row for row in page.context["rows"] if row.model == "gpt-4o")
    assert [(x.name, x.old, x.new) for x in changed.changes] == [("input", "2.5", "2.75"), ("output", "10", "11")]
    assert PriceVersion.objects.count() == before, "a preview writes nothing"
    done = client.post("/prices/books/portal/import/", {"list": page.context["list"]})
    assert (done.status_code, done["Location"]) == (302, "/prices/")
    version = PriceVersion.objects.latest("pk")
    found = rules_of(version)
    assert found["gpt-4o"] == RuleFigures(input_nano=2_750_000_000, output_nano=11 * DOLLAR)
    assert found["image-one"].unit_prices == {image_key("1024x1024", "hd"): 80_000_000, image_key("1024x1024"): 40_000_000}
    assert found["video-one"] == RuleFigures(
        unit_prices={video_key("720p"): 100_000_000}, rounding="up", rounding_step_nano=1000
    )
    again = client.post("/prices/books/portal/import/", {"list": page.context["list"]})
    assert again.status_code == 422, "the book has moved on"
    assert PriceVersion.objects.count() == before + 1


@pytest.mark.parametrize("kind", ["csv", "xlsx"])
def test_what_is_exported_comes_back_as_the_same(world: World, as_person: SignIn, kind: str) -> None:
    client = as_person(world.finance)
    look_and_publish(client)
    version = PriceVersion.objects.latest("pk")
    answer = client.get(f"/prices/versions/{version.pk}/export/?as={kind}")
    raw = b"".join(answer.streaming_content) if answer.streaming else answer.content
    assert (b"'@cf/meta/llama" in raw) is (kind == "csv")
    if kind == "xlsx":
        cells = [cell for row in openpyxl.load_workbook(io.BytesIO(raw)).active.iter_rows() for cell in row]
        assert "'@cf/meta/llama" in [cell.value for cell in cells]
        assert "f" not in {cell.data_type for cell in cells}, "no formula"
    page = look(client, raw, f"list.{kind}")
    assert page.status_code == 200, page.content
    assert {row.state for row in page.context["rows"]} == {"same"}
    assert page.context["may_confirm"] is False


def look_and_publish(client: Client, text: str = LIST, **more: object) -> None:
    page = look(client, text, **more)
    ticks = [row.model for row in page.context["rows"] if row.marks]
    done = client.post("/prices/books/portal/import/", {"list": page.context["list"], "tick": ticks})
    assert done.status_code == 302, done.content


@pytest.mark.parametrize(
    ("row", "mark"),
    [
        ("gpt-4o,token,3.01,,10,,,,\n", "rises by 20.4 %"),
        ("gpt-4o,call,,,,0.04,,,\n", "changes between per token and per call"),
        ("gpt-4o,token,0,,10,,,,\n", "becomes nothing"),
        ("gratis,token,0,,0,,,,\n", "would cost nothing"),
    ],
)
def test_what_looks_like_a_slip_needs_a_tick(world: World, as_person: SignIn, row: str, mark: str) -> None:
    client = as_person(world.finance)
    before = PriceVersion.objects.count()
    page = look(client, HEAD + row)
    (entry,) = page.context["rows"]
    assert any(mark in text for text in entry.marks), entry.marks
    refused = client.post("/prices/books/portal/import/", {"list": page.context["list"]})
    assert refused.status_code == 422
    assert PriceVersion.objects.count() == before
    done = client.post("/prices/books/portal/import/", {"list": refused.context["list"], "tick": [entry.model]})
    assert done.status_code == 302
    assert PriceVersion.objects.count() == before + 1


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("gpt-4o,token,=1+1,,10,,,,\n", "no amount"),
        ("gpt-4o,weekly,1,,10,,,,\n", "there is no basis"),
        ("gpt-4o,token,-1,,10,,,,\n", "out of range"),
        ("gpt-4o,token,1,,10,,picture=3,,\n", "units are written like"),
        ("gpt-4o,token,1,,10,,video:720p=1; video:720p=2,,\n", "twice"),
        ("gpt-4o,token,1,,10,,,sideways,\n", "there is no rounding"),
        ("gpt-4o,token,1,,10,,,up,0\n", "out of range"),
        (",token,1,,10,,,,\n", "needs a model"),
        ("gpt-4o,token,1,,10,,,,\ngpt-4o,token,2,,10,,,,\n", "named twice"),
    ],
)
def test_a_wrong_row_is_refused_with_its_reason_and_nothing_of_the_list_is_taken(
    world: World, as_person: SignIn, row: str, reason: str
) -> None:
    client = as_person(world.finance)
    before = PriceVersion.objects.count()
    page = look(client, HEAD + "good,token,1,,1,,,,\n" + row)
    assert page.status_code == 200
    refused = [entry for entry in page.context["rows"] if entry.state == "refused"]
    assert len(refused) == 1
    assert reason in refused[0].reason
    assert page.context["may_confirm"] is False
    answer = client.post("/prices/books/portal/import/", {"list": page.context["list"], "tick": ["gpt-4o"]})
    assert answer.status_code == 422
    assert PriceVersion.objects.count() == before


@pytest.mark.parametrize(
    ("raw", "name"),
    [
        (b"", "a.csv"),
        (b"\xff\xfe\x00", "a.csv"),
        (b"model,price\na,1\n", "a.csv"),
        (b"model,basis\na,token,1,2\n", "a.csv"),
        (b"PK\x03\x04nonsense", "a.xlsx"),
        (b"model,model\na,b\n", "a.csv"),
        (b'model,basis\n"a', "a.csv"),
    ],
)
def test_a_file_that_is_no_list_is_an_error_of_the_field(world: World, as_person: SignIn, raw: bytes, name: str) -> None:
    page = look(as_person(world.finance), raw, name)
    assert page.status_code == 200
    assert page.context["form"].errors["file"]


def test_a_changed_or_foreign_preview_is_not_taken(world: World, as_person: SignIn) -> None:
    page = look(as_person(world.finance))
    before = PriceVersion.objects.count()
    for client, text in (
        (as_person(world.finance), page.context["list"] + "x"),
        (as_person(world.admin), page.context["list"]),
    ):
        answer = client.post("/prices/books/portal/import/", {"list": text})
        assert (answer.status_code, answer["Location"]) == (302, "/prices/books/portal/import/")
    assert PriceVersion.objects.count() == before


def test_a_list_may_come_into_force_later(world: World, as_person: SignIn) -> None:
    start = now() + timedelta(days=3)
    client = as_person(world.finance)
    look_and_publish(client, valid_from=start.strftime("%Y-%m-%dT%H:%M"))
    version = PriceVersion.objects.latest("pk")
    assert version.valid_from > now() + timedelta(days=1)
    price = prices.price_for(model_name="gpt-4o")
    later = prices.price_for(model_name="gpt-4o", at=start + timedelta(days=1))
    assert price is not None
    assert later is not None
    assert (price.rule.input_nano, later.rule.input_nano) == (2_500_000_000, 2_750_000_000)
    assert "version 2 comes" in client.get("/prices/").content.decode()


def test_models_are_taken_out_only_on_request_and_with_a_tick(world: World, as_person: SignIn) -> None:
    client = as_person(world.finance)
    look_and_publish(client)
    only = HEAD + "gpt-4o,token,2.75,,11,,,,\n"
    assert {row.state for row in look(client, only).context["rows"]} == {"same"}
    page = look(client, only, removes="on")
    assert sorted(row.model for row in page.context["rows"] if row.state == "gone") == [
        "@cf/meta/llama",
        "image-one",
        "video-one",
    ]
    look_and_publish(client, only, removes="on")
    assert set(rules_of(PriceVersion.objects.latest("pk"))) == {"gpt-4o"}


def test_a_book_of_an_old_gateway_takes_no_list(world: World, as_person: SignIn) -> None:
    prices.create_book(actor=None, code="old", name="Old", formula="one_api", quota_per_unit=500_000)
    page = as_person(world.finance).post("/prices/books/old/import/", {"file": upload(LIST), "rise_percent": "20"})
    assert "old gateway" in str(page.context["form"].errors["file"])


def test_two_versions_side_by_side_with_filters_and_exports(world: World, as_person: SignIn) -> None:
    client = as_person(world.finance)
    look_and_publish(client)
    page = client.get("/prices/compare/")
    assert page.status_code == 200
    rows = {row["model"]: row for row in page.context["rows"]}
    assert (rows["gpt-4o"]["percent"], page.context["dearer"]) == ("+10.0 %", 1)
    assert [cell["word"] for cell in rows["video-one"]["cells"]] == ["a second of video 720p"]
    assert [cell["word"] for cell in rows["image-one"]["cells"]] == ["an image 1024x1024", "an image 1024x1024 hd"]
    first, second = PriceVersion.objects.order_by("pk")
    base = f"/prices/compare/?a={first.pk}&b={second.pk}"
    assert client.get(f"{base}&q=gpt").context["count"] == 1
    assert client.get(f"{base}&least=10.1").context["count"] == 0
    assert client.get(f"{base}&least=10").context["count"] == 1
    assert client.get(f"/prices/compare/?a={first.pk}&b={first.pk}&changed=on").context["count"] == 0
    text = b"".join(client.get(f"{base}&export=csv").streaming_content).decode()
    assert "gpt-4o,input,2.500000000,2.750000000,10.0,half_even:1,half_even:1" in text
    assert "'@cf/meta/llama,input,,0.100000000,," in text
    raw = b"".join(client.get(f"{base}&export=xlsx").streaming_content)
    book = openpyxl.load_workbook(io.BytesIO(raw))
    assert ["gpt-4o", "output", 10, 11, "10.0"] in [[cell.value for cell in row[:5]] for row in book.active.iter_rows()]
    for wrong in ("a=x&b=9", "a=999999&b=", "from=999999&least=-1", "input=-5&ga=nobody|"):
        assert client.get(f"/prices/compare/?{wrong}").status_code == 200


def test_only_prices_people_see_and_only_managers_import(world: World, as_person: SignIn) -> None:
    version = PriceVersion.objects.latest("pk")
    seen = ["/prices/", "/prices/compare/", "/prices/outcomes/", f"/prices/versions/{version.pk}/export/"]
    for person, expected in ((world.alice, 403), (world.support, 403), (world.ops, 200), (world.finance, 200)):
        assert {as_person(person).get(address).status_code for address in seen} == {expected}
    for person, expected in ((world.ops, 403), (world.alice, 403), (world.finance, 200)):
        assert as_person(person).get("/prices/books/portal/import/").status_code == expected
    finance = as_person(world.finance)
    for address in ("/prices/books/nothing/import/", "/prices/versions/999999/export/"):
        assert finance.get(address).status_code == 404
    assert look(as_person(world.ops)).status_code == 403
    assert PriceBook.objects.get(code="portal").versions.count() == 1


def test_the_rules_of_outcomes_are_seen_changed_and_read_by_users(world: World, as_person: SignIn) -> None:
    finance, alice = as_person(world.finance), as_person(world.alice)
    page = finance.get("/prices/outcomes/?group=svip")
    assert page.status_code == 200
    assert b"client_gone_before_output-reported" in page.content
    values = {
        f"{event}-{source}": "all"
        for event in ("cut_after_output", "timeout_after_output", "client_gone_after_output", "client_gone_before_output")
        for source in ("reported", "counted")
    }
    values["cut_after_output-counted"] = "nothing"
    done = finance.post("/prices/outcomes/?group=svip", {**values, "note": "contract 12"})
    assert (done.status_code, done["Location"]) == (302, "/prices/outcomes/?group=svip")
    assert OutcomeRuleSet.objects.get(group_code="svip").note == "contract 12"
    rows = {
        row["event"]: (row["reported"].value, row["counted"].value)
        for row in alice.get("/billing/failed-calls/").context["rows"]
    }
    assert rows["cut_after_output"] == ("all", "nothing")
    assert rows["client_gone_before_output"] == ("all", "all")
    assert rows["failed_before_output"] == ("nothing", "nothing")
    bob = {row["event"]: row["reported"].value for row in as_person(world.bob).get("/billing/failed-calls/").context["rows"]}
    assert bob["client_gone_before_output"] == "input"
    wrong = finance.post("/prices/outcomes/?group=svip", {**values, "cut_after_output-counted": "half"})
    assert wrong.status_code == 200
    assert OutcomeRuleSet.objects.filter(group_code="svip").count() == 1
    assert as_person(world.ops).post("/prices/outcomes/", values).status_code == 403
    assert finance.post("/prices/outcomes/?group=svip", {"withdraw": "yes"}).status_code == 302
    rows = {row["event"]: row["counted"].value for row in alice.get("/billing/failed-calls/").context["rows"]}
    assert rows["cut_after_output"] == "all"
    assert OutcomeRuleSet.objects.filter(group_code="svip").count() == 2
