"""One exception class per reason; each has a stable ``code`` that pages, API and logs share."""

from typing import Any


class PortalError(Exception):
    """A refusal that a person or a client may read. ``code`` never changes once published."""

    code = "portal_error"
    http_status = 400

    def __init__(self, message: str = "", **details: Any) -> None:
        super().__init__(message or self.__class__.__doc__ or self.code)
        self.message = str(self)
        self.details = details


class NotAllowed(PortalError):
    """Your role does not allow this."""

    code = "not_allowed"
    http_status = 403


class NotFound(PortalError):
    """There is no such object, or it is not yours."""

    code = "not_found"
    http_status = 404


class Conflict(PortalError):
    """The object is in a state that does not allow this."""

    code = "conflict"
    http_status = 409


class InvalidInput(PortalError):
    """The input cannot be used as it is."""

    code = "invalid_input"
    http_status = 422
