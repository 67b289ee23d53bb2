"""What a target (a model at an upstream) takes: a description operators write, and the check of a request against it.

Pure functions of values. A description is a JSON object::

    {"inputs": ["text", "image"],
     "references": {"min": 0, "max": 4},
     "parameters": {"size": {"values": ["1024x1024", "1536x1024"], "default": "1024x1024"},
                    "seed": {"type": "integer", "min": 0, "max": 4294967295},
                    "watermark": {"type": "boolean"},
                    "audio": {"supported": false}},
     "strict": false}

``inputs``: what may lead a request, "text" alone or with pictures. ``parameters``: each by its name in a request. What is not
described passes, unless ``strict`` says that nothing else does. An empty description lets everything pass.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any

from django.utils.translation import gettext as _

from config.foundation.errors import InvalidInput

TYPES = ("integer", "number", "boolean", "string")
INPUTS = ("text", "image")
KEYS = frozenset({"inputs", "references", "parameters", "strict"})
RULE_KEYS = frozenset({"type", "values", "min", "max", "supported", "default", "required"})
MOST_PARAMETERS = 100
MOST_VALUES = 100
MOST_NAME = 64
# Fields that carry text or name the model: they are no parameters.
TEXTS = frozenset({"model", "prompt", "negative_prompt", "template", "user", "safety_identifier", "stream"})
REFERENCES = frozenset(
    {
        "image", "images", "mask", "input_reference", "input_references", "reference_image", "reference_images",
        "references", "first_frame", "last_frame", "image_url", "image_urls", "video",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Wanted:
    """A request as far as it is checked: its parameters, and how many pictures lead it. ``has_text``: it has a prompt."""

    parameters: Mapping[str, Any] = field(default_factory=dict)
    references: int = 0
    has_text: bool = True

    @property
    def inputs(self) -> tuple[str, ...]:
        return (("text",) if self.has_text else ()) + (("image",) if self.references else ())


@dataclass(frozen=True, slots=True)
class Problem:
    """One field a target does not take, and what it would take, in words. The value itself is not repeated."""

    field: str
    allowed: str


def wanted_from(fields: Mapping[str, Any], files: Mapping[str, int] | None = None) -> Wanted:
    """What a request's fields (and the files of a form, by name) ask for."""
    references = sum(count for name, count in (files or {}).items() if _bare(name) in REFERENCES - {"mask"})
    parameters = {}
    for name, value in fields.items():
        bare = _bare(name)
        if bare in REFERENCES:
            references += 0 if bare == "mask" else len(value) if isinstance(value, list) else value not in (None, "")
        elif bare not in TEXTS:
            parameters[name] = value
    prompt = fields.get("prompt")
    return Wanted(parameters, references, has_text=bool(prompt) if prompt is not None else True)


def problems(description: Mapping[str, Any], wanted: Wanted) -> list[Problem]:
    """Every field that the target does not take; empty when it takes the request."""
    if not description:
        return []
    rules: Mapping[str, Any] = description.get("parameters") or {}
    found = _reference_problems(description, wanted)
    for name, value in wanted.parameters.items():
        rule = rules.get(name)
        if rule is None:
            if description.get("strict"):
                found.append(Problem(name[:MOST_NAME], "only " + ", ".join(sorted(rules))))
        elif value is not None and not _fits(rule, value):
            found.append(Problem(name, allowed_by(rule)))
    for name, rule in rules.items():
        if rule.get("required") and wanted.parameters.get(name) is None:
            found.append(Problem(name, allowed_by(rule)))
    return found


def allowed_by(rule: Mapping[str, Any]) -> str:
    """What a rule allows, in the words of an error message."""
    if rule.get("supported") is False:
        return "not supported"
    if rule.get("values"):
        return ", ".join(_text(value) for value in rule["values"])
    kind = str(rule.get("type") or "any value")
    low, high = rule.get("min"), rule.get("max")
    words = {"boolean": "true, false", "integer": "a whole number", "number": "a number", "string": "a text"}.get(kind, kind)
    if low is not None and high is not None:
        return f"{words} from {low} to {high}"
    if low is not None:
        return f"{words} from {low}"
    return f"{words} up to {high}" if high is not None else words


def default_of(description: Mapping[str, Any], *names: str) -> Any:
    """The value a target takes when none of these fields is sent: the written default, else the largest allowed."""
    for name in names:
        rule = (description.get("parameters") or {}).get(name)
        if not rule or rule.get("supported") is False:
            continue
        if rule.get("default") is not None:
            return rule["default"]
        numbers = [number for value in rule.get("values") or () if (number := number_of(value)) is not None]
        if numbers:
            return max(numbers)
        if rule.get("max") is not None:
            return rule["max"]
    return None


