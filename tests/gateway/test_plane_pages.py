"""Pages of data planes: who sees them, a token shown once, what is asked, what is behind."""

from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import AuditEvent, Role, User
from accounts.services.people import create_person
from gateway.models import DataPlane, DataPlaneInstance, PlaneEvent, PlaneTally, RelayInstance
from gateway.services.planes import create_plane, plane_of
from tests.gateway.planes import Plane

pytestmark = pytest.mark.django_db
BACKEND = "allauth.account.auth_backends.AuthenticationBackend"


def someone(role: str) -> User:
    return create_person(actor=None, username=f"some-{role}", email=f"{role}@example.org", role=role)


@pytest.fixture
def ops(client: Client, clean_cache: object) -> Client:
    client.force_login(someone(Role.OPS), backend=BACKEND)
    return client


@pytest.fixture
def plane() -> Plane:
    return Plane.new("eu-1")


@pytest.mark.parametrize("role", Role.values)
def test_only_administrators_and_operators_see_and_change_data_planes(client: Client, plane: Plane, role: str):
    client.force_login(someone(role), backend=BACKEND)
    may = role in (Role.ADMIN, Role.OPS)
    pages = ("", "new/", f"{plane.row.pk}/", f"{plane.row.pk}/token/", f"{plane.row.pk}/revoke/")
    assert {client.get(f"/data-planes/{page}").status_code for page in pages} == {200 if may else 403}
    acts = (("ask/", {"wanted": "drain"}), ("secrets/", {"allowed": "yes"}), ("revoke/", {}))
    for path, body in acts:
        assert client.post(f"/data-planes/{plane.row.pk}/{path}", body).status_code == (302 if may else 403)
    plane.row.refresh_from_db()
    found = (plane.row.wanted, plane.row.may_read_secrets, plane.row.state)
    assert found == (("drain", True, "revoked") if may else ("", False, "active"))
    assert client.get("/data-planes/999999/").status_code == (404 if may else 403)


def test_a_token_is_shown_once_and_a_page_sent_again_makes_no_second(ops: Client):
    body = {"name": "eu-1", "kind": "litellm", "once": "word"}
    page = ops.post("/data-planes/new/", body)
    clear = page.context["clear"]
    assert clear in page.content.decode()
    assert "no-store" in page.headers["Cache-Control"]
    found = plane_of(clear)
    assert found is not None
    assert (found.name, found.kind, found.may_read_secrets) == ("eu-1", "litellm", False)
    assert ops.post("/data-planes/new/", body).status_code == 302
    assert DataPlane.objects.count() == 1
    again = ops.post("/data-planes/new/", {**body, "once": "other"})
    assert again.status_code == 422
    assert "There is a data plane of this name." in again.context["form"].errors["name"][0]
    detail = ops.get(f"/data-planes/{found.pk}/").content.decode()
    assert clear not in detail
    assert clear[-4:] in detail
    assert clear not in str(list(AuditEvent.objects.values()))


@pytest.mark.parametrize("bad", [{"name": ""}, {"name": " "}, {"kind": "embedded"}, {"kind": "x"}, {"name": "sk-" + "a1" * 24}])
def test_what_cannot_be_a_data_plane_is_a_field_error(ops: Client, bad: dict):
    answer = ops.post("/data-planes/new/", {"name": "x", "kind": "litellm", "once": "w", **bad})
    assert answer.status_code == 422
    assert set(answer.context["form"].errors) == set(bad)
    assert not DataPlane.objects.exists()


def test_a_new_token_and_the_end_of_the_old_one(ops: Client, plane: Plane):
    page = ops.post(f"/data-planes/{plane.row.pk}/token/", {"overlap_hours": 0, "once": "a"})
    assert plane_of(plane.token) is None
    assert plane_of(page.context["clear"]) == plane.row
    assert ops.post(f"/data-planes/{plane.row.pk}/token/", {"overlap_hours": 0, "once": "a"}).status_code == 302
    assert plane_of(page.context["clear"]) == plane.row
    assert ops.post(f"/data-planes/{plane.row.pk}/token/", {"overlap_hours": 99, "once": "b"}).status_code == 422
    ops.post(f"/data-planes/{plane.row.pk}/revoke/")
    assert plane_of(page.context["clear"]) is None
    assert ops.post(f"/data-planes/{plane.row.pk}/token/", {"overlap_hours": 1, "once": "c"}).status_code == 422
    actions = list(AuditEvent.objects.filter(action__startswith="data_plane.").order_by("pk").values_list("action", flat=True))
    assert actions == ["data_plane.created", "data_plane.rotated", "data_plane.revoked"]


