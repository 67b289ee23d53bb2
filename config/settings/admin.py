"""Unfold's settings: names, colours of our own pages, navigation by room."""

UNFOLD = {
    "SITE_TITLE": "Gateway portal",
    "SITE_HEADER": "Gateway portal",
    "SITE_URL": "/",
    "SITE_SYMBOL": "hub",
    "SHOW_HISTORY": False,
    "SHOW_LANGUAGES": False,
    "SHOW_BACK_BUTTON": True,
    "SIDEBAR": {
        "show_search": False,
        "show_all_applications": False,
        "navigation": "config.admin_site.sidebar",
    },
}
