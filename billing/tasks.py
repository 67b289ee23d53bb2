"""Celery's doors to this app; each may run twice at once and again."""

from uuid import UUID

from celery import shared_task

from billing.services import (
    alerts,
    code_batches,
    exports,
    four_eyes,
    hooks,
    leases,
    ledger,
    partitions,
    payments,
    reconcile,
    seals,
    statements,
    usage,
)

# A run ends after this many rounds, so that one busy moment does not hold a worker for ever.
ROUNDS = 20


@shared_task(ignore_result=True)
def expire_holds_task() -> None:
    for _round in range(ROUNDS):
        if ledger.expire_holds(limit=1000) + leases.expire_leases() == 0:
            return


@shared_task(ignore_result=True)
def fold_usage_task() -> None:
    for _round in range(ROUNDS):
        if usage.fold_usage() == 0:
            return


@shared_task(ignore_result=True)
def check_balances_task() -> None:
    alerts.check_balances()


@shared_task(ignore_result=True)
def check_limits_task() -> None:
    alerts.check_limits()


@shared_task(ignore_result=True)
def check_odd_spend_task() -> None:
    alerts.fold_spend_windows()
    alerts.check_odd_spend()


@shared_task(ignore_result=True)
def check_house_task() -> None:
    """What concerns the house: models without a price, holds that grew old, deliveries that fail."""
    alerts.check_unpriced()
    alerts.check_holds()
    alerts.check_deliveries()


@shared_task(ignore_result=True)
def send_digests_task() -> None:
    """Each hour, so that a clock that stood still at midnight loses no day: the mails of a day are written once."""
    alerts.send_digests()


@shared_task(ignore_result=True)
def deliver_hooks_task() -> None:
    for _round in range(ROUNDS):
        if hooks.deliver_due() == 0:
            return


@shared_task(ignore_result=True)
def reconcile_task(scope: str) -> None:
    """The standing comparison: "quick" each hour, "full" each day."""
    reconcile.start_and_execute(scope)


@shared_task(ignore_result=True)
def execute_reconciliation_task(run_id: str) -> None:
    reconcile.execute_run(UUID(run_id))


@shared_task(ignore_result=True)
def ensure_partitions_task() -> None:
    partitions.ensure_partitions()


@shared_task(ignore_result=True)
def seal_entries_task() -> None:
    seals.seal_everything(ROUNDS)


@shared_task(ignore_result=True)
def issue_due_statements_task() -> None:
    """Every hour: in each zone whose month has ended, issue what is missing; takes up what a dead worker left."""
    for run in statements.due_runs():
        continue_statements_task.delay(run.pk)


@shared_task(ignore_result=True)
def continue_statements_task(run_id: int) -> None:
    for _round in range(ROUNDS):
        if not statements.continue_run(run_id):
            return
    continue_statements_task.delay(run_id)


@shared_task(ignore_result=True)
def expire_codes_task() -> None:
    for _round in range(ROUNDS):
        if code_batches.expire_codes() == 0:
            return


@shared_task(ignore_result=True)
def note_ended_overrides_task() -> None:
    four_eyes.note_ended_overrides()


@shared_task(ignore_result=True)
def work_payments_task() -> None:
    """Events that were stored and not worked off, refunds that were booked and not sent."""
    payments.events.work_off_stored()
    payments.refunds.send_waiting()


@shared_task(ignore_result=True)
def make_export_task(job_id: str) -> None:
    exports.make_export(UUID(job_id))


@shared_task(ignore_result=True)
def make_waiting_exports_task() -> None:
    """Exports whose message was lost or whose worker died; removes files of yesterday."""
    exports.make_waiting()
