"""Writes of this app: where calls with a key go, the register of entries, fallback rules, shapes of errors."""

from gateway.services.checks import start_check
from gateway.services.entries import change_entry, register_entry
from gateway.services.fallbacks import approve_fallback, end_fallback, propose_fallback
from gateway.services.profiles import set_error_profile
from gateway.services.routes import remember_old_entry, set_routes

__all__ = [
    "approve_fallback",
    "change_entry",
    "end_fallback",
    "propose_fallback",
    "register_entry",
    "remember_old_entry",
    "set_error_profile",
    "set_routes",
    "start_check",
]
