"""The environment is made by a bare Python, once per list of packages."""

import os
import subprocess
import sys
import zipfile
from hashlib import sha256

import pytest

from config.stack import bootstrap
from config.stack.places import CHECKOUT

pytestmark = pytest.mark.slow


@pytest.fixture
def checkout(tmp_path):
    """A checkout whose only requirement is a wheel that lies beside it, so that no package index is asked."""
    wheel = tmp_path / "tiny_probe-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("tiny_probe.py", "WORD = 'installed'\n")
        archive.writestr("tiny_probe-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: tiny-probe\nVersion: 1.0\n")
        archive.writestr("tiny_probe-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr("tiny_probe-1.0.dist-info/RECORD", "")
    folder = tmp_path / "checkout"
    (folder / "requirements").mkdir(parents=True)
    digest = sha256(wheel.read_bytes()).hexdigest()
    for name in ("bundled", "dev"):
        (folder / "requirements" / f"{name}.txt").write_text(f"tiny-probe @ {wheel.as_uri()} --hash=sha256:{digest}\n")
    return folder


def word(checkout):
    python = checkout / ".venv" / "bin" / "python"
    return subprocess.run(
        [python, "-c", "import tiny_probe; print(tiny_probe.WORD)"], capture_output=True, text=True
    ).stdout.strip()


@pytest.mark.parametrize("tool", ["pip", "uv"])
def test_the_list_is_installed_once(checkout, tool, monkeypatch, capsys):
    if tool == "uv" and not bootstrap.shutil.which("uv"):
        pytest.skip("there is no uv on this machine")
    if tool == "pip":
        monkeypatch.setattr(bootstrap.shutil, "which", lambda name: None)
    assert bootstrap.ensure(checkout, "bundled") == 0
    assert word(checkout) == "installed"
    assert f"with {tool}" in capsys.readouterr().out
    assert bootstrap.ensure(checkout, "bundled") == 0
    assert capsys.readouterr().out == ""
    # A longer list holds the shorter one, not the other way round.
    assert bootstrap.ensure(checkout, "dev") == 0
    assert "requirements/dev.txt" in capsys.readouterr().out
    (checkout / ".venv" / "installed-bundled").unlink()
    assert bootstrap.ensure(checkout, "bundled") == 0
    assert capsys.readouterr().out == ""


def test_a_package_with_another_hash_is_refused(checkout, monkeypatch):
    monkeypatch.setattr(bootstrap.shutil, "which", lambda name: None)
    listed = checkout / "requirements" / "bundled.txt"
    listed.write_text(listed.read_text().rsplit(":", 1)[0] + ":" + "0" * 64 + "\n")
    assert bootstrap.ensure(checkout, "bundled") != 0
    assert word(checkout) == ""
    assert not (checkout / ".venv" / "installed-bundled").exists()


def test_an_unknown_list_is_a_sentence():
    done = subprocess.run(
        [sys.executable, "-I", CHECKOUT / "config" / "stack" / "bootstrap.py", "everything"],
        capture_output=True,
        text=True,
        env={"PATH": os.environ["PATH"]},
    )
    assert (done.returncode, done.stderr) == (2, "say which list: base, bundled, dev\n")
