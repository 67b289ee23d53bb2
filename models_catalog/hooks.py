"""What happened in the catalogue, told to whoever subscribed: this app does not know who keeps the audit trail."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from django.db.models import Model


@dataclass(frozen=True, slots=True)
class CatalogChange:
    """One change of one object, told inside the transaction that makes it. Figures never hold a credential."""

    action: str
    target: Model
    actor_name: str
    before: dict[str, Any] = field(default_factory=dict)
    after: dict[str, Any] = field(default_factory=dict)
    reason: str = ""


Listener = Callable[[list[CatalogChange]], None]
_listeners: list[Listener] = []


def subscribe(listener: Listener) -> None:
    """Have ``listener`` told of every change from now on; subscribing twice is the same as once."""
    if listener not in _listeners:
        _listeners.append(listener)


def announce(changes: list[CatalogChange]) -> None:
    """Tell every listener; an error of a listener undoes the change with the transaction."""
    if not changes:
        return
    for listener in _listeners:
        listener(changes)
