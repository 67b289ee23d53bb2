"""The configuration document of data planes: models, where they are served, groups, names. No credential is in it."""

import hashlib
import time
from collections.abc import Iterable
from datetime import datetime
from threading import BoundedSemaphore
from typing import Any

import orjson
from django.conf import settings
from django.db import connection

from config.foundation.clock import now
from gateway.contract.snapshot import Snapshot
from gateway.contract.types import Candidate, ModelView
from gateway.planes.cache import snapshots

LONGEST_WAIT = 30
LOOK_SECONDS = 0.5
MOST_EVENTS = 500
# A data plane that hears nothing for so long takes no new calls of prepaid accounts.
MOST_STALE_SECONDS = 900
# Each waiting reader has a thread; more than these are answered at once.
_waiting = BoundedSemaphore(32)


def config_document(moment: datetime | None = None) -> dict[str, Any]:
    """The document of now, with its ``version``: the same content has the same version."""
    moment = moment or now()
    body = _body(snapshots.get(), moment)
    version = hashlib.sha256(orjson.dumps(body, option=orjson.OPT_SORT_KEYS)).hexdigest()[:20]
    return {"version": version, "signed_at": moment.isoformat(), **body}


def changed_config(since: str, wait: int) -> dict[str, Any] | None:
    """The document once it differs from version ``since``; None when it does not within ``wait`` seconds."""
    found = config_document()
    if found["version"] != since or wait <= 0 or not _waiting.acquire(blocking=False):
        return found if found["version"] != since else None
    try:
        deadline = time.monotonic() + min(wait, LONGEST_WAIT)
        while time.monotonic() < deadline:
            if not connection.in_atomic_block:
                # Nobody keeps a connection of the pool while waiting.
                connection.close()
            time.sleep(min(LOOK_SECONDS, max(0.0, deadline - time.monotonic())))
            found = config_document()
            if found["version"] != since:
                return found
        return None
    finally:
        _waiting.release()


def secret_ref(upstream_id: int) -> str:
    return f"upstream-{upstream_id}"


def _body(snapshot: Snapshot, moment: datetime) -> dict[str, Any]:
    models = sorted(snapshot.models.values(), key=lambda model: model.id)
    return {
        "models": [_model(snapshot, model, moment) for model in models if model.group_codes],
        "names": [
            {"name": name, "model": mapped.model_name, "successor": mapped.successor}
            for name, mapped in sorted(snapshot.names.items())
        ],
        "groups": [
            {"code": group.code, "is_active": group.is_active, "usable": sorted(group.usable_codes)}
            for group in sorted(snapshot.groups.values(), key=lambda group: group.code)
        ],
        "settings": {
            "hold_seconds": settings.HOLD_SECONDS,
            "late_event_days": settings.LATE_EVENT_DAYS,
            "max_events": MOST_EVENTS,
            "max_stale_seconds": MOST_STALE_SECONDS,
        },
    }


def _model(snapshot: Snapshot, model: ModelView, moment: datetime) -> dict[str, Any]:
    price = snapshot.prices.price_for(model_name=model.name, payer_group_code="", used_group_code="", at=moment)
    return {
        "public_name": model.name,
        "modality": model.modality,
        "max_output_tokens": model.max_output_tokens,
        "created": model.created_at,
        "groups": sorted(model.group_codes),
        "price_id": price.version_id if price else None,
        "channels": _channels(snapshot.candidates.get(model.id, ())),
    }


def _channels(candidates: Iterable[Candidate]) -> list[dict[str, Any]]:
    return [
        {
            "id": one.upstream.id,
            "protocol": one.upstream.protocol,
            "base_url": one.upstream.base_url,
            "secret_ref": secret_ref(one.upstream.id) if one.upstream.credential else None,
            "upstream_model": one.upstream_name,
            "weight": one.upstream.weight,
            "priority": one.upstream.priority,
            "timeout_seconds": one.upstream.timeout_seconds,
            "groups": sorted(one.upstream.group_codes),
        }
        for one in candidates
    ]
