"""Reconciliation: runs that compare, the differences they leave, and what people decide about them."""

from billing.services.reconcile.decide import explain, fix_by_entry, write_off
from billing.services.reconcile.runs import begin_run, execute_run, note_broken_runs, start_and_execute

__all__ = [
    "begin_run",
    "execute_run",
    "explain",
    "fix_by_entry",
    "note_broken_runs",
    "start_and_execute",
    "write_off",
]
