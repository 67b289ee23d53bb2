"""A small calculator for New API's tiered prices, e.g. ``len <= 32000 ? tier("base", p * 1.2 + c * 6) : tier(...)``.

It knows numbers, text, true, false, nil, ``? :``, ``|| && !`` (also ``or and not``), comparisons, ``+ - * / %``, brackets,
variables and three functions; nothing else, so an expression can compute a price and do no other thing. Numbers are
binary floating point, as in the product.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

VARIABLES = ("p", "c", "len", "cr", "cc", "cc1h", "img", "img_o", "ai", "ao")
FUNCTIONS = {"tier": 2, "param": 1, "header": 1, "has": 2, "min": 2, "max": 2, "abs": 1, "ceil": 1, "floor": 1}
_MAX_LENGTH = 8000
_MAX_DEPTH = 60
# A long chain of sums is a deep tree.
_MAX_TOKENS = 600
_TOKEN = re.compile(
    r"\s*(?:(?P<number>\d+\.?\d*(?:[eE][+-]?\d+)?|\.\d+)|(?P<text>\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*')"
    r"|(?P<name>[A-Za-z_][A-Za-z0-9_]*)|(?P<sign>\|\||&&|<=|>=|==|!=|[-+*/%<>!?:(),]))"
)
_LEVELS = (("||", "or"), ("&&", "and"), ("==", "!="), ("<", "<=", ">", ">="), ("+", "-"), ("*", "/", "%"))


class ExpressionError(ValueError):
    """The expression cannot be read or computed."""


@dataclass(frozen=True, slots=True)
class Node:
    """A node of the tree: ``kind`` is number, text, name, not, minus, call, choice or an operator."""

    kind: str
    value: Any = None
    parts: tuple["Node", ...] = ()


@dataclass(frozen=True, slots=True)
class Result:
    """``value`` in the expression's own unit (New API: US dollars per million), and the tier that was taken."""

    value: float
    tier: str


def _tokens(text: str) -> list[tuple[str, str]]:
    found, place = [], 0
    text = text.rstrip()
    while place < len(text):
        match = _TOKEN.match(text, place)
        if not match:
            raise ExpressionError(f"cannot read the price expression at character {place + 1}")
        found.append((str(match.lastgroup), match.group(str(match.lastgroup))))
        place = match.end()
    return found


class _Parser:
    def __init__(self, text: str) -> None:
        self.tokens = _tokens(text)
        if len(self.tokens) > _MAX_TOKENS:
            raise ExpressionError("the price expression is too long")
        self.place = 0
        self.depth = 0

    def peek(self) -> str:
        if self.place >= len(self.tokens):
            return ""
        kind, text = self.tokens[self.place]
        return text if kind in {"sign", "name"} else ""

    def take(self, expected: str = "") -> tuple[str, str]:
        if self.place >= len(self.tokens):
            raise ExpressionError("the price expression ends too early")
        token = self.tokens[self.place]
        if expected and token != ("sign", expected):
            raise ExpressionError(f"{expected} expected in the price expression, found {token[1]!r}")
        self.place += 1
        return token

    def choice(self) -> Node:
        self.depth += 1
        if self.depth > _MAX_DEPTH:
            raise ExpressionError("the price expression is nested too deeply")
        node = self.level(0)
        if self.peek() == "?":
            self.take("?")
            yes = self.choice()
            self.take(":")
            node = Node("choice", None, (node, yes, self.choice()))
        self.depth -= 1
        return node

    def level(self, number: int) -> Node:
        if number == len(_LEVELS):
            return self.unary()
        node = self.level(number + 1)
        while self.peek() in _LEVELS[number]:
            operator = self.take()[1]
            operator = {"or": "||", "and": "&&"}.get(operator, operator)
            node = Node(operator, None, (node, self.level(number + 1)))
        return node

    def unary(self) -> Node:
        sign = self.peek()
        if sign in {"-", "!", "not", "+"}:
            self.take()
            self.depth += 1
            if self.depth > _MAX_DEPTH:
                raise ExpressionError("the price expression is nested too deeply")
            inner = self.unary()
            self.depth -= 1
            return inner if sign == "+" else Node("minus" if sign == "-" else "not", None, (inner,))
        return self.atom()

    def atom(self) -> Node:
        kind, text = self.take()
        if kind == "number":
            return Node("number", float(text))
        if kind == "text":
            return Node("text", re.sub(r"\\(.)", r"\1", text[1:-1]))
        if (kind, text) == ("sign", "("):
            node = self.choice()
            self.take(")")
            return node
        if kind == "name":
            return self.call(text) if self.peek() == "(" else _name(text)
        raise ExpressionError(f"{text!r} is out of place in the price expression")

    def call(self, name: str) -> Node:
        if name not in FUNCTIONS:
            raise ExpressionError(f"unknown function {name!r} in the price expression")
        self.take("(")
        parts = [self.choice()]
        while self.peek() == ",":
            self.take(",")
            parts.append(self.choice())
        self.take(")")
        if len(parts) != FUNCTIONS[name]:
            raise ExpressionError(f"{name} takes {FUNCTIONS[name]} values")
        return Node("call", name, tuple(parts))


