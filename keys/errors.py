"""Why a key could not be issued or changed."""

from config.foundation.errors import Conflict, InvalidInput


class SecretPasted(InvalidInput):
    """A field holds what looks like a whole API key. It was not stored; a name needs no secret in it."""

    code = "secret_pasted"


class KeyRevoked(Conflict):
    """The key is revoked. That is final: issue a new one."""

    code = "key_revoked"


class KeyNotActive(Conflict):
    """The key is disabled. Enable it first."""

    code = "key_not_active"


class KeyHasNoOwner(InvalidInput):
    """A key belongs to one person or to one team."""

    code = "key_has_no_owner"


class SecretTaken(Conflict):
    """This secret belongs to another key already."""

    code = "secret_taken"


class ProfileInUse(Conflict):
    """Keys follow this use profile. Bind them to another one first."""

    code = "profile_in_use"
