"""The part about limits on the pages of keys, teams and people."""

from typing import Any

from django.urls import reverse

from accounts.models import Group, User
from billing.selectors.limit_lines import key_lines, own_lines
from config.foundation import panels
from keys.models import ApiKey
from keys.services_limits import Subject, may_limit

TEMPLATE = "billing/_limits_panel.html"


def on_key(viewer: User, key: ApiKey) -> dict[str, Any]:
    may_set = key.state != ApiKey.State.REVOKED and may_limit(viewer, Subject(key=key))
    return {"lines": key_lines(key), "set_url": reverse("limits_key", args=[key.pk]) if may_set else ""}


def on_team(viewer: User, team: Group) -> dict[str, Any]:
    return {"lines": own_lines(viewer, group=team), "set_url": reverse("limits_team", args=[team.pk])}


def on_person(viewer: User, person: User) -> dict[str, Any] | None:
    may_set = may_limit(viewer, Subject(user=person))
    if not may_set and viewer.pk != person.pk:
        return None
    return {"lines": own_lines(viewer, user=person), "set_url": reverse("limits_person", args=[person.pk]) if may_set else ""}


def install() -> None:
    """Called when the apps are ready."""
    panels.register("key", TEMPLATE, on_key)
    panels.register("team", TEMPLATE, on_team)
    panels.register("person", TEMPLATE, on_person)