def _name(text: str) -> Node:
    constants: dict[str, Any] = {"true": True, "false": False, "nil": None}
    if text in constants:
        return Node("text", constants[text])
    if text not in VARIABLES:
        raise ExpressionError(f"unknown variable {text!r} in the price expression")
    return Node("name", text)


@lru_cache(maxsize=512)
def parse(text: str) -> Node:
    """The tree of an expression; a leading ``v1:`` is dropped. Raises ExpressionError, never anything else."""
    if len(text) > _MAX_LENGTH:
        raise ExpressionError("the price expression is too long")
    bare = text.strip()
    if bare.startswith("v1:"):
        bare = bare[3:]
    parser = _Parser(bare)
    node = parser.choice()
    if parser.place != len(parser.tokens):
        raise ExpressionError("the price expression goes on after its end")
    return node


def names(node: Node) -> frozenset[str]:
    """The variables an expression reads."""
    own = {node.value} if node.kind == "name" else set()
    return frozenset(own.union(*(names(part) for part in node.parts)))


def thresholds(node: Node) -> set[float]:
    """The numbers that variables are compared with: a price may jump there."""
    found = {x.value for x in node.parts if x.kind == "number"} if node.kind in {"<", "<=", ">", ">=", "==", "!="} else set()
    for part in node.parts:
        found |= thresholds(part)
    return found


def evaluate(text: str, variables: Mapping[str, float], params: Mapping[str, Any] | None = None) -> Result:
    """Compute; missing variables are 0, missing params nil. Raises ExpressionError when the result is no number."""
    run = _Run(variables, params or {})
    try:
        value = run.compute(parse(text))
    except (TypeError, ZeroDivisionError, OverflowError):
        raise ExpressionError("the price expression cannot be computed") from None
    if (
        isinstance(value, bool)
        or not isinstance(value, (int, float))
        or value != value
        or value in {float("inf"), -float("inf")}
    ):
        raise ExpressionError("the price expression gives no number")
    return Result(float(value), run.tier)


class _Run:
    def __init__(self, variables: Mapping[str, float], params: Mapping[str, Any]) -> None:
        self.variables = variables
        self.params = params
        self.tier = ""

    def compute(self, node: Node) -> Any:
        kind, parts = node.kind, node.parts
        if kind in {"number", "text"}:
            return node.value
        if kind == "name":
            return float(self.variables.get(node.value, 0))
        if kind == "choice":
            return self.compute(parts[1] if self.truth(parts[0]) else parts[2])
        if kind == "||":
            return self.truth(parts[0]) or self.truth(parts[1])
        if kind == "&&":
            return self.truth(parts[0]) and self.truth(parts[1])
        if kind == "not":
            return not self.truth(parts[0])
        if kind == "minus":
            return -self.compute(parts[0])
        if kind == "call":
            return self.call(node.value, parts)
        return _operate(kind, self.compute(parts[0]), self.compute(parts[1]))

    def truth(self, node: Node) -> bool:
        value = self.compute(node)
        if not isinstance(value, bool):
            raise ExpressionError("a condition in the price expression is neither true nor false")
        return value

    def call(self, name: str, parts: tuple[Node, ...]) -> Any:
        if name == "tier":
            self.tier = str(self.compute(parts[0]))
            return self.compute(parts[1])
        values = [self.compute(part) for part in parts]
        if name == "param":
            return _dig(self.params, str(values[0]))
        if name == "header":
            return ""
        if name == "has":
            return values[0] is not None and str(values[1]) in str(values[0])
        functions: dict[str, Any] = {"min": min, "max": max, "abs": abs, "ceil": _ceil, "floor": _floor}
        return functions[name](*values)


def _ceil(value: float) -> float:
    return float(-(-value // 1))


def _floor(value: float) -> float:
    return float(value // 1)


def _dig(params: Mapping[str, Any], path: str) -> Any:
    value: Any = params
    for step in path.split("."):
        if not isinstance(value, Mapping):
            return None
        value = value.get(step)
    return value


def _operate(sign: str, left: Any, right: Any) -> Any:
    if sign in {"==", "!="}:
        return (left == right) is (sign == "==")
    if not all(isinstance(x, (int, float)) and not isinstance(x, bool) for x in (left, right)):
        raise ExpressionError(f"{sign} needs two numbers in the price expression")
    comparisons = {"<": left < right, "<=": left <= right, ">": left > right, ">=": left >= right}
    if sign in comparisons:
        return comparisons[sign]
    if sign == "+":
        return left + right
    if sign == "-":
        return left - right
    if sign == "*":
        return left * right
    return left / right if sign == "/" else left % right
