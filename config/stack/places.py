"""Where the stack keeps its things: ``.portal/`` in the checkout, sockets in a short temporary folder."""

import hashlib
import os
import stat
import tempfile
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent.parent
# The kernel's limit for the path of a Unix socket is 107 bytes.
SOCKET_LIMIT = 107
_SOCKET_NAME = "/.s.PGSQL.5432"


class PlaceError(Exception):
    """A folder cannot be used as it is; the message says which and why."""


def home(checkout: Path = CHECKOUT) -> Path:
    """``.portal/`` of the checkout, made readable for its owner only."""
    return private_folder(checkout / ".portal")


def private_folder(path: Path) -> Path:
    """The folder, made with mode 700; an existing one keeps its mode but must be a real folder of ours."""
    try:
        path.mkdir(mode=0o700, parents=True)
    except FileExistsError:
        found = path.lstat()
        if not stat.S_ISDIR(found.st_mode):
            raise PlaceError(f"{path} is not a folder") from None
        if found.st_uid != os.getuid():
            raise PlaceError(f"{path} belongs to somebody else (user {found.st_uid})") from None
    return path


def open_folder(data: Path) -> Path:
    """A folder of ours outside the checkout that another user can walk through, the same at every start with the same data."""
    folder = private_folder(Path("/var/tmp") / f"portal-{short_key(data)}")  # noqa: S108  (survives a restart, checked for its owner)
    folder.chmod(0o711)
    return folder


def short_key(path: Path) -> str:
    return hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:10]


def socket_folder(data: Path) -> Path:
    """A folder for the PostgreSQL socket that is the same at every start with the same data and short enough."""
    for base in (Path(tempfile.gettempdir()), Path("/tmp")):  # noqa: S108  (made with mode 700 and checked for its owner)
        folder = base / f"portal-{os.getuid()}-{short_key(data)}"
        if len(f"{folder}{_SOCKET_NAME}".encode()) <= SOCKET_LIMIT:
            return private_folder(folder)
    raise PlaceError("no folder for temporary files has a path that is short enough for a socket")


def write_private(path: Path, content: str) -> None:
    """Write a file that only its owner can read, whole or not at all."""
    fresh = path.with_name(f"{path.name}.new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        os.fchmod(descriptor, 0o600)
        file.write(content)
    fresh.replace(path)
