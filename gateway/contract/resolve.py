"""May this key make this call, at what price, and where does it go? A pure function of the snapshot, the key and the time.

The order of the checks is the order of the old products: the key, where it is used from, its owner, then (for keys served
here) its group and the model. What the old entry decides for keys still on the old route is not decided here.
"""

import ipaddress
from datetime import datetime
from functools import lru_cache

from config.foundation.redaction import mask
from gateway.contract import denials
from gateway.contract.snapshot import Snapshot
from gateway.contract.types import Ask, Decision, Denial, GroupView, KeyView, ModelView

MAX_NAME = 255


def resolve(snapshot: Snapshot, key: KeyView | None, ask: Ask, now: datetime) -> Decision:
    """The decision on one call; ``key`` None stands for a secret nobody knows."""
    asked = clean_name(ask.model)
    if key is None:
        return Decision(denials.INVALID_KEY, None, asked_model=asked)
    refused = check_key(key, ask, now)
    group_codes: list[str] = []
    if refused is None and key.route == "new":
        refused = snapshot.rules.refused_money(key)
    if refused is None and key.route == "new":
        group_codes, refused = groups_of(snapshot, key)
    if refused is not None:
        payer_code = snapshot.group_code(key.payer_group_id)
        return Decision(refused, key, route=key.route, asked_model=asked, group_code=payer_code)
    if key.route == "old":
        return _old_route(snapshot, key, asked)
    return _new_route(snapshot, key, asked, group_codes, now, ask.protocol)


def check_key(key: KeyView, ask: Ask, now: datetime) -> Denial | None:
    """What is wrong with the key, its owner or the place it is used from, whatever is called with it."""
    if key.secret_revoked_at is not None or key.state == "revoked":
        return denials.INVALID_KEY
    if key.state == "paused":
        return denials.KEY_PAUSED
    if key.state != "active":
        return denials.KEY_DISABLED
    if _is_past(key.expires_at, now) or _is_past(key.secret_valid_until, now):
        return denials.KEY_EXPIRED
    if key.networks and not _inside(ask.address, key):
        return denials.NETWORK_NOT_ALLOWED
    if key.team_id is None and key.owner_state != "enabled":
        return denials.ACCOUNT_DISABLED
    if key.route == "closed":
        return denials.KEY_CLOSED
    if ask.has_pin and key.route == "new" and not key.ignores_channel_pin:
        return denials.CHANNEL_PIN_NOT_ALLOWED
    return None


def groups_of(snapshot: Snapshot, key: KeyView) -> tuple[list[str], Denial | None]:
    """Codes of the groups whose models and prices the key may use, in the order they are tried."""
    payer = snapshot.groups.get(key.payer_group_id or 0)
    payer_code = payer.code if payer else ""
    if key.team_id is not None and payer is not None and not payer.is_active:
        return [], denials.ACCOUNT_DISABLED
    if key.auto_group_codes:
        by_code = snapshot.groups_by_code
        tried = [code for code in key.auto_group_codes if code in by_code and _may_use(by_code[code], payer)]
        return tried, None if tried else denials.GROUP_NOT_ALLOWED
    if key.group_id is None or (payer and key.group_id == payer.id and payer.is_active):
        return [payer_code], None
    pinned = snapshot.groups.get(key.group_id)
    if pinned is None or not _may_use(pinned, payer):
        return [], denials.GROUP_NOT_ALLOWED
    return [pinned.code], None


def callable_models(snapshot: Snapshot, key: KeyView, now: datetime) -> list[tuple[str, ModelView]]:
    """What ``GET /v1/models`` lists: every name, old ones included, that a call with this key would be admitted for."""
    group_codes, refused = groups_of(snapshot, key)
    if refused or snapshot.rules.refused_money(key):
        return []
    aliases = {key.profile.alias} if key.profile else set()
    names = sorted(set(snapshot.models) | set(snapshot.names) | aliases)
    found = []
    for name in names:
        decision = _new_route(snapshot, key, name, group_codes, now)
        if decision.denial is None and decision.model is not None:
            found.append((name, decision.model))
    return found


