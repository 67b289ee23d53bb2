"""Settings are read with their type, or the start stops with a sentence."""

import pytest
from django.core.exceptions import ImproperlyConfigured

from config import env


@pytest.mark.parametrize(
    ("raw", "expected"), [("1", True), ("yes", True), (" ON ", True), ("0", False), ("False", False), ("", False)]
)
def test_flag_reads_the_usual_words(monkeypatch, raw, expected):
    monkeypatch.setenv("A_FLAG", raw)
    assert env.flag("A_FLAG") is expected


def test_flag_refuses_a_word_it_does_not_know(monkeypatch):
    monkeypatch.setenv("A_FLAG", "maybe")
    with pytest.raises(ImproperlyConfigured, match="A_FLAG must be 1 or 0"):
        env.flag("A_FLAG")


def test_flag_falls_back_when_unset(monkeypatch):
    monkeypatch.delenv("A_FLAG", raising=False)
    assert env.flag("A_FLAG", True) is True


def test_number(monkeypatch):
    monkeypatch.setenv("A_NUMBER", " 12 ")
    assert env.number("A_NUMBER", 1) == 12
    monkeypatch.setenv("A_NUMBER", "")
    assert env.number("A_NUMBER", 1) == 1
    monkeypatch.setenv("A_NUMBER", "12 s")
    with pytest.raises(ImproperlyConfigured, match="A_NUMBER must be a whole number"):
        env.number("A_NUMBER", 1)


def test_words_drop_blanks(monkeypatch):
    monkeypatch.setenv("SOME_WORDS", "a, b,,c ")
    assert env.words("SOME_WORDS") == ["a", "b", "c"]


def test_secret_from_a_file_wins(monkeypatch, tmp_path):
    (tmp_path / "secret").write_text("from-the-file\n")
    monkeypatch.setenv("A_SECRET", "from-the-environment")
    assert env.secret("A_SECRET") == "from-the-environment"
    monkeypatch.setenv("A_SECRET_FILE", str(tmp_path / "secret"))
    assert env.secret("A_SECRET") == "from-the-file"


def test_secret_file_that_is_missing_stops_the_start(monkeypatch, tmp_path):
    monkeypatch.setenv("A_SECRET_FILE", str(tmp_path / "nothing"))
    with pytest.raises(ImproperlyConfigured, match="A_SECRET_FILE cannot be read"):
        env.secret("A_SECRET")


def test_database_by_address():
    found = env.database("postgresql://some%40one:p%2Fw@db.example.org:5433/portal?sslmode=require")
    assert found["USER"] == "some@one"
    assert found["PASSWORD"] == "p/w"
    assert (found["HOST"], found["PORT"], found["NAME"]) == ("db.example.org", "5433", "portal")
    assert found["OPTIONS"] == {"sslmode": "require"}


def test_database_by_socket():
    found = env.database("postgresql://portal@/portal?host=/some/folder%20here&port=5432")
    assert (found["HOST"], found["PORT"], found["OPTIONS"]) == ("/some/folder here", "5432", {})


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("mysql://a:canary@host/portal", "must start with postgresql"),
        ("postgresql://a:canary@host/portal?slmode=require", "not known here: slmode"),
        ("postgresql://a:canary@host:port/portal", "cannot be read"),
    ],
)
def test_database_refuses_what_it_cannot_read_and_repeats_no_password(url, sentence):
    with pytest.raises(ImproperlyConfigured, match=sentence) as caught:
        env.database(url)
    assert "canary" not in str(caught.value)
