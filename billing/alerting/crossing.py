"""When a value crosses thresholds, and when it has recovered. No database, no clock.

A crossed threshold stays crossed until the value is a tenth of the threshold beyond it again: a value that swings around the
threshold tells once. Of several thresholds crossed at one look only the most advanced one tells.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

HYSTERESIS = 10

Direction = Literal["down", "up"]


@dataclass(frozen=True, slots=True)
class Step:
    """What one look gives: ``tells`` is the threshold to tell of, ``is_over`` True when the last crossed one recovered."""

    crossed: tuple[int, ...]
    tells: int | None
    is_over: bool


def look(value: int, thresholds: Collection[int], crossed: Collection[int], direction: Direction) -> Step:
    """Compare once. Thresholds that are no longer asked for are forgotten."""
    wanted = sorted(set(thresholds), reverse=direction == "down")
    before = {threshold for threshold in crossed if threshold in wanted}
    kept = {threshold for threshold in before if not has_recovered(value, threshold, direction)}
    fresh = [threshold for threshold in wanted if threshold not in before and is_beyond(value, threshold, direction)]
    after = tuple(threshold for threshold in wanted if threshold in kept or threshold in fresh)
    return Step(after, fresh[-1] if fresh else None, bool(before) and not after)


def is_beyond(value: int, threshold: int, direction: Direction) -> bool:
    """Below it, or at or above it. A balance threshold of zero is crossed when nothing is left."""
    return value < max(threshold, 1) if direction == "down" else value >= threshold


def has_recovered(value: int, threshold: int, direction: Direction) -> bool:
    """Back on the quiet side by a tenth of the threshold."""
    if direction == "down":
        return value >= max(threshold, 1) + threshold // HYSTERESIS
    return value < threshold - threshold // HYSTERESIS
