"""Bring the message catalogues up to the texts in the code: ``manage.py update_messages`` (needs the gettext tools)."""

from pathlib import Path
from typing import Any

from babel.messages.pofile import read_po
from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand

# Folders without texts of the portal.
ELSEWHERE = [".venv", ".portal", "static", "staticfiles", "tests", "bench", "node_modules"]
# What the tools write about themselves and the moment: it would differ at every call.
NOISE = ("Report-Msgid-Bugs-To", "POT-Creation-Date")


class Command(BaseCommand):
    help = "Take new texts into every catalogue, drop the ones that are gone, and name what waits for a translation."
    requires_system_checks: list[str] = []  # noqa: RUF012

    def handle(self, *args: Any, **options: Any) -> None:
        for folder in settings.LOCALE_PATHS:
            for path in sorted(Path(folder).glob("*/LC_MESSAGES/django.po")):
                language = path.parent.parent.name
                call_command(
                    "makemessages",
                    locale=[language],
                    no_location=True,
                    no_wrap=True,
                    no_obsolete=True,
                    ignore_patterns=ELSEWHERE,
                    verbosity=0,
                )
                waiting = _tidy(path)
                self.stdout.write(f"{language}: {len(waiting)} to translate")
                for text in waiting:
                    self.stdout.write(f"  {text}")


def _tidy(path: Path) -> list[str]:
    """Take the noise out of the head; the texts whose translation is missing or only guessed."""
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    path.write_text(
        "".join(line for line in lines if not line.startswith(tuple(f'"{name}:' for name in NOISE))), encoding="utf-8"
    )
    with path.open("rb") as file:
        messages = [message for message in read_po(file) if message.id]
    waiting = [message for message in messages if message.fuzzy or not _translation(message.string)]
    return [message.id if isinstance(message.id, str) else message.id[0] for message in waiting]


def _translation(string: Any) -> str:
    return string if isinstance(string, str) else "".join(string)
