"""A command in a second terminal finds the stack that runs in the first."""

import json
import os
import stat
import subprocess
import sys

import pytest

from config.stack import adopt


@pytest.fixture
def home(tmp_path, monkeypatch):
    for name in ("DATABASE_URL", "DATABASE_URL_FILE", "REDIS_URL", "SECRET_KEY"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / ".portal").mkdir()
    return tmp_path / ".portal"


def test_the_running_stack_is_adopted_and_own_settings_win(home, monkeypatch):
    monkeypatch.setenv("REDIS_URL", "redis://mine")
    adopt.leave_word(home, {"DATABASE_URL": "postgresql://theirs/x", "REDIS_URL": "redis://theirs", "HOME": "/elsewhere"})
    assert stat.S_IMODE((home / "running.json").stat().st_mode) == 0o600
    before = os.environ["HOME"]
    assert adopt.adopt_running_stack(home.parent) is True
    assert os.environ["DATABASE_URL"] == "postgresql://theirs/x"
    assert os.environ["REDIS_URL"] == "redis://mine"
    assert os.environ["HOME"] == before
    monkeypatch.delenv("DATABASE_URL")


def test_with_an_address_of_its_own_nothing_is_adopted(home, monkeypatch):
    adopt.leave_word(home, {"DATABASE_URL": "postgresql://theirs/x", "SECRET_KEY": "theirs"})
    monkeypatch.setenv("DATABASE_URL", "postgresql://mine/x")
    assert adopt.adopt_running_stack(home.parent) is False
    assert "SECRET_KEY" not in os.environ


def test_a_stack_that_ended_is_not_adopted(home):
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    (home / "running.json").write_text(json.dumps({"pid": gone.pid, "env": {"DATABASE_URL": "postgresql://theirs/x"}}))
    assert adopt.adopt_running_stack(home.parent) is False
    assert "DATABASE_URL" not in os.environ


def test_the_word_is_taken_back(home):
    adopt.leave_word(home, {"DATABASE_URL": "postgresql://theirs/x"})
    adopt.take_back_word(home)
    adopt.take_back_word(home)
    assert adopt.adopt_running_stack(home.parent) is False
