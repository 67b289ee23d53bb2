"""The formula of a price book, chosen by name: the price of a call, and what to hold before it."""

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal

from billing import expressions
from billing.pricing import new_api, one_api, portal
from billing.pricing.figures import NEW_API, ONE_API, PORTAL, NoPrice, Quote, RuleFigures, Usage


def quote(*, formula: str, rule: RuleFigures, multiplier: Decimal, quota_per_unit: Decimal, usage: Usage) -> Quote:
    """The price of a call in nano-USD with its arithmetic.

    Raises NoPrice when the rule lacks a figure, ExpressionError when a tiered price cannot be computed.
    """
    if formula == ONE_API:
        return one_api.quote(rule, multiplier, quota_per_unit, usage)
    if formula == NEW_API:
        return new_api.quote(rule, multiplier, quota_per_unit, usage)
    if formula == PORTAL:
        return portal.quote(rule, multiplier, usage)
    raise NoPrice(f"unknown formula {formula!r}")


def estimate(
    *,
    formula: str,
    rule: RuleFigures,
    multiplier: Decimal,
    quota_per_unit: Decimal,
    input_tokens: int,
    max_output_tokens: int,
    images: int = 0,
    size: str = "",
    params: Mapping[str, object] | None = None,
) -> int:
    """Nano-USD to hold: never below the price of a call with this input and at most this output.

    How much of the input will be cached or written to a cache is not known yet, so each kind is tried for all of it; a
    tiered price is also tried at the lengths where it may jump.
    """
    plain_use = Usage(input=input_tokens, output=max_output_tokens, images=images, size=size, params=params or {})
    tries = [
        plain_use,
        replace(plain_use, cached=input_tokens),
        replace(plain_use, cache_write=input_tokens),
        replace(plain_use, cache_write=input_tokens, cache_write_1h=input_tokens),
    ]
    if rule.basis == "expression":
        jumps = expressions.thresholds(expressions.parse(str(rule.source_figures.get("expression") or "")))
        for jump in sorted(jumps):
            for length in {int(jump), int(jump) + 1, int(jump) - 1}:
                if 0 <= length < input_tokens:
                    tries.append(replace(plain_use, input=length))
                if 0 <= length < max_output_tokens:
                    tries.append(replace(plain_use, output=length))
    return max(
        quote(formula=formula, rule=rule, multiplier=multiplier, quota_per_unit=quota_per_unit, usage=usage).cost_nano
        for usage in tries
    )
