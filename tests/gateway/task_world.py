"""Videos and pictures in the small company: their models and prices, and how a task stands."""

import warnings
from typing import Any
from uuid import UUID

import httpx
import openai

from billing.pricing import RuleFigures
from gateway.models_tasks import MediaTask
from gateway.services import tasks
from models_catalog import services as catalog
from tests.gateway.world import World

# 0.10 dollars a second, 0.30 in 1080p; 0.04 dollars a picture, 0.08 in high quality.
VIDEO = RuleFigures(unit_prices={"video:720p": 100_000_000, "video:1080p": 300_000_000})
IMAGE = RuleFigures(unit_prices={"image:*:*": 40_000_000, "image:*:hd": 80_000_000})
CENT = 10_000_000
FAILING = ("demo-500", "demo-502", "demo-429", "demo-503", "demo-timeout", "demo-cut-before-output", "demo-400", "demo-garbage")


def with_media(world: World, **more: RuleFigures) -> World:
    """The world with models that make videos and pictures, and prices for them."""
    for name in ("demo-video", "demo-502"):
        world.models[name] = catalog.create_model(actor_name="test", figures=catalog.ModelFigures(name=name, modality="video"))
        catalog.set_access(actor_name="test", model=world.models[name], group_codes=[world.group.code])
        catalog.serve_model(actor_name="test", upstream=world.route, model=world.models[name])
    world.publish({**dict.fromkeys(("demo-video", *FAILING), VIDEO), "demo-image": IMAGE, **more})
    world.settle_in()
    return world


def client_of(world: World, clear: str) -> openai.OpenAI:
    warnings.filterwarnings("ignore", category=DeprecationWarning)
    return openai.OpenAI(api_key=clear, base_url=f"{world.relay.url}/v1", max_retries=0)


def post(world: World, clear: str, prompt: str = "a house", model: str = "demo-video", **fields: Any) -> httpx.Response:
    path = fields.pop("path", "/v1/videos")
    body = {"model": model, "prompt": prompt, **fields}
    headers = {"Authorization": f"Bearer {clear}"}
    return httpx.post(world.relay.url + path, json=body, headers=headers, timeout=30)


def get(world: World, clear: str, path: str) -> httpx.Response:
    return httpx.get(f"{world.relay.url}/v1/videos{path}", headers={"Authorization": f"Bearer {clear}"}, timeout=30)


def task_of(public_id: str) -> MediaTask:
    return MediaTask.objects.get(pk=UUID(public_id.partition("_")[2] or public_id))


def look_now(*ids: str, rounds: int = 1) -> None:
    """The worker's look at these tasks, whenever they were due."""
    for _ in range(rounds):
        for one in ids:
            task = task_of(one)
            if task.state not in MediaTask.CLOSED:
                MediaTask.objects.filter(pk=task.pk).update(next_check_at=task.created_at)
        while tasks.check_due_tasks():
            pass


def jobs(world: World) -> list[dict[str, Any]]:
    return httpx.get(f"{world.upstream.url}/__videos").json()
