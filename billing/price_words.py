"""The parts of a price in words a person knows."""

from decimal import Decimal

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from billing.models import PriceRule
from config.foundation.money import format_usd

_WORDS: dict[str, str | Promise] = {
    "input": gettext_lazy("input / 1M"),
    "cached_input": gettext_lazy("cached input / 1M"),
    "cache_write": gettext_lazy("cache write / 1M"),
    "output": gettext_lazy("output / 1M"),
    "reasoning": gettext_lazy("reasoning / 1M"),
    "audio_input": gettext_lazy("audio input / 1M"),
    "audio_output": gettext_lazy("audio output / 1M"),
    "characters": gettext_lazy("characters / 1M"),
    "per_call": gettext_lazy("per call"),
    "minimum": gettext_lazy("least for a call"),
    "audio": gettext_lazy("a second of sound"),
}


def component_word(name: str) -> str:
    """A component of ``billing.price_compare.effective``."""
    if name in _WORDS:
        return str(_WORDS[name])
    kind, *rest = name.split(":")
    detail = " ".join(word for word in rest if word not in {"*", ""})
    if kind == "image":
        return _("an image %(detail)s") % {"detail": detail} if detail else _("an image of any size")
    if kind == "video":
        return _("a second of video %(detail)s") % {"detail": detail} if detail else _("a second of video")
    return name


def rounding_word(text: str) -> str:
    """``word:step in nano-USD`` as ``billing.price_compare.rounding_of`` gives it."""
    if not text:
        return ""
    word, _sign, step = text.partition(":")
    words = {"how": str(PriceRule.Rounding(word).label), "step": format_usd(int(step))}
    return _("%(how)s, to %(step)s") % words


def percent_text(percent: Decimal | None) -> str:
    if percent is None:
        return ""
    return f"{'+' if percent > 0 else ''}{percent} %"
