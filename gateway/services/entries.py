"""The register of entries: every address that clients call or called, whose it is and how far its life has gone."""

import ipaddress
from urllib.parse import urlsplit

from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from accounts.models import User
from accounts.rights import require
from accounts.services import audit
from config.foundation.errors import InvalidInput
from config.foundation.redaction import mask
from gateway.models import EntryPoint

RIGHT = "migrations.manage"
FIELDS = ("name", "url", "family", "environment", "side", "state", "note")
DEFAULT_PORTS = {"http": 80, "https": 443}


class EntryRefused(InvalidInput):
    """This entry cannot go into the register."""

    code = "entry_refused"

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message, fields={field: [message]})


@transaction.atomic
def register_entry(*, actor: User | None, owner: User, **values: str) -> EntryPoint:
    """A new line of the register; ``values`` are FIELDS. Raises EntryRefused with the field that is wrong."""
    return _save(actor, EntryPoint(owner=owner), owner, values)


@transaction.atomic
def change_entry(*, actor: User | None, entry: EntryPoint, owner: User, **values: str) -> EntryPoint:
    """Other values for a line of the register. Raises EntryRefused with the field that is wrong."""
    return _save(actor, entry, owner, values)


def _save(actor: User | None, entry: EntryPoint, owner: User, values: dict[str, str]) -> EntryPoint:
    if actor is not None:
        require(actor, RIGHT)
    before = _described(entry) if entry.pk else {}
    for name in FIELDS:
        if name in values:
            setattr(entry, name, values[name].strip())
    if not entry.name:
        raise EntryRefused("name", _("Give the entry a name."))
    if not owner.is_active:
        raise EntryRefused("owner", _("The owner of an entry has an active account."))
    entry.owner = owner
    entry.url, entry.host, entry.address = read_address(entry.url)
    try:
        with transaction.atomic():
            entry.save()
    except IntegrityError:
        raise EntryRefused("url", _("This address is in the register already.")) from None
    after = _described(entry)
    if before != after:
        action = "entry.changed" if before else "entry.registered"
        audit.record(actor=actor, action=action, target=entry, before=before, after=after)
    return entry


def read_address(url: str) -> tuple[str, str, str]:
    """The address as it is kept, its host, and the form in which two spellings of one address are equal.

    Raises EntryRefused: not http(s), no host, a user name, a query, ``//`` in the path, a key in it.
    """
    text = url.strip()
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise EntryRefused("url", _("This is not an address.")) from None
    if parts.scheme.lower() not in DEFAULT_PORTS:
        raise EntryRefused("url", _("An entry begins with https:// or http://."))
    host = (parts.hostname or "").rstrip(".").lower()
    if not host or not _is_host(host):
        raise EntryRefused("url", _("The address names no host."))
    if parts.username or parts.password or mask(text) != text:
        raise EntryRefused("url", _("An address holds no user name, password or key."))
    if parts.query or parts.fragment:
        raise EntryRefused("url", _("An entry has no question mark and no # in its address."))
    if "//" in parts.path:
        raise EntryRefused("url", _("There is a double slash in the path; clients would not find what they look for."))
    scheme = parts.scheme.lower()
    shown = f"[{host}]" if ":" in host else host
    place = shown if port in (None, DEFAULT_PORTS[scheme]) else f"{shown}:{port}"
    path = parts.path.rstrip("/")
    return f"{scheme}://{place}{path}", host if port in (None, 80, 443) else f"{host}:{port}", f"{place}{path}".lower()


def _is_host(host: str) -> bool:
    if ":" in host:
        try:
            return bool(ipaddress.IPv6Address(host))
        except ValueError:
            return False
    labels = host.split(".")
    return all(0 < len(label) <= 63 and label.replace("-", "a").replace("_", "a").isalnum() for label in labels)


def _described(entry: EntryPoint) -> dict[str, str]:
    return {**{name: str(getattr(entry, name)) for name in FIELDS}, "owner": str(entry.owner)}
