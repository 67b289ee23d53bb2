"""R023: prices of two books side by side against a calculator written from the published formulas alone."""

import math
from decimal import Decimal
from fractions import Fraction

import pytest

from accounts.models import Role
from billing.models import PriceVersion
from billing.price_compare import Example, compare, effective, percent_of, side_of
from billing.pricing import RuleFigures, image_key, video_key
from billing.services import prices
from config.foundation.errors import NotAllowed, NotFound
from tests.billing.helpers import person

pytestmark = pytest.mark.django_db

M = 1_000_000
# name: (input, cached, cache write, output, per call, minimum) in nano-dollars per 1M, per call; None costs what input costs
OURS = {
    "gpt-4o": (2_500_000_000, 1_250_000_000, None, 10_000_000_000, 0, 0),
    "gpt-4o-mini": (150_000_000, 75_000_000, None, 600_000_000, 0, 0),
    "claude": (3_000_000_000, 300_000_000, 3_750_000_000, 15_000_000_000, 0, 0),
    "tiny": (1, 0, None, 3, 0, 0),
    "odd": (333_333_333, 111_111_111, 777_777_777, 999_999_999, 0, 0),
    "minimum": (100_000, None, None, 100_000, 0, 50_000),
    "fee": (1_000_000_000, None, None, 2_000_000_000, 7_777_777, 0),
    "midjourney": (0, None, None, 0, 40_000_000, 0),
    "deepseek": (140_000_000, 14_000_000, None, 280_000_000, 0, 0),
    "free": (0, None, None, 0, 0, 0),
}
# New API's figures: model ratio, completion ratio, cache ratio, create-cache ratio; or a price per call.
THEIRS: dict[str, dict[str, str]] = {
    "gpt-4o": {"model_ratio": "1.25", "completion_ratio": "4", "cache_ratio": "0.5", "create_cache_ratio": "1.25"},
    "gpt-4o-mini": {"model_ratio": "0.075", "completion_ratio": "4", "cache_ratio": "0.5", "create_cache_ratio": "1"},
    "claude": {"model_ratio": "1.5", "completion_ratio": "5", "cache_ratio": "0.1", "create_cache_ratio": "1.25"},
    "tiny": {"model_ratio": "0.0000001", "completion_ratio": "3", "cache_ratio": "1", "create_cache_ratio": "1"},
    "odd": {"model_ratio": "0.1666667", "completion_ratio": "3.0001", "cache_ratio": "0.3333", "create_cache_ratio": "2.3"},
    "minimum": {"model_ratio": "0.00005", "completion_ratio": "1", "cache_ratio": "1", "create_cache_ratio": "1"},
    "fee": {"model_ratio": "0.5", "completion_ratio": "2", "cache_ratio": "1", "create_cache_ratio": "1"},
    "midjourney": {"model_price": "0.04"},
    "deepseek": {"model_ratio": "0.07", "completion_ratio": "2", "cache_ratio": "0.1", "create_cache_ratio": "1"},
    "free": {"model_ratio": "0", "completion_ratio": "1", "cache_ratio": "1", "create_cache_ratio": "1"},
}
# (group, payer): the multipliers of each side. The third is a special one of a pair; each side has other figures.
GROUPS = [("default", ""), ("vip", ""), ("vip", "svip")]
MULTIPLIERS = {
    "ours": {("default", ""): Decimal(1), ("vip", ""): Decimal("0.8"), ("vip", "svip"): Decimal("0.55")},
    "theirs": {("default", ""): Decimal(1), ("vip", ""): Decimal("1.2"), ("vip", "svip"): Decimal("0.333333")},
}
UNIT = Fraction(10**9, 500_000)


def half_even(value: Fraction) -> int:
    return round(value)


def half_up(value: Fraction) -> int:
    return math.floor(value + Fraction(1, 2))


