"""The demo's mail server: every mail is a file, whole, with its content as it was sent."""

import smtplib
import stat
import sys
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default

import pytest

from config.stack.places import CHECKOUT
from config.stack.processes import Child, wait_until
from config.stack.redis import free_port

pytestmark = pytest.mark.slow


def test_mails_become_files(tmp_path):
    port, folder = free_port(), tmp_path / "mail"
    command = [sys.executable, "-m", "config.stack.mail_sink", "--port", str(port), "--folder", str(folder)]
    child = Child("mail", command, tmp_path / "mail.log", options={"cwd": CHECKOUT})
    child.start()

    def answers():
        try:
            smtplib.SMTP("127.0.0.1", port, timeout=5).quit()
        except OSError:
            return False
        return True

    try:
        assert wait_until(answers, child, 20), child.last_lines()
        for number in range(3):
            mail = EmailMessage()
            mail["From"], mail["To"], mail["Subject"] = "portal@example.org", "someone@example.org", f"第 {number} 封"
            mail.set_content(f"正文 {number}")
            with smtplib.SMTP("127.0.0.1", port, timeout=5) as server:
                server.send_message(mail)
        kept = [message_from_bytes(path.read_bytes(), policy=default) for path in sorted(folder.glob("*.eml"))]
        assert [mail["subject"] for mail in kept] == ["第 0 封", "第 1 封", "第 2 封"]
        assert kept[1].get_content().strip() == "正文 1"
        assert list(folder.glob("*.part")) == []
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    finally:
        child.stop()
    assert child.exit_code == 0
