"""Rules of the house that a reader cannot keep in mind: they are read off the files themselves."""

import ast
import re
import subprocess
from pathlib import Path

import pytest
from django.conf import settings

ROOT = Path(settings.BASE_DIR)
APPS = ("config", "accounts", "models_catalog", "keys", "billing", "gateway", "migrations_center")
LONGEST_FILE = 450
SOURCES = sorted(
    path for app in APPS for path in (ROOT / app).rglob("*.py") if "migrations" not in path.relative_to(ROOT).parts[:-1]
)
# Words that must not be in the repository, put together here so that this file does not hold them.
MACHINE_PATHS = ["/" + "work/", "/" + "root/", "/" + "tmp/dev", "/" + "home/"]
REGISTRIES = [".".join(words) for words in (("pypi", "org"), ("pythonhosted", "org"), ("registry", "npmjs", "org"))]


def tracked_files() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False)
    if listed.returncode != 0:
        pytest.skip("not a git checkout: nothing says which files are tracked")
    return [ROOT / name for name in listed.stdout.decode().split("\0") if name and (ROOT / name).is_file()]


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_no_file_outgrows_a_reader():
    lengths = {name_of(path): len(path.read_text(encoding="utf-8").splitlines()) for path in SOURCES}
    assert len(lengths) > 100
    assert {name: length for name, length in lengths.items() if length > LONGEST_FILE} == {}


def test_locks_are_taken_in_one_file():
    found = {name_of(path) for path in SOURCES if "select_for_update" in path.read_text(encoding="utf-8")}
    assert found <= {"billing/locks.py"}


def test_clear_keys_are_made_and_digested_in_one_file():
    found = {name_of(path) for path in SOURCES if re.search(r"\bhmac\.(new|digest)\(", path.read_text(encoding="utf-8"))}
    assert "keys/secrets.py" in found
    assert {name for name in found if name.startswith("keys/")} == {"keys/secrets.py"}


def test_tracked_files_hold_no_path_of_a_machine_and_no_registry():
    wrong = []
    for path in tracked_files():
        content = path.read_bytes()
        wrong += [f"{name_of(path)}: {word}" for word in REGISTRIES if word.encode() in content]
        for word in MACHINE_PATHS:
            # As a path of its own, not as a part of an address such as /api/work/.
            if re.search(rb"(?<![\w/.}-])" + word.encode(), content):
                wrong.append(f"{name_of(path)}: {word}")
    assert wrong == []


def test_the_example_of_the_settings_names_each_that_can_be_set():
    known = set(re.findall(r"^([A-Z_]+)=", (ROOT / ".env.example").read_text(), flags=re.MULTILINE))
    read = set()
    for path in (ROOT / "config" / "settings").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and ast.unparse(node.func.value) == "env":
                if node.args and isinstance(node.args[0], ast.Constant):
                    read.add(node.args[0].value)
    assert len(read) > 20
    # Set by `make up` or by the ASGI process, or for developers only.
    assert read - known == {"DEBUG", "DEMO", "DATABASE_POOL", "CONN_MAX_AGE"}
