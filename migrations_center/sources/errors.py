"""Why a source cannot be read. Messages never repeat what a driver said: that may hold an address or a password."""

from config.foundation.errors import Conflict, InvalidInput


class SourceError(InvalidInput):
    """The old gateway's database cannot be read."""

    code = "source_unreadable"


class SourceMissing(SourceError):
    """There is no such file, or it cannot be opened."""

    code = "source_missing"


class SourceAddressWrong(SourceError):
    """This is neither a file nor the address of a database. Addresses look like postgresql://user@host/name or mysql://user@host/name."""

    code = "source_address_wrong"


class SourceEmpty(SourceError):
    """The file or database is empty: it has no tables."""

    code = "source_empty"


class SourceDamaged(SourceError):
    """The file is not a whole SQLite database: it is cut off or damaged. Copy it again while the old gateway is stopped."""

    code = "source_damaged"


class SourceNotDatabase(SourceError):
    """This file is not a SQLite database."""

    code = "source_not_a_database"


class SourceOfAnotherProduct(SourceError):
    """This is not a database of One API or New API."""

    code = "source_unknown_product"


class SourceAmbiguous(SourceError):
    """The columns of both One API and New API are there, so the database was opened by both; name the product that ran last."""

    code = "source_ambiguous_product"


class SourceRefusedLogin(SourceError):
    """The database refused the user name or the password."""

    code = "source_login_refused"


class SourceUnreachable(SourceError):
    """The database did not answer at this address."""

    code = "source_unreachable"


class SourceGone(SourceError):
    """The database went away while it was being read. Nothing was taken over from this reading."""

    code = "source_gone"


class SourceChanged(Conflict):
    """The file was changed while it was being read. Stop the old gateway, then start again."""

    code = "source_changed"


class SourceRowsMissing(SourceError):
    """Fewer rows could be read than the database says there are."""

    code = "source_rows_missing"


class SourceNumberTooLarge(SourceError):
    """An amount in the database is larger than a 64-bit number."""

    code = "source_number_too_large"
