"""Pages and API of creative tasks: who sees what, exact counts, templates, and what operators decide."""

import json
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import AuditEvent, Group, GroupMembership, Role, User
from config.foundation.clock import now
from config.foundation.errors import InvalidInput, NotAllowed
from config.foundation.ids import uuid7
from gateway.contract.tasks import kept_parameters
from gateway.models_tasks import MediaTask, TaskTemplate
from gateway.services import templates
from models_catalog import services as catalog
from models_catalog.description_form import rows_of, rules_from
from models_catalog.known_targets import KNOWN
from models_catalog.models import UpstreamModel
from models_catalog.parameters import wanted_from
from tests.billing.helpers import person

pytestmark = pytest.mark.django_db


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def staff(name: str, role: str) -> User:
    return person(name, role)


def team_of(*members: tuple[User, str], code: str = "studio") -> Group:
    team = Group.objects.create(code=code, name=code.title(), kind=Group.Kind.TEAM)
    for user, role in members:
        GroupMembership.objects.create(group=team, user=user, team_role=role)
    return team


def task(**fields: Any) -> MediaTask:
    moment = now()
    values = {
        "id": uuid7(),
        "kind": "video",
        "state": "completed",
        "asked_model": "m",
        "created_at": moment,
        "finished_at": moment,
    }
    values |= fields
    if values["state"] not in MediaTask.CLOSED:
        values["finished_at"] = None
    return MediaTask.objects.create(**values)


def test_a_person_sees_their_own_a_content_lead_the_team_s_and_support_all():
    ann, lea, eve, sam = person("ann"), staff("lea", Role.CONTENT_LEAD), person("eve"), staff("sam", Role.SUPPORT)
    team = team_of((ann, "member"), (lea, "member"))
    own, of_team, strange = task(user=ann), task(team=team), task(user=eve)
    seen = {
        who: {row.pk for row in signed_in(who).get(reverse("task_list")).context["page"].rows} for who in (ann, lea, eve, sam)
    }
    assert seen[ann] == {own.pk}
    assert seen[lea] == {of_team.pk}
    assert seen[eve] == {strange.pk}
    assert seen[sam] == {own.pk, of_team.pk, strange.pk}
    for who, code in ((ann, 404), (lea, 200), (eve, 404), (sam, 200)):
        assert signed_in(who).get(reverse("task_detail", args=[of_team.public_id])).status_code == code
    assert signed_in(ann).get(reverse("task_detail", args=["video_nonsense"])).status_code == 404
    for who in (ann, lea, sam):
        assert signed_in(who).get(reverse("task_desk")).status_code == 403
        assert signed_in(who).get("/api/portal/tasks/" + strange.public_id + "/").status_code == (200 if who is sam else 404)


def test_R053_filters_have_exact_counts_and_the_download_has_every_row():
    """R053: filters give exact counts; the inner route is on no page of a customer."""
    ann = person("ann")
    for n in range(60):
        failed = n % 6 == 0
        task(
            user=ann,
            kind="image" if n % 2 else "video",
            state="failed" if failed else "completed",
            failure_code="content_policy" if failed else "",
            asked_model="m1" if n % 3 else "m2",
            cost_nano=0 if failed else 10_000_000,
            upstream_name="inner-name",
            created_at=now() - timedelta(days=n % 4),
        )
    client = signed_in(ann)

    def count(**query: Any) -> tuple[int, int]:
        page = client.get(reverse("task_list"), query).context["page"]
        return page.count, page.cost_nano

    assert count() == (60, 500_000_000)
    assert count(kind="image") == (30, 300_000_000)
    assert count(state="failed") == (10, 0)
    assert count(state="open") == (0, 0)
    assert count(reason="content_policy", model="m2") == (10, 0)
    assert count(model="m1", kind="video") == (20, 200_000_000)
    assert count(period="1") == (15, 100_000_000)
    first = client.get(reverse("task_list"))
    assert len(first.context["page"].rows) == 50
    second = client.get(reverse("task_list"), {"before": first.context["page"].next_before})
    assert len(second.context["page"].rows) == 10
    assert "inner-name" not in first.content.decode()
    text = b"".join(client.get(reverse("task_list"), {"export": "csv", "state": "failed"}).streaming_content).decode()
    assert text.count("content_policy") == 10
    assert client.get("/api/portal/tasks/", {"state": "failed"}).json()["results"][0]["failure_code"] == "content_policy"
    assert client.get("/api/portal/tasks/", {"state": "odd"}).status_code == 422


