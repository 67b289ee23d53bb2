"""Every component of the portal's price: its arithmetic, its refusal where it has no price, and the same formula in SQL."""

import random
from decimal import Decimal
from fractions import Fraction

import pytest
from django.db import connection

from billing.models import PriceRule, PriceVersion, RequestLog
from billing.pricing import (
    AUDIO_KEY,
    PORTAL,
    ROUNDINGS,
    NoPrice,
    Price,
    Quote,
    RuleFigures,
    Usage,
    image_key,
    usage_columns,
    usage_of,
    video_key,
)
from billing.services import ledger, prices
from billing.services.prices import figures_of, stored_figures
from config.foundation.clock import now
from config.foundation.ids import uuid7, uuid7_time
from tests.billing.helpers import broken, figures, hold, rich

USD = 1_000_000_000
RULE = RuleFigures(
    input_nano=2 * USD,
    cached_nano=USD,
    cache_write_nano=3 * USD,
    output_nano=8 * USD,
    reasoning_nano=6 * USD,
    audio_input_nano=40 * USD,
    audio_output_nano=80 * USD,
    character_nano=15 * USD,
    unit_prices={
        image_key("1024x1024", "hd"): 80_000_000,
        image_key("1024x1024"): 40_000_000,
        image_key("", "low"): 11_000_000,
        video_key("720p"): 100_000_000,
        AUDIO_KEY: 100_000,
    },
)


def price(rule: RuleFigures, multiplier: str = "1") -> Price:
    return Price(1, "house", PORTAL, Decimal(0), "m", rule, Decimal(multiplier))


def lines(quote: Quote) -> dict[str, tuple[str, str, str, str]]:
    return {line.name: (line.count, line.price, line.amount, line.detail) for line in quote.lines}


def test_every_kind_of_token_is_charged_once_at_its_own_price() -> None:
    usage = Usage(input=1000, cached=200, cache_write=100, audio_input=50, output=500, reasoning=300, audio_output=20)
    quote = price(RULE).quote(usage)
    assert {name: line[0] for name, line in lines(quote).items()} == {
        "input": "650",
        "cached": "200",
        "cache_write": "100",
        "output": "180",
        "reasoning": "300",
        "audio_input": "50",
        "audio_output": "20",
    }
    # In micro-dollars: 650 x 2 + 200 x 1 + 100 x 3 + 180 x 8 + 300 x 6 + 50 x 40 + 20 x 80
    assert quote.cost_nano == 8_640_000


@pytest.mark.parametrize(
    ("usage", "name", "line", "cost"),
    [
        (
            Usage(images=3, size="1024x1024", quality="HD"),
            "image",
            ("3", "0.08", "0.24", "1024x1024 HD"),
            240_000_000,
        ),
        (
            Usage(images=2, size="1024x1024", quality="standard"),
            "image",
            ("2", "0.04", "0.08", "1024x1024 standard"),
            80_000_000,
        ),
        (Usage(images=1, size="256x256", quality="low"), "image", ("1", "0.011", "0.011", "256x256 low"), 11_000_000),
        (Usage(video_ms=4_500, resolution="720p"), "video", ("4.5", "0.1", "0.45", "720p"), 450_000_000),
        (Usage(audio_ms=61_001), "audio", ("61.001", "0.0001", "0.0061001", ""), 6_100_100),
        (Usage(characters=2_000), "characters", ("2000", "15", "0.03", ""), 30_000_000),
    ],
)
def test_units_have_lines_of_quantity_and_price(usage: Usage, name: str, line: tuple[str, ...], cost: int) -> None:
    quote = price(RULE).quote(usage)
    assert lines(quote) == {name: line}
    assert quote.cost_nano == cost
    count, each, amount = (Fraction(x) for x in line[:3])
    assert count * each / quote.lines[0].per == amount


@pytest.mark.parametrize(
    "usage",
    [
        Usage(images=1, size="1792x1024", quality="hd"),
        Usage(images=1),
        Usage(video_ms=1_000, resolution="1080p"),
        Usage(video_ms=1_000),
    ],
)
def test_a_size_or_resolution_without_a_price_is_refused_before_the_call(usage: Usage) -> None:
    """Missing is never free: the hold cannot be calculated, so the call is refused."""
    for ask in (price(RULE).most, price(RULE).quote):
        with pytest.raises(NoPrice):
            ask(usage)


