"""Why the catalogue refuses a change."""

from config.foundation.errors import Conflict, InvalidInput


class NameTaken(Conflict):
    """There is already an object with this name."""

    code = "name_taken"


class UnknownModels(InvalidInput):
    """Some of these models are not in the catalogue."""

    code = "unknown_models"


class UnusableAddress(InvalidInput):
    """A base URL is http or https, with a host, and without user name, password, query or fragment."""

    code = "unusable_address"


class EmptyCredential(InvalidInput):
    """A credential cannot be empty."""

    code = "empty_credential"


class CredentialMissing(Conflict):
    """The upstream has no credential yet, so it cannot be enabled."""

    code = "credential_missing"


class NameMapRefused(InvalidInput):
    """The name map cannot be published like this."""

    code = "name_map_refused"


class NameMapMoved(Conflict):
    """The name map has been published by somebody else meanwhile; look at it again."""

    code = "name_map_moved"
