"""Why a change of money is refused."""

from config.foundation.errors import Conflict, InvalidInput, PortalError


class InsufficientBalance(PortalError):
    """The purse does not cover this amount."""

    code = "insufficient_balance"
    http_status = 402


class EntryMismatch(Conflict):
    """This act was booked already, with other figures."""

    code = "entry_mismatch"


class AlreadyReversed(Conflict):
    """This entry was reversed already."""

    code = "already_reversed"


class PostingRefused(InvalidInput):
    """This movement of money is not one that may be posted."""

    code = "posting_refused"


class CodeNotUsable(InvalidInput):
    """This code is not known, was used, was withdrawn or has run out."""

    code = "code_not_usable"


class DeskItemClosed(Conflict):
    """This item of the desk was closed already."""

    code = "desk_item_closed"
