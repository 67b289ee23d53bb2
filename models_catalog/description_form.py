"""What a target takes, field by field: the rows of a form, and the description they stand for (``models_catalog.parameters``).

A value is written as people write it: 1024x1024, 4, true. In quotes it is a text whatever it looks like: "4".
"""

import json
from collections.abc import Mapping
from typing import Any

from django import forms
from django.template.loader import render_to_string
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, pgettext_lazy
from unfold.widgets import BASE_INPUT_CLASSES, SELECT_CLASSES

from models_catalog.parameters import MOST_NAME, MOST_PARAMETERS, TYPES, number_of

BLANK_ROWS = 4
TEXTS = ("name", "type", "values", "min", "max", "default")
FLAGS = ("required", "refused")
TYPE_WORDS = {
    "integer": pgettext_lazy("type of a parameter", "whole number"),
    "number": pgettext_lazy("type of a parameter", "number"),
    "boolean": pgettext_lazy("type of a parameter", "yes or no"),
    "string": pgettext_lazy("type of a parameter", "text"),
}

Row = dict[str, Any]


def rows_of(rules: Mapping[str, Any]) -> list[Row]:
    """One row for each parameter, in texts."""
    return [
        {
            "name": name,
            "type": rule.get("type") or "",
            "values": ", ".join(text_of(value) for value in rule.get("values") or ()),
            "min": text_of(rule.get("min")),
            "max": text_of(rule.get("max")),
            "default": text_of(rule.get("default")),
            "required": bool(rule.get("required")),
            "refused": rule.get("supported") is False,
        }
        for name, rule in rules.items()
    ]


def rules_from(rows: list[Row]) -> dict[str, Any]:
    """The parameters these rows describe; raises ValidationError that names each row it cannot read and why."""
    rules: dict[str, Any] = {}
    problems = []
    for number, row in enumerate(rows, 1):
        name = row["name"]
        try:
            if not name:
                raise forms.ValidationError(_("the name of the parameter is missing"))
            if name in rules:
                raise forms.ValidationError(_("the name stands in another row too"))
            rules[name] = _rule_from(row)
        except forms.ValidationError as wrong:
            place = _("Row %(number)d") % {"number": number} + (f" ({name[:MOST_NAME]})" if name else "")
            problems.append(f"{place}: {'; '.join(wrong.messages)}")
    if problems:
        raise forms.ValidationError(problems)
    return rules


def text_of(value: Any) -> str:
    """A value as it is written in a row, so that reading it gives the same value."""
    if value is None:
        return ""
    if not isinstance(value, str):
        return json.dumps(value)
    is_plain = value == value.strip() and value and "," not in value and '"' not in value and value_of(value) == value
    return value if is_plain else json.dumps(value, ensure_ascii=False)


def value_of(text: str) -> Any:
    """The value that is written so: a number, true or false, or a text; raises ValidationError for quotes that do not end."""
    text = text.strip()
    if text.startswith('"'):
        try:
            value = json.loads(text)
        except ValueError:
            raise forms.ValidationError(_("%(text)s has quotes that do not end") % {"text": text[:MOST_NAME]}) from None
        return value
    if text in ("true", "false"):
        return text == "true"
    number = number_of(text)
    if number is None or not text[-1:].isdigit() or text.startswith("+") or "_" in text:
        return text
    try:
        return json.loads(text)
    except ValueError:
        return text


def _rule_from(row: Row) -> dict[str, Any]:
    if len(row["name"]) > MOST_NAME:
        raise forms.ValidationError(_("a name has at most %(most)d characters") % {"most": MOST_NAME})
    if row["refused"]:
        if any(row[one] for one in ("values", "min", "max", "default")) or row["required"]:
            raise forms.ValidationError(_("a parameter that is refused takes no values, limits or default"))
        return {"supported": False}
    rule: dict[str, Any] = {"type": row["type"]} if row["type"] else {}
    if row["values"]:
        rule["values"] = [value_of(one) for one in _split(row["values"])]
    for end, word in (("min", _("the smallest")), ("max", _("the largest"))):
        if row[end]:
            value = value_of(row[end])
            if number_of(value) is None:
                raise forms.ValidationError(_("%(which)s is not a number") % {"which": word})
            rule[end] = value
    if "values" in rule and ("min" in rule or "max" in rule):
        raise forms.ValidationError(_("either values or limits, not both"))
    low, high = number_of(rule.get("min")), number_of(rule.get("max"))
    if low is not None and high is not None and low > high:
        raise forms.ValidationError(_("the smallest is above the largest"))
    if row["default"]:
        rule["default"] = value_of(row["default"])
    if row["required"]:
        rule["required"] = True
    return rule


def _split(text: str) -> list[str]:
    """Parts between commas, those inside quotes not counted."""
    parts, part, is_quoted = [], "", False
    for letter in text:
        if letter == '"' and not part.endswith("\\"):
            is_quoted = not is_quoted
        if letter == "," and not is_quoted:
            parts.append(part)
            part = ""
        else:
            part += letter
    return [one for one in (piece.strip() for piece in [*parts, part]) if one]


class RuleRowsWidget(forms.Widget):
    """A table with a row for each parameter, and some empty ones."""

    class Media:
        css = {"all": ["css/rule_rows.css"]}  # noqa: RUF012

    def render(self, name: str, value: Any, attrs: Any = None, renderer: Any = None) -> SafeString:
        rows: list[Row] = list(value or [])
        blank: Row = dict.fromkeys(TEXTS, "") | dict.fromkeys(FLAGS, False)
        context = {
            "name": name,
            "rows": rows + [blank] * BLANK_ROWS,
            "types": [(one, TYPE_WORDS[one]) for one in TYPES],
            "input_class": " ".join(BASE_INPUT_CLASSES),
            "select_class": " ".join(SELECT_CLASSES),
        }
        return SafeString(render_to_string("admin/models_catalog/rule_rows.html", context))

    def value_from_datadict(self, data: Any, files: Any, name: str) -> list[Row]:
        try:
            count = min(int(data.get(f"{name}-count", "0")), MOST_PARAMETERS + BLANK_ROWS)
        except ValueError:
            count = 0
        rows = []
        for number in range(count):
            row: Row = {one: str(data.get(f"{name}-{number}-{one}", "")).strip() for one in TEXTS}
            row |= {one: f"{name}-{number}-{one}" in data for one in FLAGS}
            if any(row.values()):
                rows.append(row)
        return rows

    def value_omitted_from_data(self, data: Any, files: Any, name: str) -> bool:
        return f"{name}-count" not in data


class RuleRowsField(forms.Field):
    """Rows of parameters; its value is what they describe."""

    widget = RuleRowsWidget
    default_error_messages = {"too_many": gettext_lazy("A model takes at most 100 parameters here.")}  # noqa: RUF012

    def clean(self, value: Any) -> dict[str, Any]:
        rows: list[Row] = value or []
        if len(rows) > MOST_PARAMETERS:
            raise forms.ValidationError(self.error_messages["too_many"], code="too_many")
        for row in rows:
            if row["type"] and row["type"] not in TYPES:
                raise forms.ValidationError(_("There is no such type."))
        return rules_from(rows)

    def has_changed(self, initial: Any, data: Any) -> bool:
        return True
