"""docs/lessons.md: each of the 46 complaints has its behaviour and a test that is there."""

import re
from pathlib import Path

from django.conf import settings

ROW = re.compile(r"^\| (\d+) \| (.+) \| (.+) \| `(test_\w+)` \|$", re.MULTILINE)


def test_every_complaint_has_a_test_that_exists() -> None:
    rows = ROW.findall((settings.BASE_DIR / "docs/lessons.md").read_text(encoding="utf-8"))
    assert [int(number) for number, *_ in rows] == list(range(1, 47))
    files = (path.read_text(encoding="utf-8") for path in Path(settings.BASE_DIR, "tests").rglob("test_*.py"))
    there = {name for text in files for name in re.findall(r"def (test_\w+)\(", text)}
    assert {name for *_, name in rows} <= there
