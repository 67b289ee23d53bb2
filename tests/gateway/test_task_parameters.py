"""Parameters of images and videos: carried unchanged, checked against the target before any cost, repeated from templates."""

from typing import Any

import httpx
import openai
import pytest

from accounts.models import Group, GroupMembership, Role
from billing.models import Hold, RequestLog
from gateway.models_tasks import MediaTask
from gateway.services import template_runs, templates
from models_catalog import services as catalog
from models_catalog.models import UpstreamModel
from models_catalog.parameters import Wanted, problems, wanted_from
from tests.billing.helpers import person as plain_person
from tests.gateway.servers import until
from tests.gateway.task_world import CENT, IMAGE, VIDEO, client_of, look_now, post, task_of, with_media
from tests.gateway.world import World, balance, held, log_of

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]
PICTURE = "data:image/png;base64,AAAA"
IMAGES = "/v1/images/generations"
# Four targets as operators describe them.
IMAGE_TARGETS: dict[str, dict[str, Any]] = {
    "paint-text": {
        "inputs": ["text"],
        "parameters": {
            "aspect_ratio": {"values": ["1:1", "16:9"]},
            "quality": {"values": ["low", "high"]},
            "seed": {"supported": False},
            "watermark": {"type": "boolean"},
            "output_format": {"values": ["png"]},
        },
    },
    "paint-one": {
        "inputs": ["text", "image"],
        "references": {"min": 0, "max": 1},
        "parameters": {
            "aspect_ratio": {"values": ["1:1"]},
            "quality": {"supported": False},
            "seed": {"type": "integer", "min": 0, "max": 4294967295},
            "watermark": {"values": [True]},
            "output_format": {"values": ["png", "webp"]},
        },
    },
    "paint-edit": {
        "inputs": ["image"],
        "references": {"min": 1, "max": 4},
        "parameters": {"seed": {"type": "integer", "min": 1}, "output_format": {"supported": False}},
    },
    "paint-any": {},
}
# One request for each of the eight parameters, and which targets take it, in the order above.
IMAGE_CASES: dict[str, tuple[dict[str, Any], str, str]] = {
    "text input": ({}, "1101", "image"),
    "image input": ({"image": PICTURE}, "0111", "image"),
    "several references": ({"images": [PICTURE, PICTURE, PICTURE]}, "0011", "image"),
    "ratio": ({"image": PICTURE, "aspect_ratio": "16:9"}, "0011", "aspect_ratio"),
    "quality": ({"image": PICTURE, "quality": "high"}, "0011", "quality"),
    "seed": ({"image": PICTURE, "seed": 0}, "0101", "seed"),
    "watermark": ({"image": PICTURE, "watermark": False}, "0011", "watermark"),
    "format": ({"image": PICTURE, "output_format": "webp"}, "0101", "output_format"),
}
VIDEO_TARGETS: dict[str, dict[str, Any]] = {
    "film-text": {
        "inputs": ["text"],
        "parameters": {
            "size": {"values": ["1280x720"], "default": "1280x720"},
            "seconds": {"values": ["4", "8"], "default": "4"},
            "audio": {"supported": False},
            "callback_url": {"supported": False},
        },
    },
    "film-both": {
        "inputs": ["text", "image"],
        "references": {"max": 1},
        "parameters": {
            "size": {"values": ["1280x720", "1920x1080"]},
            "seconds": {"type": "number", "min": 1, "max": 10},
            "audio": {"type": "boolean"},
        },
    },
    "film-any": {},
}
VIDEO_CASES: dict[str, tuple[dict[str, Any], str]] = {
    "text or image input": ({"input_reference": PICTURE}, "011"),
    "reference": ({"reference_images": [PICTURE, PICTURE]}, "001"),
    "resolution": ({"size": "1920x1080"}, "011"),
    "duration": ({"seconds": "12"}, "001"),
    "audio": ({"audio": False}, "011"),
    "callback": ({"callback_url": "https://example.com/done"}, "011"),
}


def described(world: World, targets: dict[str, dict[str, Any]], modality: str) -> None:
    """Models of their own, each at one target that is described so."""
    for name, takes in targets.items():
        model = catalog.create_model(actor_name="t", figures=catalog.ModelFigures(name=name, modality=modality))
        catalog.set_access(actor_name="t", model=model, group_codes=[world.group.code])
        served_as = "demo-image" if modality == "image" else "demo-video"
        catalog.serve_model(actor_name="t", upstream=world.route, model=model, upstream_name=served_as)
        catalog.describe_target(actor_name="t", target=UpstreamModel.objects.get(model=model), parameters=takes)
        world.models[name] = model
    prices = dict.fromkeys(targets, IMAGE if modality == "image" else VIDEO)
    with_media(world, **prices)


