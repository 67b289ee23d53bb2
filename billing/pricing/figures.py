"""The values that prices are calculated from and the shape of the answer.

Those that are made for every call are not frozen, because freezing makes a value several times as dear; nobody changes them.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

PORTAL = "portal"
ONE_API = "one_api"
NEW_API = "new_api"

HALF_EVEN = "half_even"
HALF_UP = "half_up"
UP = "up"
ROUNDINGS = (HALF_EVEN, HALF_UP, UP)

# Names in ``RuleFigures.unit_prices``.
UNIT_KEY = re.compile(r"image:[^:=;]{1,32}:[^:=;]{1,16}|video:[^:=;]{1,32}|audio")
ANY = "*"
AUDIO_KEY = "audio"


class NoPrice(ValueError):
    """The rule lacks a figure that its formula needs."""


@dataclass(slots=True)
class Usage:
    """What a call used. Token counts are not negative.

    ``input`` contains ``cached``, ``cache_write``, ``image_input`` and ``audio_input``, as OpenAI reports it; with
    ``input_excludes_cache`` (Anthropic) it does not contain the cached and cache-written ones. ``cache_write`` contains
    ``cache_write_1h``; ``output`` contains ``reasoning``, ``image_output`` and ``audio_output``. ``params`` are request
    fields a tiered price may read. ``surcharges`` are (name, count, US dollars per 1,000 uses).

    What is not counted in tokens: ``images`` of one ``size`` ("1024x1024") and ``quality`` ("hd"), ``video_ms`` of one
    ``resolution`` ("720p"), ``audio_ms`` of sound heard or made, ``characters`` read aloud.
    """

    input: int = 0
    cached: int = 0
    cache_write: int = 0
    output: int = 0
    reasoning: int = 0
    images: int = 0
    cache_write_1h: int = 0
    image_input: int = 0
    image_output: int = 0
    audio_input: int = 0
    audio_output: int = 0
    input_excludes_cache: bool = False
    size: str = ""
    params: Mapping[str, Any] = field(default_factory=dict)
    surcharges: tuple[tuple[str, int, Decimal], ...] = ()
    quality: str = ""
    video_ms: int = 0
    resolution: str = ""
    audio_ms: int = 0
    characters: int = 0

    @property
    def total_tokens(self) -> int:
        total = self.input + self.output
        return total + self.cached + self.cache_write if self.input_excludes_cache else total

    @property
    def has_units(self) -> bool:
        """Whether anything but tokens was used."""
        return bool(self.images or self.video_ms or self.audio_ms or self.characters)


@dataclass(frozen=True, slots=True)
class RuleFigures:
    """The figures of one price rule; prices are nano-USD per 1,000,000 units, ``call`` and ``item`` nano-USD each.

    ``cached``, ``cache_write`` and ``reasoning`` None cost what the plain kind costs; ``audio_*`` and ``character`` None
    have no price, and a call that uses them is refused. ``unit_prices`` are nano-USD by ``image_key`` (per image),
    ``video_key`` and ``AUDIO_KEY`` (per second); a call of a kind that is not named there is refused. The price of a call is
    rounded once, to a multiple of ``rounding_step_nano``.
    """

    basis: str = "token"
    input_nano: int = 0
    cached_nano: int | None = None
    cache_write_nano: int | None = None
    output_nano: int = 0
    call_nano: int = 0
    item_nano: int = 0
    minimum_nano: int = 0
    source_figures: Mapping[str, Any] = field(default_factory=dict)
    reasoning_nano: int | None = None
    audio_input_nano: int | None = None
    audio_output_nano: int | None = None
    character_nano: int | None = None
    unit_prices: Mapping[str, int] = field(default_factory=dict)
    rounding: str = HALF_EVEN
    rounding_step_nano: int = 1

    @property
    def prices_only_units(self) -> bool:
        """Whether images, seconds, characters or items have a price and neither tokens nor a call do: a call that uses none of
        them is not free then, it has no price."""
        tokens = (self.input_nano, self.output_nano, self.cached_nano, self.cache_write_nano, self.reasoning_nano)
        sound = (self.audio_input_nano, self.audio_output_nano)
        if any(tokens) or any(sound) or self.call_nano or self.basis == "expression":
            return False
        return bool(self.unit_prices or self.character_nano is not None or self.item_nano)


@dataclass(slots=True)
class Line:
    """One step of the sum that a person can redo: ``count`` x ``price`` (per ``per``) = ``amount``, in ``unit``."""

    name: str
    count: str
    price: str
    per: int
    amount: str
    unit: str
    detail: str = ""


@dataclass(slots=True)
class Quote:
    """A price and how it came about. ``units`` are quota units of an old gateway, None for the portal's own formula."""

    formula: str
    cost_nano: int
    lines: tuple[Line, ...]
    multiplier: str
    exact: str
    rounding: str
    units: int | None = None
    quota_per_unit: str = ""
    tier: str = ""
    rounding_step_nano: int = 1

    def explain(self) -> dict[str, Any]:
        """The arithmetic as JSON: text for figures, so that nothing is rounded on the way."""
        answer: dict[str, Any] = {
            "formula": self.formula,
            "lines": [line_explained(line) for line in self.lines],
            "multiplier": self.multiplier,
            "exact": self.exact,
            "rounding": self.rounding,
            "cost_nano": self.cost_nano,
        }
        if self.units is not None:
            answer["units"] = self.units
            answer["quota_per_unit"] = self.quota_per_unit
        if self.tier:
            answer["tier"] = self.tier
        if self.rounding_step_nano != 1:
            answer["rounding_step_nano"] = self.rounding_step_nano
        return answer


