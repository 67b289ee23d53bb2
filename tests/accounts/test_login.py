"""Logging in: by name or address, with an imported password, a second factor for staff, a reset by mail, single sign-on."""

import json
import re
import sqlite3
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import (
    TOTP,
    format_hotp_value,
    generate_totp_secret,
    hotp_value,
    yield_hotp_counters_from_time,
)
from django.test import Client
from django.urls import reverse

from accounts.models import OutboundMail, Role, User
from accounts.services.sealed_text import opened
from accounts.tasks import send_mail_task
from tests.accounts.conftest import PASSWORD
from tests.accounts.smtp_double import Double
from tests.migrations_center.imports.support import sample, totals

Make = Callable[..., User]
STAFF = [Role.ADMIN, Role.OPS, Role.SUPPORT, Role.FINANCE]


def log_in(client: Client, login: str, password: str = PASSWORD) -> Any:
    return client.post(reverse("account_login"), {"login": login, "password": password})


def is_logged_in(client: Client) -> bool:
    return "_auth_user_id" in client.session


def give_second_factor(person: User) -> str:
    secret = generate_totp_secret()
    TOTP.activate(person, secret)
    return secret


def code_of(secret: str) -> str:
    return format_hotp_value(hotp_value(secret, next(iter(yield_hotp_counters_from_time()))))


class TestPassword:
    @pytest.mark.parametrize("login", ["ada", "ada@example.org", "ADA@example.org"])
    def test_name_or_address(self, make_person: Make, client: Client, login: str) -> None:
        make_person("ada")
        assert log_in(client, login).status_code == 302
        assert is_logged_in(client)

    def test_a_wrong_password_does_not(self, make_person: Make, client: Client) -> None:
        make_person("ada")
        assert log_in(client, "ada", "wrong-password-9").status_code == 200
        assert not is_logged_in(client)

    def test_a_disabled_person_is_shut_out_even_from_an_open_session(self, make_person: Make, client: Client) -> None:
        from accounts.services.people import disable_person

        person = make_person("ada")
        log_in(client, "ada")
        assert client.get(reverse("profile")).status_code == 200
        disable_person(actor=None, person=person)
        assert client.get(reverse("profile")).status_code == 302
        again = Client()
        log_in(again, "ada")
        assert not is_logged_in(again)

    @pytest.mark.parametrize("name", ["alice", "qing"])
    def test_an_imported_password_verifies_and_is_hashed_anew(self, db: None, client: Client, name: str) -> None:
        """The real bcrypt hash of the One API sample, as the import writes it."""
        with sqlite3.connect(f"file:{sample('one-api')}?mode=ro", uri=True) as old:
            (old_hash,) = old.execute("SELECT password FROM users WHERE username = ?", [name]).fetchone()
        person = User.objects.create(username=name, password=f"bcrypt${old_hash}")
        password = next(row["password"] for row in totals("one-api")["people"] if row["username"] == name)
        log_in(client, name, password + "x")
        assert not is_logged_in(client)
        person.refresh_from_db()
        assert person.password == f"bcrypt${old_hash}"
        log_in(client, name, password)
        assert is_logged_in(client)
        person.refresh_from_db()
        assert not person.password.startswith("bcrypt")
        assert old_hash not in person.password
        again = Client()
        log_in(again, name, password)
        assert is_logged_in(again)

    def test_beyond_seventy_two_bytes_nothing_verifies(self, db: None, client: Client) -> None:
        person = User.objects.create(username="long", password="bcrypt$$2a$10$" + "x" * 53)
        assert log_in(client, "long", "p" * 100).status_code == 200
        assert not person.check_password("p" * 100)


