"""Celery's doors to this app; each may run twice."""

from celery import shared_task

from keys import services_policy


@shared_task(ignore_result=True)
def notice_due_reviews_task() -> None:
    services_policy.notice_due_reviews()