def test_the_list_says_who_is_behind_and_who_is_silent(ops: Client, plane: Plane):
    current = plane.get("config").json()["version"]
    moment = timezone.now()
    DataPlaneInstance.objects.bulk_create(
        DataPlaneInstance(plane=plane.row, name=name, seen_at=moment - timedelta(seconds=ago), **fields)
        for name, ago, fields in (
            ("fine", 3, {"config_version": current, "spool_depth": 5, "inflight": 2}),
            ("slow", 3, {"config_version": current, "spool_depth": 700, "oldest_unacked_s": 400}),
            ("old", 3, {"config_version": "x"}),
            ("gone", 120, {"config_version": current}),
            ("long gone", 9_000, {}),
        )
    )
    states = ops.get(f"/data-planes/{plane.row.pk}/").context["state"]
    assert {one.row.name: one.state for one in states.instances} == {
        "fine": "good",
        "slow": "warn",
        "old": "warn",
        "gone": "bad",
    }
    assert (states.waiting, states.oldest_s, states.inflight, states.state) == (705, 400, 2, "bad")
    page = ops.get("/data-planes/").content.decode()
    assert "silent" in page
    create_plane(actor=None, name="eu-2", kind="other")
    assert "not heard of" in ops.get("/data-planes/").content.decode()


def test_refused_events_and_hours_that_differ_are_shown(ops: Client, plane: Plane):
    moment = timezone.now()
    PlaneEvent.objects.create(plane=plane.row, source="e-1", event_id="evt-9", fingerprint=b"x" * 16, status="rejected",
                              reason="no_reservation", received_at=moment)  # fmt: skip
    figures = dict.fromkeys(("told_calls", "told_input", "told_output", "our_calls", "our_input", "our_output"), 5)
    for hour, ours in ((0, 5), (1, 4)):
        PlaneTally.objects.create(plane=plane.row, source="e-1", hour_at=moment - timedelta(hours=hour), told_at=moment,
                                  **{**figures, "our_calls": ours})  # fmt: skip
    page = ops.get(f"/data-planes/{plane.row.pk}/")
    assert [row.event_id for row in page.context["refused"]] == ["evt-9"]
    assert [row.our_calls for row in page.context["differences"]] == [4]
    assert "no_reservation" in page.content.decode()


def test_the_list_costs_the_same_for_many(ops: Client, django_assert_max_num_queries: object):
    for n in range(6):
        row, _ = create_plane(actor=None, name=f"eu-{n}", kind="litellm")
        DataPlaneInstance.objects.create(plane=row, name="x", seen_at=timezone.now())
    ops.get("/data-planes/")
    with django_assert_max_num_queries(12):  # type: ignore[operator]
        assert len(ops.get("/data-planes/").context["states"]) == 6


def test_embedded_relays_stand_on_the_page_and_an_old_spool_is_said_in_words(ops: Client, plane: Plane):
    moment = timezone.now()
    for name, seconds_ago, depth, oldest in (
        ("well", 5, 3, 1),
        ("behind", 5, 37, 240),
        ("silent", 300, 0, 0),
        ("gone", 7200, 9, 999),
    ):
        RelayInstance.objects.create(
            name=name,
            started_at=moment - timedelta(hours=3),
            seen_at=moment - timedelta(seconds=seconds_ago),
            spool_depth=depth,
            oldest_unacked_s=oldest,
        )
    page = ops.get("/data-planes/")
    assert [(one.row.name, one.state) for one in page.context["relays"]] == [
        ("silent", "bad"),
        ("behind", "warn"),
        ("well", "good"),
    ]
    text = page.content.decode()
    assert text.count("ends of calls wait at") == 1
    assert "<strong>37</strong> ends of calls wait at behind, the oldest for 240 s." in text
    DataPlaneInstance.objects.create(plane=plane.row, name="engine-1", seen_at=moment, spool_depth=1, oldest_unacked_s=500)
    said = "<strong>1</strong> end of a call waits at engine-1, for 500 s."
    for address in ("/data-planes/", f"/data-planes/{plane.row.pk}/"):
        assert said in ops.get(address).content.decode()
    DataPlane.objects.update(state="revoked", revoked_at=moment)
    assert said not in ops.get("/data-planes/").content.decode()
