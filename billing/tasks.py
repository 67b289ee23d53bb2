"""Celery's doors to this app; each may run twice at once and again."""

from celery import shared_task

from billing.services import alerts, ledger, partitions, seals, usage

# A run ends after this many rounds, so that one busy moment does not hold a worker for ever.
ROUNDS = 20


@shared_task(ignore_result=True)
def expire_holds_task() -> None:
    for _round in range(ROUNDS):
        if ledger.expire_holds(limit=1000) == 0:
            return


@shared_task(ignore_result=True)
def fold_usage_task() -> None:
    for _round in range(ROUNDS):
        if usage.fold_usage() == 0:
            return


@shared_task(ignore_result=True)
def check_low_balances_task() -> None:
    alerts.check_low_balances()


@shared_task(ignore_result=True)
def ensure_partitions_task() -> None:
    partitions.ensure_partitions()


@shared_task(ignore_result=True)
def seal_entries_task() -> None:
    seals.seal_everything(ROUNDS)
