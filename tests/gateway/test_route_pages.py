"""Pages of model health, fallback rules and shapes of errors: who sees them, who may act, what they say."""

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import Role, User
from accounts.services.people import create_person
from billing.models import RequestLog
from config.foundation.ids import uuid7, uuid7_time
from gateway.models import ErrorProfile, FallbackRule, UpstreamHealth
from models_catalog import services as catalog
from models_catalog.models import AIModel, Upstream

pytestmark = pytest.mark.django_db


def person(role: str, name: str = "") -> User:
    return create_person(actor=None, username=name or role, role=Role(role))


def client_of(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def model() -> AIModel:
    provider = catalog.create_provider(actor_name="t", code="p", name="P")
    upstream = catalog.create_upstream(
        actor_name="t", name="place", provider=provider, base_url="http://10.0.0.9", credential="sk-0123456789abcdef"
    )
    made = catalog.create_model(actor_name="t", figures=catalog.ModelFigures(name="model-a"))
    catalog.create_model(actor_name="t", figures=catalog.ModelFigures(name="model-b"))
    catalog.set_access(actor_name="t", model=made, group_codes=["*"])
    catalog.serve_model(actor_name="t", upstream=upstream, model=made)
    return made


def test_R050_the_page_tells_a_model_that_is_not_available_from_a_key_that_is_not_accepted(model: AIModel):
    """R050: state, reason and two counters; what fails inside is for operators only."""
    user, ops = person("user", "alice"), person("ops")
    page = client_of(user).get("/models/health/")
    assert b"Every model open to you can be served." in page.content
    UpstreamHealth.objects.create(
        relay="r", upstream=Upstream.objects.get(), upstream_name="model-a", reason="unavailable", failure_count=5,
        since_at=timezone.now(), seen_at=timezone.now(),
    )  # fmt: skip
    made = uuid7()
    RequestLog.objects.create(
        id=made, started_at=uuid7_time(made), outcome="model_unavailable", asked_model="model-a", http_status=503
    )
    page = client_of(user).get("/models/health/").content.decode()
    assert "not available" in page
    assert "place" not in page.replace("placeholder", "").replace("places", "")
    assert "10.0.0.9" not in page
    staff = client_of(ops).get("/models/health/").content.decode()
    assert "<code>unavailable</code>" in staff
    assert "a key that was not accepted" in staff


def test_R047_a_rule_is_proposed_by_one_and_approved_by_another_on_the_pages(model: AIModel):
    """R047: approving one's own rule is 403, and so is a stranger's."""
    ops, other, support, user = person("ops"), person("ops", "ops2"), person("support"), person("user", "alice")
    other_model = AIModel.objects.get(name="model-b")
    sent = {
        "from_model": model.pk, "to_model": other_model.pk, "triggers": ["timeout"], "is_price_protected": "on",
        "reason": "slow",
    }  # fmt: skip
    assert client_of(user).get("/fallbacks/").status_code == 403
    assert client_of(support).post("/fallbacks/new/", sent).status_code == 403
    wrong = client_of(ops).post("/fallbacks/new/", {**sent, "to_model": model.pk})
    assert "cannot answer instead of itself" in wrong.content.decode()
    assert client_of(ops).post("/fallbacks/new/", sent).status_code == 302
    rule = FallbackRule.objects.get()
    for refused in (ops, support):
        assert client_of(refused).post(f"/fallbacks/{rule.pk}/approve/").status_code == 403
    assert FallbackRule.objects.get().state == "proposed"
    assert client_of(other).post(f"/fallbacks/{rule.pk}/approve/").status_code == 302
    assert FallbackRule.objects.get().approved_by == other
    assert "in force" in client_of(support).get("/fallbacks/").content.decode()
    assert client_of(ops).post(f"/fallbacks/{rule.pk}/end/").status_code == 302
    assert client_of(other).post("/fallbacks/999/approve/").status_code == 404


def test_R007_the_map_is_for_everybody_and_the_shape_is_set_by_operations():
    """R007: at least ten classes with status, code and whether SDKs try again, in each shape."""
    user, ops = person("user", "alice"), person("ops")
    page = client_of(user).get("/errors/").content.decode()
    assert page.count("<tr>") > 20
    assert "insufficient_user_quota" in page
    assert "<strong>402</strong>" in page
    assert "Set the shape" not in page
    assert client_of(user).post("/errors/", {"profile": "one_api"}).status_code == 403
    assert client_of(ops).post("/errors/", {"profile": "nothing"}).status_code == 200
    assert not ErrorProfile.objects.exists()
    assert client_of(ops).post("/errors/", {"profile": "one_api"}).status_code == 302
    assert "One API" in client_of(user).get("/errors/").content.decode()
    assert client_of(ops).post("/errors/", {"profile": ""}).status_code == 302
    assert not ErrorProfile.objects.exists()
