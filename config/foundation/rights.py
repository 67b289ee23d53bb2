"""Asking whether a person may do something, for code that sits below the floor where people live.

``accounts`` installs its table when the apps are ready; until then nobody may do anything.
"""

from collections.abc import Callable
from typing import Any

from config.foundation.errors import NotAllowed

Checker = Callable[[Any, str], bool]
_checkers: list[Checker] = []


def install(checker: Checker) -> None:
    """Make ``checker(user, right)`` the one that answers."""
    _checkers[:] = [checker]


def may(user: Any, right: str) -> bool:
    """Whether the person has this right; False while no table is installed."""
    return bool(_checkers) and _checkers[0](user, right)


def require(user: Any, right: str) -> None:
    """Raise NotAllowed unless the person has this right."""
    if not may(user, right):
        raise NotAllowed
