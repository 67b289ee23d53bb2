"""Prices of one call on the hot path: what to hold before it and what it cost after it."""

from typing import Any

from billing.expressions import ExpressionError
from billing.pricing import NoPrice, Usage
from gateway.contract.estimate import Body, input_estimate, output_estimate
from gateway.contract.types import Decision
from gateway.contract.usage import Tokens

__all__ = ["NotPriced", "hold_amount", "token_estimate", "usage_of_call"]

# Estimates are asked for round token counts, so that calls of like size share one calculation.
_estimates: dict[tuple[Any, ...], int] = {}
MOST_ESTIMATES = 20_000


class NotPriced(Exception):
    """The price rule cannot be applied to this call."""


def hold_amount(decision: Decision, body: Body, size: int, *, has_output: bool) -> int:
    """Nano-USD to hold for a call of ``size`` bytes; raises NotPriced."""
    price, model = decision.price, decision.model
    assert price is not None
    assert model is not None
    wanted = round_up(input_estimate(body, size))
    output = output_estimate(body, model.max_output_tokens, has_output=has_output)
    params = _params(decision, body)
    key = (price.version_id, price.model_name, price.multiplier, wanted, output)
    amount = _estimates.get(key) if params is None else None
    if amount is None:
        try:
            amount = price.estimate(input_tokens=wanted, max_output_tokens=output, params=params)
        except (NoPrice, ExpressionError) as error:
            raise NotPriced from error
        if params is None:
            if len(_estimates) >= MOST_ESTIMATES:
                _estimates.clear()
            _estimates[key] = amount
    return amount


def usage_of_call(decision: Decision, tokens: Tokens, body: Body) -> Usage:
    """What a call used, as prices read it."""
    return Usage(
        input=tokens.input,
        cached=tokens.cached,
        cache_write=tokens.cache_write,
        output=tokens.output,
        reasoning=tokens.reasoning,
        params=_params(decision, body) or {},
    )


def token_estimate(decision: Decision, body: Body, size: int, *, has_output: bool) -> int:
    """Tokens the call may use, input and output together, as they are counted against a limit before the answer is there."""
    assert decision.model is not None
    return input_estimate(body, size) + output_estimate(body, decision.model.max_output_tokens, has_output=has_output)


def round_up(tokens: int) -> int:
    """The next number with at most four leading binary digits: at most an eighth more."""
    step = 1 << max(0, tokens.bit_length() - 4)
    return -(-tokens // step) * step


def _params(decision: Decision, body: Body) -> Body | None:
    """Request fields that a tiered price may read; None for prices that read none."""
    assert decision.price is not None
    if decision.price.rule.basis != "expression":
        return None
    return {name: value for name, value in body.items() if isinstance(value, str | int | float | bool) and name != "prompt"}