def test_R055_a_template_has_versions_that_stay_and_only_leads_write():
    """R055: an edit makes v2, v1 stays; a member of the team reads and may not write."""
    lea, ann, eve = staff("lea", Role.CONTENT_LEAD), person("ann"), person("eve")
    team = team_of((lea, "member"), (ann, "member"))
    model = catalog.create_model(actor_name="t", figures=catalog.ModelFigures(name="paint", modality="image"))
    catalog.set_access(actor_name="t", model=model, group_codes=["*"])
    client = signed_in(lea)
    made = client.post(
        reverse("template_new"),
        {"team": team.pk, "name": "poster", "model_name": "paint", "parameters": '{"seed": 0, "watermark": false}'},
    )
    template = TaskTemplate.objects.get()
    assert made.url == reverse("template_detail", args=[template.pk])
    again = {"model_name": "paint", "parameters": '{"watermark": false, "seed": 0}'}
    client.post(reverse("template_edit", args=[template.pk]), again)
    assert template.versions.count() == 1
    client.post(reverse("template_edit", args=[template.pk]), {"model_name": "paint", "parameters": '{"seed": 7}'})
    assert list(template.versions.order_by("number").values_list("number", "parameters")) == [
        (1, {"seed": 0, "watermark": False}),
        (2, {"seed": 7}),
    ]
    assert [signed_in(who).get(reverse("template_detail", args=[template.pk])).status_code for who in (lea, ann, eve)] == [
        200, 200, 404,
    ]  # fmt: skip
    assert signed_in(ann).post(reverse("template_edit", args=[template.pk]), again).status_code == 403
    with pytest.raises(NotAllowed):
        templates.create_template(actor=ann, team=team, name="x", model_name="paint", parameters={})
    for bad in ({"prompt": "a house"}, {"image": "x"}, {"key": "sk-abcdefghijklmnop1234"}, {"a b": 1}):
        with pytest.raises(InvalidInput):
            templates.create_template(actor=lea, team=team, name="x", model_name="paint", parameters=bad)
    assert TaskTemplate.objects.count() == 1
    bad = client.post(reverse("template_new"), {"team": team.pk, "name": "p2", "model_name": "paint", "parameters": "[1"})
    assert bad.context["form"].errors["parameters"]
    api = client.post(
        f"/api/portal/task-templates/{template.pk}/versions/",
        json.dumps({"model_name": "paint", "parameters": {"seed": 9}}),
        content_type="application/json",
    )
    assert (api.status_code, api.json()["number"]) == (201, 3)
    assert client.get("/api/portal/task-templates/").json()["results"][0]["versions"][2]["parameters"] == {
        "seed": 0,
        "watermark": False,
    }
    assert AuditEvent.objects.filter(action="template.edited").count() == 2
    signed_in(lea).post(reverse("template_switch", args=[template.pk]))
    assert TaskTemplate.objects.get().is_active is False


def described(model_name: str, takes: Any) -> None:
    provider = catalog.ensure_provider(actor_name="t", code="prov", name="Prov")
    model = catalog.create_model(actor_name="t", figures=catalog.ModelFigures(name=model_name, modality="image"))
    catalog.set_access(actor_name="t", model=model, group_codes=["*"])
    upstream = catalog.create_upstream(
        actor_name="t", name=f"inner {model_name}", provider=provider, base_url="https://up.example.org", credential="sk-up-1"
    )
    catalog.serve_model(actor_name="t", upstream=upstream, model=model, upstream_name=f"their-{model_name}")
    catalog.describe_target(actor_name="t", target=UpstreamModel.objects.get(model=model), parameters=takes)


