"""Finding a price among books and versions that were loaded once: no database behind it, so a relay can keep it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from billing.pricing.calculate import estimate, most, quote
from billing.pricing.figures import Quote, RuleFigures, Usage

ONE = Decimal(1)


@dataclass(frozen=True, slots=True)
class Price:
    """One model's price for one payer, with everything its formula needs."""

    version_id: int
    book_code: str
    formula: str
    quota_per_unit: Decimal
    model_name: str
    rule: RuleFigures
    multiplier: Decimal

    def quote(self, usage: Usage) -> Quote:
        """Raises NoPrice or ExpressionError where the rule cannot be computed."""
        return quote(
            formula=self.formula,
            rule=self.rule,
            multiplier=self.multiplier,
            quota_per_unit=self.quota_per_unit,
            usage=usage,
        )

    def estimate(
        self,
        *,
        input_tokens: int,
        max_output_tokens: int,
        images: int = 0,
        size: str = "",
        params: Mapping[str, object] | None = None,
    ) -> int:
        """Nano-USD to hold; see ``billing.pricing.estimate``. Raises NoPrice for what has no price: refuse the call."""
        return estimate(
            formula=self.formula,
            rule=self.rule,
            multiplier=self.multiplier,
            quota_per_unit=self.quota_per_unit,
            input_tokens=input_tokens,
            max_output_tokens=max_output_tokens,
            images=images,
            size=size,
            params=params,
        )

    def most(self, usage: Usage) -> int:
        """Nano-USD to hold for a call that uses at most this. Raises NoPrice for what has no price: refuse the call."""
        return most(
            formula=self.formula,
            rule=self.rule,
            multiplier=self.multiplier,
            quota_per_unit=self.quota_per_unit,
            usage=usage,
        )


@dataclass(frozen=True, slots=True)
class VersionPrices:
    """A published version. ``multipliers`` are by (group, payer's group), the latter "" for everybody."""

    version_id: int
    number: int
    valid_from: datetime
    rules: Mapping[str, RuleFigures]
    multipliers: Mapping[tuple[str, str], Decimal]

    def multiplier(self, used_group_code: str, payer_group_code: str) -> Decimal:
        """The payer's own row replaces the group's; a group without a row counts 1, as in both old products."""
        own = self.multipliers.get((used_group_code, payer_group_code)) if payer_group_code else None
        return own if own is not None else self.multipliers.get((used_group_code, ""), ONE)


@dataclass(frozen=True, slots=True)
class BookPrices:
    """A price book with its published versions, the one that comes into force last first."""

    code: str
    formula: str
    quota_per_unit: Decimal
    versions: tuple[VersionPrices, ...]
    # Prices that were asked for: calls ask for the same few again and again.
    found: dict[tuple[int, str, str, str], Price] = field(default_factory=dict, repr=False, compare=False)

    def version_at(self, moment: datetime) -> VersionPrices | None:
        for version in self.versions:
            if version.valid_from <= moment:
                return version
        return None

    def price_of(self, version: VersionPrices, model_name: str, payer_group_code: str, used_group_code: str) -> Price | None:
        """The price of a model by one version; None when it has no rule for it."""
        wanted = (version.version_id, model_name, payer_group_code, used_group_code)
        price = self.found.get(wanted)
        if price is None and (rule := version.rules.get(model_name)) is not None:
            multiplier = version.multiplier(used_group_code, payer_group_code)
            price = Price(version.version_id, self.code, self.formula, self.quota_per_unit, model_name, rule, multiplier)
            self.found[wanted] = price
        return price


@dataclass(frozen=True, slots=True)
class PriceTable:
    """All books, which one is for everybody, and which groups have one of their own."""

    books: Mapping[int, BookPrices] = field(default_factory=dict)
    default_book_id: int | None = None
    group_books: Mapping[str, int] = field(default_factory=dict)

    def price_for(self, *, model_name: str, payer_group_code: str, used_group_code: str, at: datetime) -> Price | None:
        """The price of a model at a moment; None when the book has no rule for it, and then the call is refused."""
        book_id = self.group_books.get(payer_group_code, self.default_book_id)
        book = self.books.get(book_id) if book_id is not None else None
        version = book.version_at(at) if book else None
        if book is None or version is None:
            return None
        return book.price_of(version, model_name, payer_group_code, used_group_code)
