"""The committed OpenAPI document says what the code does, and its page works under our policy."""

from pathlib import Path

import pytest
from django.conf import settings
from django.test import Client
from drf_spectacular.drainage import GENERATOR_STATS
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.renderers import OpenApiYamlRenderer
from drf_spectacular.validation import validate_schema

from tests.admin.world import World

COMMITTED = Path(settings.BASE_DIR) / "docs" / "openapi.yaml"


def test_the_committed_schema_is_the_generated_one() -> None:
    """After a change: ``manage.py spectacular --file docs/openapi.yaml``."""
    GENERATOR_STATS.reset()
    schema = SchemaGenerator().get_schema(request=None, public=True)
    assert GENERATOR_STATS._error_cache == {}
    assert GENERATOR_STATS._warn_cache == {}
    validate_schema(schema)
    assert OpenApiYamlRenderer().render(schema, renderer_context={}).decode() == COMMITTED.read_text(encoding="utf-8")


def test_every_operation_names_its_errors(db: None) -> None:
    paths = SchemaGenerator().get_schema(request=None, public=True)["paths"]
    for path, methods in paths.items():
        for method, operation in methods.items():
            wanted = {"403", "404"} if method == "get" else {"400", "403", "404", "409", "422"}
            assert wanted <= set(operation["responses"]), (method, path)


def test_the_schema_is_served_to_people_who_are_logged_in(world: World, client: Client) -> None:
    client.force_login(world.things["customer"])
    answer = client.get("/api/portal/schema/")
    assert answer.status_code == 200
    assert b"/api/portal/keys/{id}/rotate/" in answer.content
    again = client.get("/api/portal/schema/")
    assert again.content == answer.content
    as_json = client.get("/api/portal/schema/", headers={"accept": "application/json"})
    assert as_json.json()["info"]["title"] == "Gateway portal API"
    assert client.get("/api/portal/schema/", headers={"accept-language": "zh-hans"}).status_code == 200
    client.logout()
    assert client.get("/api/portal/schema/").status_code == 403
    client.force_login(world.things["customer"])
    page = client.get("/api/portal/docs/")
    assert page.status_code == 200
    assert b'<a href="/">' in page.content
    # Its script has an address of its own, so that no inline script is needed.
    assert b"<script>" not in page.content


def test_somebody_who_is_not_signed_in_is_led_to_the_entrance_of_the_docs(client: Client, db: None) -> None:
    answer = client.get("/api/portal/docs/")
    assert (answer.status_code, answer["Location"]) == (302, "/accounts/login/?next=/api/portal/docs/")


@pytest.mark.parametrize("word", ["credential_sealed", "digest", "pepper", "password"])
def test_no_answer_of_the_schema_has_a_field_for_a_secret(word: str) -> None:
    schemas = SchemaGenerator().get_schema(request=None, public=True)["components"]["schemas"]
    fields = {f"{name}.{field}" for name, schema in schemas.items() for field in schema.get("properties", {})}
    assert [field for field in fields if word in field.lower() and field != "ImportRun.snapshot_digest"] == []