@pytest.mark.parametrize(
    "usage",
    [
        Usage(input=9, audio_input=9),
        Usage(output=9, audio_output=9),
        Usage(input=9, images=1, size="1024x1024"),
        Usage(input=9, video_ms=1, resolution="720p"),
        Usage(input=9, audio_ms=1),
        Usage(input=9, characters=1),
    ],
)
def test_a_price_for_text_serves_no_other_kind(usage: Usage) -> None:
    text = RuleFigures(input_nano=USD, output_nano=USD)
    for ask in (price(text).most, price(text).quote):
        with pytest.raises(NoPrice):
            ask(usage)
    with pytest.raises(NoPrice):
        price(RuleFigures(basis="expression")).quote(Usage(input=1))


def test_output_tokens_and_a_price_per_call_pay_for_units_that_are_not_priced_one_by_one() -> None:
    by_tokens = RuleFigures(input_nano=USD, output_nano=40 * USD)
    assert price(by_tokens).quote(Usage(input=10, output=1000, images=1)).cost_nano == 10_000 + 40_000_000
    assert price(RuleFigures(basis="call", call_nano=5)).quote(Usage(images=3, video_ms=5, audio_ms=5)).cost_nano == 5
    assert price(RuleFigures(item_nano=7)).quote(Usage(images=3, size="any")).cost_nano == 21


@pytest.mark.parametrize(
    ("rounding", "step", "cost"),
    [("half_even", 1, 2), ("half_up", 1, 3), ("up", 1, 3), ("half_even", 2, 2), ("up", 1000, 1000), ("half_up", 6, 0)],
)
def test_a_price_is_rounded_once_by_its_rule(rounding: str, step: int, cost: int) -> None:
    rule = RuleFigures(input_nano=2_500_000, rounding=rounding, rounding_step_nano=step)
    quote = price(rule).quote(Usage(input=1))
    assert (quote.cost_nano, quote.exact, quote.rounding) == (cost, "0.0000000025", rounding)
    assert price(rule, "2").quote(Usage(input=1)).exact == "0.000000005"


def test_what_is_held_covers_every_way_the_tokens_may_turn_out() -> None:
    most = price(RULE).most(Usage(input=100, output=50, audio_input=10, audio_output=10))
    for usage in (
        Usage(input=100, audio_input=100, output=50, audio_output=50),
        Usage(input=100, cache_write=100, output=50, audio_output=1),
        Usage(input=100, cached=40, output=50, reasoning=50),
    ):
        assert price(RULE).quote(usage).cost_nano <= most


