"""The portal's own formula: integers, one division, rounded once per call (half to even unless the rule says otherwise).

It runs once for every call, so the arithmetic is in plain integers of 1e-15 USD; nothing is rounded before the end.
``billing/sql/portal_cost.sql`` is the same formula for the database, to calculate kept calls again.
"""

from decimal import Decimal
from functools import lru_cache

from billing.pricing.figures import (
    AUDIO_KEY,
    HALF_EVEN,
    HALF_UP,
    PORTAL,
    UP,
    Line,
    NoPrice,
    Quote,
    RuleFigures,
    Usage,
    image_price,
    plain,
    video_price,
)
from config.foundation.money import MILLION, divide_half_even

NANO_PLACES = 9
# A price has nine places and a count of millionths adds six.
AMOUNT_PLACES = 15
# Seconds are counted in thousandths.
MS_PLACES = 3

# (name, count, its decimal places, price, per, detail)
Part = tuple[str, int, int, int, int, str]


def quote(rule: RuleFigures, multiplier: Decimal, usage: Usage) -> Quote:
    """The price of a call; raises NoPrice for what the rule has no price for, and for a tiered rule."""
    if rule.basis == "expression":
        raise NoPrice("tiered prices need the formula of New API")
    parts = [] if rule.basis == "call" else _tokens(rule, usage)
    used = bool(usage.total_tokens)
    if usage.has_units:
        parts += _units(rule, usage)
        used = True
    if rule.call_nano:
        parts.append(("call", 1, 0, rule.call_nano, 1, ""))
        used = True
    mantissa, places, text = _factor(multiplier)
    total, lines = 0, []
    for name, count, count_places, price, per, detail in parts:
        amount = count * price * (MILLION // per) // 10**count_places
        total += amount
        counted = _decimal(count, count_places) if count_places else str(count)
        lines.append(Line(name, counted, _price(price), per, _decimal(amount, AMOUNT_PLACES), "USD", detail))
    total *= mantissa
    cost = rounded(total, 10 ** (AMOUNT_PLACES - NANO_PLACES + places), rule.rounding, rule.rounding_step_nano)
    if used and multiplier and cost < rule.minimum_nano:
        cost = rule.minimum_nano
        lines.append(Line("minimum", "1", _decimal(cost, NANO_PLACES), 1, _decimal(cost, NANO_PLACES), "USD"))
    exact = _decimal(total, AMOUNT_PLACES + places)
    return Quote(PORTAL, cost, tuple(lines), text, exact, rule.rounding, rounding_step_nano=rule.rounding_step_nano)


def rounded(numerator: int, denominator: int, rounding: str, step: int) -> int:
    """``numerator / denominator`` as a multiple of ``step``: the one division of a price."""
    divisor = denominator * step
    if rounding == HALF_EVEN:
        return divide_half_even(numerator, divisor) * step
    if rounding == UP:
        return -(-numerator // divisor) * step
    if rounding == HALF_UP:
        return (2 * numerator + divisor) // (2 * divisor) * step
    raise NoPrice(f"unknown rounding {rounding!r}")


def _tokens(rule: RuleFigures, usage: Usage) -> list[Part]:
    """Each kind of token that was used, once: kinds with a price of their own are taken out of input and output."""
    fresh, written, cached, cache_write = usage.input, usage.output, usage.cached, usage.cache_write
    if not usage.input_excludes_cache:
        fresh -= cached + cache_write
    special: list[Part] = []
    if usage.audio_input:
        special.append(("audio_input", usage.audio_input, 0, _needed(rule.audio_input_nano, "audio input"), MILLION, ""))
        fresh -= usage.audio_input
    if usage.audio_output:
        special.append(("audio_output", usage.audio_output, 0, _needed(rule.audio_output_nano, "audio output"), MILLION, ""))
        written -= usage.audio_output
    if rule.reasoning_nano is not None and usage.reasoning:
        special.append(("reasoning", usage.reasoning, 0, rule.reasoning_nano, MILLION, ""))
        written -= usage.reasoning
    parts: list[Part] = []
    if fresh > 0:
        parts.append(("input", fresh, 0, rule.input_nano, MILLION, ""))
    if cached:
        parts.append(("cached", cached, 0, rule.input_nano if rule.cached_nano is None else rule.cached_nano, MILLION, ""))
    if cache_write:
        price = rule.input_nano if rule.cache_write_nano is None else rule.cache_write_nano
        parts.append(("cache_write", cache_write, 0, price, MILLION, ""))
    if written > 0:
        parts.append(("output", written, 0, rule.output_nano, MILLION, ""))
    return parts + special


def _units(rule: RuleFigures, usage: Usage) -> list[Part]:
    """What is not counted in tokens. A price per call covers what has no price of its own, and so do output tokens
    where the rule names no unit of that kind."""
    parts: list[Part] = []
    if usage.images:
        price = image_price(rule, usage.size, usage.quality)
        if price is None and not _names(rule, "image:"):
            price = rule.item_nano or None
        detail = " ".join(filter(None, (usage.size, usage.quality)))
        if price is not None:
            parts.append(("image" if _names(rule, "image:") else "item", usage.images, 0, price, 1, detail))
        elif not _covered(rule, usage, "image:"):
            raise NoPrice(f"no price for an image of {detail or 'this size'}")
    if usage.video_ms:
        price = video_price(rule, usage.resolution)
        if price is not None:
            parts.append(("video", usage.video_ms, MS_PLACES, price, 1, usage.resolution))
        elif not _covered(rule, usage, "video:"):
            raise NoPrice(f"no price for video of {usage.resolution or 'this resolution'}")
    if usage.audio_ms:
        price = rule.unit_prices.get(AUDIO_KEY)
        if price is not None:
            parts.append(("audio", usage.audio_ms, MS_PLACES, price, 1, ""))
        elif not _covered(rule, usage, AUDIO_KEY):
            raise NoPrice("no price for a second of audio")
    if usage.characters:
        if rule.character_nano is not None:
            parts.append(("characters", usage.characters, 0, rule.character_nano, MILLION, ""))
        elif not _covered(rule, usage, "characters"):
            raise NoPrice("no price for characters")
    return parts


def _covered(rule: RuleFigures, usage: Usage, kind: str) -> bool:
    """Whether something else of the rule pays for a unit that has no price of its own. The tokens of a prompt do not."""
    if _names(rule, kind):
        return False
    return rule.basis == "call" or bool(usage.output and (rule.output_nano or rule.audio_output_nano))


def _names(rule: RuleFigures, kind: str) -> bool:
    return bool(rule.unit_prices) and any(key.startswith(kind) for key in rule.unit_prices)


def _needed(price: int | None, what: str) -> int:
    if price is None:
        raise NoPrice(f"no price for {what}")
    return price


@lru_cache(maxsize=1024)
def _factor(multiplier: Decimal) -> tuple[int, int, str]:
    """(mantissa, decimal places, text) of a multiplier."""
    sign, digits, exponent = multiplier.as_tuple()
    if not isinstance(exponent, int):
        raise NoPrice("the multiplier is not a number")
    mantissa = int("".join(map(str, digits)) or "0") * (-1 if sign else 1)
    if exponent > 0:
        mantissa, exponent = mantissa * 10**exponent, 0
    return mantissa, -exponent, plain(multiplier)


@lru_cache(maxsize=4096)
def _price(nano: int) -> str:
    """A price as people write it: there are few, and every call has some."""
    return _decimal(nano, NANO_PLACES)


def _decimal(scaled: int, places: int) -> str:
    """``scaled / 10**places`` as people write it, exactly."""
    whole, fraction = divmod(abs(scaled), 10**places)
    text = f"{whole}.{fraction:0{places}d}".rstrip("0") if fraction else str(whole)
    return "-" + text if scaled < 0 else text
