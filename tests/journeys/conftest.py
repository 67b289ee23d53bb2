"""Whole ways through the portal: the real old databases, the real relay, the demo upstream, the old gateway's double."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from django.conf import settings
from django.db import connection

from migrations_center.models import ImportRun
from migrations_center.services.apply.context import ImportOptions
from migrations_center.services.import_engine import Place
from migrations_center.services.imports import import_now
from migrations_center.sources.address import parse_source
from models_catalog import services as catalog
from models_catalog.models import Upstream
from tests.gateway.conftest import old_gateway, relay, upstream  # noqa: F401 - fixtures of the real processes
from tests.gateway.servers import Server, until

OLD = Path(settings.BASE_DIR) / "tests" / "fixtures" / "old_gateways"


def sample(name: str) -> Any:
    """One of the JSON files beside the sample databases."""
    return json.loads((OLD / name).read_text(encoding="utf-8"))


def answers(name: str) -> list[dict[str, Any]]:
    """What the old server answered, one call a line."""
    return [json.loads(line) for line in (OLD / name).read_text(encoding="utf-8").splitlines()]


def demo_upstream(url: str) -> Upstream:
    provider = catalog.create_provider(actor_name="test", code="demo", name="Demo")
    return catalog.create_upstream(
        actor_name="test", name="demo", provider=provider, base_url=url, credential="demo-credential-0123456789"
    )


def settle_in(relay: Server) -> None:  # noqa: F811 - a running one
    """Return once the relay obeys what the database says now: it hears of changes in their order."""
    with connection.cursor() as cursor:
        cursor.execute("UPDATE models_catalog_provider SET name = name")
        cursor.execute("SELECT last_value FROM gateway_config_version")
        (wanted,) = cursor.fetchone()
    until(lambda: httpx.get(f"{relay.url}/healthz").json().get("config_version", 0) >= wanted, 10)


@pytest.fixture
def bring_in() -> Callable[..., tuple[dict[str, Any], ImportRun]]:
    """Import a sample database by its file name; gives the public report and the run."""

    def run(name: str, **options: Any) -> tuple[dict[str, Any], ImportRun]:
        report = import_now(Place(parse_source(str(OLD / name)), None), ImportOptions(**options), dry_run=False)
        return report, ImportRun.objects.latest("created_at")

    return run
