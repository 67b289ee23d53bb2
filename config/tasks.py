"""The heartbeat that /readyz looks for: beat put the task in the queue and a worker took it out."""

from celery import shared_task
from django.core.cache import cache

from config.foundation.clock import now

HEARTBEAT_KEY = "portal:heartbeat"


@shared_task(ignore_result=True)
def heartbeat_task() -> None:
    cache.set(HEARTBEAT_KEY, now().timestamp(), timeout=120)
