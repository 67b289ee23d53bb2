"""Journeys in a real browser over real processes. A complaint of the browser, of axe or of our own checks fails the journey."""

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.core.management import call_command
from django.db import OperationalError, connection
from django.test.utils import setup_databases, teardown_databases

from accounts.models import Role, User
from accounts.services.people import create_person
from models_catalog import services as catalog
from tests.browser.look import Look, Visitor
from tests.browser.stack import Stack, whole_portal

# Drawing pictures proves nothing: `make pictures` asks for it.
collect_ignore = [] if os.environ.get("PICTURES") else ["test_readme_pictures.py"]

CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM_FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
STAFF_PASSWORD = "correct-horse-battery"
UPSTREAM_NAME = "backroom-canary"
UPSTREAM_CREDENTIAL = "sk-backroomCREDENTIALcanary0123456789abcdefghij"


@pytest.fixture(scope="module")
def chrome() -> Iterator[Any]:
    """One Chromium for the journeys of a module, found as the Makefile finds it."""
    path = next(filter(None, map(shutil.which, CHROMIUM_NAMES)), None)
    if path is None:
        pytest.skip("no Chromium on this machine (on Debian: apt-get install chromium fonts-noto-cjk)")
    from playwright.sync_api import sync_playwright

    with pytest.MonkeyPatch.context() as patch, sync_playwright() as playwright:
        # Playwright's loop runs in this thread, so Django would refuse to look into the database from the tests.
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
        browser = playwright.chromium.launch(executable_path=path, args=CHROMIUM_FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def test_database(
    django_db_setup: None, django_db_blocker: Any, django_db_keepdb: bool, django_db_createdb: bool
) -> Iterator[None]:
    """The test database, also in a run of journeys alone: they carry no mark that would make it, as each is many requests
    of processes of their own and not one transaction of the test's."""
    if _is_test_database():
        yield
        return
    with django_db_blocker.unblock():
        keep = django_db_keepdb and not django_db_createdb
        made = setup_databases(verbosity=0, interactive=False, aliases={"default"}, keepdb=keep)
    assert _is_test_database()
    yield
    if not django_db_keepdb:
        with django_db_blocker.unblock():
            # What the browser's threads left open keeps a database from being removed.
            with connection.cursor() as cursor:
                others = "datname = current_database() AND pid <> pg_backend_pid()"
                cursor.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {others}")
            teardown_databases(made, verbosity=0)


@pytest.fixture(scope="module")
def portal(chrome: Any, test_database: None, django_db_blocker: Any) -> Iterator[Stack]:
    """The portal on an empty test database, with a person of every role; the database is emptied again at the end."""
    with django_db_blocker.unblock():
        empty_the_database()
        try:
            with whole_portal() as stack:
                people_of_every_role()
                serve_with(stack)
                yield stack
        finally:
            empty_the_database()


@pytest.fixture
def visit(chrome: Any, portal: Stack) -> Iterator[Callable[[Look], Visitor]]:
    """Opens a browser window of a look. After the test no window may have complained."""
    visitors: list[Visitor] = []

    def open_window(look: Look) -> Visitor:
        visitors.append(Visitor.arrive(chrome, portal.url, look))
        return visitors[-1]

    yield open_window
    complaints = [line for visitor in visitors for line in visitor.complaints]
    for visitor in visitors:
        visitor.leave()
    assert not complaints, "\n".join(dict.fromkeys(complaints))


def people_of_every_role() -> None:
    for username, role in {"operator": Role.OPS, "helper": Role.SUPPORT, "chief": Role.ADMIN}.items():
        create_person(
            actor=None,
            username=username,
            email=f"{username}@example.org",
            role=role,
            password=STAFF_PASSWORD,
            email_is_proven=True,
        )


def serve_with(stack: Stack) -> None:
    """The upstream that serves what is imported; its name and credential must never be on a page of support or users."""
    provider = catalog.create_provider(actor_name="test", code="backroom", name="Backroom")
    catalog.create_upstream(
        actor_name="test", name=UPSTREAM_NAME, provider=provider, base_url=stack.upstream.url, credential=UPSTREAM_CREDENTIAL
    )


def _is_test_database() -> bool:
    return str(connection.settings_dict["NAME"]).startswith("test")


def empty_the_database() -> None:
    assert _is_test_database(), "only a test database may be emptied"
    for attempt in range(5):
        # A process that is on its way out may still hold a lock; then this side can be the one the server sends away.
        with contextlib.suppress(OperationalError):
            call_command("flush", verbosity=0, interactive=False, reset_sequences=False)
            assert not User.objects.exists()
            return
        assert attempt < 4, "the test database could not be emptied"