def test_the_check_of_parameters_names_fields_and_hides_the_inner_route():
    described("paint", {"parameters": {"size": {"values": ["1024x1024"]}, "seed": {"type": "integer", "min": 0, "max": 9}}})
    ann, ops = person("ann"), staff("ops", Role.OPS)
    asked = {"model": "paint", "parameters": '{"size": "9x9", "seed": 0, "extra": 1}', "has_text": "on"}
    page = signed_in(ann).post(reverse("task_preflight"), asked)
    (verdict,) = page.context["found"].verdicts
    assert [(one.field, one.allowed) for one in verdict.problems] == [("size", "1024x1024")]
    assert "inner paint" not in page.content.decode()
    assert "inner paint" in signed_in(ops).post(reverse("task_preflight"), asked).content.decode()
    body = {"model": "paint", "parameters": {"seed": 10}}
    found = signed_in(ann).post("/api/portal/tasks/preflight/", json.dumps(body), content_type="application/json").json()
    assert (found["is_accepted"], found["targets"][0]["problems"]) == (
        False,
        [{"field": "seed", "allowed": "a whole number from 0 to 9"}],
    )
    missing = {"model": "no-such", "parameters": {}}
    assert (
        signed_in(ann).post("/api/portal/tasks/preflight/", json.dumps(missing), content_type="application/json").status_code
        == 404
    )
    with pytest.raises(InvalidInput):
        catalog.describe_target(actor_name="t", target=UpstreamModel.objects.get(), parameters={"parametres": {}})


def test_a_description_is_edited_in_the_admin_and_known_models_are_filled_in():
    described("paint", {})
    ops = staff("ops", Role.OPS)
    target = UpstreamModel.objects.get()
    client = signed_in(ops)
    address = reverse("admin:models_catalog_upstreammodel_change", args=[target.pk])
    assert client.get(address).status_code == 200

    def rows(*given: dict[str, str]) -> dict[str, str]:
        return {f"rules-{n}-{name}": value for n, row in enumerate(given) for name, value in row.items()} | {"rules-count": "9"}

    size = {"name": "size", "values": "1024x1024, 1536x1024", "default": "1024x1024"}
    seed = {"name": "seed", "type": "integer", "min": "0", "max": "4294967295", "required": "on"}
    length = {"name": "seconds", "values": '"4", 8, "a, b"'}
    good = {"inputs": ["text", "image"], "references_max": "2", "strict": "on", "reason": "book"}
    client.post(address, {**good, **rows(size, {}, seed, length, {"name": "audio", "refused": "on"})})
    target.refresh_from_db()
    written = {
        "inputs": ["text", "image"],
        "references": {"max": 2},
        "parameters": {
            "size": {"values": ["1024x1024", "1536x1024"], "default": "1024x1024"},
            "seed": {"type": "integer", "min": 0, "max": 4294967295, "required": True},
            "seconds": {"values": ["4", 8, "a, b"]},
            "audio": {"supported": False},
        },
        "strict": True,
    }
    assert target.parameters == written
    page = client.get(address)
    shown = page.context["adminform"].form.initial["rules"]
    assert rules_from(shown) == written["parameters"]
    assert "&quot;4&quot;, 8, &quot;a, b&quot;" in page.content.decode()
    bad = [
        ({**size, "name": ""}, "Row 1: the name of the parameter is missing"),
        ({**seed, "min": "few"}, "Row 1 (seed): the smallest is not a number"),
        ({**seed, "min": "9", "max": "3"}, "Row 1 (seed): the smallest is above the largest"),
        ({**size, "min": "1"}, "Row 1 (size): either values or limits, not both"),
        ({"name": "audio", "refused": "on", "values": "x"}, "Row 1 (audio): a parameter that is refused takes no values"),
        ({"name": "x", "values": '"open'}, "has quotes that do not end"),
        ({**size, "default": "7x7"}, "cannot be read"),
        ({"name": "x", "type": "smell"}, "There is no such type."),
    ]
    for row, said in bad:
        answer = client.post(address, {**good, **rows(row)})
        assert answer.status_code == 200
        assert said in unescape(answer.content.decode())
    twice = unescape(client.post(address, {**good, **rows(size, size)}).content.decode())
    assert "Row 2 (size): the name stands in another row too" in twice
    assert "At most is less" in client.post(address, {**good, "references_min": "3", **rows()}).content.decode()
    assert client.post(address, {"inputs": ["smell"], **rows()}).status_code == 200
    target.refresh_from_db()
    assert target.parameters == written
    client.post(address, rows())
    target.refresh_from_db()
    assert target.parameters == {}
    catalog.describe_target(actor_name="t", target=target, parameters={})
    UpstreamModel.objects.update(upstream_name="gpt-image-1")
    client.post(
        reverse("admin:models_catalog_upstreammodel_changelist"), {"action": "fill_in", "_selected_action": [target.pk]}
    )
    target.refresh_from_db()
    assert target.parameters["references"] == {"min": 0, "max": 16}