def test_R051_eight_parameters_at_four_targets(world: World):
    """R051: the verdict is right 32 of 32 times at the entry and in the check; seed 0 and watermark false arrive unchanged."""
    described(world, IMAGE_TARGETS, "image")
    person = world.person("50")
    _, clear = world.key(person)
    right = 0
    for name, (fields, verdicts, _field) in IMAGE_CASES.items():
        for (target, takes), wanted in zip(IMAGE_TARGETS.items(), verdicts, strict=True):
            answer = post(world, clear, model=target, path=IMAGES, **fields)
            assert answer.status_code == (200 if wanted == "1" else 400), (name, target, answer.text)
            checked = problems(takes, wanted_from({"prompt": "x", **fields}))
            assert bool(checked) is (wanted == "0"), (name, target)
            if wanted == "0":
                error = answer.json()["error"]
                assert (error["code"], error["param"]) == ("unsupported_parameter", checked[0].field)
                assert error["allowed"] == checked[0].allowed
            right += 1
    assert right == 32
    taken = sum(verdicts.count("1") for _, verdicts, _ in IMAGE_CASES.values())
    until(lambda: balance(person) == (5000 - 4 * taken) * CENT)
    post(world, clear, model="paint-any", path=IMAGES, seed=0, watermark=False, strength=0.25, unheard_of="yes")
    sent = world.upstream.calls()["last_values"]
    assert (sent["seed"], sent["watermark"], sent["strength"], sent["unheard_of"]) == (0, False, 0.25, "yes")
    assert sent["seed"] is not False
    assert sent["watermark"] is False


