"""Mails over a real SMTP server: once each, also when a worker dies in the middle."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.db import connection

from accounts.models import OutboundMail, Role, User
from accounts.services import delivery, mail
from accounts.tasks import send_mail_task
from config.foundation.clock import now
from config.foundation.errors import Conflict, NotAllowed
from tests.accounts.smtp_double import Double, until

State = OutboundMail.State
Write = Callable[..., list[OutboundMail]]

SENDER = """
import django, sys
django.setup()
from django.conf import settings
settings.EMAIL_HOST, settings.EMAIL_PORT, settings.EMAIL_TIMEOUT = "127.0.0.1", int(sys.argv[1]), 60
settings.MAIL_PER_MINUTE = 10000
settings.DATABASES["default"]["NAME"] = sys.argv[2]
from django.db import connections
connections["default"].settings_dict["NAME"] = sys.argv[2]
from accounts.tasks import send_mail_task
send_mail_task()
"""


def start_sender(port: int) -> subprocess.Popen[bytes]:
    """A worker process of its own that runs the sending task on the test's database."""
    name = connection.settings_dict["NAME"]
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "config.settings.test"}
    return subprocess.Popen([sys.executable, "-c", SENDER, str(port), name], cwd=django_settings.BASE_DIR, env=environment)


def kill(process: subprocess.Popen[bytes]) -> None:
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait(10) == -signal.SIGKILL


def two_minutes_pass() -> None:
    """Age every claim instead of waiting."""
    OutboundMail.objects.filter(claimed_at__isnull=False).update(claimed_at=now() - timedelta(minutes=3))


def counts() -> dict[str, int]:
    states = OutboundMail.objects.values_list("state", flat=True)
    return {state: list(states).count(state) for state in sorted(set(states))}


def test_forty_mails_arrive_once_each_and_a_second_run_sends_none(smtp: Double, write_mails: Write) -> None:
    """R087: send twice, 0 extra."""
    rows = write_mails(40)
    send_mail_task()
    assert len(smtp.accepted) == 40
    assert set(smtp.recipients.values()) == {1}
    assert len(smtp.recipients) == 40
    assert counts() == {"sent": 40}
    assert smtp.connections == 2  # batches of 20, one connection each
    send_mail_task()
    assert len(smtp.accepted) == 40
    first = next(message for message in smtp.accepted if message["To"] == "reader07@example.org")
    assert first["Subject"] == "Mail 7"
    assert first["Message-ID"] == delivery.message_id(rows[7].pk)
    assert first["From"] == "portal@example.org"
    assert first["Date"].datetime == rows[7].created_at.replace(microsecond=0)
    plain = first.get_body(("plain",)).get_content()
    assert plain.splitlines() == ["Hello 7", ".a line that starts with a dot"]
    assert first.get_body(("html",)).get_content().strip() == "<p>Hello 7</p>"


def test_a_claim_takes_its_number_and_no_more(write_mails: Write) -> None:
    write_mails(40)
    assert len(delivery._claim(7)) == 7
    assert counts() == {"queued": 33, "sending": 7}


@pytest.mark.slow
def test_a_worker_killed_before_the_text_loses_and_repeats_nothing(smtp: Double, write_mails: Write) -> None:
    write_mails(40)
    smtp.at_rcpt = lambda n, address: "hold" if n == 13 else None
    worker = start_sender(smtp.port)
    smtp.wait()
    kill(worker)
    assert len(smtp.accepted) == 12
    assert counts() == {"queued": 20, "sending": 8, "sent": 12}
    # Right after the death nobody touches the claimed rows: their worker might be alive.
    until(lambda: delivery.send_due(20).tried > 0)
    send_mail_task()
    assert counts() == {"sending": 8, "sent": 32}
    two_minutes_pass()
    send_mail_task()
    assert counts() == {"sent": 40}
    assert len(smtp.recipients) == 40
    assert set(smtp.recipients.values()) == {1}


@pytest.mark.slow
def test_a_worker_killed_after_the_text_leaves_one_uncertain_row(smtp: Double, write_mails: Write) -> None:
    write_mails(40)
    smtp.at_data = lambda n, address: "hold" if n == 13 else None
    worker = start_sender(smtp.port)
    smtp.wait()
    kill(worker)
    assert counts() == {"handed_over": 1, "queued": 20, "sending": 7, "sent": 12}
    two_minutes_pass()
    until(lambda: delivery.send_due(20).tried > 0)
    send_mail_task()
    assert counts() == {"handed_over": 1, "sent": 39}
    assert set(smtp.recipients.values()) == {1}
    assert len(smtp.recipients) == 39
    # Nobody sends the uncertain one by themselves; a person may.
    uncertain = OutboundMail.objects.get(state=State.HANDED_OVER)
    assert uncertain.to_address not in smtp.recipients
    mail.resend_mail(actor=None, mail=uncertain)
    send_mail_task()
    assert counts() == {"sent": 40}
    assert smtp.recipients[uncertain.to_address] == 1


def test_no_answer_after_the_text_is_uncertain_and_the_rest_goes_on(smtp: Double, write_mails: Write) -> None:
    write_mails(5)
    smtp.at_data = lambda n, address: "drop" if n == 2 else None
    send_mail_task()
    assert counts() == {"handed_over": 1, "sent": 4}
    assert set(smtp.recipients.values()) == {1}
    lost = OutboundMail.objects.get(state=State.HANDED_OVER)
    assert lost.last_error
    assert set(OutboundMail.objects.values_list("attempts", flat=True)) == {1}