def ours(model: str, factor: Fraction, tokens: dict[str, int], *, alone: bool = False) -> int:
    """The portal: every token at its price, a fee for the call, rounded once, at least the minimum.

    ``alone``: without fee and minimum, which are shown beside.
    """
    plain, cached, write, output, fee, minimum = OURS[model]
    fee, minimum = (0, 0) if alone else (fee, minimum)
    cached = plain if cached is None else cached
    write = plain if write is None else write
    fresh = tokens["input"] - tokens["cached"] - tokens["cache_write"]
    total = fresh * plain + tokens["cached"] * cached + tokens["cache_write"] * write + tokens["output"] * output
    cost = half_even((Fraction(total, M) + fee) * factor)
    used = any(tokens.values()) or fee
    return max(cost, minimum) if used and factor else cost


def theirs(model: str, factor: Fraction, tokens: dict[str, int], *, completion: Fraction | None = None) -> int:
    """New API: weighted tokens times ratios, to the nearest unit, at least one unit. ``completion`` in place of its ratio."""
    figures = {name: Fraction(value) for name, value in THEIRS[model].items()}
    if "model_price" in figures:
        return int(half_up(figures["model_price"] * 500_000 * factor) * UNIT)
    fresh = tokens["input"] - tokens["cached"] - tokens["cache_write"]
    weighted = (
        fresh
        + tokens["cached"] * figures["cache_ratio"]
        + tokens["cache_write"] * figures["create_cache_ratio"]
        + tokens["output"] * (figures["completion_ratio"] if completion is None else completion)
    )
    units = half_up(weighted * figures["model_ratio"] * factor)
    if units == 0 and figures["model_ratio"] * factor and any(tokens.values()):
        units = 1
    return int(units * UNIT)


def some(**tokens: int) -> dict[str, int]:
    return {"input": 0, "cached": 0, "cache_write": 0, "output": 0, **tokens}


@pytest.fixture
def versions() -> dict[str, PriceVersion]:
    house = prices.create_book(actor=None, code="house", name="House", formula="portal", is_default=True)
    old = prices.create_book(actor=None, code="old", name="Old", formula="new_api", quota_per_unit=Decimal(500_000))
    rules = {
        name: RuleFigures(
            basis="call" if name == "midjourney" else "token",
            input_nano=row[0],
            cached_nano=row[1],
            cache_write_nano=row[2],
            output_nano=row[3],
            call_nano=row[4],
            minimum_nano=row[5],
        )
        for name, row in OURS.items()
    }
    old_rules = {
        name: RuleFigures(basis="call" if "model_price" in row else "token", source_figures=row) for name, row in THEIRS.items()
    }
    return {
        "ours": prices.publish_version(actor=None, book=house, rules=rules, multipliers=MULTIPLIERS["ours"]),
        "theirs": prices.publish_version(actor=None, book=old, rules=old_rules, multipliers=MULTIPLIERS["theirs"]),
    }


def test_R023_ten_models_in_three_groups_equal_an_independent_calculator_on_both_sides(
    versions: dict[str, PriceVersion],
) -> None:
    """R023: 30 of 30 effective prices are equal on both sides, with special pair multipliers, minimum and rounding."""
    actor = person("fin", Role.FINANCE)
    equal = {"ours": 0, "theirs": 0}
    for group, payer in GROUPS:
        sides = {name: side_of(actor, version.pk, group, payer) for name, version in versions.items()}
        example = Example(1_234, 217, 89)
        rows = {row.model: row for row in compare(sides["theirs"], sides["ours"], example)}
        assert set(rows) == set(OURS) == set(THEIRS)
        for model, row in rows.items():
            for name, calculate in (("ours", ours), ("theirs", theirs)):
                factor = Fraction(MULTIPLIERS[name][group, payer])
                assert Fraction(sides[name].multiplier) == factor
                found = {cell.name: cell.right if name == "ours" else cell.left for cell in row.cells}
                assert found == wanted(name, model, factor), (name, model, group, payer)
                quote = row.right if name == "ours" else row.left
                assert quote is not None
                assert quote.cost_nano == calculate(model, factor, some(input=1_234, cached=217, output=89))
                equal[name] += 1
            assert row.percent == percent_of(row.left.cost_nano, row.right.cost_nano)  # type: ignore[union-attr]
    assert equal == {"ours": 30, "theirs": 30}


KINDS = {
    "input": some(input=M),
    "cached_input": some(input=M, cached=M),
    "cache_write": some(input=M, cache_write=M),
    "output": some(output=M),
    "reasoning": some(output=M),
}


