"""Prices of one call on the hot path: what to hold before it and what it cost after it."""

from typing import TYPE_CHECKING, Any

from billing.expressions import ExpressionError
from billing.pricing import NoPrice, Price
from gateway.contract.estimate import IMAGE_OUTPUT_TOKENS, Body, images_wanted, input_estimate, output_estimate, with_one_unit
from gateway.contract.tasks import asked_length, asked_size, video_hold
from gateway.contract.types import Decision
from gateway.contract.usage import Tokens
from gateway.relay.answers import Answer
from gateway.relay.used import read_params, usage_of_call

if TYPE_CHECKING:
    from gateway.relay.call import Call

# Estimates are asked for round token counts, so that calls of like size share one calculation.
_estimates: dict[tuple[Any, ...], int] = {}
MOST_ESTIMATES = 20_000


class NotPriced(Exception):
    """The price rule cannot be applied to this call."""


def hold_amount(call: "Call", price: Price | None = None) -> int:
    """Nano-USD to hold for a call, at another price than the decision's if one is given; raises NotPriced."""
    decision, body = call.decision, call.body
    model = decision.model
    price = price or decision.price
    assert price is not None
    assert model is not None
    if call.spec.kind == "videos":
        return _hold_for_video(call, price)
    wanted = round_up(input_estimate(body, call.text_size))
    output = output_estimate(body, model.max_output_tokens, has_output=call.spec.writes)
    if call.counts_units:
        return _hold_for_units(call, price, wanted, output)
    params = read_params(decision, body)
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


def _hold_for_units(call: "Call", price: Price, wanted: int, output: int) -> int:
    """For pictures, speech and transcripts the units are priced, and beside them the tokens they may be reported in."""
    images = images_wanted(call.body) if call.spec.kind == "images" else 0
    units = usage_of_call(call.decision, call.with_units(Tokens(), Answer(images=images)), call.body)
    most_tokens = output or images * IMAGE_OUTPUT_TOKENS
    amounts = []
    for amount in (
        lambda: price.most(with_one_unit(units, call.spec.kind)),
        lambda: price.estimate(input_tokens=wanted, max_output_tokens=most_tokens),
    ):
        try:
            amounts.append(amount())
        except (NoPrice, ExpressionError):
            continue
    if not amounts:
        raise NotPriced
    return max(amounts)


def _hold_for_video(call: "Call", price: Price) -> int:
    takes = call.decision.candidates[0].takes if call.decision.candidates else {}
    try:
        return video_hold(price, asked_length(call.body, takes), asked_size(call.body, takes))
    except (NoPrice, ExpressionError) as error:
        raise NotPriced from error


def token_estimate(decision: Decision, body: Body, size: int, *, has_output: bool) -> int:
    """Tokens the call may use, input and output together, as they are counted against a limit before the answer is there."""
    assert decision.model is not None
    return input_estimate(body, size) + output_estimate(body, decision.model.max_output_tokens, has_output=has_output)


def round_up(tokens: int) -> int:
    """The next number with at most four leading binary digits: at most an eighth more."""
    step = 1 << max(0, tokens.bit_length() - 4)
    return -(-tokens // step) * step
