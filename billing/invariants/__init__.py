"""What must hold for the ledger at any moment, checked by ``manage.py ledger_check``."""

from billing.invariants.run import Finding, check_all

__all__ = ["Finding", "check_all"]
