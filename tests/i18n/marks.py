"""Every text that the code and the templates mark for translation, and every entry of the Chinese catalogue."""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.pofile import read_po
from django.conf import settings
from django.utils.translation.template import templatize

ROOT = Path(settings.BASE_DIR)
CATALOGUE = ROOT / "locale" / "zh_Hans" / "LC_MESSAGES" / "django.po"
OUTSIDE = {"tests", "static", "staticfiles", "locale", "node_modules", "bench"}
# Function, and the places of context, singular and plural among its arguments.
PLACES: dict[str, tuple[int | None, int, int | None]] = {
    "gettext": (None, 0, None),
    "ngettext": (None, 0, 1),
    "pgettext": (0, 1, None),
    "npgettext": (0, 1, 2),
}
CALL = re.compile(r"\b(_|gettext|ngettext|pgettext|npgettext)\(")


@dataclass(frozen=True, order=True)
class Mark:
    """What gettext looks a text up by."""

    context: str
    single: str
    plural: str = ""


class UnreadableMark(AssertionError):
    """A mark the catalogue tools cannot see, so that its text would stay English."""


def sources() -> Iterator[Path]:
    """Python files and templates of the project itself."""
    for path in sorted(ROOT.rglob("*")):
        parts = path.relative_to(ROOT).parts
        if path.suffix in (".py", ".html", ".txt") and not parts[0].startswith(".") and parts[0] not in OUTSIDE:
            yield path


def marks_in(path: Path) -> set[Mark]:
    """Every marked text of one file."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".py":
        return _marks_of_code(path, text)
    return _marks_of_template(text) if "templates" in path.relative_to(ROOT).parts else set()


def _marks_of_code(path: Path, text: str) -> set[Mark]:
    tree = ast.parse(text)
    names = _names(path, tree)
    found = set()
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        function = node.func
        if isinstance(function, ast.Name) and function.id in names:
            kind = names[function.id]
        elif isinstance(function, ast.Attribute) and ast.unparse(function.value) == "translation":
            kind = _kind(function.attr)
        else:
            continue
        if kind:
            found |= _mark_of_call(path, node, kind)
    return found


def _kind(name: str) -> str:
    kind = name.removesuffix("_lazy").removesuffix("_noop")
    return kind if kind in PLACES else ""


def _names(path: Path, tree: ast.Module) -> dict[str, str]:
    """Local names of the translation functions; another alias than ``_`` is invisible to the catalogue tools."""
    names = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module == "django.utils.translation":
            for alias in node.names:
                kind = _kind(alias.name)
                if kind and alias.asname not in (None, "_"):
                    raise UnreadableMark(f"{path}:{node.lineno}: {alias.name} as {alias.asname}")
                if kind:
                    names[alias.asname or alias.name] = kind
    return names


def _mark_of_call(path: Path, node: ast.Call, kind: str) -> set[Mark]:
    places = PLACES[kind]
    texts: list[str] = []
    for place in places:
        given = node.args[place] if place is not None else None
        if isinstance(given, ast.JoinedStr | ast.BinOp):
            raise UnreadableMark(f"{path}:{node.lineno}: a text that is put together before it is looked up")
        if given is not None and not (isinstance(given, ast.Constant) and isinstance(given.value, str)):
            return set()
        texts.append(given.value if given is not None else "")
    return {Mark(*texts)} if texts[1] else set()


def _marks_of_template(text: str) -> set[Mark]:
    code = templatize(text)
    found = set()
    for match in CALL.finditer(code):
        end = match.end()
        while end := code.find(")", end) + 1:
            try:
                node = ast.parse(code[match.start() : end].strip(), mode="eval").body
            except SyntaxError:
                continue
            assert isinstance(node, ast.Call)
            kind = "gettext" if match[1] == "_" else match[1]
            found |= _mark_of_call(Path("template"), node, kind)
            break
    return found


def catalogue() -> Catalog:
    with CATALOGUE.open("rb") as file:
        return read_po(file, abort_invalid=True)


def entries() -> dict[Mark, str]:
    """The catalogue without its head: what is looked up, and the Chinese for it."""
    found = {}
    for message in catalogue():
        if message.id:
            single, plural = (message.id, "") if isinstance(message.id, str) else message.id
            chinese = message.string if isinstance(message.string, str) else message.string[0]
            found[Mark(message.context or "", single, plural)] = chinese
    return found
