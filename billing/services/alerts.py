"""Low balance: one mail per crossing of a person's own threshold."""

from django.db import connection, transaction
from django.utils.translation import gettext as _

from accounts.models import User
from accounts.services import audit
from accounts.services.mail import queue_mail
from billing.models import AlertFire, BalanceAlert
from config.foundation.clock import now
from config.foundation.errors import InvalidInput, NotAllowed
from config.foundation.money import format_usd

# Money that cannot be spent here is not counted, and people who have none to spend here get no row: the old entry warns them.
_BALANCES = """
SELECT a.user_id, sum(a.balance_nano)::bigint AS balance FROM billing_ledgeraccount a
JOIN accounts_user p ON p.id = a.user_id AND p.is_active
WHERE a.is_purse AND a.is_spendable GROUP BY a.user_id
"""
# A person met for the first time is not told of a balance that was low before: only a later crossing fires.
_SEED = f"""
INSERT INTO billing_balancealert (user_id, threshold_nano, is_enabled, is_armed, epoch, last_balance_nano, checked_at)
SELECT b.user_id, %s, true, b.balance > %s, 0, b.balance, now() FROM ({_BALANCES}) b
WHERE NOT EXISTS (SELECT 1 FROM billing_balancealert x WHERE x.user_id = b.user_id)
ON CONFLICT DO NOTHING
"""  # noqa: S608
_REARM = f"""
UPDATE billing_balancealert x SET is_armed = true, last_balance_nano = b.balance, checked_at = now()
FROM ({_BALANCES}) b WHERE b.user_id = x.user_id AND NOT x.is_armed AND b.balance > x.threshold_nano
"""  # noqa: S608
_DUE = f"""
SELECT x.user_id FROM billing_balancealert x JOIN ({_BALANCES}) b ON b.user_id = x.user_id
WHERE x.is_armed AND b.balance < x.threshold_nano ORDER BY x.user_id LIMIT %s
"""  # noqa: S608
# Decides, for each person, who tells: of two workers one gets the row. Disabled alerts cross in silence.
_FIRE = f"""
UPDATE billing_balancealert x SET is_armed = false, epoch = x.epoch + 1, last_balance_nano = b.balance, checked_at = now()
FROM ({_BALANCES}) b WHERE b.user_id = x.user_id AND x.user_id = %s AND x.is_armed AND b.balance < x.threshold_nano
RETURNING x.epoch, x.threshold_nano, b.balance, x.is_enabled
"""  # noqa: S608
DEFAULT_THRESHOLD_NANO = 1_000_000_000


def check_low_balances(limit: int = 500) -> int:
    """Tell the people whose balance fell below their threshold since the last look; gives the number of mails written."""
    with connection.cursor() as cursor:
        cursor.execute(_SEED, [DEFAULT_THRESHOLD_NANO, DEFAULT_THRESHOLD_NANO])
        cursor.execute(_REARM)
        cursor.execute(_DUE, [limit])
        due = [user_id for (user_id,) in cursor.fetchall()]
    return sum(_fire(user_id) for user_id in due)


@transaction.atomic
def set_threshold(*, actor: User, user: User, threshold_nano: int, is_enabled: bool) -> BalanceAlert:
    """A person's own threshold. A new one is compared from now on: what is below it already does not fire."""
    if actor.pk != user.pk:
        raise NotAllowed
    if not 0 <= threshold_nano < 2**62:
        raise InvalidInput(_("A threshold is not negative."))
    alert, _created = BalanceAlert.objects.get_or_create(user=user)
    before = {"threshold_nano": alert.threshold_nano, "is_enabled": alert.is_enabled}
    with connection.cursor() as cursor:
        cursor.execute(
            f"""UPDATE billing_balancealert x SET threshold_nano = %s, is_enabled = %s,
                is_armed = coalesce((SELECT b.balance > %s FROM ({_BALANCES}) b WHERE b.user_id = x.user_id), false)
                WHERE x.user_id = %s""",  # noqa: S608
            [threshold_nano, is_enabled, threshold_nano, user.pk],
        )
    alert.refresh_from_db()
    after = {"threshold_nano": alert.threshold_nano, "is_enabled": alert.is_enabled}
    if before != after:
        audit.record(actor=actor, action="alert.changed", target=user, before=before, after=after)
    return alert


@transaction.atomic
def _fire(user_id: int) -> int:
    with connection.cursor() as cursor:
        cursor.execute(_FIRE, [user_id])
        row = cursor.fetchone()
    if row is None:
        return 0
    epoch, threshold, balance, is_enabled = row
    if not is_enabled:
        return 0
    user = User.objects.get(pk=user_id)
    AlertFire.objects.create(user=user, epoch=epoch, threshold_nano=threshold, balance_nano=balance)
    mail = queue_mail(
        user=user,
        kind="low_balance",
        dedupe_key=f"low_balance:{user_id}:{epoch}",
        template="low_balance",
        context={"balance": format_usd(balance, 2), "threshold": format_usd(threshold, 2), "moment": now()},
    )
    return int(mail is not None)
