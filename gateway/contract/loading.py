"""Reads the snapshot and the keys from PostgreSQL: plain SQL over one connection, run in a thread by the relay.

Credentials of upstreams are opened here and nowhere else on the way to a call; one that cannot be opened leaves its
upstream out, with a warning that names the upstream only.
"""

import ipaddress
import logging
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Protocol

import orjson
from cryptography.fernet import InvalidToken

from billing.outcome_rules import HOUSE_RULES, OutcomeRules, OutcomeTable
from billing.pricing import BookPrices, Price, PriceTable, RuleFigures, VersionPrices
from billing.services.outcomes import CELLS_SQL, CURRENT_SQL, table_from
from config.foundation.crypto import unseal
from gateway.contract.fences import AccessRules, Fence
from gateway.contract.snapshot import Snapshot
from gateway.contract.types import (
    CallLimits,
    Candidate,
    FallbackView,
    GroupView,
    KeyView,
    MappedName,
    ModelView,
    Network,
    ProfileTable,
    UpstreamView,
    UseProfileView,
)

logger = logging.getLogger(__name__)

Row = tuple[Any, ...]
NOTHING_SAID: dict[str, Any] = {}


class Cursor(Protocol):
    """What Django's and psycopg's cursors have in common."""

    def execute(self, query: Any, params: Any = None, /) -> Any: ...
    def fetchall(self) -> list[Any]: ...
    def fetchone(self) -> Any: ...


