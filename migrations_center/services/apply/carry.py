"""Takes a change of the source over only where nobody changed the same field here: a later import never overwrites us."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

# How a known row stands to its source row now.
Stored = dict[str, list[str]]


def mark(value: object) -> str:
    """A short one-way mark of a value, to see later whether it changed; it cannot be read back."""
    text = json.dumps(value, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:20]


@dataclass(frozen=True)
class Carried:
    """The fields of one of our rows as the source wants them. ``sources`` holds, per field, what the source says where
    that is not the value itself (a password in another spelling, a name that had to be changed)."""

    wanted: dict[str, Any] = field(repr=False)
    sources: dict[str, Any] = field(default_factory=dict, repr=False)

    def stored(self, written: Mapping[str, Any] | None = None, before: Stored | None = None) -> Stored:
        """Marks to keep: per field what the source said and what we wrote. Fields not written keep the mark from before."""
        marks: Stored = {}
        for name, value in self.wanted.items():
            ours = mark(value)
            if written is not None and name not in written and before and name in before:
                ours = before[name][1]
            marks[name] = [mark(self.sources.get(name, value)), ours]
        return marks

    def digest(self) -> str:
        """SHA-256 over what the source says; the same row gives the same digest."""
        said = {name: mark(self.sources.get(name, value)) for name, value in self.wanted.items()}
        return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()

    def changes(self, current: Mapping[str, Any], before: Stored) -> dict[str, Any]:
        """Fields to write: changed in the source since the last time, and here still as we wrote them then."""
        found = {}
        for name, value in self.wanted.items():
            said, ours = before.get(name, ["", ""])
            if mark(self.sources.get(name, value)) != said and (not ours or mark(current[name]) == ours):
                found[name] = value
        return found
