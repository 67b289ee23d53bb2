"""One API's price rules. A charge is ceil((prompt + completion x completion ratio) x (model ratio x group ratio)) units.

The saved ModelRatio is laid over the defaults of the running version, which are in its code and not in the database: a name
that the setting lacks is taken from what its log rows prove to the unit, otherwise it stays without a price and says so.
Source of the completion rules: the fact sheet of the product, appendix D (what the product does, in our words).
"""

import math
from collections.abc import Iterable
from decimal import Decimal
from fractions import Fraction

from migrations_center.rulebook.figures import decimal_map, decimal_of
from migrations_center.rulebook.prices import TOKEN, ModelPrice, PriceList, as_text
from migrations_center.sources.records import LogFact, OldChannel

# Tokens that stand for one picture, times the ratio of its size.
SIZE_RATIOS: dict[str, dict[str, str]] = {
    "dall-e-2": {"256x256": "1", "512x512": "1.125", "1024x1024": "1.25"},
    "dall-e-3": {"1024x1024": "1", "1024x1792": "2", "1792x1024": "2"},
}
# The settings page shows the saved list merged with the code's and saves both: so long a list lacks only unknown names,
# and those the product charges at this ratio.
MERGED_LIST = 300
UNKNOWN_RATIO = Decimal(30)
_EXACT_RATIOS = {
    "gpt-4o-2024-05-13": "3",
    "chatgpt-4o-latest": "3",
    "llama2-70b-4096": "1.25",
    "llama3-8b-8192": "2",
    "grok-beta": "3",
    "command": "2",
    "command-light": "2",
    "command-nightly": "2",
    "command-light-nightly": "2",
    "command-r": "3",
    "command-r-plus": "5",
    "whisper-1": "0",
    "deepseek-chat": "2",
}
# By the beginning of the name, first match wins.
_PREFIX_RATIOS = (
    ("gpt-4o", "4"),
    ("gpt-4-turbo", "3"),
    ("gpt-4", "2"),
    ("o1", "4"),
    ("claude-3", "5"),
    ("claude-", "3"),
    ("mistral-", "3"),
    ("gemini-", "3"),
    ("deepseek-", "2"),
)


def price_list(
    options: dict[str, str], channels: Iterable[OldChannel], names: Iterable[str], facts: Iterable[LogFact]
) -> PriceList:
    """Prices of ``names`` (as they are billed: after the channel's mapping)."""
    ratios = decimal_map(options.get("ModelRatio", ""))
    completions = decimal_map(options.get("CompletionRatio", ""))
    types = _types_by_model(channels)
    proofs: dict[str, list[LogFact]] = {}
    for fact in facts:
        proofs.setdefault(fact.model_name, []).append(fact)
    prices, unpriced = {}, {}
    for name in sorted(set(names)):
        found = _setting(ratios, name, types.get(name, ()))
        completion = _completion(completions, name, types.get(name, ()))
        proof = "setting"
        notes: tuple[str, ...] = ()
        if found is None:
            found = _proven(proofs.get(name, []), completion)
            proof, notes = "logs", ("price_proven_by_logs",)
        if found is None and len(ratios) >= MERGED_LIST:
            found, proof, notes = UNKNOWN_RATIO, "rule", ("price_of_unknown_name",)
        if found is None:
            unpriced[name] = "price_only_in_code"
            continue
        if len({_setting(ratios, name, (kind,)) for kind in types.get(name, ())}) > 1:
            notes = (*notes, "price_depends_on_channel")
        figures = as_text([("model_ratio", found), ("completion_ratio", completion)])
        if name in SIZE_RATIOS:
            figures["size_ratios"] = SIZE_RATIOS[name]
        prices[name] = ModelPrice(name, TOKEN, figures, proof, notes)
    return PriceList(prices, unpriced)