VERSION_SQL = "SELECT last_value FROM gateway_config_version"
GROUPS_SQL = "SELECT id, code, is_active, usable_codes::text FROM accounts_group"
MODELS_SQL = """
SELECT m.id, m.name, m.modality, m.max_output_tokens, extract(epoch FROM m.created_at)::bigint,
       coalesce(array_agg(a.group_code) FILTER (WHERE a.group_code IS NOT NULL), '{}')
FROM models_catalog_aimodel m LEFT JOIN models_catalog_modelaccess a ON a.model_id = m.id
WHERE m.is_active GROUP BY m.id
"""
NAMES_SQL = """
SELECT e.old_name, m.name, e.bill_as_called, CASE WHEN e.kind = 'retired' THEN
    (SELECT before.name FROM models_catalog_namemapentry o JOIN models_catalog_aimodel before ON before.id = o.callable_model_id
     WHERE o.old_name = e.old_name AND before.is_active ORDER BY o.from_version_id DESC LIMIT 1) END
FROM models_catalog_namemapentry e LEFT JOIN models_catalog_aimodel m ON m.id = e.callable_model_id
WHERE e.until_version_id IS NULL
"""
UPSTREAMS_SQL = """
SELECT u.id, u.name, u.base_url, u.credential_sealed, u.group_codes, u.priority, u.weight, u.timeout_seconds,
       p.protocol
FROM models_catalog_upstream u JOIN models_catalog_provider p ON p.id = u.provider_id
WHERE u.state = 'enabled' AND p.protocol IN ('openai', 'anthropic')
"""
SERVED_SQL = "SELECT upstream_id, model_id, upstream_name, parameters::text FROM models_catalog_upstreammodel"
BOOKS_SQL = "SELECT id, code, formula, quota_per_unit, is_default FROM billing_pricebook"
VERSIONS_SQL = """
SELECT v.id, v.book_id, v.number, v.valid_from FROM billing_priceversion v
WHERE v.published_at IS NOT NULL AND v.valid_from >= coalesce(
    (SELECT max(c.valid_from) FROM billing_priceversion c
     WHERE c.book_id = v.book_id AND c.published_at IS NOT NULL AND c.valid_from <= now()), '-infinity')
ORDER BY v.book_id, v.valid_from DESC, v.number DESC
"""
RULES_SQL = """
SELECT version_id, model_name, basis, input_nano, cached_nano, cache_write_nano, output_nano, call_nano, item_nano,
       minimum_nano, source_figures::text, reasoning_nano, audio_input_nano, audio_output_nano, character_nano,
       unit_prices::text, rounding, rounding_step_nano
FROM billing_pricerule WHERE version_id = ANY(%s)
"""
ONE_RULE_SQL = """
SELECT b.code, b.formula, b.quota_per_unit, r.version_id, r.model_name, r.basis, r.input_nano, r.cached_nano,
       r.cache_write_nano, r.output_nano, r.call_nano, r.item_nano, r.minimum_nano, r.source_figures::text,
       r.reasoning_nano, r.audio_input_nano,
       r.audio_output_nano, r.character_nano, r.unit_prices::text, r.rounding, r.rounding_step_nano
FROM billing_pricerule r JOIN billing_priceversion v ON v.id = r.version_id JOIN billing_pricebook b ON b.id = v.book_id
WHERE r.version_id = %s AND r.model_name = %s
"""
VERSION_AT_SQL = """
SELECT id FROM billing_priceversion WHERE book_id = %s AND published_at IS NOT NULL AND valid_from <= %s
ORDER BY valid_from DESC, number DESC LIMIT 1
"""
MULTIPLIERS_SQL = """
SELECT version_id, group_code, payer_group_code, multiplier FROM billing_groupmultiplier WHERE version_id = ANY(%s)
"""
# One price of a version that need not be in force any more: a task is paid at the price of its admission.
PRICE_SQL = """
SELECT r.version_id, r.model_name, r.basis, r.input_nano, r.cached_nano, r.cache_write_nano, r.output_nano, r.call_nano,
       r.item_nano, r.minimum_nano, r.source_figures::text, r.reasoning_nano, r.audio_input_nano, r.audio_output_nano,
       r.character_nano, r.unit_prices::text, r.rounding, r.rounding_step_nano, b.code, b.formula, b.quota_per_unit
FROM billing_pricerule r JOIN billing_priceversion v ON v.id = r.version_id JOIN billing_pricebook b ON b.id = v.book_id
WHERE r.version_id = %s AND r.model_name = %s
"""
GROUP_BOOKS_SQL = "SELECT g.code, b.book_id FROM billing_groupbook b JOIN accounts_group g ON g.id = b.group_id"
FALLBACKS_SQL = """
SELECT f.from_model_id, f.id, m.name, f.is_price_protected, f.triggers
FROM gateway_fallbackrule f JOIN models_catalog_aimodel m ON m.id = f.to_model_id WHERE f.state = 'active'
"""
PROFILES_SQL = "SELECT group_id, key_id, profile FROM gateway_errorprofile"
OLD_ENTRIES_SQL = "SELECT id, base_url FROM gateway_oldentry WHERE is_active"
TIERS_SQL = "SELECT number, from_nano FROM billing_pricetier"
MODEL_TIERS_SQL = "SELECT m.name, t.number FROM billing_modeltier t JOIN models_catalog_aimodel m ON m.id = t.model_id"
FENCES_SQL = """
SELECT g.code, f.highest_tier, f.also_allowed FROM billing_groupfence f JOIN accounts_group g ON g.id = f.group_id
"""
TEAM_MONEY_SQL = "SELECT group_id, money FROM keys_teampolicy"
OTHER_TEAMS_SQL = "SELECT team_money FROM keys_accesspolicy"

