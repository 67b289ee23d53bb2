"""Whether two places hold the same key: a digest over everything a decision reads of it, the route left out.

The route is what a wave changes; all the rest must be known to the data path before.
"""

import hashlib
from collections.abc import Mapping
from datetime import datetime

import orjson

from gateway.contract.types import KeyView


def fingerprint_of(views: Mapping[bytes, KeyView]) -> str:
    """Hex of SHA-256 over the living secrets of one key, each by its digest, with what was found behind it."""
    facts = [[digest.hex(), _facts(views[digest])] for digest in sorted(views)]
    return hashlib.sha256(orjson.dumps(facts, option=orjson.OPT_SORT_KEYS)).hexdigest()


def _facts(view: KeyView) -> list[object]:
    return [
        view.id,
        view.state,
        None if view.model_names is None else sorted(view.model_names),
        [str(one) for one in view.networks],
        view.group_id,
        view.auto_group_codes,
        view.ignores_channel_pin,
        _second(view.expires_at),
        _second(view.secret_valid_until),
        view.owner_id,
        view.owner_state,
        view.owner_group_id,
        view.team_id,
        view.purpose,
        *([view.profile.alias, view.profile.default_model, dict(view.profile.parameters)] if view.profile else []),
    ]


def _second(moment: datetime | None) -> float | None:
    """The same instant is the same number, whatever zone a connection tells it in."""
    return None if moment is None else moment.timestamp()
