"""Unfold's settings: names, colours of our own pages, navigation by room."""

from typing import Any

from django.http import HttpRequest
from django.templatetags.static import static
from django.utils.translation import gettext_lazy as _


def favicon(request: HttpRequest) -> str:
    return static("favicon.svg")


UNFOLD: dict[str, Any] = {
    "SITE_TITLE": _("Gateway portal"),
    "SITE_HEADER": _("Gateway portal"),
    "SITE_URL": "/",
    "SITE_SYMBOL": "hub",
    "SITE_FAVICONS": [{"rel": "icon", "type": "image/svg+xml", "href": favicon}],
    "COLORS": {
        # The accent of static/css/tokens.css and its shades.
        "primary": {
            "50": "#f4f7fe",
            "100": "#e8eefc",
            "200": "#d0dcf9",
            "300": "#abc5ff",
            "400": "#8db0ff",
            "500": "#4a76e0",
            "600": "#2b57c8",
            "700": "#2149ad",
            "800": "#1d3f94",
            "900": "#1b3778",
            "950": "#0e1626",
        },
    },
    "SHOW_HISTORY": False,
    "SHOW_LANGUAGES": False,
    "SHOW_BACK_BUTTON": True,
    "DASHBOARD_CALLBACK": "config.admin_site.dashboard",
    "SIDEBAR": {
        "show_search": False,
        "show_all_applications": False,
        "navigation": "config.admin_site.sidebar",
    },
}
