"""The catalogue follows the code: one command takes in what is new, drops what is gone and names what waits."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from tests.i18n.marks import CATALOGUE

HEAD = CATALOGUE.read_text(encoding="utf-8").split("\n\n", 1)[0]
KNOWN = 'msgid "Sign out"\nmsgstr "退出登录"'
GONE = 'msgid "No such words"\nmsgstr "没有"'

pytestmark = pytest.mark.skipif(not shutil.which("xgettext"), reason="the gettext tools are not installed")


@pytest.fixture
def project(tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project of one file; the tools walk the working directory."""
    (tmp_path / "words.py").write_text('WORDS = [_("Sign out")]\n', encoding="utf-8")
    path = tmp_path / "locale" / "zh_Hans" / "LC_MESSAGES" / "django.po"
    path.parent.mkdir(parents=True)
    path.write_text("\n\n".join((HEAD, KNOWN)) + "\n", encoding="utf-8")
    settings.LOCALE_PATHS = [tmp_path / "locale"]
    monkeypatch.chdir(tmp_path)
    return path


def test_a_catalogue_that_is_up_to_date_stays_as_it_is(project: Path, capsys: Any) -> None:
    before = project.read_text(encoding="utf-8")
    call_command("update_messages")
    assert project.read_text(encoding="utf-8") == before
    assert capsys.readouterr().out == "zh_Hans: 0 to translate\n"


def test_new_texts_are_named_and_gone_ones_dropped(project: Path, capsys: Any) -> None:
    project.write_text("\n\n".join((HEAD, GONE)) + "\n", encoding="utf-8")
    call_command("update_messages")
    assert capsys.readouterr().out == "zh_Hans: 1 to translate\n  Sign out\n"
    assert project.read_text(encoding="utf-8") == "\n\n".join((HEAD, 'msgid "Sign out"\nmsgstr ""')) + "\n"