def checked_description(given: Any) -> dict[str, Any]:
    """A description that means something; raises InvalidInput with the place that does not."""
    if not given:
        return {}
    if not isinstance(given, dict) or set(given) - KEYS:
        raise InvalidInput(_("A description is an object with: %(names)s.") % {"names": ", ".join(sorted(KEYS))})
    inputs = given.get("inputs")
    if inputs is not None and (not isinstance(inputs, list) or not inputs or set(map(str, inputs)) - set(INPUTS)):
        raise InvalidInput(_("Inputs are a list of: %(names)s.") % {"names": ", ".join(INPUTS)})
    references = given.get("references")
    if references is not None and not _is_range(references):
        raise InvalidInput(_("References are an object with min and max, whole numbers."))
    rules = given.get("parameters") or {}
    if not isinstance(rules, dict) or len(rules) > MOST_PARAMETERS:
        raise InvalidInput(_("Parameters are an object with at most 100 names."))
    for name, rule in rules.items():
        if not _is_rule(name, rule):
            raise InvalidInput(
                _("The description of the parameter “%(name)s” cannot be read.") % {"name": str(name)[:MOST_NAME]}
            )
    if not isinstance(given.get("strict", False), bool):
        raise InvalidInput(_("“strict” is true or false."))
    return dict(given)


def number_of(value: object) -> Decimal | None:
    """A figure as JSON or a form carries it; None for everything else."""
    if isinstance(value, bool) or not isinstance(value, int | float | str) or len(str(value)) > MOST_NAME:
        return None
    try:
        number = Decimal(str(value).strip())
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def _reference_problems(description: Mapping[str, Any], wanted: Wanted) -> list[Problem]:
    inputs: Sequence[str] = description.get("inputs") or INPUTS
    if wanted.references and "image" not in inputs:
        return [Problem("image", "no picture; text only")]
    if not wanted.references and "text" not in inputs:
        return [Problem("image", "at least one picture")]
    limits = description.get("references") or {}
    low, high = int(limits.get("min", 0)), limits.get("max")
    if wanted.references < low or (high is not None and wanted.references > high):
        return [Problem("image", f"{low} to {high if high is not None else 'any number of'} pictures")]
    return []


def _fits(rule: Mapping[str, Any], value: object) -> bool:
    if rule.get("supported") is False:
        return False
    values = rule.get("values")
    if values:
        return isinstance(value, str | int | float) and any(_same(value, one) for one in values)
    kind = rule.get("type")
    if kind == "boolean":
        return isinstance(value, bool) or (isinstance(value, str) and value.strip().lower() in {"true", "false"})
    if kind == "string":
        return isinstance(value, str)
    if kind in ("integer", "number") or rule.get("min") is not None or rule.get("max") is not None:
        number = number_of(value)
        if number is None or (kind == "integer" and number != number.to_integral_value()):
            return False
        low, high = rule.get("min"), rule.get("max")
        return (low is None or number >= Decimal(str(low))) and (high is None or number <= Decimal(str(high)))
    return True


def _same(value: object, allowed: object) -> bool:
    if isinstance(value, bool) or isinstance(allowed, bool):
        return _text(value) == _text(allowed)
    mine, theirs = number_of(value), number_of(allowed)
    return mine == theirs if mine is not None and theirs is not None else str(value) == str(allowed)


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _bare(name: str) -> str:
    return name.split("[", 1)[0]


def _is_range(given: object) -> bool:
    if not isinstance(given, dict) or set(given) - {"min", "max"}:
        return False
    return all(isinstance(one, int) and not isinstance(one, bool) and 0 <= one <= 100 for one in given.values())


def _is_rule(name: object, rule: object) -> bool:
    if not isinstance(name, str) or not 0 < len(name) <= MOST_NAME or not isinstance(rule, dict) or set(rule) - RULE_KEYS:
        return False
    values = rule.get("values")
    if values is not None and not (isinstance(values, list) and 0 < len(values) <= MOST_VALUES and all(map(_is_plain, values))):
        return False
    if any(rule.get(end) is not None and number_of(rule[end]) is None for end in ("min", "max")):
        return False
    if any(not isinstance(rule.get(flag, True), bool) for flag in ("supported", "required")):
        return False
    if rule.get("default") is not None and not (_is_plain(rule["default"]) and _fits(rule, rule["default"])):
        return False
    return rule.get("type") is None or rule["type"] in TYPES


def _is_plain(value: object) -> bool:
    return isinstance(value, str | int | float | bool) and len(str(value)) <= MOST_NAME