KEY_COLUMNS = """
k.id, k.name, k.state, k.route, k.model_names, k.networks, k.group_id, k.auto_group_codes, k.ignores_channel_pin,
k.expires_at, s.tail, s.valid_until, s.revoked_at, k.owner_id, u.state, u.billing_group_id, k.team_id, e.old_entry_id,
(SELECT coalesce(json_agg(json_build_array(
        CASE WHEN l.key_id IS NOT NULL THEN 'key' WHEN l.profile_id IS NOT NULL THEN 'profile'
             WHEN l.user_id IS NULL THEN 'group' WHEN l.group_id IS NULL THEN 'person' ELSE 'member' END,
        concat_ws(':', l.key_id, l.user_id, l.group_id, l.profile_id),
        l.requests_per_minute, l.tokens_per_minute, l.parallel_calls
    ) ORDER BY l.id), '[]')::text
 FROM keys_calllimit l
 WHERE l.key_id = k.id
    OR (l.user_id = k.owner_id AND l.group_id IS NULL)
    OR (l.user_id = k.member_id AND l.group_id = k.team_id)
    OR (l.user_id IS NULL AND l.group_id = coalesce(k.team_id, u.billing_group_id))
    OR l.profile_id = k.profile_id),
k.purpose,
(SELECT json_build_array(p.alias, p.default_model, p.model_names, p.parameters)::text
 FROM keys_useprofile p WHERE p.id = k.profile_id)
"""
KEYS_SQL = f"""
SELECT s.digest, {KEY_COLUMNS}
FROM keys_keysecret s JOIN keys_apikey k ON k.id = s.key_id
LEFT JOIN accounts_user u ON u.id = k.owner_id
LEFT JOIN gateway_keyoldentry e ON e.key_id = k.id
WHERE s.digest = ANY(%s)
"""  # noqa: S608 - no value of a client is in this text
KEY_BY_ID_SQL = f"""
SELECT ''::bytea, {KEY_COLUMNS}
FROM keys_apikey k
LEFT JOIN LATERAL (
    SELECT tail, valid_until, revoked_at FROM keys_keysecret WHERE key_id = k.id
    ORDER BY (revoked_at IS NULL) DESC, valid_until DESC NULLS FIRST, created_at DESC LIMIT 1
) s ON true
LEFT JOIN accounts_user u ON u.id = k.owner_id
LEFT JOIN gateway_keyoldentry e ON e.key_id = k.id
WHERE k.id = %s
"""  # noqa: S608 - as above


def load_snapshot(cursor: Cursor) -> Snapshot:
    """The configuration as it is now. Run it inside one REPEATABLE READ transaction to get one state of it."""
    # The number is read first: a change that comes during the reading makes the next number, and so another reading.
    version = int(_all(cursor, VERSION_SQL)[0][0])
    groups = _groups(cursor)
    return Snapshot(
        version=version,
        groups=groups,
        groups_by_code={group.code: group for group in groups.values()},
        models={
            row[1]: ModelView(row[0], row[1], row[2], row[3], row[4], frozenset(row[5])) for row in _all(cursor, MODELS_SQL)
        },
        names={row[0]: MappedName(row[1], row[2], row[3] or "") for row in _all(cursor, NAMES_SQL)},
        candidates=_candidates(_upstreams(_all(cursor, UPSTREAMS_SQL)), _all(cursor, SERVED_SQL)),
        prices=_prices(cursor),
        old_entries={row[0]: row[1].rstrip("/") for row in _all(cursor, OLD_ENTRIES_SQL)},
        outcome_rules=_outcome_rules(cursor),
        fallbacks={row[0]: FallbackView(row[1], row[2], row[3], frozenset(row[4])) for row in _all(cursor, FALLBACKS_SQL)},
        profiles=_profiles(cursor),
        rules=_rules(cursor),
    )


def load_keys(cursor: Cursor, digests: Sequence[bytes]) -> dict[bytes, KeyView]:
    """The keys these digests stand for; unknown digests are missing from the answer."""
    return {bytes(row[0]): key_from_row(row) for row in _all(cursor, KEYS_SQL, (list(digests),))}


def load_key(cursor: Cursor, key_id: int) -> KeyView | None:
    """One key by its id, seen through its best secret; None when there is no such key."""
    rows = _all(cursor, KEY_BY_ID_SQL, (key_id,))
    return key_from_row(rows[0]) if rows else None


