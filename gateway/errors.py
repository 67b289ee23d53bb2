"""Why a change of routes or old entries is refused."""

from config.foundation.errors import Conflict, InvalidInput


class OldEntryNeeded(Conflict):
    """A key can only be sent to the old entry when it is known which one it belongs to."""

    code = "old_entry_needed"


class RouteRefused(InvalidInput):
    """There is no such route."""

    code = "route_refused"


class AddressRefused(InvalidInput):
    """The address of an old entry must start with http:// or https:// and hold no user name or password."""

    code = "address_refused"


class FallbackRefused(InvalidInput):
    """A fallback rule names two models, when it applies and why."""

    code = "fallback_refused"


class ProfileRefused(InvalidInput):
    """There is no such shape of errors."""

    code = "profile_refused"
