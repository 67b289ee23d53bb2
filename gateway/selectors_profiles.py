"""Where the name of a model is written down: in use profiles, in keys, and in the clients of those who call."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connection
from django.db.models import Q

from accounts.models import User
from config.foundation.clock import now
from keys.models import ApiKey, UseProfile
from keys.selectors import keys_seen_by

COUNTED = timedelta(days=30)
MOST_KEYS = 500
# The newest call of each client of each key: what that client has written down today.
LAST_SQL = """
SELECT s.key_id, s.client_family, last.asked_model, last.started_at
FROM (SELECT DISTINCT key_id, client_family FROM gateway_entrysighting
      WHERE key_id = ANY(%(keys)s) AND day_on >= %(day)s) s
CROSS JOIN LATERAL (
    SELECT l.asked_model, l.started_at FROM billing_requestlog l
    WHERE l.key_id = s.key_id AND l.client_family = s.client_family AND l.started_at >= %(since)s AND l.asked_model <> ''
    ORDER BY l.started_at DESC, l.id DESC LIMIT 1
) last
ORDER BY s.key_id, s.client_family
"""


@dataclass(frozen=True, slots=True)
class Place:
    """One place that has to be changed when a model is: ``kind`` profile, key or client."""

    kind: str
    name: str
    key: ApiKey | None = None
    client: str = ""
    last_at: datetime | None = None


def places_of_names(actor: User, profile: UseProfile) -> list[Place]:
    """The places that hold a model's name among the profile's keys and, for a team's profile, all keys of that team.

    A key's own list is one place, each client whose newest call of the last 30 days named a model is one, and each profile
    that keys follow is one, whatever follows it.
    """
    whose = Q(profile=profile) | (Q(team=profile.team) if profile.team_id else Q(pk=None))
    found = keys_seen_by(actor).filter(whose).exclude(state=ApiKey.State.REVOKED).distinct()
    keys = {key.pk: key for key in found.order_by("pk")[:MOST_KEYS]}
    followed = {key.profile_id: key.profile for key in keys.values() if key.profile is not None}
    places = [Place("profile", one.name) for one in followed.values()]
    places += [Place("key", ", ".join(key.model_names[:3]), key) for key in keys.values() if key.model_names]
    at = now()
    with connection.cursor() as cursor:
        cursor.execute(LAST_SQL, {"keys": list(keys), "day": (at - COUNTED).date(), "since": at - COUNTED})
        rows = cursor.fetchall()
    for key_id, client, asked, last_at in rows:
        key = keys[key_id]
        if key.profile is None or asked != key.profile.alias:
            places.append(Place("client", asked, key, client, last_at))
    return places