class TestReset:
    @pytest.mark.django_db(transaction=True)
    def test_by_mail_through_the_outbox_in_the_persons_language(self, make_person: Make, client: Client, smtp: Double) -> None:
        person = make_person("ada", language="en")
        client.post(reverse("account_reset_password"), {"email": "ada@example.org"})
        mail = OutboundMail.objects.get()
        assert (mail.user, mail.kind, mail.language) == (person, "password_reset_key", "en")
        send_mail_task()
        (sent,) = smtp.accepted
        text = sent.get_body(("plain",)).get_content()  # type: ignore[union-attr]
        link = re.search(r"https?://\S+/password/reset/key/\S+", text)
        assert link, text
        path = urlsplit(link.group(0)).path
        # The row itself holds no working link.
        assert path not in mail.text + mail.html
        assert path in opened(mail.text)
        page = client.get(path, follow=True)
        client.post(page.redirect_chain[-1][0], {"password1": "another-Pass-77", "password2": "another-Pass-77"})
        person.refresh_from_db()
        assert person.check_password("another-Pass-77")

    def test_an_unknown_address_gets_no_mail_and_the_same_answer(self, make_person: Make, client: Client) -> None:
        make_person("ada")
        known = client.post(reverse("account_reset_password"), {"email": "ada@example.org"})
        unknown = client.post(reverse("account_reset_password"), {"email": "nobody@example.org"})
        assert (known.status_code, known["Location"]) == (unknown.status_code, unknown["Location"])
        assert list(OutboundMail.objects.values_list("to_address", flat=True)) == ["ada@example.org"]


class TestSecondFactor:
    @pytest.fixture(autouse=True)
    def required(self, settings: Any) -> None:
        settings.STAFF_SECOND_FACTOR = True

    @pytest.mark.parametrize("role", STAFF)
    @pytest.mark.parametrize("path", ["/people/", "/admin/", "/profile/", "/migrations/"])
    def test_staff_without_one_is_led_to_it(self, make_person: Make, client: Client, role: str, path: str) -> None:
        client.force_login(make_person("ada", role))
        answer = client.get(path)
        assert (answer.status_code, answer["Location"]) == (302, reverse("mfa_index"))

    @pytest.mark.parametrize("role", STAFF)
    def test_the_api_says_so_in_its_own_shape(self, make_person: Make, client: Client, role: str) -> None:
        client.force_login(make_person("ada", role))
        answer = client.get("/api/portal/schema/")
        assert answer.status_code == 403
        assert answer.json()["error"]["code"] == "second_factor_required"

    def test_with_one_everything_opens(self, make_person: Make, client: Client) -> None:
        person = make_person("ada", Role.ADMIN)
        give_second_factor(person)
        client.force_login(person)
        assert client.get("/people/").status_code == 200
        assert client.get("/admin/").status_code == 200
        assert client.get("/api/portal/schema/").status_code == 200

    @pytest.mark.parametrize("role", [Role.USER, Role.DEVELOPER, Role.CONTENT_LEAD])
    def test_others_need_none(self, make_person: Make, client: Client, role: str) -> None:
        client.force_login(make_person("ada", role))
        assert client.get("/profile/").status_code == 200

    def test_the_password_alone_does_not_log_in(self, make_person: Make, client: Client) -> None:
        secret = give_second_factor(make_person("ada", Role.ADMIN))
        answer = log_in(client, "ada")
        assert (answer.status_code, answer["Location"]) == (302, reverse("mfa_authenticate"))
        assert not is_logged_in(client)
        client.post(reverse("mfa_authenticate"), {"code": "000000"})
        assert not is_logged_in(client)
        client.post(reverse("mfa_authenticate"), {"code": code_of(secret)})
        assert is_logged_in(client)

    def test_the_admin_has_no_door_of_its_own(self, make_person: Make, client: Client) -> None:
        """Its own login form knows no second factor, so it leads to the one door."""
        give_second_factor(make_person("ada", Role.ADMIN))
        answer = client.post("/admin/login/", {"username": "ada", "password": PASSWORD, "next": "/admin/"})
        assert answer.status_code == 302
        assert answer["Location"].startswith(reverse("account_login"))
        assert not is_logged_in(client)

    def test_setting_one_up_is_open(self, make_person: Make, client: Client) -> None:
        client.force_login(make_person("ada", Role.ADMIN))
        assert client.get(reverse("mfa_index")).status_code == 200
        assert Authenticator.objects.count() == 0


