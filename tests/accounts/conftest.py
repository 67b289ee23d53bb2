from collections.abc import Callable, Iterator
from typing import Any

import pytest

from accounts.models import OutboundMail, Role, User
from accounts.services import mail, people
from tests.accounts.smtp_double import Double, start

PASSWORD = "correct-horse-battery"


@pytest.fixture
def smtp(settings: Any) -> Iterator[Double]:
    """A mail server of the test's own; the outbox is pointed at it."""
    double = Double()
    controller = start(double)
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", controller.port
    settings.EMAIL_TIMEOUT = 5
    settings.MAIL_PER_MINUTE = 10_000
    double.port = controller.port  # type: ignore[attr-defined]
    yield double
    controller.stop()


@pytest.fixture
def make_person(db: Any) -> Callable[..., User]:
    def make(username: str, role: str = Role.USER, **values: Any) -> User:
        values.setdefault("email", f"{username}@example.org")
        values.setdefault("password", PASSWORD)
        return people.create_person(actor=None, username=username, role=role, **values)

    return make


@pytest.fixture
def write_mails(transactional_db: Any) -> Callable[..., list[OutboundMail]]:
    def write(count: int, **values: Any) -> list[OutboundMail]:
        return [
            mail.queue_text(
                user=None,
                address=f"reader{number:02d}@example.org",
                kind="test",
                dedupe_key=f"test:{number}",
                language="en",
                subject=f"Mail {number}",
                text=f"Hello {number}\n.a line that starts with a dot\n",
                html=f"<p>Hello {number}</p>",
                **values,
            )
            for number in range(count)
        ]

    return write
