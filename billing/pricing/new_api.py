"""New API's formula in exact decimals, rounded to the nearest unit, halves away from zero.

Token prices: (base + cached x cache ratio + cache writes x create-cache ratio + image input x image ratio + output x
completion ratio) x model ratio x group ratio + surcharges; at least 1 unit unless the ratio is 0, nothing without tokens.
A price per call wins over ratios. Tiered prices are floating point, in dollars per million.
"""

from collections.abc import Mapping
from decimal import ROUND_HALF_UP, Context, Decimal, localcontext
from fractions import Fraction
from typing import Any

from billing import expressions
from billing.pricing.figures import NEW_API, Line, NoPrice, Quote, RuleFigures, Usage, plain, ratio
from config.foundation.money import nano_from_quota

# A cache write kept for an hour costs 1.6 times one of five minutes.
ONE_HOUR = Decimal("1.6")
_EXACT = Context(prec=60, rounding=ROUND_HALF_UP)


def quote(rule: RuleFigures, multiplier: Decimal, quota_per_unit: Decimal, usage: Usage) -> Quote:
    with localcontext(_EXACT):
        if rule.basis == "expression":
            return _tiered(rule.source_figures, multiplier, quota_per_unit, usage)
        if rule.basis == "call":
            lines, exact = _per_call(rule.source_figures, multiplier, quota_per_unit, usage)
            floor = 0
        else:
            lines, exact = _tokens(rule.source_figures, multiplier, quota_per_unit, usage)
            floor = int(bool(ratio(rule.source_figures, "model_ratio") * multiplier and usage.total_tokens))
            exact = exact if usage.total_tokens else Decimal(0)
        units = max(int(exact.quantize(Decimal(1), rounding=ROUND_HALF_UP)), floor)
        return _answer(lines, multiplier, exact, units, quota_per_unit, "half_up")


def _answer(
    lines: list[Line], multiplier: Decimal, exact: Decimal, units: int, quota_per_unit: Decimal, rounding: str, tier: str = ""
) -> Quote:
    cost = nano_from_quota(units, Fraction(quota_per_unit))
    return Quote(NEW_API, cost, tuple(lines), plain(multiplier), plain(exact), rounding, units, plain(quota_per_unit), tier)


def _line(name: str, count: int, price: Decimal) -> Line:
    return Line(name, str(count), plain(price), 1, plain(count * price), "ratio_tokens")


def _tokens(
    figures: Mapping[str, Any], multiplier: Decimal, quota_per_unit: Decimal, usage: Usage
) -> tuple[list[Line], Decimal]:
    model_ratio = ratio(figures, "model_ratio")
    completion = ratio(figures, "completion_ratio", "1")
    audio = ratio(figures, "audio_ratio", "1")
    create = ratio(figures, "create_cache_ratio", "1.25")
    base = usage.input - usage.image_input - usage.audio_input
    if not usage.input_excludes_cache:
        base -= usage.cached + usage.cache_write
    text_out = usage.output - usage.audio_output
    parts = [
        ("input", max(base, 0), Decimal(1)),
        ("cached", usage.cached, ratio(figures, "cache_ratio", "1")),
        ("cache_write", usage.cache_write - usage.cache_write_1h, create),
        ("cache_write_1h", usage.cache_write_1h, create * ONE_HOUR),
        ("image_input", usage.image_input, ratio(figures, "image_ratio", "1")),
        ("audio_input", usage.audio_input, audio),
        ("output", max(text_out, 0), completion),
        ("audio_output", usage.audio_output, audio * ratio(figures, "audio_completion_ratio", "1")),
    ]
    lines = [_line(name, count, price) for name, count, price in parts if count]
    weighted = sum((count * price for _name, count, price in parts), Decimal(0))
    lines.append(Line("model_ratio", plain(weighted), plain(model_ratio), 1, plain(weighted * model_ratio), "units"))
    exact = weighted * model_ratio * multiplier
    for name, count, per_thousand in usage.surcharges:
        units = count * per_thousand / 1000 * quota_per_unit
        lines.append(Line(name, str(count), plain(per_thousand), 1000, plain(units), "units"))
        exact += units * multiplier
    return lines, exact


def _per_call(
    figures: Mapping[str, Any], multiplier: Decimal, quota_per_unit: Decimal, usage: Usage
) -> tuple[list[Line], Decimal]:
    price = ratio(figures, "model_price")
    count = max(usage.images, 1)
    each = price * quota_per_unit
    return [Line("call", str(count), plain(price), 1, plain(each * count), "units")], each * count * multiplier


def _tiered(figures: Mapping[str, Any], multiplier: Decimal, quota_per_unit: Decimal, usage: Usage) -> Quote:
    text = str(figures.get("expression") or "")
    if not text:
        raise NoPrice("the price has no expression")
    variables = tier_variables(usage, expressions.names(expressions.parse(text)))
    result = expressions.evaluate(text, variables, usage.params)
    exact = result.value / 1_000_000 * float(quota_per_unit) * float(multiplier)
    units = max(int(Decimal(exact).quantize(Decimal(1), rounding=ROUND_HALF_UP)), 0)
    lines = [Line(name, plain(count), "", 1, "", "tokens") for name, count in variables.items() if count]
    lines.append(Line("expression", "1", text, 1_000_000, plain(result.value), "USD"))
    return _answer(lines, multiplier, Decimal(repr(exact)), units, quota_per_unit, "half_up", result.tier)


def tier_variables(usage: Usage, named: frozenset[str] = frozenset()) -> dict[str, int]:
    """The expression's variables. ``len`` is the whole input; ``p`` and ``c`` lose the kinds the expression names itself."""
    kinds = {
        "cr": usage.cached,
        "cc": usage.cache_write - usage.cache_write_1h,
        "cc1h": usage.cache_write_1h,
        "img": usage.image_input,
        "ai": usage.audio_input,
        "img_o": usage.image_output,
        "ao": usage.audio_output,
    }
    whole = usage.input + (usage.cached + usage.cache_write if usage.input_excludes_cache else 0)
    inside = {"img", "ai"} if usage.input_excludes_cache else {"cr", "cc", "cc1h", "img", "ai"}
    fresh = usage.input - sum(kinds[name] for name in inside & named)
    written = usage.output - sum(kinds[name] for name in {"img_o", "ao"} & named)
    return {"p": max(fresh, 0), "c": max(written, 0), "len": whole, **kinds}