@pytest.mark.django_db
def test_the_database_calculates_the_same_price() -> None:
    """One formula in two places: 400 random rules and calls, with and without a price."""
    rnd = random.Random(26)
    book = prices.create_book(actor=None, code="house", name="House", formula="portal")
    draft = PriceVersion.objects.create(book=book, number=1, valid_from=now())
    cases: dict[object, int | None] = {}
    multipliers = {}
    for n in range(400):
        rule, usage = random_rule(rnd), random_usage(rnd)
        multiplier = rnd.choice([Decimal(1), Decimal("0.8"), Decimal(0), Decimal(rnd.randrange(1, 10**13)) / 10**12])
        modality = "video" if usage.video_ms else "text"
        row = RequestLog(id=uuid7(), outcome="ok", billed_model=f"m{n}", **usage_columns(usage, modality))
        row.started_at = uuid7_time(row.id)
        row.save(force_insert=True)
        PriceRule.objects.create(version=draft, model_name=f"m{n}", **stored_figures(rule))
        multipliers[f"m{n}"] = multiplier
        assert usage_of(row) == usage
        try:
            cases[f"m{n}"] = price(rule, str(multiplier)).quote(usage).cost_nano
        except NoPrice:
            cases[f"m{n}"] = None
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT l.billed_model, billing_portal_cost(p, m.factor, l) FROM billing_requestlog l
            JOIN billing_pricerule p ON p.model_name = l.billed_model
            JOIN unnest(%s::text[], %s::numeric[]) m(name, factor) ON m.name = l.billed_model""",
            [list(multipliers), list(multipliers.values())],
        )
        said = dict(cursor.fetchall())
    assert said == cases
    assert 50 < sum(cost is None for cost in cases.values()) < 350
    assert figures_of(draft.rules.get(model_name="m0")).rounding in ROUNDINGS


def random_rule(rnd: random.Random) -> RuleFigures:
    def maybe(most: int) -> int | None:
        return rnd.choice([None, 0, rnd.randrange(most)])

    units = {
        key: rnd.randrange(10**9)
        for key in (image_key("1024x1024", "hd"), image_key("1024x1024"), image_key(""), video_key("720p"), AUDIO_KEY)
        if rnd.random() < 0.4
    }
    return RuleFigures(
        basis=rnd.choice(["token", "token", "token", "call"]),
        input_nano=rnd.randrange(10**10),
        cached_nano=maybe(10**10),
        cache_write_nano=maybe(10**10),
        output_nano=rnd.choice([0, rnd.randrange(10**11)]),
        call_nano=rnd.choice([0, 0, rnd.randrange(10**8)]),
        item_nano=rnd.choice([0, rnd.randrange(10**8)]),
        minimum_nano=rnd.choice([0, 0, rnd.randrange(10**6)]),
        reasoning_nano=maybe(10**10),
        audio_input_nano=maybe(10**11),
        audio_output_nano=maybe(10**11),
        character_nano=maybe(10**10),
        unit_prices=units,
        rounding=rnd.choice(ROUNDINGS),
        rounding_step_nano=rnd.choice([1, 1, 2, 1000]),
    )


def random_usage(rnd: random.Random) -> Usage:
    cached, write, audio_in, rest = (rnd.choice([0, rnd.randrange(3000)]) for _ in range(4))
    reasoning, audio_out, text = (rnd.choice([0, rnd.randrange(3000)]) for _ in range(3))
    tokens = {
        "input": cached + write + audio_in + rest,
        "cached": cached,
        "cache_write": write,
        "audio_input": audio_in if rnd.random() < 0.5 else 0,
        "output": reasoning + audio_out + text,
        "reasoning": reasoning,
        "audio_output": audio_out if rnd.random() < 0.5 else 0,
    }
    kind = rnd.choice(["text", "text", "image", "video", "audio", "speech"])
    if kind == "image":
        return Usage(
            **tokens, images=rnd.randrange(1, 9), size=rnd.choice(["1024x1024", "x"]), quality=rnd.choice(["hd", "low"])
        )
    if kind == "video":
        return Usage(**tokens, video_ms=rnd.randrange(1, 99_999), resolution=rnd.choice(["720p", "4k"]))
    if kind == "audio":
        return Usage(**tokens, audio_ms=rnd.randrange(1, 99_999))
    return Usage(**tokens, characters=rnd.randrange(1, 9_999)) if kind == "speech" else Usage(**tokens)


@pytest.mark.django_db
def test_R026_pictures_and_videos_have_lines_of_their_own_and_text_lines_stay() -> None:
    """R026: 3 image and 2 video jobs give 5 lines with quantity x price = amount; text lines are unchanged."""
    user, purse = rich(amount=10 * USD)
    before = price(RULE).quote(Usage(input=1000, output=100)).explain()
    jobs = [
        ("image", Usage(images=1, size="1024x1024")),
        ("image", Usage(images=4, size="1024x1024", quality="hd")),
        ("image", Usage(images=2, size="512x512", quality="low")),
        ("video", Usage(video_ms=8_000, resolution="720p")),
        ("video", Usage(video_ms=2_500, resolution="720p")),
    ]
    total = 0
    for modality, usage in jobs:
        held = hold(user, price(RULE).most(usage))
        quote = price(RULE).quote(usage)
        log = {"outcome": "ok", "user_id": user.pk, **usage_columns(usage, modality), "price_detail": quote.explain()}
        (result,) = ledger.record_calls([ledger.CallEvent(held.request_id, quote.cost_nano, True, "ok", log)])
        assert result.status == "recorded"
        total += quote.cost_nano
    found = []
    for row in RequestLog.objects.filter(modality__in=["image", "video"]).order_by("id"):
        (line,) = row.price_detail["lines"]
        assert Fraction(line["count"]) * Fraction(line["price"]) == Fraction(line["amount"]) == Fraction(row.cost_nano, USD)
        assert Fraction(line["count"]) == (row.image_count or Fraction(row.media_ms, 1000))
        found.append((line["name"], line["count"], line["price"], line["amount"], line["detail"]))
    assert found == [
        ("image", "1", "0.04", "0.04", "1024x1024"),
        ("image", "4", "0.08", "0.32", "1024x1024 hd"),
        ("image", "2", "0.011", "0.022", "512x512 low"),
        ("video", "8", "0.1", "0.8", "720p"),
        ("video", "2.5", "0.1", "0.25", "720p"),
    ]
    assert figures(purse) == (10 * USD - total, 0)
    assert price(RULE).quote(Usage(input=1000, output=100)).explain() == before
    assert [line["name"] for line in before["lines"]] == ["input", "output"]
    assert broken() == {}
