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


class CodeLimitReached(CodeNotUsable):
    """You have redeemed as many codes of this campaign as one person may. This code is still good for somebody else."""

    code = "code_limit_reached"


class TooManyGuesses(PortalError):
    """Too many codes that do not work. Wait a few minutes; a right code loses nothing by waiting."""

    code = "too_many_guesses"
    http_status = 429


class CodesTaken(Conflict):
    """These codes were downloaded already; only their last four characters are kept."""

    code = "codes_taken"


class NumbersChanged(Conflict):
    """Something was redeemed or changed since you looked. Look at the numbers again."""

    code = "numbers_changed"


class SecondPersonNeeded(Conflict):
    """This needs the approval of a second person."""

    code = "second_person_needed"


class SamePerson(PortalError):
    """Who asked for this cannot approve it. A second person has to."""

    code = "same_person"
    http_status = 403


class AlreadyDecided(Conflict):
    """This request was decided already."""

    code = "already_decided"


class OverrideRefused(Conflict):
    """You have an override that nobody has looked at yet. It has to be reviewed before another one."""

    code = "override_refused"


class RefundTooHigh(Conflict):
    """This call has no charge left, or less than this, to give back."""

    code = "refund_too_high"
