"""Places on pages where apps of upper floors show a part of their own: ``{% panels "key" key %}`` in a template."""

from collections.abc import Callable
from typing import Any

# What to show for (person who looks, object of the page); None: nothing.
Fill = Callable[[Any, Any], dict[str, Any] | None]
_panels: dict[str, list[tuple[str, Fill]]] = {}


def register(place: str, template: str, fill: Fill) -> None:
    """Called in ``apps.py: ready()``; a second call with the same template changes nothing."""
    known = _panels.setdefault(place, [])
    if all(template != one for one, _ in known):
        known.append((template, fill))


def filled(place: str, viewer: Any, thing: Any) -> list[tuple[str, dict[str, Any]]]:
    """Templates with their values, for those that have something to show."""
    found = [(template, fill(viewer, thing)) for template, fill in _panels.get(place, ())]
    return [(template, values) for template, values in found if values is not None]
