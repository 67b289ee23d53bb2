"""What each check compares, in a few words for the pages; a check without words of its own is shown by its code."""

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

TITLES: dict[str, str | Promise] = {
    "balance": _("Balances are the sum of their entries"),
    "sequence": _("Entries of a purse are numbered without a gap"),
    "chain": _("Each entry's balance follows from the one before"),
    "floor": _("No purse is below its floor"),
    "accounts": _("Entries and holds name accounts, payers and keys that are there"),
    "house": _("Accounts of the house keep no balance row"),
    "held": _("What is held is the sum of open holds"),
    "hold_parts": _("Parts of a hold add up"),
    "leases": _("Money lent to a relay is what its calls were held for"),
    "hold_overdue": _("No hold is overdue"),
    "hold_logged": _("Every closed hold has its call"),
    "limits": _("Spend limits count what was spent"),
    "limited_purses": _("Purses know of their limits"),
    "test_money": _("Test keys spend test money only"),
    "charges": _("Every call was charged what it cost"),
    "charge_payer": _("Charges go from the payer to revenue"),
    "arithmetic": _("Costs are what their arithmetic says"),
    "formula": _("Costs are what the database's own formula says"),
    "cash": _("Cash is what payments, transfers and refunds say"),
    "disputes": _("Disputed payments lie in suspense until they end"),
    "imported_free": _("Carried-over calls were not charged here"),
    "phantom": _("Every charge has its call"),
    "unbilled": _("Every served call was charged or is at the desk"),
    "usage_house": _("Everybody's usage equals the request log"),
    "usage_accounts": _("Usage of people and keys equals the request log"),
    "usage_spans": _("Usage of long spans is the sum of short ones"),
    "usage_keys": _("Usage of keys equals the request log"),
    "usage_cube": _("Usage by every measure equals the request log"),
    "currency": _("Each currency adds up to nothing"),
    "conversions": _("Both sides of a conversion are booked"),
    "refunds": _("Refunds stay within what was charged"),
    "payments": _("Payments are booked once"),
    "prices": _("Published prices are unchanged"),
    "codes": _("What is owed on codes equals the unused codes"),
    "opening": _("Opening balances are booked against equity"),
    "reversals": _("Reversals mirror one entry"),
    "guards": _("The guards of history are switched on"),
    "suspense": _("Suspense is what the desk has open"),
    "desk": _("Items of the desk are booked once"),
    "seal_entry": _("Sealed entries are unchanged"),
    "seal_chain": _("Seals follow each other without a gap"),
    # Asked by runs of earlier versions, whose differences are kept.
    "usage_hourly": _("Hourly usage equals the request log"),
    "usage_members": _("Usage of people equals the request log"),
}


def title_of(code: str) -> str:
    """The words of a check."""
    return str(TITLES.get(code, code))
