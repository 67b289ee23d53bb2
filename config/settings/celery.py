"""Queues and the beat schedule, as a table that can be reviewed. Results are not kept: our own rows are."""

from datetime import timedelta

from config import env
from config.settings.base import REDIS_URL

CELERY_BROKER_URL = env.secret("CELERY_BROKER_URL", REDIS_URL)
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_BROKER_TRANSPORT_OPTIONS = {"visibility_timeout": 3600}
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_TASK_DEFAULT_QUEUE = "portal"
CELERY_TASK_TIME_LIMIT = 3600
CELERY_WORKER_HIJACK_ROOT_LOGGER = False

CELERY_BEAT_SCHEDULE = {
    "beat-heartbeat": {"task": "config.tasks.heartbeat_task", "schedule": timedelta(seconds=5)},
    "expire-holds": {"task": "billing.tasks.expire_holds_task", "schedule": timedelta(seconds=15)},
    "fold-usage": {"task": "billing.tasks.fold_usage_task", "schedule": timedelta(seconds=3)},
    "seal-entries": {"task": "billing.tasks.seal_entries_task", "schedule": timedelta(seconds=60)},
    # Two hours into the month of each zone at the latest, and again for what a dead worker left.
    "issue-statements": {"task": "billing.tasks.issue_due_statements_task", "schedule": timedelta(hours=1)},
    "work-payments": {"task": "billing.tasks.work_payments_task", "schedule": timedelta(minutes=1)},
    "waiting-exports": {"task": "billing.tasks.make_waiting_exports_task", "schedule": timedelta(minutes=1)},
    "expire-codes": {"task": "billing.tasks.expire_codes_task", "schedule": timedelta(minutes=1)},
    "ended-overrides": {"task": "billing.tasks.note_ended_overrides_task", "schedule": timedelta(minutes=1)},
    "quota-reviews": {"task": "keys.tasks.notice_due_reviews_task", "schedule": timedelta(hours=1)},
    "alert-balances": {"task": "billing.tasks.check_balances_task", "schedule": timedelta(seconds=30)},
    "alert-limits": {"task": "billing.tasks.check_limits_task", "schedule": timedelta(seconds=30)},
    "alert-odd-spend": {"task": "billing.tasks.check_odd_spend_task", "schedule": timedelta(minutes=1)},
    "alert-digest": {"task": "billing.tasks.send_digests_task", "schedule": timedelta(hours=1)},
    "deliver-hooks": {"task": "billing.tasks.deliver_hooks_task", "schedule": timedelta(seconds=5)},
    "check-tasks": {"task": "gateway.tasks.check_tasks_task", "schedule": timedelta(seconds=5)},
    "keep-task-holds": {"task": "gateway.tasks.keep_task_holds_task", "schedule": timedelta(hours=1)},
    "reconcile-quick": {"task": "billing.tasks.reconcile_task", "schedule": timedelta(hours=1), "args": ("quick",)},
    "reconcile-full": {"task": "billing.tasks.reconcile_task", "schedule": timedelta(days=1), "args": ("full",)},
    "alert-house": {"task": "billing.tasks.check_house_task", "schedule": timedelta(minutes=1)},
    "forget-plane-notes": {"task": "gateway.tasks.forget_plane_notes_task", "schedule": timedelta(hours=6)},
    "ensure-partitions": {"task": "billing.tasks.ensure_partitions_task", "schedule": timedelta(hours=6)},
    "send-mail": {"task": "accounts.tasks.send_mail_task", "schedule": timedelta(seconds=5)},
    "interrupted-imports": {
        "task": "migrations_center.tasks.note_interrupted_imports_task",
        "schedule": timedelta(minutes=1),
    },
    "advance-waves": {"task": "migrations_center.tasks.advance_waves_task", "schedule": timedelta(seconds=30)},
}
