"""Writes of this app: where calls with a key go, and the register of entries."""

from gateway.services.checks import start_check
from gateway.services.entries import change_entry, register_entry
from gateway.services.routes import remember_old_entry, set_routes

__all__ = ["change_entry", "register_entry", "remember_old_entry", "set_routes", "start_check"]
