"""Is this spend odd for this key? A pure function of what was spent now and what is usual at this time of day.

The usual is the median of the five-minute windows in which the key spent anything, at about the same hour over the past
two weeks; when those are too few, of all hours. Spend is odd when it is ``factor`` times the usual AND clear of the key's
own restlessness: six robust deviations above the usual, and twice what only one window in a hundred reaches. A key that is
often idle and then busy is judged by its busy windows, so that waking up is not odd.
"""

from collections.abc import Sequence
from dataclasses import dataclass

# Fewer windows with spend than this are no sample: nothing is said about such a key.
MINIMUM_SAMPLE = 24
# Below five cents in five minutes nothing is odd enough to wake somebody.
MINIMUM_NANO = 50_000_000
HOURS_AROUND = 2
DEVIATIONS = 6
# The median absolute deviation of a normal distribution times this is its standard deviation (1.4826).
MAD_TO_DEVIATION = (14_826, 10_000)


@dataclass(frozen=True, slots=True)
class Sample:
    """One window of the past with spend: hour of the day (UTC) and nano-USD."""

    hour: int
    cost_nano: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """The figures a verdict rests on. ``times_tenths`` is spend over usual in tenths: 82 stands for 8.2 times."""

    is_odd: bool
    spent_nano: int
    usual_nano: int
    bound_nano: int
    times_tenths: int
    sample_size: int
    is_same_hour: bool

    @property
    def has_sample(self) -> bool:
        return self.sample_size >= MINIMUM_SAMPLE


def judge(spent_nano: int, hour: int, past: Sequence[Sample], factor: int) -> Verdict:
    """Compare ``spent_nano`` of the last five minutes with the past; ``factor`` is how many times the usual is odd."""
    near = sorted(one.cost_nano for one in past if one.cost_nano > 0 and _is_near(one.hour, hour))
    is_same_hour = len(near) >= MINIMUM_SAMPLE
    costs = near if is_same_hour else sorted(one.cost_nano for one in past if one.cost_nano > 0)
    if len(costs) < MINIMUM_SAMPLE:
        return Verdict(False, spent_nano, median(costs), 0, 0, len(costs), False)
    usual = median(costs)
    spread = median(sorted(abs(cost - usual) for cost in costs)) * MAD_TO_DEVIATION[0] // MAD_TO_DEVIATION[1]
    busiest = costs[min(len(costs) - 1, len(costs) * 99 // 100)]
    bound = max(usual * factor, usual + DEVIATIONS * spread, busiest * 2, MINIMUM_NANO)
    times = spent_nano * 10 // max(usual, 1)
    return Verdict(spent_nano >= bound, spent_nano, usual, bound, times, len(costs), is_same_hour)


def median(values: Sequence[int]) -> int:
    """Of sorted values, the lower middle one; 0 of none."""
    return values[(len(values) - 1) // 2] if values else 0


def _is_near(one: int, other: int) -> bool:
    apart = abs(one - other) % 24
    return min(apart, 24 - apart) <= HOURS_AROUND
