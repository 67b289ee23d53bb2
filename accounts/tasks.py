"""Celery doors of this app."""

import time

from celery import shared_task

from accounts.services.mail import send_due

# Shorter than anything that waits for a worker to end; the next beat goes on.
RUN_SECONDS = 45


@shared_task(ignore_result=True)
def send_mail_task() -> None:
    """Send what is due, batch by batch, until nothing is, the minute's pace is used up or another sender is at work."""
    until = time.monotonic() + RUN_SECONDS
    while time.monotonic() < until:
        if not send_due().tried:
            return
