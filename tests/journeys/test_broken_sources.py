"""Sources that are no whole gateway: cut, empty, of another product, or gone in the middle. A clear word, nothing moved in."""

import contextlib
import os
import shutil
import socket
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from celery.contrib.testing.worker import start_worker
from django.conf import settings
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client
from redis import Redis

from accounts.models import Role, User
from accounts.services.people import create_person
from config.celery import app
from migrations_center.models import ImportRun
from migrations_center.sources.address import SourceAddress
from tests.gateway.servers import until
from tests.journeys.conftest import OLD
from tests.migrations_center.imports import support
from tests.migrations_center.imports.conftest import new_api_postgres  # noqa: F401 - a fixture

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]

# Each file, and what is said about it.
BROKEN = {
    "cut in half": ("source_damaged", "cut off or damaged"),
    "cut in its first page": ("source_damaged", "cut off or damaged"),
    "of another product": ("source_unknown_product", "not a database of One API or New API"),
    "without a table": ("source_empty", "empty"),
    "empty": ("source_empty", "empty"),
    "a text": ("source_not_a_database", "not a SQLite database"),
}

OF_RELAYS = {
    f"gateway_{name}" for name in ("relayinstance", "featureuse", "entrysighting", "upstreamhealth", "keyconfirmation")
}