def test_sign_up_is_closed(db: None, client: Client) -> None:
    form = {"email": "new@example.org", "username": "new", "password1": PASSWORD, "password2": PASSWORD}
    client.post(reverse("account_signup"), form)
    assert User.objects.count() == 0


class IdentityProvider(BaseHTTPRequestHandler):
    """A small OpenID Connect provider: discovery, token, and who the person is."""

    claims: dict[str, Any] = {}

    def do_GET(self) -> None:
        base = f"http://127.0.0.1:{self.server.server_address[1]}"
        if self.path.endswith("/.well-known/openid-configuration"):
            paths = {"authorization": "authorize", "token": "token", "userinfo": "me"}
            found = {f"{name}_endpoint": f"{base}/{path}" for name, path in paths.items()}
            return self.answer({"issuer": base, "jwks_uri": f"{base}/keys", **found})
        if self.path == "/me":
            assert self.headers["Authorization"] == "Bearer access"
            return self.answer(self.claims)
        return self.send_error(404)

    def do_POST(self) -> None:
        body = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        assert body["code"] == ["one-time"]
        self.answer({"access_token": "access", "token_type": "Bearer", "expires_in": 60})

    def answer(self, body: dict[str, Any]) -> None:
        raw = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, *args: Any) -> None:
        """Silent."""


class TestSingleSignOn:
    @pytest.fixture(autouse=True)
    def provider(self, settings: Any) -> Iterator[None]:
        server = ThreadingHTTPServer(("127.0.0.1", 0), IdentityProvider)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        app = {
            "provider_id": "company",
            "name": "Company login",
            "client_id": "portal",
            "secret": "oidc-secret",
            "settings": {"server_url": f"http://127.0.0.1:{server.server_address[1]}", "fetch_userinfo": True},
        }
        settings.SOCIALACCOUNT_PROVIDERS = {"openid_connect": {"APPS": [app]}}
        yield
        server.shutdown()

    def come_in(self, client: Client, **claims: Any) -> Any:
        IdentityProvider.claims = {"sub": "42", **claims}
        start = client.post("/accounts/oidc/company/login/")
        assert start.status_code == 302
        state = parse_qs(urlsplit(start["Location"]).query)["state"][0]
        return client.get("/accounts/oidc/company/login/callback/", {"code": "one-time", "state": state})

    def test_the_login_page_offers_it(self, db: None, client: Client) -> None:
        assert "Company login" in client.get(reverse("account_login")).content.decode()

    @pytest.mark.parametrize("proven", [True, False])
    def test_a_known_verified_address_logs_in(self, make_person: Make, client: Client, proven: bool) -> None:
        """Where nobody had proven the address before, the old password ends: whoever set it may not own the address."""
        person = make_person("ada", email_is_proven=proven)
        self.come_in(client, email="ada@example.org", email_verified=True)
        assert client.session["_auth_user_id"] == str(person.pk)
        person.refresh_from_db()
        assert person.check_password(PASSWORD) is proven

    def test_an_address_the_provider_has_not_verified_does_not(self, make_person: Make, client: Client) -> None:
        make_person("ada")
        self.come_in(client, email="ada@example.org", email_verified=False)
        assert not is_logged_in(client)
        assert User.objects.count() == 1

    def test_a_stranger_gets_no_account(self, make_person: Make, client: Client) -> None:
        make_person("ada")
        self.come_in(client, email="stranger@example.org", email_verified=True)
        assert not is_logged_in(client)
        assert User.objects.count() == 1

    def test_staff_still_need_their_second_factor(self, make_person: Make, client: Client) -> None:
        give_second_factor(make_person("ada", Role.ADMIN))
        answer = self.come_in(client, email="ada@example.org", email_verified=True)
        assert answer["Location"] == reverse("mfa_authenticate")
        assert not is_logged_in(client)