@lru_cache(maxsize=8192)
def clean_name(name: str) -> str:
    """A model name as it may be logged and repeated: without NUL, cut to what the log holds, keys sent by mistake masked."""
    return mask(name.replace("\x00", "")[:MAX_NAME])


def _old_route(snapshot: Snapshot, key: KeyView, asked: str) -> Decision:
    base_url = snapshot.old_entries.get(key.old_entry_id or 0, "")
    return Decision(
        None if base_url else denials.OLD_ENTRY_MISSING,
        key,
        route="old",
        asked_model=asked,
        group_code=snapshot.group_code(key.payer_group_id),
        old_base_url=base_url,
    )


def _new_route(
    snapshot: Snapshot, key: KeyView, asked: str, group_codes: list[str], now: datetime, protocol: str = ""
) -> Decision:
    def refused(denial: Denial, group_code: str = group_codes[0], billed: str = "") -> Decision:
        return Decision(denial, key, asked_model=asked, group_code=group_code, billed_model=billed)

    if not asked:
        return refused(denials.NO_MODEL)
    # Whoever is bound to a use profile may leave the choice of the model to it.
    wanted = key.profile.default_model if key.profile and asked == key.profile.alias else asked
    mapped = snapshot.names.get(wanted)
    called = mapped.model_name if mapped else wanted
    if key.model_names is not None and wanted not in key.model_names and called not in key.model_names:
        return refused(denials.model_not_in_key(asked))
    model = snapshot.models.get(called or "")
    if model is None or not model.group_codes:
        return refused(_not_found(snapshot, asked, wanted, group_codes))
    group_code = next((code for code in group_codes if model.open_to(code)), None)
    if group_code is None:
        return refused(denials.model_not_in_group(asked))
    billed = model.name if mapped is None or mapped.bill_as_called else wanted
    payer_code = snapshot.group_code(key.payer_group_id)
    price = snapshot.prices.price_for(model_name=billed, payer_group_code=payer_code, used_group_code=group_code, at=now)
    if price is None:
        return refused(denials.model_not_priced(asked), group_code, billed)
    if snapshot.rules.fences:
        codes = {snapshot.group_code(key.payer_group_id), group_code}
        fenced = snapshot.rules.refused_tier(sorted(codes), model.name, asked, price)
        if fenced is not None:
            return refused(fenced, group_code, billed)
    candidates = snapshot.candidates_for(model, group_code, protocol)
    denial = None
    if not candidates:
        is_elsewhere = bool(protocol and snapshot.candidates_for(model, group_code))
        denial = denials.endpoint_not_supported(asked) if is_elsewhere else denials.model_unavailable(asked)
    return Decision(
        denial,
        key,
        asked_model=asked,
        model=model,
        billed_model=billed,
        group_code=group_code,
        price=price,
        outcome_rules=snapshot.outcome_rules.rules_for(payer_code),
        candidates=candidates,
    )


def _not_found(snapshot: Snapshot, asked: str, wanted: str, group_codes: list[str]) -> Denial:
    """The refusal names what a retired name led to, or the same name as it is written here, if that is open to the asker."""

    def is_open(name: str) -> bool:
        model = snapshot.models.get(name)
        return model is not None and any(model.open_to(code) for code in group_codes)

    mapped = snapshot.names.get(wanted)
    if mapped is not None:
        return denials.model_not_found(asked, mapped.successor if is_open(mapped.successor) else "")
    folded = wanted.strip().casefold()
    # A name of the map comes before a model of the same name, as for a call; a retired one leads nowhere.
    served = {name: name for name in snapshot.models} | {name: to.model_name or "" for name, to in snapshot.names.items()}
    alike = (name for name, called in served.items() if name.casefold() == folded and is_open(called))
    return denials.model_not_found(asked, meant=next(alike, ""))


def _may_use(group: GroupView, payer: GroupView | None) -> bool:
    return group.is_active and payer is not None and (group.code == payer.code or group.code in payer.usable_codes)


def _is_past(moment: datetime | None, now: datetime) -> bool:
    return moment is not None and moment <= now


def _inside(address: str, key: KeyView) -> bool:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped:
        parsed = parsed.ipv4_mapped
    return any(parsed in network for network in key.networks)
