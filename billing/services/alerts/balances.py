"""Balances of people and teams against their thresholds, found by one query over all of them."""

from django.db import connection

from billing.alerting.crossing import HYSTERESIS
from billing.alerting.kinds import FACTS
from billing.models import AlertKind, AlertRule
from billing.services.alerts.firing import Seen, settle_in, step

# Money that cannot be spent here is not counted, and who has none to spend here gets no rule: the old entry warns them.
_BALANCES = """
SELECT a.user_id, a.group_id, sum(a.balance_nano)::bigint AS balance FROM billing_ledgeraccount a
LEFT JOIN accounts_user p ON p.id = a.user_id LEFT JOIN accounts_group g ON g.id = a.group_id
WHERE a.is_purse AND a.is_spendable AND (p.is_active OR g.is_active) GROUP BY a.user_id, a.group_id
"""
_SEED = f"""
INSERT INTO billing_alertrule (kind, user_id, group_id, key_id, thresholds, channels, is_enabled, pauses_key, created_at)
SELECT 'balance_low', b.user_id, b.group_id, NULL, %s, ARRAY['mail', 'hook'], true, false, now() FROM ({_BALANCES}) b
WHERE NOT EXISTS (SELECT 1 FROM billing_alertrule r WHERE r.kind = 'balance_low' AND r.key_id IS NULL
    AND (r.user_id = b.user_id OR r.group_id = b.group_id))
ON CONFLICT DO NOTHING
"""  # noqa: S608
# A balance met for the first time is not told of: only a later crossing is.
_KNOW = f"""
INSERT INTO billing_alertstate (rule_id, subject, period, crossed, epoch, version, last_value, checked_at)
SELECT r.id, '', '', ARRAY(SELECT t FROM unnest(r.thresholds) t WHERE b.balance < GREATEST(t, 1) ORDER BY t DESC), 0, 0,
    b.balance, now()
FROM billing_alertrule r JOIN ({_BALANCES}) b ON (b.user_id = r.user_id OR b.group_id = r.group_id)
WHERE r.kind = 'balance_low' AND r.key_id IS NULL
  AND NOT EXISTS (SELECT 1 FROM billing_alertstate s WHERE s.rule_id = r.id AND s.subject = '')
ON CONFLICT DO NOTHING
"""  # noqa: S608
# Rules whose thresholds and balance say that something changed since the last look, by the rules of alerting.crossing.
_DUE = f"""
SELECT r.id, b.balance FROM billing_alertrule r
JOIN ({_BALANCES}) b ON (b.user_id = r.user_id OR b.group_id = r.group_id)
JOIN billing_alertstate s ON s.rule_id = r.id AND s.subject = ''
WHERE r.kind = 'balance_low' AND r.key_id IS NULL AND (
    EXISTS (SELECT 1 FROM unnest(r.thresholds) t WHERE b.balance < GREATEST(t, 1) AND t <> ALL (s.crossed))
    OR EXISTS (SELECT 1 FROM unnest(s.crossed) t WHERE b.balance >= GREATEST(t, 1) + t / {HYSTERESIS}))
ORDER BY r.id LIMIT %s
"""  # noqa: S608
_ONE = f"SELECT b.balance FROM ({_BALANCES}) b WHERE b.user_id = %s OR b.group_id = %s"  # noqa: S608


def check_balances(limit: int = 1000) -> int:
    """Look at the balances that may have crossed or recovered; gives how many alerts and recoveries were told."""
    with connection.cursor() as cursor:
        cursor.execute(_SEED, [list(FACTS[AlertKind.BALANCE_LOW].thresholds)])
        cursor.execute(_KNOW)
        cursor.execute(_DUE, [limit])
        due = dict(cursor.fetchall())
    rules = AlertRule.objects.filter(pk__in=due).order_by("pk")
    return sum(step(rule, _seen(due[rule.pk])) is not None for rule in rules)


def settle_balance(rule: AlertRule) -> None:
    """Compare with changed thresholds without telling."""
    with connection.cursor() as cursor:
        cursor.execute(_ONE, [rule.user_id, rule.group_id])
        row = cursor.fetchone()
    if row is not None:
        settle_in(rule, _seen(row[0]))


def _seen(balance: int) -> Seen:
    return Seen(balance, figures={"balance_nano": balance})