def make(kind: str, path: Path) -> Path:
    """The broken file of this kind, made anew."""
    if kind.startswith("cut"):
        shutil.copyfile(OLD / "one-api.sqlite3", path)
        os.truncate(path, path.stat().st_size // 2 if kind == "cut in half" else 700)
    elif kind == "of another product":
        with sqlite3.connect(path) as db:
            db.execute("CREATE TABLE users (id INTEGER PRIMARY KEY, email TEXT, karma INTEGER)")
            db.execute("CREATE TABLE bookmarks (id INTEGER PRIMARY KEY, user_id INTEGER, url TEXT)")
            db.execute("INSERT INTO users VALUES (1, 'reader@example.test', 7)")
    elif kind == "without a table":
        with sqlite3.connect(path) as db:
            db.execute("CREATE TABLE soon_gone (id INTEGER)")
            db.execute("DROP TABLE soon_gone")
    else:
        path.write_bytes(b"" if kind == "empty" else b"id,username,quota\n1,alice,500000\n" * 400)
    return path


@pytest.fixture
def operator(transactional_db: None, clean_cache: Any) -> Client:
    person = create_person(actor=None, username="operator", email="operator@example.org", role=Role.OPS)
    client = Client()
    client.force_login(person, backend="allauth.account.auth_backends.AuthenticationBackend")
    return client


@pytest.fixture
def worker(transactional_db: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A Celery worker on the real broker, in a thread: it takes what the page puts there."""
    monkeypatch.setattr(settings, "VAR_DIR", tmp_path)
    Redis.from_url(settings.CELERY_BROKER_URL).delete("portal")
    with start_worker(app, pool="solo", perform_ping_check=False, loglevel="ERROR"):
        yield


def counts() -> dict[str, int]:
    """Rows of each table, but for what the relay of the tests before writes by itself every few seconds."""
    found = support.counts(str(connection.settings_dict["NAME"]))
    return {table: number for table, number in found.items() if table not in OF_RELAYS}


def gained(before: dict[str, int]) -> dict[str, int]:
    """Tables whose number of rows is another one than before, with the difference."""
    return {table: number - before[table] for table, number in counts().items() if number != before[table]}


def done(run: ImportRun, *states: str) -> ImportRun:
    def reached() -> bool:
        run.refresh_from_db()
        return run.state in states

    until(reached, 120, 0.1)
    return run


@pytest.mark.parametrize("kind", [kind for kind in BROKEN if kind != "empty"])
def test_by_page_a_broken_file_is_named_and_nothing_moves_in(kind: str, operator: Client, worker: None, tmp_path: Path) -> None:
    """Uploaded, taken by the worker, refused on the page of the run; only the run and its line in the trail are new."""
    content = make(kind, tmp_path / "old.db").read_bytes()
    before = counts()
    answer = operator.post("/migrations/imports/new/", {"file": SimpleUploadedFile("old.db", content)})
    assert answer.status_code == 302
    run = done(ImportRun.objects.get(), "failed")
    page = operator.get(answer["Location"])
    text = page.content.decode()
    assert page.status_code == 200
    assert BROKEN[kind][1] in text
    assert "Traceback" not in text
    assert 'value="apply"' not in text, "what cannot be read cannot be let in"
    assert run.report == {}
    assert gained(before) == {"migrations_center_importrun": 1, "accounts_auditevent": 1}
    refused = operator.post(f"{answer['Location']}decide/", {"act": "apply", "name_clash": "rename"}, follow=True)
    assert refused.status_code == 200
    assert User.objects.count() == 1


def test_by_page_an_empty_file_is_refused_in_the_form(operator: Client, tmp_path: Path) -> None:
    before = counts()
    answer = operator.post("/migrations/imports/new/", {"file": SimpleUploadedFile("old.db", b"")})
    assert answer.status_code == 422
    assert "empty" in answer.content.decode()
    assert gained(before) == {}


@pytest.mark.parametrize("kind", BROKEN)
def test_by_command_a_broken_file_gives_one_line_and_no_row(kind: str, transactional_db: None, tmp_path: Path) -> None:
    path = make(kind, tmp_path / "old.db")
    before = counts()
    ended = support.manage(str(connection.settings_dict["NAME"]), "import_source", str(path))
    assert ended.returncode == 1
    assert ended.stdout == ""
    (line,) = ended.stderr.strip().splitlines()
    code, word = BROKEN[kind]
    assert f"[{code}]" in line
    assert word in line
    assert gained(before) == {}


class Proxy:
    """Passes bytes between a client and the PostgreSQL server, and falls silent for good after ``limit`` bytes of answers."""

    def __init__(self) -> None:
        self.limit: int | None = None
        self.passed = 0
        self.sockets: list[socket.socket] = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self.listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client, _address = self.listener.accept()
            except OSError:
                return
            server = self._server()
            self.sockets += [client, server]
            for source, target, counted in ((client, server, False), (server, client, True)):
                threading.Thread(target=self._pass, args=(source, target, counted), daemon=True).start()

    def _server(self) -> socket.socket:
        here = support.server()
        host, port = str(here.get("host", "localhost")), int(here.get("port", 5432))
        if not host.startswith("/"):
            return socket.create_connection((host, port))
        server = socket.socket(socket.AF_UNIX)
        server.connect(f"{host}/.s.PGSQL.{port}")
        return server

    def _pass(self, source: socket.socket, target: socket.socket, counted: bool) -> None:
        try:
            while data := source.recv(16_384):
                if counted:
                    self.passed += len(data)
                    if self.limit is not None and self.passed > self.limit:
                        self.cut()
                        return
                target.sendall(data)
        except OSError:
            pass
        for end in (source, target):
            _close(end)

    def cut(self) -> None:
        """Every connection that there is ends now."""
        for one in self.sockets:
            _close(one)

    def close(self) -> None:
        self.listener.close()
        self.cut()


def _close(one: socket.socket) -> None:
    with contextlib.suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)
    one.close()


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    proxy = Proxy()
    yield proxy
    proxy.close()


def addresses(proxy: Proxy, places: tuple[SourceAddress, SourceAddress]) -> list[str]:
    """The main database behind the proxy and the log database beside it, as somebody types them."""
    here = support.server()
    login = str(here.get("user", "")) + (f":{here['password']}" if here.get("password") else "")
    return [f"postgresql://{login}@127.0.0.1:{proxy.port}/{place.name}" for place in places]


def answered_in_all(proxy: Proxy, main: str, logs: str) -> int:
    """How many bytes one look at everything takes."""
    ended = support.manage(str(connection.settings_dict["NAME"]), "import_source", main, "--logs", logs, "--dry-run", "--json")
    assert ended.returncode == 0, ended.stderr
    total, proxy.passed = proxy.passed, 0
    return total


def test_by_command_a_database_that_goes_away_leaves_nothing(
    transactional_db: None,
    proxy: Proxy,
    new_api_postgres: tuple[SourceAddress, SourceAddress],  # noqa: F811
) -> None:
    """R075: cut at the beginning, late in the first look, in the second one, and while the log rows are read: one line,
    exit 1, no row of an old gateway here. A run that had begun is kept as failed."""
    main, logs = addresses(proxy, new_api_postgres)
    look = answered_in_all(proxy, main, logs)
    before = counts()
    # Before anything is written there is a look at everything, and then another; the log rows themselves come last.
    for limit, begun in ((look // 20, 0), (look * 9 // 10, 0), (look * 3 // 2, 1), (look * 2 + 300_000, 2)):
        proxy.limit, proxy.passed = limit, 0
        ended = support.manage(str(connection.settings_dict["NAME"]), "import_source", main, "--logs", logs, "--json")
        assert (ended.returncode, ended.stdout) == (1, ""), limit
        (line,) = ended.stderr.strip().splitlines()
        assert "[source_gone]" in line, limit
        assert gained(before) == ({"migrations_center_importrun": begun} if begun else {}), limit
    assert list(ImportRun.objects.values_list("state", "report")) == [("failed", {}), ("failed", {})]


def test_by_page_a_database_that_goes_away_while_it_lands_can_be_gone_on_with(
    operator: Client,
    worker: None,
    proxy: Proxy,
    new_api_postgres: tuple[SourceAddress, SourceAddress],  # noqa: F811
) -> None:
    """The preview was whole; then the database goes away under the apply. Nothing moved in; once it is back, all of it does."""
    main, logs = addresses(proxy, new_api_postgres)
    answer = operator.post("/migrations/imports/new/", {"address": main, "log_address": logs})
    assert answer.status_code == 302
    run = done(ImportRun.objects.get(), "previewed")
    read = proxy.passed
    before = counts()
    proxy.limit, proxy.passed = read // 2, 0
    decided = {"act": "apply", "name_clash": "rename"}
    operator.post(f"{answer['Location']}decide/", decided)
    done(run, "failed")
    page = operator.get(answer["Location"]).content.decode()
    assert "The database went away while it was being read." in page
    assert gained(before) == {"accounts_auditevent": 1}
    assert User.objects.count() == 1

    proxy.limit = None
    operator.post(f"{answer['Location']}decide/", decided)
    done(run, "applied")
    assert run.report["totals"]["balances"]["ties_out"] is True
    assert User.objects.count() == 1 + run.report["tables"]["users"]["created"]
    assert main not in operator.get(answer["Location"]).content.decode()
