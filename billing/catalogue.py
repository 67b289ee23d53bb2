"""The models a person may call with what they cost that person. Amounts are nano-USD per 1,000,000 tokens, or per call,
image, second and what else has a price of its own."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from accounts.models import Group, User
from billing.expressions import ExpressionError
from billing.price_compare import MINIMUM, PER_CALL, effective
from billing.pricing import NoPrice, Usage
from billing.pricing.table import Price, PriceTable
from billing.services.prices import load_table
from config.foundation.clock import now
from config.foundation.money import MILLION
from models_catalog.models import AIModel
from models_catalog.selectors import callable_models

_MILLIONS = (Usage(input=MILLION), Usage(input=MILLION, cached=MILLION), Usage(output=MILLION))
# Kinds of token that cost what the plain kind costs are not told again.
_PLAIN_KIND = {"cache_write": "input", "reasoning": "output", "audio_input": "input", "audio_output": "output"}
_TOLD = {"input", "cached_input", "output", PER_CALL, MINIMUM}


@dataclass(frozen=True, slots=True)
class ModelRow:
    """``basis``: token, call, expression, or "" for a model without a price, which cannot be called yet. ``others`` are the
    prices of images, seconds, characters and special kinds of token, by the names of ``billing.price_compare``."""

    model: AIModel
    basis: str = ""
    input_nano: int | None = None
    cached_nano: int | None = None
    output_nano: int | None = None
    call_nano: int | None = None
    others: Mapping[str, int] = field(default_factory=dict)

    @property
    def counts_tokens(self) -> bool:
        """Whether a price of tokens says anything: where only images or seconds cost, it does not."""
        return bool(self.input_nano or self.output_nano) or not (self.others or self.call_nano)


def models_with_prices(user: User) -> list[ModelRow]:
    """Every model open to the person's billing group at today's price, by name."""
    group = user.billing_group
    return models_of_group(group)


def models_of_group(group: Group | None) -> list[ModelRow]:
    """Every model open to a payer's group at today's price; without a group what is open to all."""
    code = group.code if group else ""
    table = load_table()
    return [_row(model, table, code) for model in callable_models([code] if code else [])]


def _row(model: AIModel, table: PriceTable, group_code: str) -> ModelRow:
    price = table.price_for(model_name=model.name, payer_group_code=group_code, used_group_code=group_code, at=now())
    if price is None:
        return ModelRow(model)
    if price.rule.basis == "call":
        return ModelRow(model, "call", call_nano=_cost(price, Usage(images=1)), others=_others(price))
    # What an empty call costs is the fee of each call, and is not part of the price of a million tokens.
    fee = _cost(price, Usage()) or 0
    parts = [_cost(price, usage) for usage in _MILLIONS]
    fresh, cached, output = (None if nano is None else nano - fee for nano in parts)
    return ModelRow(model, price.rule.basis, fresh, cached, output, fee or None, _others(price))


def _others(price: Price) -> dict[str, int]:
    parts = effective(price)
    return {
        name: nano
        for name, nano in parts.items()
        if name not in _TOLD and (name not in _PLAIN_KIND or nano != parts.get(_PLAIN_KIND[name]))
    }


def _cost(price: Price, usage: Usage) -> int | None:
    """The price of exactly this usage by the book's own formula, so that every formula is shown in one unit."""
    try:
        return price.quote(usage).cost_nano
    except (NoPrice, ExpressionError):
        return None
