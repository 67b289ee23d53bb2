"""The samples, what they are known to hold, and databases of their own for tests that need a process of their own."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from django.conf import settings
from django.db import connection

from migrations_center.services import import_engine as engine
from migrations_center.services.apply.context import ImportOptions
from migrations_center.services.imports import import_now
from migrations_center.sources.address import SourceAddress, parse_source

ROOT = Path(settings.BASE_DIR)
SAMPLES = ROOT / "tests" / "fixtures" / "old_gateways"
# Volatile by nature: times of writing, ids of runs, random unusable passwords, sessions.
RUN_TABLES = ("migrations_center_importrun", "migrations_center_importissue", "accounts_auditevent", "django_migrations")


def sample(name: str) -> Path:
    return SAMPLES / f"{name}.sqlite3"


def totals(name: str) -> dict[str, Any]:
    return dict(json.loads((SAMPLES / f"{name}.totals.json").read_text()))


def answers(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (SAMPLES / f"{name}.answers.jsonl").read_text().splitlines()]


def do_import(
    path: Path | SourceAddress, logs: Path | SourceAddress | None = None, *, dry_run: bool = False, **options: Any
) -> dict[str, Any]:
    place = engine.Place(_address(path), _address(logs) if logs else None)
    return import_now(place, ImportOptions(**options), dry_run=dry_run)


def _address(place: Path | SourceAddress) -> SourceAddress:
    return parse_source(str(place)) if isinstance(place, Path) else place


def conninfo(name: str) -> str:
    return f"dbname={name} " + " ".join(f"{key}={value}" for key, value in server().items())


def server() -> dict[str, Any]:
    """How to reach the test server, without the database."""
    found = connection.settings_dict
    pairs = {"host": found["HOST"], "port": found["PORT"], "user": found["USER"], "password": found["PASSWORD"]}
    return {key: value for key, value in pairs.items() if value}


def url(name: str) -> str:
    here = server()
    host = here.get("host", "")
    login = here.get("user", "") + (f":{here['password']}" if here.get("password") else "")
    if str(host).startswith("/"):
        return f"postgresql://{login}@/{name}?host={host}&port={here.get('port', 5432)}"
    return f"postgresql://{login}@{host or 'localhost'}:{here.get('port', 5432)}/{name}"


@contextmanager
def database(template: str = "") -> Iterator[str]:
    """A database of its own on the test server, gone afterwards."""
    name = f"portal_test_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(conninfo("postgres"), autocommit=True) as admin:
        admin.execute(f'CREATE DATABASE "{name}"' + (f' TEMPLATE "{template}"' if template else ""))
    try:
        yield name
    finally:
        with psycopg.connect(conninfo("postgres"), autocommit=True) as admin:
            admin.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


def environment(name: str, **extra: str) -> dict[str, str]:
    return {**os.environ, "DATABASE_URL": url(name), "DJANGO_SETTINGS_MODULE": "config.settings.test", **extra}


def manage(name: str, *arguments: str, **extra: str) -> subprocess.CompletedProcess[str]:
    """Run a management command against a database of its own."""
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=ROOT,
        env=environment(name, **extra),
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def start_manage(name: str, *arguments: str, **extra: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "manage.py", *arguments],
        cwd=ROOT,
        env=environment(name, **extra),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def counts(name: str) -> dict[str, int]:
    """Rows of every table, partitions by their parent; not what a test's relay writes by the clock."""
    with psycopg.connect(conninfo(name)) as db:
        tables = db.execute(
            "SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
            "WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p') AND NOT c.relispartition "
            "AND c.relname NOT IN ('gateway_relayinstance', 'gateway_upstreamhealth') ORDER BY 1"
        ).fetchall()
        return {table: db.execute(f'SELECT count(*) FROM "{table}"').fetchone()[0] for (table,) in tables}  # type: ignore[index]