def load_price(cursor: Cursor, version_id: int, model_name: str, multiplier: Decimal) -> Price | None:
    """A published price as a call was admitted with it, in force or not; None when there is no such rule."""
    rows = _all(cursor, ONE_RULE_SQL, (version_id, model_name))
    if not rows:
        return None
    code, formula, quota_per_unit, *rule = rows[0]
    return Price(version_id, code, formula, quota_per_unit, model_name, _rule(tuple(rule)), multiplier)


def load_price_at(
    cursor: Cursor, book_id: int | None, model_name: str, payer_code: str, group_code: str, at: datetime
) -> Price | None:
    """The price of a model in a book as it was in force at a moment, also one that has been replaced since."""
    rows = _all(cursor, VERSION_AT_SQL, (book_id, at))
    if not rows:
        return None
    version_id = rows[0][0]
    found = {(row[1], row[2]): row[3] for row in _all(cursor, MULTIPLIERS_SQL, ([version_id],))}
    version = VersionPrices(version_id, 0, at, {}, found)
    return load_price(cursor, version_id, model_name, version.multiplier(group_code, payer_code))


def load_outcome_rules(cursor: Cursor, version_id: int) -> OutcomeRules:
    """One version of the table of ends, in force or not; 0 is the rule of the house."""
    if not version_id:
        return HOUSE_RULES
    return table_from([(version_id, "", False)], _all(cursor, CELLS_SQL, ([version_id],))).for_all


def key_from_row(row: Row) -> KeyView:
    profile = _profile(row[21])
    return KeyView(
        id=row[1],
        name=row[2],
        state=row[3],
        route=row[4],
        model_names=profile.model_names if profile else None if row[5] is None else frozenset(row[5]),
        networks=_networks(row[6]),
        group_id=row[7],
        auto_group_codes=tuple(row[8]),
        ignores_channel_pin=row[9],
        expires_at=row[10],
        tail=row[11] or "",
        secret_valid_until=row[12],
        secret_revoked_at=row[13],
        owner_id=row[14],
        owner_state=row[15],
        owner_group_id=row[16],
        team_id=row[17],
        old_entry_id=row[18],
        limits=() if row[19] == "[]" else tuple(CallLimits(*found) for found in orjson.loads(row[19])),
        purpose=row[20],
        profile=profile,
    )


def _profile(text: str | None) -> UseProfileView | None:
    if text is None:
        return None
    alias, default_model, model_names, parameters = orjson.loads(text)
    return UseProfileView(alias, default_model, frozenset(model_names), parameters)


def _all(cursor: Cursor, query: str, params: tuple[Any, ...] = ()) -> list[Row]:
    cursor.execute(query, params)
    return cursor.fetchall()


def _groups(cursor: Cursor) -> dict[int, GroupView]:
    rows = _all(cursor, GROUPS_SQL)
    return {row[0]: GroupView(row[0], row[1], row[2], tuple(orjson.loads(row[3]))) for row in rows}


def _rules(cursor: Cursor) -> AccessRules:
    return AccessRules(
        tiers=tuple(_all(cursor, TIERS_SQL)),
        model_tiers=dict(_all(cursor, MODEL_TIERS_SQL)),
        fences={row[0]: Fence(row[1], frozenset(row[2])) for row in _all(cursor, FENCES_SQL)},
        team_money=dict(_all(cursor, TEAM_MONEY_SQL)),
        other_teams=next((row[0] for row in _all(cursor, OTHER_TEAMS_SQL)), "any"),
    )


def _networks(texts: Sequence[str]) -> tuple[Network, ...]:
    """The blocks that can be read; when none can, one that matches nothing, so that a restricted key is never open."""
    found: list[Network] = []
    for text in texts:
        try:
            found.append(ipaddress.ip_network(text.strip(), strict=False))
        except ValueError:
            continue
    return tuple(found) if found or not texts else (ipaddress.ip_network("255.255.255.255/32"),)


