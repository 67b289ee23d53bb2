"""The language switch."""

import pytest
from django.conf import settings

from accounts.models import User

pytestmark = pytest.mark.django_db


def test_a_visitors_choice_is_kept_in_a_cookie(client):
    response = client.post("/language/", {"language": "zh-hans", "next": "/accounts/login/"})
    assert (response.status_code, response["Location"]) == (302, "/accounts/login/")
    assert client.cookies[settings.LANGUAGE_COOKIE_NAME].value == "zh-hans"


def test_a_persons_choice_is_kept_with_the_person(client):
    person = User.objects.create_user("somebody", "somebody@example.org", "a-long-enough-password")
    client.force_login(person)
    client.post("/language/", {"language": "zh-hans"})
    person.refresh_from_db()
    assert person.language == "zh-hans"


@pytest.mark.parametrize("elsewhere", ["https://elsewhere.example.org/", "//elsewhere.example.org/", "javascript:alert(1)"])
def test_the_switch_leads_to_no_other_site(client, elsewhere):
    response = client.post("/language/", {"language": "en", "next": elsewhere})
    assert response["Location"] == "/"


def test_an_unknown_language_is_refused_and_nothing_is_kept(client):
    response = client.post("/language/", {"language": "tlh"})
    assert response.status_code == 422
    assert settings.LANGUAGE_COOKIE_NAME not in response.cookies


def test_a_link_does_not_switch(client):
    assert client.get("/language/?language=zh-hans").status_code == 405
