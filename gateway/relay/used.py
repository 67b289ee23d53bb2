"""What a call used, and what of its request a price may read: asked before a call and after it."""

from billing.pricing import Usage
from gateway.contract.estimate import Body
from gateway.contract.types import Decision
from gateway.contract.usage import Tokens


def usage_of_call(decision: Decision, tokens: Tokens, body: Body) -> Usage:
    """What a call used, as prices read it."""
    beside = tokens.cached + tokens.cache_write if tokens.is_anthropic else 0
    return Usage(
        input=tokens.input - beside,
        cached=tokens.cached,
        cache_write=tokens.cache_write,
        output=tokens.output,
        reasoning=tokens.reasoning,
        images=tokens.images,
        cache_write_1h=tokens.cache_write_1h,
        image_input=tokens.image_input,
        image_output=tokens.image_output,
        audio_input=tokens.audio_input,
        audio_output=tokens.audio_output,
        input_excludes_cache=tokens.is_anthropic,
        size=tokens.size,
        quality=tokens.quality,
        audio_ms=tokens.audio_ms,
        characters=tokens.characters,
        params=read_params(decision, body) or {},
    )


def read_params(decision: Decision, body: Body) -> Body | None:
    """Request fields that a tiered price may read; None for prices that read none."""
    assert decision.price is not None
    if decision.price.rule.basis != "expression":
        return None
    return {name: value for name, value in body.items() if isinstance(value, str | int | float | bool) and name != "prompt"}