def wanted(side: str, model: str, factor: Fraction) -> dict[str, int | None]:
    """Each component alone: a million tokens of one kind, the fee of a call, the minimum. None: only the other has it."""
    fee, minimum = OURS[model][4:]
    if model == "midjourney":
        return {"per_call": half_even(fee * factor) if side == "ours" else theirs(model, factor, some())}
    found: dict[str, int | None]
    if side == "ours":
        found = {name: ours(model, factor, tokens, alone=True) for name, tokens in KINDS.items()}
        # Sound has no price of its own here; there it costs what text costs unless a ratio says otherwise.
        found |= {"audio_input": None, "audio_output": None}
        found |= {"per_call": half_even(fee * factor)} if fee else {}
    else:
        found = {name: theirs(model, factor, tokens) for name, tokens in KINDS.items()}
        found["audio_input"] = theirs(model, factor, some(input=M))
        found["audio_output"] = theirs(model, factor, some(output=M), completion=Fraction(1))
        found |= {"per_call": None} if fee else {}
    if minimum or model != "free":
        least = minimum if side == "ours" else (0 if model == "free" else int(UNIT))
        found["minimum"] = least or None
    return found


def test_one_api_and_items_are_compared_by_what_they_cost() -> None:
    """One API's pictures by size, and our videos by the second: per item, in dollars."""
    old = prices.create_book(actor=None, code="one", name="One", formula="one_api", quota_per_unit=Decimal(500_000))
    figures = {"model_ratio": "20", "size_ratios": {"1024x1024": "1", "1792x1024": "2"}}
    left = prices.publish_version(
        actor=None,
        book=old,
        rules={"dall-e-3": RuleFigures(source_figures=figures)},
        multipliers={("default", ""): Decimal("1.5")},
    )
    house = prices.create_book(actor=None, code="house", name="House", formula="portal")
    units = {image_key("1024x1024"): 50_000_000, image_key("1792x1024", "hd"): 130_000_000, video_key("720p"): 100_000_000}
    rules = {"dall-e-3": RuleFigures(unit_prices=units), "only-here": RuleFigures(input_nano=M)}
    right = prices.publish_version(actor=None, book=house, rules=rules, multipliers={})
    actor = person("fin", Role.FINANCE)
    one, two = side_of(actor, left.pk, "default"), side_of(actor, right.pk, "default")
    rows = {row.model: row for row in compare(one, two)}
    cells = {cell.name: (cell.left, cell.right) for cell in rows["dall-e-3"].cells}
    # trunc(20 x 1.5 x 1 x 1000) = 30,000 units = $0.06
    assert cells["image:1024x1024:*"] == (60_000_000, 50_000_000)
    assert cells["image:1792x1024:*"] == (120_000_000, None)
    assert cells["image:1792x1024:hd"] == (None, 130_000_000)
    assert cells["video:720p"] == (None, 100_000_000)
    row = rows["dall-e-3"]
    assert (row.example, row.percent) == ("image:1024x1024:*", Decimal("-16.7"))
    assert row.left is not None
    assert row.left.cost_nano == 60_000_000
    assert (rows["only-here"].left, rows["only-here"].percent) == (None, None)
    assert row.roundings == ("up:2000", "half_even:1")
    assert effective(None) == {}


def test_differences_in_per_cent() -> None:
    assert percent_of(100, 118) == Decimal("18.0")
    assert percent_of(3, 2) == Decimal("-33.3")
    assert percent_of(0, 0) == Decimal("0.0")
    assert percent_of(0, 5) is percent_of(None, 5) is percent_of(5, None) is None


def test_only_those_who_may_see_prices_compare_published_versions(versions: dict[str, PriceVersion]) -> None:
    with pytest.raises(NotAllowed):
        side_of(person("sue", Role.SUPPORT), versions["ours"].pk)
    draft = PriceVersion.objects.create(book=versions["ours"].book, number=99, valid_from=versions["ours"].valid_from)
    with pytest.raises(NotFound):
        side_of(person("fin", Role.FINANCE), draft.pk)
