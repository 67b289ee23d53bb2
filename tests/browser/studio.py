"""Creative tasks for the pictures: done, being made, failed, in doubt, told by callback; and templates."""

from datetime import timedelta
from typing import Any

from accounts.models import Group, GroupMembership, User
from billing.models import HookAttempt, HookDelivery
from billing.services import hooks
from config.foundation.clock import now
from config.foundation.ids import uuid7
from gateway.models_tasks import MediaTask
from gateway.services import templates
from models_catalog import services as catalog
from models_catalog.models import UpstreamModel
from tests.pages.conftest import World

# picture, who looks, address
PAGES = [
    ("tasks", "alice", "/tasks/"),
    ("tasks-none", "charlie", "/tasks/"),
    ("tasks-of-all", "root", "/tasks/?state=open"),
    ("task", "alice", "/tasks/{video}/"),
    ("task-failed", "alice", "/tasks/{failed_video}/"),
    ("task-in-doubt", "root", "/tasks/{doubtful}/"),
    ("task-desk", "root", "/tasks/doubt/"),
    ("task-decide", "root", "/tasks/{doubtful}/decide/"),
    ("task-refund", "fin", "/tasks/{video}/refund/"),
    ("task-check", "alice", "/tasks/check/"),
    ("templates", "alice", "/tasks/templates/"),
    ("templates-none", "charlie", "/tasks/templates/"),
    ("template", "alice", "/tasks/templates/{template}/"),
    ("template-edit", "alice", "/tasks/templates/{template}/edit/"),
    ("template-run", "alice", "/tasks/templates/{template}/1/run/"),
]


def _task(world: World, minutes: int, **fields: Any) -> MediaTask:
    at = now() - timedelta(minutes=minutes)
    values: dict[str, Any] = {
        "id": uuid7(int(at.timestamp() * 1000)),
        "kind": "video",
        "state": "completed",
        "user": world.alice,
        "key": world.key,
        "key_name": world.key.name,
        "key_tail": "a1b2",
        "asked_model": "image-and-video",
        "billed_model": "image-and-video",
        "endpoint": "/v1/videos",
        "parameters": {"seconds": 8, "size": "1280x720", "seed": 0, "watermark": False, "style": {"characters": 48}},
        "parameters_hash": "4c3f" * 16,
        "held_nano": 800_000_000,
        "created_at": at,
        **fields,
    }
    if values["state"] in MediaTask.CLOSED:
        values.setdefault("finished_at", at + timedelta(seconds=95))
    return MediaTask.objects.create(**values)


def studio_of(world: World) -> dict[str, str]:
    """Fill the pages; gives what the addresses name."""
    made = {"progress": 100, "item_count": 1, "delivered_ms": 7500, "delivered_size": "1280x720", "cost_nano": 750_000_000}
    kept = {"assets": [{"variant": "video", "kept": True}], "assets_expire_at": now() + timedelta(hours=20)}
    video = _task(world, 50, **made, **kept)
    picture = {
        "kind": "image",
        "endpoint": "/v1/images/generations",
        "asked_model": "a-model-with-a-rather-long-name-as-vendors-like",
    }
    _task(
        world, 40, **picture, parameters={"size": "1024x1024"}, item_count=3, delivered_size="1024x1024", cost_nano=120_000_000
    )
    failed = _task(
        world, 30, state="failed", failure_code="content_policy", failure_reason="The provider's rules do not allow this motif."
    )
    _task(world, 4, state="in_progress", progress=40)
    upstream = UpstreamModel.objects.select_related("upstream").first()
    doubtful = _task(
        world, 90, state="unknown", doubt="create ServerDisconnectedError", upstream=upstream.upstream if upstream else None
    )
    endpoint, _clear = hooks.add_endpoint(
        actor=world.alice, url="https://hooks.example.com/studio/done", user=world.alice, purpose="tasks"
    )
    delivery = HookDelivery.objects.create(
        endpoint=endpoint, sent_id=uuid7(), kind="video.completed", subject_id=video.pk, body="{}", state="sent", attempts=3
    )
    for status, error in ((500, "refused"), (0, "TimeoutError"), (200, "")):
        HookAttempt.objects.create(delivery=delivery, http_status=status, error=error, duration_ms=31)
    team = Group.objects.create(code="studio", name="Studio", kind=Group.Kind.TEAM)
    for name in ("alice", "bob"):
        person = User.objects.filter(username=name).first()
        if person is not None:
            GroupMembership.objects.create(group=team, user=person, team_role="owner" if name == "alice" else "member")
    model = catalog.ensure_models(actor_name="t", models=[catalog.ModelFigures(name="image-and-video", modality="video")])[
        "image-and-video"
    ]
    catalog.set_access(actor_name="t", model=model, group_codes=["*"])
    values = {"seconds": "8", "size": "1280x720", "seed": 0, "watermark": False}
    template = templates.create_template(
        actor=world.alice, team=team, name="product-spot", model_name="image-and-video", parameters=values, note="for the shop"
    )
    templates.edit_template(
        actor=world.alice, template=template, model_name="image-and-video", parameters={**values, "seed": 7}, note="new seed"
    )
    return {
        "video": video.public_id,
        "failed_video": failed.public_id,
        "doubtful": doubtful.public_id,
        "template": str(template.pk),
    }
