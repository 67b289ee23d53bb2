"""R099 and R096: planted secrets go through every door of the portal, and are nowhere afterwards."""

import base64
import json
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from django.conf import settings
from django.db import connection
from redis import Redis

from accounts.models import Role
from accounts.services.people import create_person
from migrations_center.models import ImportRun
from migrations_center.services.imports import imports_dir
from migrations_center.sources.address import SourceAddress
from tests.browser.stack import start_web, start_worker
from tests.gateway.conftest import world  # noqa: F401 - a fixture
from tests.gateway.servers import Server, running, until
from tests.gateway.world import CREDENTIAL, FAILING, World
from tests.journeys import crawl
from tests.journeys.conftest import OLD, sample
from tests.migrations_center.imports import support
from tests.migrations_center.imports.conftest import new_api_postgres  # noqa: F401 - a fixture
from tests.migrations_center.imports.test_canaries import dump

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]

PASSWORD = "Portal-passw0rd-Zq81xk"
WRONG_PASSWORD = "Wrong-passw0rd-Kp27vd"
DSN_PASSWORD = "Dsn-passw0rd-Wm64tb"
WRONG_DSN_PASSWORD = "Dsn-passw0rd-Jh35yc"
UNKNOWN_KEY = "sk-NobodysKey93Hd72Lq05Xw18Rn46Tb27Yc59Vm30Gk84Pz61"
PROMPT = "Prompt-text-Bn52rs: tell nobody"
SYSTEM_PROMPT = "System-text-Gt90hj"
# What the scripted upstream says to everything.
ANSWER = "demo upstream answers with words"
ROLES = {role.value: role for role in Role}
START = ["/", "/admin/", "/migrations/", "/migrations/imports/", "/find/?period=30&outcome=failed", "/api/portal/docs/"]


def planted_in_samples() -> Iterator[str]:
    """Keys, codes, passwords, management tokens, upstream credentials and option secrets of both samples."""
    for name in ("one-api", "new-api"):
        known = sample(f"{name}.totals.json")
        yield from (person["password"] for person in known.get("people") or known["users"] if person.get("password"))
        yield from (row["key"].removeprefix("sk-") for row in known.get("keys") or known["tokens"])
        yield from (row["key"] for row in known.get("codes") or known["redemption_codes"])
        with sqlite3.connect(f"file:{OLD / name}.sqlite3?mode=ro&immutable=1", uri=True) as db:
            yield from (row[0] for row in db.execute("SELECT access_token FROM users WHERE access_token <> ''"))
            for (credential,) in db.execute("SELECT `key` FROM channels WHERE `key` <> ''"):
                yield from credential.split("\n")
            yield from (row[0] for row in db.execute("SELECT `value` FROM options WHERE `value` LIKE '%canary%'"))


def forms_of(secret: str) -> list[bytes]:
    """As it is, and as a bytes column of a dump or a message of the broker would hold it."""
    raw = secret.encode()
    return [raw, raw.hex().encode(), base64.b64encode(raw).rstrip(b"=")[:-1]]


def hits(secrets: list[str], place: str, text: bytes) -> list[str]:
    return [f"{secret[:6]}... in {place}" for secret in secrets for form in forms_of(secret) if form in text]


def broker_and_cache() -> bytes:
    """Everything that Redis holds, whatever its kind, and the bodies of the messages decoded."""
    store = Redis.from_url(settings.REDIS_URL)
    found: list[bytes] = []
    readers = {
        b"string": lambda key: [store.get(key)],
        b"list": lambda key: store.lrange(key, 0, -1),
        b"hash": lambda key: [part for pair in store.hgetall(key).items() for part in pair],
        b"set": store.smembers,
        b"zset": lambda key: store.zrange(key, 0, -1),
    }
    for key in store.scan_iter("*"):
        kind = store.type(key)
        # One whose time was over between the two questions is gone, and so is what was in it.
        if kind != b"none":
            found += [key, *(part for part in readers[kind](key) if part)]
    bodies = [json.loads(part).get("body", "") for part in found if part.startswith(b"{")]
    return b"\n".join(found + [base64.b64decode(body) for body in bodies])


