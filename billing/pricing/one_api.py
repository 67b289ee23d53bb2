"""One API's formula, in binary floating point and in its order of operations, because its ceiling depends on both.

Chat, completion, embedding, moderation: ceil((prompt + completion x completion ratio) x (model ratio x group ratio)) units,
at least 1 unless the ratio is 0, nothing when there were no tokens. Images: trunc(model ratio x group ratio x size ratio x
1000) x number. Cached tokens cost what others cost: the product does not know them.
"""

import math
from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Any

from billing.pricing.figures import ONE_API, Line, NoPrice, Quote, RuleFigures, Usage, plain, ratio
from config.foundation.money import nano_from_quota


def quote(rule: RuleFigures, multiplier: Decimal, quota_per_unit: Decimal, usage: Usage) -> Quote:
    figures = rule.source_figures
    model_ratio = float(ratio(figures, "model_ratio"))
    group_ratio = float(multiplier)
    if usage.images:
        units, exact, lines = _images(figures, model_ratio, group_ratio, usage)
    else:
        units, exact, lines = _tokens(figures, model_ratio, group_ratio, usage)
    cost = nano_from_quota(units, Fraction(quota_per_unit))
    rounding = "down" if usage.images else "up"
    return Quote(ONE_API, cost, tuple(lines), plain(multiplier), exact, rounding, units, plain(quota_per_unit))


def _tokens(figures: Mapping[str, Any], model_ratio: float, group_ratio: float, usage: Usage) -> tuple[int, str, list[Line]]:
    completion_ratio = float(ratio(figures, "completion_ratio", "1"))
    prompt = usage.input + (usage.cached + usage.cache_write if usage.input_excludes_cache else 0)
    combined = model_ratio * group_ratio
    weighted = (float(prompt) + float(usage.output) * completion_ratio) * combined
    units = math.ceil(weighted)
    if combined != 0 and units <= 0:
        units = 1
    if prompt + usage.output == 0:
        units = 0
    lines = [
        Line("input", str(prompt), "1", 1, str(prompt), "ratio_tokens"),
        Line("output", str(usage.output), plain(completion_ratio), 1, plain(usage.output * completion_ratio), "ratio_tokens"),
        Line("model_ratio", "1", plain(model_ratio), 1, plain(weighted), "units"),
    ]
    return units, plain(weighted), lines


def _images(figures: Mapping[str, Any], model_ratio: float, group_ratio: float, usage: Usage) -> tuple[int, str, list[Line]]:
    sizes = figures.get("size_ratios") or {}
    if usage.size and sizes and usage.size not in sizes:
        raise NoPrice("the price has no ratio for this size")
    size_ratio = float(ratio(sizes, usage.size, "1"))
    each = math.trunc(model_ratio * group_ratio * size_ratio * 1000.0)
    lines = [
        Line("size_ratio", "1000", plain(size_ratio), 1, plain(size_ratio * 1000.0), "ratio_tokens"),
        Line("model_ratio", "1", plain(model_ratio), 1, str(each), "units"),
        Line("item", str(usage.images), str(each), 1, str(each * usage.images), "units"),
    ]
    return each * usage.images, str(each * usage.images), lines
