"""Words that installed packages print and have no Chinese for: marked here so that our own catalogue may hold them.

Nothing imports this module; the catalogue tools read it. An entry goes when the package brings its own translation.
"""

from django.utils.translation import gettext_noop, ngettext_lazy

# The admin's skin.
UNFOLD = (
    gettext_noop("Select record"),
    gettext_noop("Select action"),
    gettext_noop("Select action to run"),
    gettext_noop("Select value"),
    gettext_noop("Date"),
    gettext_noop("Date from"),
    gettext_noop("Date to"),
    gettext_noop("Value"),
    gettext_noop("Not enough data."),
    gettext_noop("Changes"),
    gettext_noop("Choose a date from the list below to revert to a previous version of this object"),
    gettext_noop("Type to search"),
    gettext_noop("Run"),
    gettext_noop("Expand row"),
    gettext_noop("Add row"),
    gettext_noop("Welcome back to"),
    gettext_noop("You have been successfully logged out from the administration"),
    gettext_noop("No results matching your query"),
    gettext_noop("Loading more results..."),
    gettext_noop("Previous"),
    gettext_noop("Next"),
    gettext_noop("Light"),
    gettext_noop("Dark"),
    gettext_noop("System"),
    gettext_noop("Return to site"),
    gettext_noop("True"),
    gettext_noop("False"),
    gettext_noop("No results found"),
    gettext_noop("This page yielded into no results. Create a new item or reset your filters."),
    gettext_noop("Reset filters"),
    gettext_noop("Search apps and models..."),
    gettext_noop("Select all rows"),
    gettext_noop("All applications"),
    gettext_noop("General"),
    gettext_noop("Apply Filters"),
    gettext_noop("More actions"),
    gettext_noop("Go back"),
    gettext_noop("Recent searches"),
    gettext_noop("No recent searches"),
    gettext_noop("Record picture"),
    gettext_noop("This item will be deleted."),
    gettext_noop("Click to cancel"),
    gettext_noop("No data"),
    gettext_noop("Choose file to upload"),
    gettext_noop("Toggle password visibility"),
)
DJANGO = (
    gettext_noop("Error:"),
    gettext_noop("Model name"),
    gettext_noop("Add link"),
    gettext_noop("Change or view list link"),
    gettext_noop("Forgotten your login credentials?"),
    ngettext_lazy(
        "This password is too short. It must contain at least %d character.",
        "This password is too short. It must contain at least %d characters.",
        2,
    ),
)
ALLAUTH = (gettext_noop("Passkey"),)
