"""One PostgreSQL server of our own, reached by a Unix socket in a private folder, without a network address."""

import os
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import psycopg

from config.stack import places
from config.stack.binaries import Postgres, find_postgres
from config.stack.identity import Identity, choose_identity, within_reach
from config.stack.processes import Child, wait_until

PORT = 5432
USER = "portal"
DATABASE = "portal"
# The request log has a partition a month: a query over all of them takes more locks than the default table holds.
SETTINGS = {"max_locks_per_transaction": "256", "max_connections": "300", "listen_addresses": ""}
# For data that is thrown away afterwards.
UNSAFE_BUT_QUICK = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


class StartError(Exception):
    """The server did not come up; the message holds the end of its log."""


@dataclass
class PostgresServer:
    """``start()`` makes the data folder when there is none, then the server and the database ``portal``."""

    data: Path
    log: Path
    is_temporary: bool = False
    # Written to the disk before a commit answers, as in production; only throw-away data may do without.
    is_durable: bool = True
    identity: Identity | None = None
    programs: Postgres | None = None
    child: Child | None = None
    sockets: Path | None = None

    @property
    def url(self) -> str:
        return f"postgresql://{USER}@/{DATABASE}?host={quote(str(self.sockets))}&port={PORT}"

    def start(self) -> None:
        """Raises StartError, NotFound or PlaceError; what was begun by then is ended and removed again."""
        try:
            self._start()
        except BaseException:
            self.stop()
            raise

    def _start(self) -> None:
        self.identity = self.identity or choose_identity()
        places.private_folder(self.data.parent)
        if self.identity.uid is not None:
            # Another user cannot walk into a private checkout: its data live where it can reach them.
            self.data = places.open_folder(self.data) / "postgres"
        self.programs = self.programs or find_postgres(data_major(self.data))
        if self.identity.uid is not None:
            self.programs = within_reach(self.programs, self.identity, self.data.parent)
        self._prepare_folders()
        if not (self.data / "PG_VERSION").exists():
            self._make_data()
        self._end_left_over()
        self.child = self._launch()
        if not wait_until(self._answers, self.child, 60):
            tail = self.child.last_lines()
            raise StartError(f"PostgreSQL did not start ({self.programs.origin}, as {self.identity.name}):\n{tail}")
        self._make_database()

    def stop(self) -> None:
        if self.child:
            self.child.stop()
        if self.sockets:
            shutil.rmtree(self.sockets, ignore_errors=True)
        if self.is_temporary and self.identity and self.identity.uid is not None:
            shutil.rmtree(self.data.parent, ignore_errors=True)

    def _prepare_folders(self) -> None:
        assert self.identity
        self.sockets = places.socket_folder(self.data)
        if self.identity.uid is not None and self.identity.gid is not None:
            os.chown(self.sockets, self.identity.uid, self.identity.gid)
            self.data.mkdir(mode=0o700, exist_ok=True)
            os.chown(self.data, self.identity.uid, self.identity.gid)

    def _make_data(self) -> None:
        assert self.identity
        assert self.programs
        command = [*self.identity.prefix, str(self.programs.folder / "initdb"), "-D", str(self.data), "-U", USER]
        # Trust is safe here: the only way in is a socket in a folder that nobody else can enter.
        command += ["-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync"]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd="/", **self.identity.popen_options())
        if done.returncode != 0:
            raise StartError(f"initdb failed ({self.programs.origin}, as {self.identity.name}):\n{done.stderr.strip()}")

    def _launch(self) -> Child:
        assert self.identity
        assert self.programs
        assert self.sockets
        command = [*self.identity.prefix, str(self.programs.folder / "postgres"), "-D", str(self.data)]
        command += ["-k", str(self.sockets), "-p", str(PORT)]
        for name, value in (SETTINGS | ({} if self.is_durable else UNSAFE_BUT_QUICK)).items():
            command += ["-c", f"{name}={value}"]
        # SIGINT is PostgreSQL's "fast" stop: open transactions are rolled back, the data are left clean.
        child = Child(
            "postgres",
            command,
            self.log,
            stop_signal=signal.SIGINT,
            grace=30,
            options={"cwd": "/", **self.identity.popen_options()},
        )
        child.start()
        return child

    def _connect(self, database: str) -> psycopg.Connection:
        return psycopg.connect(
            host=str(self.sockets), port=PORT, user=USER, dbname=database, autocommit=True, connect_timeout=5
        )

    def _answers(self) -> bool:
        try:
            self._connect("postgres").close()
        except psycopg.OperationalError:
            return False
        return True

    def _make_database(self) -> None:
        with self._connect("postgres") as connection:
            if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone():
                connection.execute(f"CREATE DATABASE {DATABASE}")

    def _end_left_over(self) -> None:
        """A start that was killed outright may have left its server running on our data: end that one first."""
        pid = _server_on(self.data)
        if pid is None:
            return
        os.kill(pid, signal.SIGINT)
        deadline = time.monotonic() + 30
        while _server_on(self.data) == pid:
            if time.monotonic() > deadline:
                raise StartError(f"a PostgreSQL left over from an earlier start (process {pid}) does not end")
            time.sleep(0.1)


def data_major(data: Path) -> int | None:
    """The major version that wrote a data folder, None when there is none yet."""
    try:
        return int((data / "PG_VERSION").read_text(encoding="ascii").split(".")[0])
    except FileNotFoundError:
        return None


def _server_on(data: Path) -> int | None:
    """The process id of a running server on this data folder, checked to be one and not a stranger with a reused id."""
    try:
        pid = int((data / "postmaster.pid").read_text(encoding="ascii").split()[0])
        command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except (OSError, ValueError, IndexError):
        return None
    is_ours = command[0].endswith((b"postgres", b"postmaster")) and str(data).encode() in command
    return pid if is_ours else None
