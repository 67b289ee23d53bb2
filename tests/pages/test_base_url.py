"""A client that calls the unified entry without /v1 is told so, in the shape its library reads."""

import pytest
from django.test import Client


@pytest.mark.parametrize(
    "address", ["/chat/completions", "/chat/completions/", "/messages", "/embeddings", "/images/generations"]
)
def test_a_base_url_without_v1_is_named(client: Client, settings: object, address: str) -> None:
    settings.PUBLIC_URL = "https://ai.example.org"  # type: ignore[attr-defined]
    answer = Client(enforce_csrf_checks=True).post(address, {"model": "gpt-4o"}, content_type="application/json")
    assert (answer.status_code, answer["Content-Type"]) == (404, "application/json")
    error = answer.json()["error"]
    assert (error["code"], error["type"]) == ("base_url_without_v1", "invalid_request_error")
    assert "https://ai.example.org/v1" in error["message"]


def test_pages_of_the_same_words_stay_pages(client: Client, db: None) -> None:
    assert client.get("/models/").status_code == 302
