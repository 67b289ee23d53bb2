"""The id of the page request that is being answered, empty outside of one."""

from contextvars import ContextVar

current_request_id: ContextVar[str] = ContextVar("request_id", default="")
