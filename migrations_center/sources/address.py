"""Where a source is: a SQLite file, or a database by its address (DSN). The password is kept apart and never shown."""

import re
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

from sqlalchemy.engine import URL

from migrations_center.sources.errors import SourceAddressWrong

# The form of Go programs, which is how both products write a MySQL address: user:password@tcp(host:port)/name?options
_GO_MYSQL = re.compile(r"^(?P<login>.*)@(?:tcp|unix)\((?P<place>[^)]*)\)/(?P<name>[^?]*)(?:\?.*)?$", re.DOTALL)
_SCHEMES = {
    "postgres": "postgresql",
    "postgresql": "postgresql",
    "mysql": "mysql",
    "mariadb": "mysql",
}


@dataclass(frozen=True)
class SourceAddress:
    """A parsed source. ``kind`` is ``sqlite``, ``postgresql`` or ``mysql``; printing it never shows the password."""

    kind: str
    path: Path | None = None
    host: str = ""
    port: int | None = None
    socket: str = ""
    name: str = ""
    user: str = field(default="", repr=False)
    password: str = field(default="", repr=False)

    @property
    def is_file(self) -> bool:
        return self.kind == "sqlite"

    @property
    def public(self) -> str:
        """What may be stored and shown: the file's name, or host and database without the login."""
        if self.path is not None:
            return self.path.name
        place = self.socket or (f"{self.host}:{self.port}" if self.port else self.host)
        return f"{self.kind}://{place}/{self.name}"

    def __str__(self) -> str:
        return self.public

    def url(self) -> URL:
        """The address for the driver, of a database only."""
        query: dict[str, str] = {}
        if self.socket:
            query = {"host": self.socket} if self.kind == "postgresql" else {"unix_socket": self.socket}
            if self.kind == "postgresql" and self.port:
                query["port"] = str(self.port)
        driver = {"postgresql": "postgresql+psycopg", "mysql": "mysql+pymysql"}[self.kind]
        return URL.create(
            driver,
            username=self.user or None,
            password=self.password or None,
            host=None if self.socket else (self.host or "localhost"),
            port=None if self.socket else self.port,
            database=self.name,
            query=query,
        )


def parse_source(text: str) -> SourceAddress:
    """A file's path or a DSN (URL form, or the MySQL form of Go); raises SourceAddressWrong without repeating the text."""
    text = text.strip()
    if not text:
        raise SourceAddressWrong
    if found := _GO_MYSQL.match(text):
        if "://" not in text.split("@", 1)[0]:
            return _go_mysql(found)
    scheme, separator, _rest = text.partition("://")
    if not separator:
        return SourceAddress("sqlite", path=Path(text))
    if scheme.lower() in ("sqlite", "file"):
        return SourceAddress("sqlite", path=Path(_rest.partition("?")[0] or "/"))
    kind = _SCHEMES.get(scheme.lower().partition("+")[0])
    if kind is None:
        raise SourceAddressWrong
    return _from_url(kind, text)


def _from_url(kind: str, text: str) -> SourceAddress:
    try:
        parts = urlsplit(text)
        port, host = parts.port, parts.hostname or ""
    except ValueError:
        raise SourceAddressWrong from None
    options = dict(pair.partition("=")[::2] for pair in parts.query.split("&") if pair)
    place = unquote(options.get("host", "") or options.get("unix_socket", ""))
    socket = place if place.startswith("/") else ""
    if place and not socket:
        host = place
    if not parts.path.strip("/"):
        raise SourceAddressWrong
    if "port" in options and options["port"].isdigit():
        port = int(options["port"])
    return SourceAddress(
        kind,
        host=host,
        port=port,
        socket=socket,
        name=unquote(parts.path.strip("/")),
        user=unquote(parts.username or options.get("user", "")),
        password=unquote(parts.password or options.get("password", "")),
    )


def _go_mysql(found: re.Match[str]) -> SourceAddress:
    user, _, password = found["login"].partition(":")
    place = found["place"]
    if not found["name"]:
        raise SourceAddressWrong
    if place.startswith("/"):
        return SourceAddress("mysql", socket=place, name=found["name"], user=user, password=password)
    host, _, port = place.partition(":")
    if port and not port.isdigit():
        raise SourceAddressWrong
    return SourceAddress("mysql", host=host, port=int(port) if port else 3306, name=found["name"], user=user, password=password)