def line_explained(line: Line) -> dict[str, Any]:
    """A line as JSON; ``detail`` (size and quality, resolution) only where there is one."""
    found = {"name": line.name, "count": line.count, "price": line.price, "per": line.per, "amount": line.amount}
    found["unit"] = line.unit
    if line.detail:
        found["detail"] = line.detail
    return found


def image_key(size: str, quality: str = "") -> str:
    """The name of an image price in ``unit_prices``; "" and "*" stand for any size or quality."""
    return f"image:{size.strip().lower() or ANY}:{quality.strip().lower() or ANY}"


def video_key(resolution: str) -> str:
    """The name of a price for a second of video in ``unit_prices``."""
    return f"video:{resolution.strip().lower() or ANY}"


def image_price(rule: RuleFigures, size: str, quality: str) -> int | None:
    """Nano-USD for one image; the most exact price counts: size and quality, then size, then quality, then any."""
    tries = (image_key(size, quality), image_key(size), image_key("", quality), image_key(""))
    return next((rule.unit_prices[key] for key in tries if key in rule.unit_prices), None)


def video_price(rule: RuleFigures, resolution: str) -> int | None:
    """Nano-USD for a second of video of this resolution."""
    return rule.unit_prices.get(video_key(resolution), rule.unit_prices.get(video_key("")))


def plain(value: Decimal | int | float) -> str:
    """A figure as people write it: no exponent, no trailing zeros."""
    text = format(Decimal(repr(value)) if isinstance(value, float) else Decimal(value), "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def ratio(figures: Mapping[str, Any], name: str, default: str | None = None) -> Decimal:
    """A decimal figure of an old gateway; raises NoPrice when it is missing without a default or cannot be read."""
    raw = figures.get(name, default)
    if raw is None or raw == "":
        raw = default
    if raw is None:
        raise NoPrice(f"the price has no {name}")
    try:
        value = Decimal(str(raw))
    except ArithmeticError:
        raise NoPrice(f"{name} is not a number") from None
    if not value.is_finite() or value < 0:
        raise NoPrice(f"{name} is not a price")
    return value