def completion_rule(name: str) -> Decimal:
    """The completion ratio that the product's code gives a name that no setting names."""
    if name in _EXACT_RATIOS:
        return Decimal(_EXACT_RATIOS[name])
    if name.startswith("gpt-3.5"):
        if name == "gpt-3.5-turbo" or name.endswith("0125"):
            return Decimal(3)
        return Decimal(2) if name.endswith("1106") else Decimal(repr(4 / 3))
    if name.startswith("gpt-4") and name.endswith("preview") and not name.startswith("gpt-4o"):
        return Decimal(3)
    if name == "deepseek-reasoner":
        return Decimal(repr(2.19 / 0.55))
    if name == "llama3-70b-8192":
        return Decimal(repr(0.79 / 0.59))
    return Decimal(next((ratio for prefix, ratio in _PREFIX_RATIOS if name.startswith(prefix)), "1"))


def charge(prompt: int, completion: int, model_ratio: Decimal, group_ratio: Decimal, completion_ratio: Decimal) -> int:
    """Units for a text call, in the binary arithmetic of the product: its rounding up depends on it."""
    ratio = float(model_ratio) * float(group_ratio)
    if prompt + completion == 0:
        return 0
    units = math.ceil((float(prompt) + float(completion) * float(completion_ratio)) * ratio)
    return 1 if ratio != 0 and units <= 0 else units


def _types_by_model(channels: Iterable[OldChannel]) -> dict[str, tuple[int, ...]]:
    types: dict[str, dict[int, None]] = {}
    for channel in sorted(channels, key=lambda channel: (not channel.is_enabled, -channel.priority, channel.id)):
        for model in channel.models:
            types.setdefault(channel.mapping.get(model, model), {})[channel.type] = None
    return {name: tuple(found) for name, found in types.items()}


def _setting(
    ratios: dict[str, Decimal], name: str, types: tuple[int, ...], endings: tuple[str, ...] = ("qwen-", "command-")
) -> Decimal | None:
    """A name with a channel type in brackets is looked up first; an ending ``-internet`` is dropped for two families."""
    if name.startswith(endings):
        name = name.removesuffix("-internet")
    for kind in types[:1]:
        if f"{name}({kind})" in ratios:
            return ratios[f"{name}({kind})"]
    return ratios.get(name)


def _completion(completions: dict[str, Decimal], name: str, types: tuple[int, ...]) -> Decimal:
    found = _setting(completions, name, types, ("qwen-",))
    return completion_rule(name) if found is None else found


def _proven(facts: list[LogFact], completion: Decimal) -> Decimal | None:
    """A model ratio that reproduces every one of the newest rows to the unit; the rows name it rounded to two places."""
    rows = [fact.figures for fact in facts if fact.figures.get("model_ratio") and fact.figures.get("group_ratio")]
    if not rows:
        return None
    rounded = decimal_of(rows[0]["model_ratio"])
    candidates = [rounded, *_exact_candidates(rows[0], completion)]
    for candidate in candidates:
        if candidate is not None and all(_reproduces(row, candidate, completion) for row in rows):
            return candidate
    return None


def _exact_candidates(row: dict[str, object], completion: Decimal) -> list[Decimal]:
    """The ratio that the charge itself gives, when the rounded one is too coarse."""
    weighted = int(str(row["prompt_tokens"])) + int(str(row["completion_tokens"])) * Fraction(completion)
    group = decimal_of(row["group_ratio"])
    if not weighted or not group:
        return []
    exact = Fraction(int(str(row["quota"]))) / (weighted * Fraction(group))
    return [Decimal(round(exact * 10**places)).scaleb(-places) for places in (3, 4)]


def _reproduces(row: dict[str, object], ratio: Decimal, completion: Decimal) -> bool:
    group = decimal_of(row["group_ratio"])
    units = charge(int(str(row["prompt_tokens"])), int(str(row["completion_tokens"])), ratio, group or Decimal(0), completion)
    return units == int(str(row["quota"]))
