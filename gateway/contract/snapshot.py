"""Everything a decision needs besides the key itself, as one value in memory; a new one replaces it as a whole."""

from dataclasses import dataclass, field

from billing.outcome_rules import OutcomeTable
from billing.pricing import PriceTable
from gateway.contract.fences import AccessRules
from gateway.contract.types import Candidate, FallbackView, GroupView, MappedName, ModelView, ProfileTable


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One state of the configuration. ``version`` is the number of the last change it surely holds."""

    version: int
    groups: dict[int, GroupView]
    groups_by_code: dict[str, GroupView] = field(repr=False)
    models: dict[str, ModelView]
    names: dict[str, MappedName]
    candidates: dict[int, tuple[Candidate, ...]] = field(repr=False)
    prices: PriceTable = field(repr=False)
    old_entries: dict[int, str]
    outcome_rules: OutcomeTable = field(default_factory=OutcomeTable, repr=False)
    rules: AccessRules = field(default_factory=AccessRules)
    # By the id of the model that was called.
    fallbacks: dict[int, FallbackView] = field(default_factory=dict)
    profiles: ProfileTable = field(default_factory=ProfileTable)
    # What ``candidates_for`` found: calls ask for the same few again and again.
    found: dict[tuple[int, str, str], tuple[Candidate, ...]] = field(default_factory=dict, repr=False, compare=False)

    def group_code(self, group_id: int | None) -> str:
        group = self.groups.get(group_id or 0)
        return group.code if group else ""

    def serves(self, name: str) -> bool:
        """Whether anybody may call this name, a name of the map included."""
        mapped = self.names.get(name)
        model = self.models.get((mapped.model_name or "") if mapped else name)
        return model is not None and bool(model.group_codes)

    def candidates_for(self, model: ModelView, group_code: str, protocol: str = "") -> tuple[Candidate, ...]:
        """Upstreams that serve the model to the group, best priority first; with ``protocol`` those that speak it."""
        wanted = (model.id, group_code, protocol)
        found = self.found.get(wanted)
        if found is None:
            found = self.found[wanted] = self._candidates_for(model, group_code, protocol)
        return found

    def _candidates_for(self, model: ModelView, group_code: str, protocol: str) -> tuple[Candidate, ...]:
        found = self.candidates.get(model.id, ())
        if protocol and any(one.upstream.protocol != protocol for one in found):
            found = tuple(one for one in found if one.upstream.protocol == protocol)
        if all(not one.upstream.group_codes or group_code in one.upstream.group_codes for one in found):
            return found
        return tuple(one for one in found if not one.upstream.group_codes or group_code in one.upstream.group_codes)
