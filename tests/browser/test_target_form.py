"""What a model at an upstream takes, described by clicks in the admin."""

from typing import Any

import pytest
from django.urls import reverse

from models_catalog import services as catalog
from models_catalog.known_targets import KNOWN
from models_catalog.models import UpstreamModel
from tests.browser.whole import CHROMIUM, LOOKS, PICTURES, Look, chromium, open_page  # noqa: F401
from tests.pages.conftest import build_world

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not CHROMIUM, reason="no Chromium on this machine"),
    pytest.mark.django_db(transaction=True),
]


@pytest.mark.parametrize("look", LOOKS, ids=str)
def test_a_target_is_described_field_by_field(look: Look, chromium: Any, live_server: Any, clean_cache: Any) -> None:  # noqa: F811
    world = build_world()
    type(world.admin).objects.update(language=look.language)
    provider = catalog.create_provider(actor_name="t", code="paint", name="Paint")
    upstream = catalog.create_upstream(actor_name="t", name="paint", provider=provider, base_url="https://paint.example.org")
    model = catalog.create_model(actor_name="t", figures=catalog.ModelFigures(name="paint-1", modality="image"))
    catalog.serve_model(actor_name="t", upstream=upstream, model=model)
    target = UpstreamModel.objects.get(model=model)
    catalog.describe_target(actor_name="t", target=target, parameters=KNOWN["gpt-image-1"])
    page, said = open_page(chromium, live_server.url, "root", *look)
    address = live_server.url + reverse("admin:models_catalog_upstreammodel_change", args=[target.pk])
    page.goto(address)
    rows = len(KNOWN["gpt-image-1"]["parameters"])
    assert page.input_value("input[name=rules-1-values]") == "auto, 1024x1024, 1536x1024, 1024x1536"
    page.fill(f"input[name=rules-{rows}-name]", "seed")
    page.select_option(f"select[name=rules-{rows}-type]", "integer")
    page.fill(f"input[name=rules-{rows}-min]", "few")
    if PICTURES:
        page.screenshot(path=f"{PICTURES}/target-{look.width}-{look.theme}.png", full_page=True)
    page.click("button[name=_continue], input[name=_continue]")
    page.wait_for_load_state("load")
    # What was written stays, and the error names row and parameter.
    assert page.input_value(f"input[name=rules-{rows}-min]") == "few"
    assert "(seed)" in page.inner_text("body")
    if PICTURES:
        page.screenshot(path=f"{PICTURES}/target-wrong-{look.width}-{look.theme}.png", full_page=True)
    page.fill(f"input[name=rules-{rows}-min]", "0")
    page.click("button[name=_continue], input[name=_continue]")
    page.wait_for_load_state("load")
    target.refresh_from_db()
    wanted = KNOWN["gpt-image-1"]
    assert target.parameters == {**wanted, "parameters": {**wanted["parameters"], "seed": {"type": "integer", "min": 0}}}
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth + 1")
    assert [line for line in said if "status of" not in line] == []
    page.context.close()