def _upstreams(rows: list[Row]) -> dict[int, UpstreamView]:
    found = {}
    for upstream_id, name, base_url, sealed, group_codes, priority, weight, timeout, protocol in rows:
        try:
            credential = unseal(sealed) if sealed else ""
        except InvalidToken:
            logger.warning(
                "The credential of upstream %s (%s) cannot be opened with FIELD_KEYS; it is left out.", upstream_id, name
            )
            continue
        found[upstream_id] = UpstreamView(
            upstream_id, base_url.rstrip("/"), credential, frozenset(group_codes), priority, weight, timeout, protocol
        )
    return found


def _candidates(upstreams: dict[int, UpstreamView], served: list[Row]) -> dict[int, tuple[Candidate, ...]]:
    by_model: defaultdict[int, list[Candidate]] = defaultdict(list)
    for upstream_id, model_id, upstream_name, takes in served:
        if upstream_id in upstreams:
            found_takes = orjson.loads(takes) if takes != "{}" else NOTHING_SAID
            by_model[model_id].append(Candidate(upstreams[upstream_id], upstream_name, found_takes))
    for found in by_model.values():
        found.sort(key=lambda one: (-one.upstream.priority, one.upstream.id))
    return {model_id: tuple(found) for model_id, found in by_model.items()}


def _prices(cursor: Cursor) -> PriceTable:
    """The versions in force and those still to come: the table picks by the time of the call."""
    versions = _all(cursor, VERSIONS_SQL)
    ids = [row[0] for row in versions]
    rules: defaultdict[int, dict[str, RuleFigures]] = defaultdict(dict)
    for row in _all(cursor, RULES_SQL, (ids,)):
        rules[row[0]][row[1]] = _rule(row)
    multipliers: defaultdict[int, dict[tuple[str, str], Decimal]] = defaultdict(dict)
    for version_id, group_code, payer_code, multiplier in _all(cursor, MULTIPLIERS_SQL, (ids,)):
        multipliers[version_id][(group_code, payer_code)] = multiplier
    by_book: defaultdict[int, list[VersionPrices]] = defaultdict(list)
    for version_id, book_id, number, valid_from in versions:
        by_book[book_id].append(VersionPrices(version_id, number, valid_from, rules[version_id], multipliers[version_id]))
    books = _all(cursor, BOOKS_SQL)
    return PriceTable(
        books={row[0]: BookPrices(row[1], row[2], row[3], tuple(by_book[row[0]])) for row in books},
        default_book_id=next((row[0] for row in books if row[4]), None),
        group_books=dict(_all(cursor, GROUP_BOOKS_SQL)),
    )


def price_from_row(row: Row, multiplier: str) -> Price:
    """A row of ``PRICE_SQL``, with the multiplier the task was admitted at."""
    return Price(row[0], row[18], row[19], row[20], row[1], _rule(row), Decimal(multiplier or "1"))


def _profiles(cursor: Cursor) -> ProfileTable:
    rows = _all(cursor, PROFILES_SQL)
    return ProfileTable(
        for_all=next((profile for group_id, key_id, profile in rows if group_id is None and key_id is None), "portal"),
        by_group={group_id: profile for group_id, _, profile in rows if group_id is not None},
        by_key={key_id: profile for _, key_id, profile in rows if key_id is not None},
    )


def _outcome_rules(cursor: Cursor) -> OutcomeTable:
    current = _all(cursor, CURRENT_SQL)
    return table_from(current, _all(cursor, CELLS_SQL, ([row[0] for row in current],)))


def _rule(row: Row) -> RuleFigures:
    return RuleFigures(
        basis=row[2],
        input_nano=row[3],
        cached_nano=row[4],
        cache_write_nano=row[5],
        output_nano=row[6],
        call_nano=row[7],
        item_nano=row[8],
        minimum_nano=row[9],
        source_figures=orjson.loads(row[10]),
        reasoning_nano=row[11],
        audio_input_nano=row[12],
        audio_output_nano=row[13],
        character_nano=row[14],
        unit_prices=orjson.loads(row[15]),
        rounding=row[16],
        rounding_step_nano=row[17],
    )
