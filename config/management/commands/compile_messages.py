"""Compile the message catalogues without gettext: ``manage.py compile_messages``."""

from io import BytesIO
from pathlib import Path
from typing import Any

from babel.messages.mofile import write_mo
from babel.messages.pofile import PoFileError, read_po
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError


class Command(BaseCommand):
    help = "Compile every .po file under the locale folders to the .mo file beside it."
    requires_system_checks: list[str] = []  # noqa: RUF012

    def handle(self, *args: Any, **options: Any) -> None:
        count = 0
        for folder in settings.LOCALE_PATHS:
            for source in sorted(Path(folder).glob("*/LC_MESSAGES/*.po")):
                count += compile_catalogue(source)
        if options["verbosity"] > 0:
            self.stdout.write(f"{count} catalogue(s) compiled")


def compile_catalogue(source: Path) -> bool:
    """Write the .mo beside the .po when its content differs; True when it was written."""
    try:
        with source.open("rb") as file:
            # A broken catalogue would show half a page in another language: refuse it whole.
            catalogue = read_po(file, locale=source.parent.parent.name, abort_invalid=True)
    except (PoFileError, ValueError) as error:
        raise CommandError(f"{source}: {error}") from None
    for message, errors in catalogue.check():
        raise CommandError(f"{source}:{message.lineno}: {message.id!r}: {errors[0]}")
    compiled = BytesIO()
    write_mo(compiled, catalogue, use_fuzzy=False)
    target = source.with_suffix(".mo")
    if target.exists() and target.read_bytes() == compiled.getvalue():
        return False
    fresh = target.with_suffix(".mo.new")
    fresh.write_bytes(compiled.getvalue())
    fresh.replace(target)
    return True