def test_a_temporary_refusal_waits_and_is_tried_again(smtp: Double, write_mails: Write) -> None:
    (row,) = write_mails(1)
    smtp.at_rcpt = lambda n, address: "451 grey-listed" if n == 1 else None
    result = delivery.send_due()
    assert (result.sent, result.retried, result.failed) == (0, 1, 0)
    row.refresh_from_db()
    assert (row.state, row.attempts, row.last_error) == (State.QUEUED, 1, "451 grey-listed")
    assert timedelta(seconds=50) < row.next_attempt_at - now() <= timedelta(minutes=1)
    assert delivery.send_due().tried == 0
    OutboundMail.objects.update(next_attempt_at=now())
    assert delivery.send_due().sent == 1
    assert smtp.recipients[row.to_address] == 1


def test_waits_double_and_the_eighth_refusal_is_the_last(smtp: Double, write_mails: Write) -> None:
    (row,) = write_mails(1)
    smtp.at_rcpt = lambda n, address: "451 busy"
    waits = []
    for _ in range(8):
        OutboundMail.objects.update(next_attempt_at=now())
        delivery.send_due()
        row.refresh_from_db()
        waits.append(round((row.next_attempt_at - now()).total_seconds() / 60))
    assert waits[:7] == [1, 2, 4, 8, 16, 32, 64]
    assert (row.state, row.attempts, row.last_error) == (State.FAILED, 8, "451 busy")
    assert smtp.rcpt_count == 8


def test_a_permanent_refusal_fails_with_its_reason_and_the_others_go(smtp: Double, write_mails: Write) -> None:
    """R088: the server refuses 3 of 40: 37 sent, 3 failed; sent again, exactly those 3."""
    write_mails(40)
    refused = {"reader03@example.org", "reader20@example.org", "reader39@example.org"}
    smtp.at_rcpt = lambda n, address: "550 no such user" if address in refused else None
    send_mail_task()
    assert counts() == {"failed": 3, "sent": 37}
    failed = OutboundMail.objects.filter(state=State.FAILED)
    assert {row.to_address for row in failed} == refused
    assert {row.last_error for row in failed} == {"550 no such user"}
    smtp.at_rcpt = lambda n, address: None
    for row in failed:
        mail.resend_mail(actor=None, mail=row)
    send_mail_task()
    assert counts() == {"sent": 40}
    assert set(smtp.recipients.values()) == {1}


def test_refused_after_the_text_is_a_clear_answer(smtp: Double, write_mails: Write) -> None:
    write_mails(2)
    smtp.at_data = lambda n, address: "554 looks like spam" if n == 1 else "452 full" if n == 2 else None
    delivery.send_due()
    assert counts() == {"failed": 1, "queued": 1}
    assert smtp.accepted == []


def test_a_server_that_is_away_costs_nothing_but_time(settings: Any, write_mails: Write) -> None:
    settings.EMAIL_HOST, settings.EMAIL_PORT, settings.MAIL_PER_MINUTE = "127.0.0.1", 9, 1000
    rows = write_mails(3)
    result = delivery.send_due()
    assert (result.sent, result.retried) == (0, 3)
    rows[0].refresh_from_db()
    assert (rows[0].state, rows[0].attempts) == (State.QUEUED, 1)
    assert "refused" in rows[0].last_error.lower()
    assert rows[0].next_attempt_at > now()


def test_the_pace_holds_over_workers(smtp: Double, write_mails: Write, settings: Any) -> None:
    settings.MAIL_PER_MINUTE = 7
    write_mails(20)
    send_mail_task()
    send_mail_task()
    assert counts() == {"queued": 13, "sent": 7}
    two_minutes_pass()
    send_mail_task()
    assert counts() == {"queued": 6, "sent": 14}


@pytest.mark.slow
def test_a_second_sender_does_nothing_while_one_is_at_work(smtp: Double, write_mails: Write) -> None:
    write_mails(30)
    smtp.at_rcpt = lambda n, address: "hold" if n == 5 else None
    worker = start_sender(smtp.port)
    smtp.wait()
    assert delivery.send_due().busy
    assert counts() == {"queued": 10, "sending": 16, "sent": 4}
    kill(worker)


def test_a_row_that_was_taken_back_meanwhile_is_not_sent(smtp: Double, write_mails: Write) -> None:
    """A worker that slept past the limit finds its claim gone and stops before the text."""
    (row,) = write_mails(1)

    def take() -> None:
        OutboundMail.objects.filter(pk=row.pk).update(state=State.QUEUED, claimed_at=None)
        connection.close()

    def in_a_thread(n: int, address: str) -> str | None:
        thread = threading.Thread(target=take)
        thread.start()
        thread.join()
        return None

    smtp.at_rcpt = in_a_thread
    delivery.send_due()
    assert smtp.accepted == []
    row.refresh_from_db()
    assert row.state == State.QUEUED


def test_an_address_that_no_mail_can_carry_fails_alone(smtp: Double, write_mails: Write) -> None:
    rows = write_mails(2)
    OutboundMail.objects.filter(pk=rows[0].pk).update(to_address="no address\r\nBcc: a@example.org")
    delivery.send_due()
    rows[0].refresh_from_db()
    assert rows[0].state == State.FAILED
    assert list(smtp.recipients) == [rows[1].to_address]


def test_only_unfinished_mails_can_be_sent_again(write_mails: Write, make_person: Callable[..., User]) -> None:
    (row,) = write_mails(1)
    operator, stranger = make_person("olga", Role.OPS), make_person("ulla")
    with pytest.raises(Conflict):
        mail.resend_mail(actor=operator, mail=row)
    OutboundMail.objects.update(state=State.FAILED)
    row.refresh_from_db()
    with pytest.raises(NotAllowed):
        mail.resend_mail(actor=stranger, mail=row)
    row.refresh_from_db()
    assert row.state == State.FAILED
    assert mail.resend_mail(actor=operator, mail=row).state == State.QUEUED
