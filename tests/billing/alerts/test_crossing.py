"""When a threshold is crossed, as a function of values."""

from hypothesis import given
from hypothesis import strategies as st

from billing.alerting.crossing import Step, look


def test_only_the_most_advanced_of_several_crossed_at_once_tells() -> None:
    assert look(3, [10, 5, 1], [], "down") == Step((10, 5), 5, False)
    assert look(0, [10, 5, 1], [10, 5], "down") == Step((10, 5, 1), 1, False)
    assert look(95, [80, 100], [], "up") == Step((80,), 80, False)
    assert look(120, [80, 100], [], "up") == Step((80, 100), 100, False)


def test_the_threshold_itself_is_not_below_it_but_reaches_a_limit() -> None:
    assert look(100, [100], [], "down") == Step((), None, False)
    assert look(99, [100], [], "down") == Step((100,), 100, False)
    assert look(100, [100], [], "up") == Step((100,), 100, False)
    assert look(0, [0], [], "down") == Step((0,), 0, False)


def test_up_and_down_within_a_tenth_stays_crossed() -> None:
    assert look(109, [100], [100], "down") == Step((100,), None, False)
    assert look(110, [100], [100], "down") == Step((), None, True)
    assert look(91, [100], [100], "up") == Step((100,), None, False)
    assert look(89, [100], [100], "up") == Step((), None, True)


def test_a_threshold_that_is_no_longer_wanted_is_forgotten_in_silence() -> None:
    assert look(50, [10], [100], "down") == Step((), None, False)


@given(st.lists(st.integers(0, 300), min_size=1, max_size=60), st.sets(st.integers(1, 200), min_size=1, max_size=4))
def test_between_two_alerts_of_a_threshold_lies_a_recovery(values: list[int], thresholds: set[int]) -> None:
    """R091: no storm, whatever the value does: a threshold tells again only after its recovery by a tenth."""
    crossed: tuple[int, ...] = ()
    recovered = dict.fromkeys(thresholds, True)
    for value in values:
        for threshold in thresholds:
            recovered[threshold] |= value >= threshold + threshold // 10
        result = look(value, thresholds, crossed, "down")
        crossed = result.crossed
        assert set(crossed) >= {one for one in thresholds if value < one}
        if result.tells is not None:
            assert recovered[result.tells]
            for threshold in crossed:
                recovered[threshold] = False