def test_R052_six_parameters_at_three_targets(world: World):
    """R052: 18 of 18 verdicts; a callback is ours and does not reach the provider."""
    described(world, VIDEO_TARGETS, "video")
    person = world.person("50")
    _, clear = world.key(person)
    from billing.services import hooks

    hooks.add_endpoint(actor=person, url="https://example.com/hook", user=person, purpose="tasks")
    right = 0
    for name, (fields, verdicts) in VIDEO_CASES.items():
        for (target, takes), wanted in zip(VIDEO_TARGETS.items(), verdicts, strict=True):
            answer = post(world, clear, model=target, **fields)
            assert answer.status_code == (200 if wanted == "1" else 400), (name, target, answer.text)
            assert bool(problems(takes, wanted_from(fields))) is (wanted == "0")
            right += 1
    assert right == 18
    assert "callback_url" not in world.upstream.calls()["last_keys"]
    made = [task_of(str(one.pk)) for one in MediaTask.objects.filter(user=person)]
    assert len(made) == sum(verdicts.count("1") for _, verdicts in VIDEO_CASES.values())
    # Nobody said a length: what the target makes then is held; else twelve seconds, of the dearest size.
    assert {task.held_nano // CENT for task in made if task.asked_model == "film-any" and not task.parameters} == {360}


def test_R057_ten_bad_requests_are_refused_before_any_cost(world: World):
    """R057: 400 with field and allowed values; no hold, no charge, no task, nothing sent."""
    described(world, {**IMAGE_TARGETS, "paint-strict": {"strict": True, "parameters": {"size": {"type": "string"}}}}, "image")
    film = {"seconds": {"values": ["4"]}, "size": {"values": ["1280x720"], "required": True}}
    target = UpstreamModel.objects.get(model__name="demo-video")
    catalog.describe_target(actor_name="t", target=target, parameters={"inputs": ["text"], "parameters": film})
    world.settle_in()
    person = world.person("50")
    _, clear = world.key(person)
    bad: list[tuple[dict[str, Any], str]] = [
        ({"model": "paint-text", "path": IMAGES, "image": PICTURE}, "image"),
        ({"model": "paint-text", "path": IMAGES, "seed": 0}, "seed"),
        ({"model": "paint-text", "path": IMAGES, "aspect_ratio": "3:2"}, "aspect_ratio"),
        ({"model": "paint-one", "path": IMAGES, "images": [PICTURE, PICTURE]}, "image"),
        ({"model": "paint-one", "path": IMAGES, "watermark": "no"}, "watermark"),
        ({"model": "paint-edit", "path": IMAGES}, "image"),
        ({"model": "paint-strict", "path": IMAGES, "unheard_of": 1}, "unheard_of"),
        ({"seconds": "5", "size": "1280x720"}, "seconds"),
        ({"seconds": "4"}, "size"),
        ({"seconds": "4", "size": "1280x720", "input_reference": PICTURE}, "image"),
    ]
    assert len(bad) == 10
    for fields, field in bad:
        answer = post(world, clear, **fields)
        assert answer.status_code == 400, answer.text
        error = answer.json()["error"]
        assert (error["code"], error["param"]) == ("unsupported_parameter", field)
        assert error["allowed"]
        row = log_of(answer.headers["x-request-id"])
        assert (row.outcome, row.cost_nano, row.held_nano) == ("unsupported_input", 0, 0)
    assert (balance(person), held(person), Hold.objects.filter(user=person).count()) == (5000 * CENT, 0, 0)
    assert MediaTask.objects.filter(user=person).count() == 0
    assert world.upstream.calls()["total"] == 0


def test_a_form_keeps_its_parameters_and_its_references_are_counted(world: World):
    described(world, IMAGE_TARGETS, "image")
    _, clear = world.key(world.person("50"))
    client = client_of(world, clear)
    extra = {"seed": 0, "watermark": False}
    client.images.edit(model="paint-any", prompt="red", image=[b"\x89PNG1", b"\x89PNG2"], extra_body=extra)
    sent = world.upstream.calls()["last_fields"]
    assert (sent["seed"], sent["watermark"]) == ("0", "false")
    task = MediaTask.objects.get(asked_model="paint-any")
    assert (task.reference_count, task.parameters) == (2, {"seed": 0, "watermark": False})
    with pytest.raises(openai.BadRequestError) as refused:
        client.images.edit(model="paint-one", prompt="red", image=[b"\x89PNG1", b"\x89PNG2"])
    assert (refused.value.code, refused.value.param) == ("unsupported_parameter", "image")


def test_another_target_takes_what_the_best_one_does_not(world: World):
    described(world, {"paint-two": {"parameters": {"seed": {"supported": False}}}}, "image")
    _, clear = world.key(world.person("50"))
    other = catalog.create_upstream(
        actor_name="t", name="other", provider=world.route.provider, base_url=world.upstream.url, credential="sk-x", priority=-5
    )
    catalog.serve_model(actor_name="t", upstream=other, model=world.models["paint-two"], upstream_name="demo-chat")
    world.settle_in()
    assert post(world, clear, model="paint-two", path=IMAGES).status_code == 200
    assert world.upstream.calls()["by_model"] == {"demo-image": 1}
    assert post(world, clear, model="paint-two", path=IMAGES, seed=3).status_code == 200
    assert world.upstream.calls()["by_model"] == {"demo-image": 1, "demo-chat": 1}


def test_R055_a_template_run_twice_asks_for_the_same(world: World, settings: Any):
    """R055: T1 twice with a fixed seed has one parameter hash; an edit makes v2, v1 still runs; by API and from the page."""
    described(world, IMAGE_TARGETS, "image")
    lea = world.person("50", role=Role.CONTENT_LEAD)
    team = Group.objects.create(code="studio", name="Studio", kind=Group.Kind.TEAM)
    GroupMembership.objects.create(group=team, user=lea, team_role="member")
    values = {"seed": 0, "watermark": False, "size": "1024x1024"}
    template = templates.create_template(actor=lea, team=team, name="poster", model_name="paint-any", parameters=values)
    key, clear = world.key(lea)

    def run(named: str, **more: Any) -> MediaTask:
        headers = {"Authorization": f"Bearer {clear}"}
        body = {"template": named, "prompt": "a house", **more}
        answer = httpx.post(world.relay.url + IMAGES, json=body, headers=headers)
        assert answer.status_code == 200, answer.text
        return until(lambda: MediaTask.objects.filter(pk=answer.headers["x-request-id"], state="completed").first())

    first, second = run("poster"), run("poster")
    assert first.parameters == values == {name: world.upstream.calls()["last_values"][name] for name in values}
    assert (first.template_id, first.template_number, first.asked_model) == (template.pk, 1, "paint-any")
    assert first.parameters_hash == second.parameters_hash != ""
    assert "template" not in world.upstream.calls()["last_keys"]
    templates.edit_template(actor=lea, template=template, model_name="paint-any", parameters={**values, "seed": 7})
    third, again = run("poster"), run("poster@1")
    assert (third.template_number, third.parameters["seed"], again.template_number) == (2, 7, 1)
    assert again.parameters_hash == first.parameters_hash != third.parameters_hash
    assert run("studio/poster@1", seed=5).parameters["seed"] == 5
    # In a form, as the SDK sends edits, the template's fields are added and its own name is taken out.
    client_of(world, clear).images.edit(model="paint-any", prompt="x", image=b"\x89PNG", extra_body={"template": "poster@1"})
    sent = world.upstream.calls()["last_fields"]
    assert {name: sent[name] for name in values} == {"seed": "0", "watermark": "false", "size": "1024x1024"}
    assert "template" not in sent
    settings.PUBLIC_URL = world.relay.url
    shown = template_runs.run_template(actor=lea, version=template.versions.get(number=1), key_id=key.pk, prompt="a house")
    assert len(shown.pictures) == 1
    assert until(lambda: MediaTask.objects.filter(pk=shown.task_id).first()).parameters_hash == first.parameters_hash
    _, strange = world.key(world.person("5"))
    answer = httpx.post(
        world.relay.url + IMAGES, json={"template": "poster", "prompt": "x"}, headers={"Authorization": f"Bearer {strange}"}
    )
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "template_not_found")
    assert plain_person("eve").pk


