"""What every page's frame needs."""

from typing import Any

from django.conf import settings
from django.http import HttpRequest

from accounts.models import User
from accounts.rights import may
from config.nav import address_of, rail_for

THEMES = {"light", "dark"}


def shell(request: HttpRequest) -> dict[str, Any]:
    """The rail, the search box of staff, the theme and the addresses of the switches.

    Templates of an anonymous visitor get no rail. ``theme`` comes from a cookie that ``static/js/shell.js`` sets, so that
    the first paint is right without an inline script.
    """
    theme = request.COOKIES.get("theme", "")
    user = getattr(request, "user", None)
    person = user if isinstance(user, User) else None
    return {
        "DEMO": settings.DEMO,
        "PUBLIC_URL": settings.PUBLIC_URL.rstrip("/"),
        "API_BASE": settings.PUBLIC_URL.rstrip("/") + "/v1",
        "request_id": getattr(request, "request_id", ""),
        "theme": theme if theme in THEMES else "",
        "rail": rail_for(request) if person else [],
        "may_search": person is not None and may(person, "calls.search"),
        "language_url": address_of("set_language"),
        "profile_url": address_of("profile"),
    }