# What an import leaves behind, as text that is the same whenever and in how many attempts it was made.
_STATE = {
    "people": """
        SELECT username, email, password, display_name, role, state, (SELECT code FROM accounts_group g WHERE g.id =
        billing_group_id), language FROM accounts_user WHERE password NOT LIKE '!%' ORDER BY username
    """,
    "groups": "SELECT code, is_active, usable_codes::text FROM accounts_group ORDER BY code",
    "keys": """
        SELECT u.username, k.name, k.state, k.state_reason, k.route, k.model_names, k.networks, g.code,
        k.auto_group_codes, k.expires_at, k.created_at, s.tail, encode(s.digest, 'hex'), s.revoked_at IS NULL,
        b.limit_nano FROM keys_apikey k JOIN keys_keysecret s ON s.key_id = k.id LEFT JOIN accounts_user u ON u.id =
        k.owner_id LEFT JOIN accounts_group g ON g.id = k.group_id LEFT JOIN billing_spendlimit b ON b.key_id = k.id
        ORDER BY s.digest
    """,
    "models": """
        SELECT m.name, m.modality, a.group_code FROM models_catalog_aimodel m LEFT JOIN models_catalog_modelaccess a
        ON a.model_id = m.id ORDER BY 1, 3
    """,
    "upstreams": """
        SELECT u.name, u.base_url, u.state, u.priority, u.weight, u.group_codes, m.name, s.upstream_name FROM
        models_catalog_upstream u LEFT JOIN models_catalog_upstreammodel s ON s.upstream_id = u.id LEFT JOIN
        models_catalog_aimodel m ON m.id = s.model_id ORDER BY u.note, 7
    """,
    "names": """
        SELECT old_name, kind, bill_as_called, (SELECT name FROM models_catalog_aimodel m WHERE m.id =
        callable_model_id) FROM models_catalog_namemapentry WHERE until_version_id IS NULL ORDER BY 1
    """,
    "prices": """
        SELECT b.code, v.number, v.content_digest FROM billing_priceversion v JOIN billing_pricebook b ON b.id =
        v.book_id ORDER BY 1, 2
    """,
    "purses": """
        SELECT u.username, a.kind, a.origin, a.balance_nano, a.is_spendable FROM billing_ledgeraccount a LEFT JOIN
        accounts_user u ON u.id = a.user_id ORDER BY 1, 2, 3
    """,
    "entries": "SELECT kind, n, amount_nano, reason FROM billing_ledgerentry ORDER BY transaction_id, kind, n",
    "codes": "SELECT encode(digest, 'hex'), state, amount_nano, origin, expires_at FROM billing_redemptioncode ORDER BY 1",
    "calls": """
        SELECT r.id, r.started_at, u.username, s.tail, r.key_name, r.key_tail, r.group_code, r.asked_model,
        r.billed_model, r.served_model, r.outcome, r.input_tokens, r.cached_tokens, r.output_tokens, r.cost_nano,
        r.price_detail::text, r.origin FROM billing_requestlog r LEFT JOIN accounts_user u ON u.id = r.user_id LEFT
        JOIN LATERAL (SELECT tail FROM keys_keysecret k WHERE k.key_id = r.key_id LIMIT 1) s ON true ORDER BY r.id
    """,
    "usage": """
        SELECT quarter_at, u.username, group_code, model_name, sum(call_count), sum(failed_count), sum(input_tokens),
        sum(output_tokens), sum(cost_nano) FROM billing_usagedelta d LEFT JOIN accounts_user u ON u.id = d.user_id
        GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4
    """,
    "rows": 'SELECT "table", row_id, digest FROM migrations_center_importedrow ORDER BY 1, 2',
}


def state(name: str) -> dict[str, list[tuple[Any, ...]]]:
    """Everything an import left behind, without ids and times of writing."""
    with psycopg.connect(conninfo(name)) as db:
        return {part: db.execute(query).fetchall() for part, query in _STATE.items()}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class MariaDB:
    """A MariaDB server of the test's own, with one reader who may only read."""

    user, password = "reader", "mysql-canary-Pa55-41c7"

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        # A socket path has at most 107 characters, so it does not lie in pytest's long folder.
        self.socket = Path(f"/tmp/portal-mariadb-{self.port}.sock")
        self.process: subprocess.Popen[bytes] | None = None

    @staticmethod
    def is_there() -> bool:
        return bool(_tool("mariadbd", "mysqld") and _tool("mariadb-install-db", "mysql_install_db"))

    def start(self) -> None:
        data = self.folder / "data"
        user = ["--user=root"] if os.geteuid() == 0 else []
        install = [
            str(_tool("mariadb-install-db", "mysql_install_db")),
            "--no-defaults",
            f"--datadir={data}",
            "--auth-root-authentication-method=normal",
            *user,
        ]
        subprocess.run(install, check=True, capture_output=True, timeout=120)
        command = [
            str(_tool("mariadbd", "mysqld")),
            "--no-defaults",
            f"--datadir={data}",
            f"--socket={self.socket}",
            f"--port={self.port}",
            "--bind-address=127.0.0.1",
            "--skip-name-resolve",
            f"--pid-file={self.folder / 'pid'}",
            "--innodb-flush-log-at-trx-commit=0",
            *user,
        ]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(300):
            if self._ask("SELECT 1", check=False).returncode == 0:
                return
            time.sleep(0.1)
        raise RuntimeError("MariaDB did not start")

    def load(self, name: str, sql: bytes) -> SourceAddress:
        self._ask(f"CREATE DATABASE {name}; GRANT SELECT ON {name}.* TO '{self.user}'@'%' IDENTIFIED BY '{self.password}'")
        self._ask(sql, name)
        return self.address(name)

    def dsn(self, name: str, password: str = "") -> str:
        return f"{self.user}:{password or self.password}@tcp(127.0.0.1:{self.port})/{name}?charset=utf8mb4"

    def address(self, name: str) -> SourceAddress:
        return parse_source(self.dsn(name))

    def stop(self) -> None:
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None
        self.socket.unlink(missing_ok=True)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _ask(self, sql: str | bytes, name: str = "", *, check: bool = True) -> subprocess.CompletedProcess[bytes]:
        client = [
            str(_tool("mariadb", "mysql")),
            "--no-defaults",
            "-uroot",
            f"--socket={self.socket}",
            *([name] if name else []),
        ]
        text = sql.encode() if isinstance(sql, str) else sql
        return subprocess.run(client, input=text, capture_output=True, check=check, timeout=120)


def _tool(*names: str) -> str | None:
    places = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"])
    return next((found for name in names if (found := shutil.which(name, path=places))), None)