def test_R026_images_and_videos_have_lines_of_their_own(world: World):
    """R026: three image and two video tasks are five lines of quantity times price; the lines of text stay as they are."""
    with_media(world)
    person = world.person("50")
    _, clear = world.key(person)
    ids = [
        post(world, clear, model="demo-image", path=IMAGES, n=n, size="1024x1024").headers["x-request-id"] for n in (1, 2, 3)
    ]
    videos = [post(world, clear, "x", seconds="4", size=size).json()["id"] for size in ("1280x720", "1920x1080")]
    look_now(*videos)
    ids += [task_of(one).pk.hex for one in videos]
    lines = [line for one in ids for line in log_of(one).price_detail["lines"]]
    told = [(line["name"], line["count"], line["price"], line["amount"], line.get("detail", "")) for line in lines]
    assert told == [
        ("image", "1", "0.04", "0.04", "1024x1024"),
        ("image", "2", "0.04", "0.08", "1024x1024"),
        ("image", "3", "0.04", "0.12", "1024x1024"),
        ("video", "4", "0.1", "0.4", "720p"),
        ("video", "4", "0.3", "1.2", "1080p"),
    ]
    assert balance(person) == (5000 - 24 - 40 - 120) * CENT
    text = log_of(world.ask(clear, "[[usage 100 10]]").headers["x-request-id"])
    assert [one["name"] for one in text.price_detail["lines"]] == ["input", "output"]
    assert {task.kind for task in MediaTask.objects.filter(pk__in=ids)} == {"image", "video"}


def test_R053_sixty_tasks_count_exactly_and_cost_what_the_ledger_says(world: World):
    """R053: the sum of the tasks' costs is the ledger's, and every failed one has a reason."""
    with_media(world, **{"demo-500": IMAGE})
    person = world.person("200")
    _, clear = world.key(person)
    videos = []
    for n in range(12):
        videos.append(
            post(world, clear, "x [[fails moderated]]" if n % 3 == 0 else "x", seconds="4", size="1280x720").json()["id"]
        )
    for n in range(48):
        post(world, clear, model="demo-500" if n % 6 == 0 else "demo-image", path=IMAGES)
    look_now(*videos)
    mine = MediaTask.objects.filter(user=person)
    until(lambda: mine.exclude(state__in=MediaTask.CLOSED).count() == 0)
    assert [mine.count(), mine.filter(state="failed").count(), mine.filter(kind="image", state="completed").count()] == [
        60,
        12,
        40,
    ]
    assert mine.filter(state="failed", failure_code="").count() == 0
    # After some failures in a row the target is left alone, which is a reason of its own.
    reasons = set(mine.filter(state="failed").values_list("failure_code", flat=True))
    assert {"moderated", "upstream_error"} <= reasons <= {"moderated", "upstream_error", "model_unavailable"}
    cost = sum(mine.values_list("cost_nano", flat=True))
    assert cost == 8 * 40 * CENT + 40 * 4 * CENT == 20_000 * CENT - balance(person)
    assert cost == sum(RequestLog.objects.filter(user=person).values_list("cost_nano", flat=True))
    assert "a house" not in str(list(mine.values()))


def test_what_is_wanted_of_a_request_is_read_the_same_from_json_and_forms():
    assert wanted_from({"prompt": "x", "seed": 0, "image": PICTURE, "mask": "m"}) == Wanted({"seed": 0}, 1, True)
    assert wanted_from({"prompt": "", "images": [1, 2]}) == Wanted({}, 2, False)
    assert wanted_from({"model": "m", "seed": "0"}, {"image[]": 3, "mask": 1}) == Wanted({"seed": "0"}, 3, True)
    assert problems({"parameters": {"seed": {"type": "integer"}}}, Wanted({"seed": "0"})) == []
    assert problems({"parameters": {"seed": {"type": "integer"}}}, Wanted({"seed": False})) != []
    assert problems({"parameters": {"watermark": {"values": [False]}}}, Wanted({"watermark": 0})) != []
