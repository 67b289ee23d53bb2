"""Under which user PostgreSQL runs. It refuses root, so root starts it in a user namespace or, where that fails, as nobody.

Neither way adds a system user or changes the permissions of a folder that is not ours.
"""

import os
import pwd
import shutil
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from config.stack.binaries import Postgres

_NAMESPACE = ["unshare", "--user", "--map-user=1000", "--map-group=1000"]


@dataclass(frozen=True, slots=True)
class Identity:
    """How to start a program: a command in front of it, or another user id (then files must belong to that user)."""

    name: str
    prefix: tuple[str, ...] = ()
    uid: int | None = None
    gid: int | None = None

    def popen_options(self) -> dict[str, Any]:
        if self.uid is None or self.gid is None:
            return {}
        return {"user": self.uid, "group": self.gid, "extra_groups": []}


def ourselves() -> Identity:
    return Identity("this user")


def in_namespace() -> Identity:
    """Root outside, user 1000 inside: the files stay root's."""
    return Identity("a user namespace", prefix=tuple(_NAMESPACE))


def nobody() -> Identity:
    entry = pwd.getpwnam("nobody")
    return Identity("nobody", uid=entry.pw_uid, gid=entry.pw_gid)


def choose_identity() -> Identity:
    """The way that works here."""
    if os.getuid() != 0:
        return ourselves()
    return in_namespace() if namespaces_work() else nobody()


def namespaces_work() -> bool:
    if not shutil.which("unshare"):
        return False
    # Proves more than that unshare exists: a container's filter may refuse it, and the mapped user must see its files.
    probe = subprocess.run([*_NAMESPACE, "sh", "-c", 'test "$(id -u)" = 1000'], capture_output=True, check=False)
    return probe.returncode == 0


def within_reach(programs: Postgres, identity: Identity, folder: Path) -> Postgres:
    """The programs themselves where that user can run them, else a copy in ``folder`` (a wheel in a private checkout)."""
    if _can_run(programs.folder / "postgres", identity):
        return programs
    # <package>/pginstall/bin, with libraries in <package>.libs beside the package: the copy keeps that shape.
    install, package = programs.folder.parent, programs.folder.parent.parent
    copy = folder / "programs" / str(programs.major)
    shutil.copytree(install, copy / package.name / install.name, symlinks=True, dirs_exist_ok=True)
    libraries = package.with_name(f"{package.name}.libs")
    if libraries.is_dir():
        shutil.copytree(libraries, copy / libraries.name, symlinks=True, dirs_exist_ok=True)
    for path in [folder / "programs", *copy.parent.rglob("*")]:
        if not path.is_symlink():
            path.chmod(path.stat().st_mode | (0o055 if path.is_dir() else 0o044))
    return replace(programs, folder=copy / package.name / install.name / programs.folder.name)


def _can_run(program: Path, identity: Identity) -> bool:
    try:
        done = subprocess.run(
            [str(program), "--version"], capture_output=True, check=False, cwd="/", **identity.popen_options()
        )
    except OSError:
        return False
    return done.returncode == 0
