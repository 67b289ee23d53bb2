"""Publishing prices, choosing the book and the multiplier, and that published prices stay what they were."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import DatabaseError, transaction

from accounts.models import AuditEvent, Group, Role
from billing.models import GroupMultiplier, PriceBook, PriceRule, PriceVersion
from billing.pricing import RuleFigures, Usage
from billing.services import prices
from config.foundation.clock import now
from config.foundation.errors import InvalidInput, NotAllowed
from tests.billing.helpers import person

pytestmark = pytest.mark.django_db
CHEAP, DEAR = RuleFigures(input_nano=1_000_000_000), RuleFigures(input_nano=2_000_000_000)


@pytest.fixture
def book() -> PriceBook:
    return prices.create_book(actor=None, code="house", name="House", formula="portal", is_default=True)


def publish(book: PriceBook, rule: RuleFigures = CHEAP, **more: object) -> PriceVersion:
    multipliers = {("vip", ""): Decimal("0.8"), ("vip", "svip"): Decimal("0.55"), ("free", ""): Decimal(0)}
    return prices.publish_version(actor=None, book=book, rules={"m": rule}, multipliers=multipliers, **more)


def test_the_same_content_makes_no_new_version(book: PriceBook) -> None:
    first = publish(book)
    assert publish(book).pk == first.pk
    second = publish(book, DEAR)
    assert (second.number, second.content_digest == first.content_digest) == (2, False)
    assert publish(book).number == 3
    assert AuditEvent.objects.filter(action="price_version.published").count() == 3


def test_the_multiplier_of_the_payer_replaces_the_one_of_the_group(book: PriceBook) -> None:
    publish(book)
    cases = {("vip", "default"): "0.8", ("vip", "svip"): "0.55", ("unknown", "svip"): "1", ("free", "svip"): "0", ("", ""): "1"}
    table = prices.load_table()
    for (used, payer), expected in cases.items():
        one = prices.price_for(model_name="m", payer_group_code=payer, used_group_code=used)
        two = table.price_for(model_name="m", payer_group_code=payer, used_group_code=used, at=now())
        assert one == two
        assert one is not None
        assert one.multiplier == Decimal(expected)


def test_a_group_pays_by_its_own_book_and_a_model_without_a_rule_has_no_price(book: PriceBook) -> None:
    publish(book)
    old = prices.create_book(actor=None, code="old", name="Old", formula="one_api", quota_per_unit=Decimal(500_000))
    prices.publish_version(actor=None, book=old, rules={"x": RuleFigures(source_figures={"model_ratio": "1"})}, multipliers={})
    group = Group.objects.create(code="one/default", name="default", kind="price_class")
    prices.assign_book(actor=None, group=group, book=old)
    table = prices.load_table()
    for payer, model, formula in (("one/default", "x", "one_api"), ("", "m", "portal"), ("other", "m", "portal")):
        one = prices.price_for(model_name=model, payer_group_code=payer)
        assert one == table.price_for(model_name=model, payer_group_code=payer, used_group_code="", at=now())
        assert one is not None
        assert one.formula == formula
    assert prices.price_for(model_name="m", payer_group_code="one/default") is None
    assert table.price_for(model_name="x", payer_group_code="", used_group_code="", at=now()) is None
    price = prices.price_for(model_name="x", payer_group_code="one/default")
    assert price is not None
    assert price.quote(Usage(input=10)).cost_nano == 20_000
    assert price.estimate(input_tokens=10, max_output_tokens=5) == 30_000
    prices.assign_book(actor=None, group=group, book=None)
    assert prices.price_for(model_name="m", payer_group_code="one/default") is not None


def test_a_version_counts_from_its_own_time(book: PriceBook) -> None:
    publish(book, valid_from=now() - timedelta(days=2))
    publish(book, DEAR, valid_from=now() + timedelta(days=1))
    table = prices.load_table()
    for days, expected in ((0, CHEAP), (2, DEAR)):
        moment = now() + timedelta(days=days)
        one = prices.price_for(model_name="m", at=moment)
        assert one == table.price_for(model_name="m", payer_group_code="", used_group_code="", at=moment)
        assert one is not None
        assert one.rule == expected
    assert prices.price_for(model_name="m", at=now() - timedelta(days=3)) is None


def test_nothing_published_can_change(book: PriceBook) -> None:
    version = publish(book)
    attempts = [
        lambda: PriceVersion.objects.filter(pk=version.pk).update(valid_from=now()),
        lambda: PriceVersion.objects.filter(pk=version.pk).delete(),
        lambda: PriceRule.objects.update(input_nano=1),
        lambda: PriceRule.objects.all().delete(),
        lambda: PriceRule.objects.create(version=version, model_name="new"),
        lambda: GroupMultiplier.objects.update(multiplier=1),
        lambda: PriceBook.objects.update(formula="one_api"),
        lambda: PriceBook.objects.update(quota_per_unit=1),
    ]
    for attempt in attempts:
        with pytest.raises(DatabaseError), transaction.atomic():
            attempt()
    assert prices.price_for(model_name="m").rule == CHEAP
    PriceBook.objects.update(name="Renamed")


def test_only_those_who_manage_prices_publish(book: PriceBook) -> None:
    for role in (Role.USER, Role.OPS, Role.SUPPORT):
        with pytest.raises(NotAllowed):
            prices.publish_version(actor=person(role, role), book=book, rules={}, multipliers={})
    assert PriceVersion.objects.count() == 0
    done = prices.publish_version(actor=person("fin", Role.FINANCE), book=book, rules={"m": CHEAP}, multipliers={})
    assert (done.created_by, done.number) == ("fin", 1)


def test_a_price_below_zero_is_refused(book: PriceBook) -> None:
    with pytest.raises(InvalidInput):
        prices.publish_version(actor=None, book=book, rules={"m": RuleFigures(input_nano=-1)}, multipliers={})
    with pytest.raises(InvalidInput):
        prices.publish_version(actor=None, book=book, rules={}, multipliers={("g", ""): Decimal("-0.1")})
    with pytest.raises(InvalidInput):
        prices.create_book(actor=None, code="house", name="House", formula="one_api")


@pytest.mark.parametrize(
    "rule",
    [
        RuleFigures(unit_prices={"image:big": 1}),
        RuleFigures(unit_prices={"video:720p": -1}),
        RuleFigures(unit_prices={"video:720P": 1}),
        RuleFigures(rounding="down"),
        RuleFigures(rounding_step_nano=0),
        RuleFigures(reasoning_nano=-1),
    ],
)
def test_units_and_roundings_that_are_none_are_refused(book: PriceBook, rule: RuleFigures) -> None:
    with pytest.raises(InvalidInput):
        prices.publish_version(actor=None, book=book, rules={"m": rule}, multipliers={})
    assert not PriceVersion.objects.exists()


def test_the_digest_of_a_version_made_before_units_existed_stays_the_same(book: PriceBook) -> None:
    """A re-import of what an older release published makes no new version."""
    assert prices.content_digest({"m": CHEAP}, {}) == "bdd9ce872225d0cbbc2f2b2a782db1c141beab196dcd8e90c990f0162d211dd5"
    assert prices.content_digest({"m": RuleFigures(reasoning_nano=0)}, {}) != prices.content_digest({"m": RuleFigures()}, {})
