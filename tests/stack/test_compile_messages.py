"""Message catalogues are compiled without gettext being installed."""

import gettext

import pytest
from django.core.management import CommandError, call_command

PO = """
msgid ""
msgstr ""
"Content-Type: text/plain; charset=UTF-8\\n"
"Language: zh_Hans\\n"
"Plural-Forms: nplurals=1; plural=0;\\n"

msgid "Keys"
msgstr "密钥"

#, python-format
msgid "%(count)s call"
msgid_plural "%(count)s calls"
msgstr[0] "%(count)s 次调用"

#, fuzzy
msgid "Guess"
msgstr "猜测"
"""


@pytest.fixture
def catalogue(tmp_path, settings):
    settings.LOCALE_PATHS = [tmp_path]
    path = tmp_path / "zh_Hans" / "LC_MESSAGES" / "django.po"
    path.parent.mkdir(parents=True)
    path.write_text(PO, encoding="utf-8")
    return path


def test_the_compiled_catalogue_speaks(catalogue, capsys):
    call_command("compile_messages")
    with catalogue.with_suffix(".mo").open("rb") as file:
        spoken = gettext.GNUTranslations(file)
    assert spoken.gettext("Keys") == "密钥"
    assert spoken.ngettext("%(count)s call", "%(count)s calls", 2) == "%(count)s 次调用"
    # What is only guessed stays English.
    assert spoken.gettext("Guess") == "Guess"
    assert capsys.readouterr().out == "1 catalogue(s) compiled\n"


def test_compiling_again_writes_nothing(catalogue):
    call_command("compile_messages", verbosity=0)
    target = catalogue.with_suffix(".mo")
    before = target.stat().st_mtime_ns, target.stat().st_ino
    call_command("compile_messages", verbosity=0)
    assert (target.stat().st_mtime_ns, target.stat().st_ino) == before


@pytest.mark.parametrize(
    "broken",
    [
        PO + "\ngarbage\n",
        # A translation that names a figure which the page does not give would fail in front of a person.
        PO.replace('"%(count)s 次调用"', '"%(number)s 次调用"'),
    ],
)
def test_a_broken_catalogue_is_refused_and_the_old_one_stays(catalogue, broken):
    call_command("compile_messages", verbosity=0)
    before = catalogue.with_suffix(".mo").read_bytes()
    catalogue.write_text(broken, encoding="utf-8")
    with pytest.raises(CommandError, match=r"django\.po"):
        call_command("compile_messages", verbosity=0)
    assert catalogue.with_suffix(".mo").read_bytes() == before
