"""The looks that Celery takes: limits, models without a price, old holds, deliveries that fail. Each is safe to run twice."""

from datetime import timedelta

from django.db import connection

from billing.models import AlertKind
from billing.services.alerts.firing import Seen, step
from billing.services.alerts.rules import rule_of
from config.foundation.clock import now

# Windows of now that are half used or more, or whose last look said that a threshold was crossed.
_LIMITS = """
SELECT l.id, l.scope, l.span, l.limit_nano, w.starts_at, w.spent_nano, l.key_id, k.name, p.username, g.name,
    coalesce(k.owner_id, l.user_id), coalesce(k.team_id, CASE WHEN l.user_id IS NULL THEN l.group_id END),
    CASE WHEN l.limit_nano = 0 THEN 100 ELSE LEAST(w.spent_nano::numeric * 100 / l.limit_nano, 1000000)::int END
FROM billing_spendlimit l
JOIN billing_spendwindow w ON w.limit_id = l.id AND w.starts_at <= %(moment)s AND (w.ends_at IS NULL OR w.ends_at > %(moment)s)
LEFT JOIN keys_apikey k ON k.id = l.key_id
LEFT JOIN accounts_user p ON p.id = l.user_id
LEFT JOIN accounts_group g ON g.id = l.group_id
WHERE (k.id IS NULL OR k.state <> 'revoked')
  AND (w.spent_nano >= l.limit_nano / 2
    OR EXISTS (SELECT 1 FROM billing_alertstate s WHERE s.subject = 'limit:' || l.id AND s.crossed <> '{}'))
ORDER BY l.id
"""
_UNPRICED = """
SELECT asked_model, count(*), count(DISTINCT user_id) FROM billing_requestlog
WHERE started_at >= %s AND outcome <> 'ok' AND error_code = 'model_not_priced' AND asked_model <> '' GROUP BY 1 ORDER BY 1
"""
_OLD_HOLDS = """
SELECT count(*), coalesce(sum(amount_nano), 0)::bigint, min(expires_at) FROM billing_hold
WHERE state = 'open' AND expires_at < %s
"""
_UNDELIVERED = """
SELECT (SELECT count(*) FROM accounts_outboundmail WHERE state = 'failed' AND claimed_at > %(since)s),
    (SELECT count(*) FROM accounts_outboundmail WHERE state = 'queued' AND attempts >= 3),
    (SELECT count(*) FROM billing_hookdelivery WHERE state = 'failed' AND claimed_at > %(since)s)
"""
OLD_AFTER = timedelta(minutes=5)
UNPRICED_WITHIN = timedelta(minutes=15)
FAILED_WITHIN = timedelta(hours=1)


def check_limits() -> int:
    """Tell whose limits are used to 80 or 100 % (or what they chose), once a window; gives the number told."""
    with connection.cursor() as cursor:
        cursor.execute(_LIMITS, {"moment": now()})
        rows = cursor.fetchall()
    told = 0
    for limit_id, scope, span, limit, starts_at, spent, key_id, key, person, team, user_id, group_id, used in rows:
        if user_id is None and group_id is None:
            continue
        rule = rule_of(AlertKind.LIMIT_USE, user_id=user_id, group_id=None if user_id else group_id)
        figures = {"scope": scope, "span": span, "name": key or person or team, "limit_nano": limit, "spent_nano": spent}
        if key_id:
            figures["key_id"] = key_id
        # Another limit is another period: it starts anew.
        period = f"{starts_at:%Y-%m-%d}/{limit}"
        told += step(rule, Seen(used, f"limit:{limit_id}", period, figures)) is not None
    return told


def check_unpriced() -> int:
    """Tell the house of models that were asked for and have no price: once per model and day."""
    moment = now()
    rule = rule_of(AlertKind.UNPRICED_MODEL)
    with connection.cursor() as cursor:
        cursor.execute(_UNPRICED, [moment - UNPRICED_WITHIN])
        rows = cursor.fetchall()
    told = 0
    for model, calls, people in rows:
        figures = {"model": model, "calls": calls, "people": people}
        told += step(rule, Seen(calls, f"model:{model[:180]}", moment.date().isoformat(), figures)) is not None
    return told


def check_holds() -> int:
    """Tell the house of holds that should have ended five minutes ago, and that there are none any more."""
    with connection.cursor() as cursor:
        cursor.execute(_OLD_HOLDS, [now() - OLD_AFTER])
        count, amount, oldest = cursor.fetchone()
    figures = {"holds": count, "amount_nano": amount, "oldest": oldest.isoformat() if oldest else ""}
    return int(step(rule_of(AlertKind.OLD_HOLDS), Seen(count, figures=figures)) is not None)


def check_deliveries() -> int:
    """Tell the house of mails and web hooks that failed within the hour or fail again and again."""
    with connection.cursor() as cursor:
        cursor.execute(_UNDELIVERED, {"since": now() - FAILED_WITHIN})
        failed, struggling, hooks = cursor.fetchone()
    figures = {"mails_failed": failed, "mails_struggling": struggling, "hooks_failed": hooks}
    return int(step(rule_of(AlertKind.DELIVERY_FAILING), Seen(failed + struggling + hooks, figures=figures)) is not None)


def tell_differences(open_count: int, run_id: str) -> int:
    """Tell the house what a reconciliation has left open, or that nothing is open any more."""
    seen = Seen(open_count, figures={"differences": open_count, "run": run_id})
    return int(step(rule_of(AlertKind.DIFFERENCE), seen) is not None)