@pytest.fixture
def reader(new_api_postgres: tuple[SourceAddress, SourceAddress]) -> Iterator[str]:  # noqa: F811
    """The address of an old gateway's database, with a login whose password is a canary."""
    with psycopg.connect(support.conninfo("postgres"), autocommit=True) as admin:
        admin.execute("DROP ROLE IF EXISTS canary_reader")
        admin.execute(f"CREATE ROLE canary_reader LOGIN PASSWORD '{DSN_PASSWORD}' IN ROLE pg_read_all_data")
    try:
        here = support.server()
        place = f"canary_reader:{DSN_PASSWORD}@%s/{new_api_postgres[0].name}"
        host, port = str(here.get("host", "localhost")), here.get("port", 5432)
        yield (
            f"postgresql://{place % ''}?host={host}&port={port}"
            if host.startswith("/")
            else (f"postgresql://{place % f'{host}:{port}'}")
        )
    finally:
        with psycopg.connect(support.conninfo("postgres"), autocommit=True) as admin:
            admin.execute("DROP ROLE canary_reader")


def test_no_planted_secret_is_anywhere(world: World, reader: str) -> None:  # noqa: F811
    """Database, broker and cache, what every process wrote to standard error, all pages and API answers of every role."""
    for name, role in ROLES.items():
        create_person(actor=None, username=f"the-{name}", email=f"{name}@example.org", role=role, password=PASSWORD)
    secrets = [*planted_in_samples(), PASSWORD, WRONG_PASSWORD, DSN_PASSWORD, WRONG_DSN_PASSWORD, CREDENTIAL]
    secrets += [UNKNOWN_KEY.removeprefix("sk-"), PROMPT, SYSTEM_PROMPT, ANSWER]
    Redis.from_url(settings.CELERY_BROKER_URL).flushdb()
    found: list[str] = []
    with running(start_web(world.relay)) as web:
        ops = crawl.sign_in(web.url, "the-ops", PASSWORD)
        runs = imports_begun(ops, reader)
        # Nobody works yet: the messages lie in the broker as they were put there.
        found += hits(secrets, "broker before", broker_and_cache())
        with running(start_worker(9)) as worker:
            imports_landed(ops, runs)
            secrets += keys_of_a_person(web, world)
            calls_of_every_kind(world)
            texts = everything_said(world, web, worker)
            found += [line for place, text in texts.items() for line in hits(secrets, place, text.encode())]
            found += hits(secrets, "broker and cache", broker_and_cache())
    assert len(secrets) > 250
    assert list(dict.fromkeys(found)) == []
    assert not [path for run in runs for path in imports_dir().glob(f"{run.hex}*")], "uploaded files are gone once they landed"


def imports_begun(ops: httpx.Client, reader: str) -> list[Any]:
    """Both files, a database by its address, and one whose password is wrong."""
    for file in ("one-api.sqlite3", "new-api.sqlite3"):
        answer = crawl.post(ops, "/migrations/imports/new/", {}, files={"file": ("old.db", (OLD / file).read_bytes())})
        assert answer.url.path.startswith("/migrations/imports/"), answer.url
    wrong = reader.replace(DSN_PASSWORD, WRONG_DSN_PASSWORD).replace("canary_reader", "nobody_at_all")
    for address in (reader, wrong):
        crawl.post(ops, "/migrations/imports/new/", {"address": address})
    runs = list(ImportRun.objects.order_by("created_at").values_list("pk", flat=True))
    assert len(runs) == 4
    return runs


def imports_landed(ops: httpx.Client, runs: list[Any]) -> None:
    one_api, new_api, by_address, refused = runs
    until(lambda: states(runs) == ["previewed", "previewed", "previewed", "failed"], 180, 0.2)
    for run in (one_api, new_api):
        decided = {"act": "preview", "upstream": "demo", "name_clash": "rename"}
        crawl.post(ops, f"/migrations/imports/{run}/decide/", decided)
        until(lambda run=run: states([run]) == ["previewed"], 120, 0.2)
        crawl.post(ops, f"/migrations/imports/{run}/decide/", {**decided, "act": "apply"})
        until(lambda run=run: states([run]) == ["applied"], 240, 0.5)


def states(runs: list[Any]) -> list[str]:
    found = dict(ImportRun.objects.filter(pk__in=runs).values_list("pk", "state"))
    return [found[run] for run in runs]