def test_support_finds_a_running_task_by_either_id_and_operators_decide_on_the_page():
    ann, sam, ops = person("ann"), person("sam", Role.SUPPORT), person("ops", Role.OPS)
    running = task(user=ann, state="in_progress")
    for text in (running.public_id, running.pk.hex):
        assert signed_in(sam).get(reverse("find"), {"q": text}).url == reverse("task_detail", args=[running.public_id])
    doubtful = task(user=ann, state="unknown", doubt="create 502", held_nano=5)
    assert "create 502" not in signed_in(ann).get(reverse("task_detail", args=[doubtful.public_id])).content.decode()
    client = signed_in(ops)
    desk = client.get(reverse("task_desk"))
    assert [row.pk for row in desk.context["tasks"]] == [doubtful.pk]
    address = reverse("task_decide", args=[doubtful.public_id])
    missing = client.post(address, {"decision": "settle", "note": "seen"})
    assert missing.context["form"].errors["seconds"]
    linked = client.post(address, {"decision": "link", "upstream_task_id": "video_abc", "note": "seen in the list"})
    assert linked.url == reverse("task_detail", args=[doubtful.public_id])
    doubtful.refresh_from_db()
    assert (doubtful.state, doubtful.upstream_task_id, doubtful.decided_by) == ("in_progress", "video_abc", ops)
    other = task(user=ann, state="unknown", doubt="create 502")
    twice = client.post(
        reverse("task_decide", args=[other.public_id]), {"decision": "link", "upstream_task_id": "video_abc", "note": "x"}
    )
    assert twice.context["form"].non_field_errors()
    assert signed_in(sam).get(address).status_code == 403
    assert signed_in(ann).post(address, {"decision": "release", "note": "x"}).status_code == 403


def test_what_is_kept_of_parameters_is_no_text():
    given = {
        "seed": 0, "watermark": False, "size": "1024x1024", "style_text": "a house by the sea", "lyrics": "sea",
        "negative_prompt": "no cats", "tags": ["a", "b"], "nested": {"x": 1}, "seconds": "4", "note": None,
    }  # fmt: skip
    kept = kept_parameters(wanted_from({"prompt": "secret words", **given}))
    assert kept == {
        "seed": 0, "watermark": False, "size": "1024x1024", "style_text": {"characters": 18}, "lyrics": {"characters": 3},
        "tags": {"items": 2}, "nested": {"fields": 1}, "seconds": 4, "note": None,
    }  # fmt: skip
    described = kept_parameters(wanted_from({"voice": "calm"}), {"voice": {"values": ["calm", "loud"]}})
    assert described == {"voice": "calm"}


def test_a_web_hook_for_tasks_is_made_on_the_page_of_web_hooks(settings: Any):
    ann = person("ann")
    client = signed_in(ann)
    page = client.post(reverse("alert_hook_list"), {"url": "https://example.com/done", "scope": "me", "purpose": "tasks"})
    assert page.context["clear"].startswith("whsec_")
    assert list(ann.hooks.values_list("purpose", flat=True)) == ["tasks"]
    assert client.get(reverse("alert_hook_detail", args=[ann.hooks.get().pk])).status_code == 200


@pytest.mark.parametrize("name", sorted(KNOWN))
def test_what_is_known_of_models_goes_through_the_form_unchanged(name: str):
    rules = KNOWN[name]["parameters"]
    assert rules_from(rows_of(rules)) == rules
