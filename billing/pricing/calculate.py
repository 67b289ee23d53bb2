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
    """Nano-USD to hold: never below the price of a call with this input and at most this output. See ``most``.

    Raises NoPrice also for a call in tokens where the portal's own rule prices nothing but units.
    """
    if formula == PORTAL and not images and rule.prices_only_units:
        raise NoPrice("no price for tokens or calls, only for units")
    usage = Usage(input=input_tokens, output=max_output_tokens, images=images, size=size, params=params or {})
    return most(formula=formula, rule=rule, multiplier=multiplier, quota_per_unit=quota_per_unit, usage=usage)


def most(*, formula: str, rule: RuleFigures, multiplier: Decimal, quota_per_unit: Decimal, usage: Usage) -> int:
    """Nano-USD to hold for a call that uses at most ``usage``; NoPrice for what has no price, so that the call is refused.

    How much of the input will be cached or written to a cache, and of the output be reasoning, is not known yet, so each
    kind is tried for all of it; so are the tokens of sound where any are expected. A tiered price is also tried at the
    lengths where it may jump.
    """
    sounds = [usage]
    if usage.audio_input:
        sounds.append(replace(usage, audio_input=usage.input))
    if usage.audio_output:
        sounds += [replace(x, audio_output=usage.output) for x in sounds]
    thoughts = [replace(x, reasoning=x.output - x.audio_output) for x in sounds] if rule.reasoning_nano is not None else []
    tries = [*sounds, *thoughts]
    for start in list(tries):
        free = start.input - start.audio_input
        tries += [
            replace(start, cached=free),
            replace(start, cache_write=free),
            replace(start, cache_write=free, cache_write_1h=free),
        ]
    if rule.basis == "expression":
        jumps = expressions.thresholds(expressions.parse(str(rule.source_figures.get("expression") or "")))
        for jump in sorted(jumps):
            for length in {int(jump), int(jump) + 1, int(jump) - 1}:
                if 0 <= length < usage.input:
                    tries.append(replace(usage, input=length))
                if 0 <= length < usage.output:
                    tries.append(replace(usage, output=length))
    return max(
        quote(formula=formula, rule=rule, multiplier=multiplier, quota_per_unit=quota_per_unit, usage=tried).cost_nano
        for tried in tries
    )
