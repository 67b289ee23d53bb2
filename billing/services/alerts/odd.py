"""Odd spend: every minute the last five minutes of each key and team against their own usual; evidence, and a pause if asked.

The sample is ``KeySpend``, counted again from the request log. The last six hours are left out of it, so that a spike does
not become the usual while it goes on.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection, transaction

from billing.alerting.odd_spend import Sample, Verdict, judge
from billing.models import AlertEvent, AlertKind, AlertRule
from billing.services.alerts.firing import Seen, step
from billing.services.alerts.rules import rule_of
from config.foundation.clock import now
from keys.models import ApiKey
from keys.services import pause_key

WINDOW = timedelta(minutes=5)
AT_MOST_EVERY = timedelta(hours=1)
KEPT = timedelta(days=14)
# Windows this young are counted again: their last calls may be written late.
SETTLING = timedelta(minutes=20)
LEFT_OUT = timedelta(hours=6)
TOP_CALLS = 5
PAUSE_REASON = "odd_spend"
_LOCK = "hashtext('billing_key_spend')"
_FOLD = """
INSERT INTO billing_keyspend (key_id, window_at, call_count, cost_nano)
SELECT key_id, date_bin('5 minutes', started_at, timestamptz 'epoch'), count(*), sum(cost_nano)
FROM billing_requestlog
WHERE started_at >= %(since)s AND started_at < %(until)s AND key_id IS NOT NULL AND cost_nano > 0 AND origin = 'relay'
GROUP BY 1, 2
ON CONFLICT ON CONSTRAINT key_spend_once DO UPDATE SET call_count = EXCLUDED.call_count, cost_nano = EXCLUDED.cost_nano
"""
# Keys that spend now, and keys whose last odd spend is not over yet.
_NOW = """
SELECT k.id, k.name, k.owner_id, k.team_id, coalesce(x.calls, 0), coalesce(x.cost, 0)::bigint FROM (
    SELECT key_id, count(*) AS calls, sum(cost_nano) AS cost FROM billing_requestlog
    WHERE started_at >= %(since)s AND started_at < %(until)s AND key_id IS NOT NULL AND cost_nano > 0 AND origin = 'relay'
    GROUP BY 1
) x FULL JOIN (
    SELECT DISTINCT substr(s.subject, 5)::bigint AS key_id
    FROM billing_alertstate s JOIN billing_alertrule r ON r.id = s.rule_id
    WHERE r.kind = 'odd_spend' AND s.subject LIKE 'key:%%' AND s.crossed <> '{}'
) open USING (key_id)
JOIN keys_apikey k ON k.id = key_id
WHERE (k.owner_id IS NOT NULL OR k.team_id IS NOT NULL)
ORDER BY k.id
"""
_PAST = """
SELECT extract(hour FROM window_at AT TIME ZONE 'UTC')::int, sum(cost_nano)::bigint FROM billing_keyspend
WHERE key_id = ANY (%s) AND window_at >= %s AND window_at < %s GROUP BY window_at
"""
_TOP = """
SELECT id, asked_model, cost_nano FROM billing_requestlog
WHERE key_id = ANY (%s) AND started_at >= %s AND started_at < %s AND cost_nano > 0 AND origin = 'relay'
ORDER BY cost_nano DESC, id LIMIT %s
"""


@dataclass(frozen=True, slots=True)
class Spender:
    """A key, or the keys of a team, with what they spent in the last five minutes."""

    key_ids: tuple[int, ...]
    name: str
    owner_id: int | None
    team_id: int | None
    calls: int
    cost_nano: int
    is_key: bool = True

    @property
    def subject(self) -> str:
        return f"key:{self.key_ids[0]}" if self.is_key else f"team:{self.team_id}"


def fold_spend_windows() -> int:
    """Count the youngest windows again from the log and drop the oldest; gives the rows written."""
    moment = now()
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"SELECT pg_try_advisory_xact_lock({_LOCK})")
        if not cursor.fetchone()[0]:
            return 0
        cursor.execute("SELECT max(window_at) FROM billing_keyspend")
        (newest,) = cursor.fetchone()
        since = _whole(max(newest - SETTLING, moment - KEPT) if newest else moment - KEPT)
        cursor.execute(_FOLD, {"since": since, "until": moment})
        written = int(cursor.rowcount)
        cursor.execute("DELETE FROM billing_keyspend WHERE window_at < %s", [moment - KEPT - timedelta(days=1)])
    return written


def check_odd_spend() -> int:
    """Judge every key and team that spends now; gives how many alerts were told."""
    moment = now()
    with connection.cursor() as cursor:
        cursor.execute(_NOW, {"since": moment - WINDOW, "until": moment})
        keys = [Spender((row[0],), *row[1:]) for row in cursor.fetchall()]
    told, spoken = 0, set()
    for spender in keys:
        event = _check(spender, _rule_of(spender), moment)
        if event is not None:
            told += 1
            spoken.add(spender.team_id)
    # A team whose key was told of just now needs no second message about the same money.
    for team in _teams(keys):
        if team.team_id not in spoken:
            told += _check(team, rule_of(AlertKind.ODD_SPEND, group_id=team.team_id), moment) is not None
    return told


@transaction.atomic
def _check(spender: Spender, rule: AlertRule, moment: datetime) -> AlertEvent | None:
    factor = rule.thresholds[0]
    verdict = judge(spender.cost_nano, moment.hour, _past(spender.key_ids, moment), factor)
    times = verdict.times_tenths // 10
    value = max(times, factor) if verdict.is_odd else min(times, factor - 1)
    pauses = rule.pauses_key and rule.is_enabled and spender.is_key
    figures = _evidence(spender, verdict, moment, is_paused=pauses) if verdict.is_odd else {}
    event = step(rule, Seen(value, spender.subject, "", figures, at_most_every=AT_MOST_EVERY))
    if event is not None and pauses:
        pause_key(actor=None, key=ApiKey.objects.get(pk=spender.key_ids[0]), reason=PAUSE_REASON)
    return event


def _rule_of(spender: Spender) -> AlertRule:
    own = AlertRule.objects.filter(kind=AlertKind.ODD_SPEND, key_id=spender.key_ids[0]).first()
    group_id = None if spender.owner_id else spender.team_id
    return own or rule_of(AlertKind.ODD_SPEND, user_id=spender.owner_id, group_id=group_id)


def _past(key_ids: Sequence[int], moment: datetime) -> list[Sample]:
    with connection.cursor() as cursor:
        cursor.execute(_PAST, [list(key_ids), moment - KEPT, moment - LEFT_OUT])
        return [Sample(hour, cost) for hour, cost in cursor.fetchall()]


def _evidence(spender: Spender, verdict: Verdict, moment: datetime, *, is_paused: bool) -> dict[str, Any]:
    with connection.cursor() as cursor:
        cursor.execute(_TOP, [list(spender.key_ids), moment - WINDOW, moment, TOP_CALLS])
        top = [{"id": row[0].hex, "model": row[1], "cost_nano": row[2]} for row in cursor.fetchall()]
    return {
        "name": spender.name,
        **({"key_id": spender.key_ids[0]} if spender.is_key else {"team_id": spender.team_id}),
        "from": (moment - WINDOW).isoformat(),
        "until": moment.isoformat(),
        "calls": spender.calls,
        "spent_nano": verdict.spent_nano,
        "usual_nano": verdict.usual_nano,
        "bound_nano": verdict.bound_nano,
        "times_tenths": verdict.times_tenths,
        "sample_size": verdict.sample_size,
        "is_same_hour": verdict.is_same_hour,
        "is_paused": is_paused,
        "top_calls": top,
    }


def _teams(keys: Sequence[Spender]) -> list[Spender]:
    """Teams with more than one key that spends, each as one spender. A lone key has been judged by itself."""
    by_team: dict[int, list[Spender]] = {}
    for spender in keys:
        if spender.team_id is not None:
            by_team.setdefault(spender.team_id, []).append(spender)
    names = dict(ApiKey.objects.filter(team_id__in=by_team).values_list("team_id", "team__name"))
    ids: dict[int, list[int]] = {}
    for key_id, team_id in ApiKey.objects.filter(team_id__in=by_team).values_list("pk", "team_id"):
        ids.setdefault(team_id or 0, []).append(key_id)
    return [
        Spender(
            tuple(ids[team_id]),
            names[team_id],
            None,
            team_id,
            sum(one.calls for one in spenders),
            sum(one.cost_nano for one in spenders),
            is_key=False,
        )
        for team_id, spenders in sorted(by_team.items())
        if len(spenders) > 1
    ]


def _whole(moment: datetime) -> datetime:
    """The beginning of the five minutes this moment is in."""
    return datetime.fromtimestamp(moment.timestamp() // 300 * 300, tz=moment.tzinfo)
