"""New API's price rules: a price per call wins over ratios, tiers over both; a saved map replaces the product's own as a whole.

A completion ratio that is fixed in the product's code beats the setting, and only the log rows show it: where the newest row
of a model says another one than the setting, the row is right.
"""

from collections.abc import Iterable
from decimal import Decimal

from migrations_center.rulebook.figures import decimal_map, decimal_of
from migrations_center.rulebook.prices import CALL, EXPRESSION, TOKEN, ModelPrice, PriceList, as_text
from migrations_center.sources.records import LogFact
from migrations_center.sources.values import as_flag, as_object
from migrations_center.sources.values import as_text as clean

# Ratio for a model without a price, where the operator or the person allows such calls.
UNPRICED_RATIO = Decimal("37.5")
_CACHE_DEFAULT = Decimal(1)
_CREATE_CACHE_DEFAULT = Decimal("1.25")


def price_list(options: dict[str, str], names: Iterable[str], facts: Iterable[LogFact]) -> PriceList:
    """Prices of ``names`` (as they are asked for: this product bills the asked name)."""
    reader = _Reader(options, facts)
    prices, unpriced = {}, {}
    for name in sorted(set(names)):
        found = reader.price(name)
        if found is None:
            unpriced[name] = "price_not_set"
        else:
            prices[name] = found
    return PriceList(prices, unpriced)


class _Reader:
    def __init__(self, options: dict[str, str], facts: Iterable[LogFact]) -> None:
        self.maps = {
            name: decimal_map(options.get(name, ""))
            for name in (
                "ModelRatio", "ModelPrice", "CompletionRatio", "CacheRatio", "CreateCacheRatio", "ImageRatio", "AudioRatio",
                "AudioCompletionRatio",
            )
        }  # fmt: skip
        self.saved = {name for name in self.maps if options.get(name)}
        self.modes = {clean(k): clean(v) for k, v in as_object(options.get("billing_setting.billing_mode")).items()}
        self.expressions = {clean(k): clean(v) for k, v in as_object(options.get("billing_setting.billing_expr")).items()}
        self.serves_unpriced = as_flag(options.get("SelfUseModeEnabled", ""))
        self.newest: dict[str, dict[str, object]] = {}
        for fact in facts:
            # Facts come newest first; rows of jobs and pictures say less, so the first row that names the figure counts.
            merged = self.newest.setdefault(fact.model_name, {})
            for figure, value in fact.figures.items():
                merged.setdefault(figure, value)

    def price(self, name: str) -> ModelPrice | None:
        if self.modes.get(name) == "tiered_expr" and self.expressions.get(name):
            return ModelPrice(name, EXPRESSION, {"expression": self.expressions[name]})
        price = self.maps["ModelPrice"].get(name)
        if price is None and "ModelPrice" not in self.saved:
            logged = self._logged(name, "model_price")
            price = logged if logged is not None and logged > 0 else None
        if price is not None:
            proof = "setting" if name in self.maps["ModelPrice"] else "logs"
            return ModelPrice(name, CALL, as_text([("model_price", price)]), proof)
        return self._by_ratio(name)

    def _by_ratio(self, name: str) -> ModelPrice | None:
        ratio, proof = self.maps["ModelRatio"].get(name), "setting"
        notes: tuple[str, ...] = ()
        if ratio is None and "ModelRatio" not in self.saved:
            logged = self._logged(name, "model_ratio")
            ratio = logged if logged != UNPRICED_RATIO else None
            proof, notes = "logs", ("price_proven_by_logs",)
        if ratio is None and self.serves_unpriced:
            ratio, proof, notes = UNPRICED_RATIO, "rule", ("price_of_unpriced",)
        if ratio is None:
            return None
        completion = self.maps["CompletionRatio"].get(name)
        logged = self._logged(name, "completion_ratio")
        if logged is not None and logged != completion and self._logged(name, "model_ratio") is not None:
            if completion is not None:
                notes = (*notes, "completion_ratio_proven_by_logs")
            completion = logged
        elif completion is None:
            notes = (*notes, "completion_ratio_assumed")
        figures = as_text(
            [
                ("model_ratio", ratio),
                ("completion_ratio", completion if completion is not None else Decimal(1)),
                ("cache_ratio", self._figure(name, "CacheRatio", "cache_ratio", _CACHE_DEFAULT)),
                ("create_cache_ratio", self._figure(name, "CreateCacheRatio", "cache_creation_ratio", _CREATE_CACHE_DEFAULT)),
                ("image_ratio", self._figure(name, "ImageRatio", "image_ratio", None)),
                ("audio_ratio", self._figure(name, "AudioRatio", "audio_ratio", None)),
                ("audio_completion_ratio", self._figure(name, "AudioCompletionRatio", "audio_completion_ratio", None)),
            ]
        )
        return ModelPrice(name, TOKEN, figures, proof, notes)

    def _figure(self, name: str, setting: str, logged: str, default: Decimal | None) -> Decimal | None:
        """The setting; when it was never saved, what the rows say; else the product's default."""
        found = self.maps[setting].get(name)
        if found is None and setting not in self.saved:
            found = self._logged(name, logged)
        return default if found is None else found

    def _logged(self, name: str, figure: str) -> Decimal | None:
        value = decimal_of(self.newest.get(name, {}).get(figure))
        return value if value is not None and value >= 0 else None