def keys_of_a_person(web: Server, world: World) -> list[str]:  # noqa: F811
    """Issued and rotated on the pages: the two clear values that those two answers held, and no other may."""
    person = crawl.sign_in(web.url, "the-user", PASSWORD)
    refused = httpx.Client(base_url=web.url, follow_redirects=True)
    refused.get("/accounts/login/")
    assert crawl.post(refused, "/accounts/login/", {"login": "the-user", "password": WRONG_PASSWORD}).status_code == 200
    form = person.get("/keys/new/").text
    once = form.partition('name="once" value="')[2].partition('"')[0]
    issued = crawl.post(person, "/keys/new/", {"once": once, "name": "job", "purpose": "production", "belongs_to": "me"})
    first = clear_key_in(issued.text)
    # A whole key in a search: refused before it could rest in an address.
    assert person.get("/find/", params={"q": first}).status_code == 403
    support_person = crawl.sign_in(web.url, "the-support", PASSWORD)
    assert first not in str(support_person.get("/find/", params={"q": first}).url)
    key_id = person.get("/keys/").text.partition('href="/keys/')[2]
    key_id = person.get("/keys/").text.partition('class="row" href="/keys/')[2].partition("/")[0]
    form = person.get(f"/keys/{key_id}/rotate/").text
    once = form.partition('name="once" value="')[2].partition('"')[0]
    rotated = crawl.post(person, f"/keys/{key_id}/rotate/", {"once": once, "overlap_hours": "24"})
    return [first.removeprefix("sk-"), clear_key_in(rotated.text).removeprefix("sk-")]


def clear_key_in(page: str) -> str:
    clear = page.partition('class="copy-box once"><code>')[2].partition("<")[0]
    assert clear.startswith("sk-")
    return clear


def calls_of_every_kind(world: World) -> None:  # noqa: F811
    """Served, failing in each way the upstream can fail, refused, and with keys in places where they do not belong."""
    world.settle_in()
    messages = [{"role": "system", "content": SYSTEM_PROMPT}, {"role": "user", "content": PROMPT}]
    person = world.person("5")
    _key, own = world.key(person)
    keys = {row["username"]: f"sk-{row['key']}" for row in sample("one-api.totals.json")["keys"] if row["name"] == "main"}
    for model in ("demo-chat", *FAILING):
        for stream in (False, True):
            world.ask(own, model=model, messages=messages, stream=stream)
    assert world.ask(keys["alice"], model="gpt-4o-mini", messages=messages).status_code == 200
    # A key pasted into the field of the model, as people do.
    assert world.ask(keys["alice"], model=UNKNOWN_KEY, messages=messages).status_code == 404
    assert world.ask(UNKNOWN_KEY, messages=messages).status_code == 401
    address = f"{world.relay.url}/v1/chat/completions"
    httpx.post(f"{address}?key={UNKNOWN_KEY}", json={"model": "demo-chat", "messages": messages})
    httpx.post(address, content=f'{{"model": "{PROMPT}', headers={"Authorization": f"Bearer {own}"})
    httpx.post(address, json={"model": "gpt-4o", "messages": messages, "user": PROMPT}, headers={"x-api-key": keys["bob"]})
    httpx.get(f"{world.relay.url}/v1/models", headers={"Authorization": f"Bearer {keys['chen']}"})


def everything_said(world: World, web: Server, worker: Server) -> dict[str, str]:  # noqa: F811
    """Texts by the place they were found in."""
    # The worker's clock folds usage and sweeps meanwhile.
    time.sleep(4)
    texts = {}
    schema = None
    for name in ["", *ROLES]:
        client = crawl.sign_in(web.url, f"the-{name}", PASSWORD) if name else httpx.Client(base_url=web.url, timeout=60)
        pages = crawl.walk(client, START if name else ["/", "/accounts/login/", "/accounts/password/reset/", "/readyz", *START])
        if name:
            schema = schema or client.get("/api/portal/schema/?format=json").json()
            pages |= crawl.api_answers(client, schema)
        assert len(pages) > (50 if name in ("ops", "admin") else 20 if name else 4), name
        texts |= {f"{address} for {name or 'strangers'}": text for address, text in pages.items()}
    alice = crawl.sign_in(web.url, "alice", sample("one-api.totals.json")["people"][1]["password"])
    texts |= {f"{address} for alice": text for address, text in crawl.walk(alice, ["/"]).items()}
    texts |= {"relay": world.relay.errors(), "web": web.errors(), "worker": worker.errors()}
    texts["database"] = dump(str(connection.settings_dict["NAME"]))
    assert "billing_requestlog" in texts["database"]
    assert "Task migrations_center.tasks.apply_import_task" in texts["worker"]
    return texts


def test_the_search_for_secrets_finds_them(tmp_path: Path) -> None:
    """What would be found if it were there: in clear, in hexadecimal digits and in base64."""
    text = b"x " + DSN_PASSWORD.encode().hex().encode() + b" y " + base64.b64encode(b'["' + PASSWORD.encode() + b'"]')
    assert len(hits([DSN_PASSWORD, PASSWORD], "there", text)) == 1
    assert len(hits([PASSWORD], "there", base64.b64encode(PASSWORD.encode()))) == 1
    assert hits([WRONG_PASSWORD], "there", text) == []
