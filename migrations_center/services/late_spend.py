"""What the old side spends between the reading and the switch, and after it, is taken over once per log row.

A person's purse opens with the balance of the last reading. Rows of the old log that arrive later for somebody who is on the
new side are not in that balance: each reading books what is new in them by one entry (purse to opening equity), which names
the rows. The purse may fall into debt by it: the old side had spent the money already.
"""

from dataclasses import dataclass
from datetime import datetime

from django.db import transaction
from django.db.models import Count, Q, Sum

from accounts.services import audit
from billing.locks import lock_purses_of
from billing.services.ledger import Posting, house_account, post_entries, purse_for
from config.foundation.ids import uuid7_from
from migrations_center.models import ImportedRow, ImportRun, LateLog, LateSpend, Source, Wave, WaveMember
from migrations_center.services.apply.plan_money import stamp
from migrations_center.services.wave_facts import USER_TYPE, last_run, origin_of

SHOWN_IDS = 12


def take_over(*, source: Source, run: ImportRun) -> int:
    """Book what waits, person by person, each in a transaction of their own; gives the number of entries."""
    waiting = LateLog.objects.filter(source=source, spend=None)
    return sum(
        _take_over_person(source, run, user_id) for user_id in waiting.order_by().values_list("user_id", flat=True).distinct()
    )


@transaction.atomic
def _take_over_person(source: Source, run: ImportRun, user_id: int) -> int:
    # The locks of the purses are what two readings at once wait for.
    lock_purses_of([user_id])
    logs = list(LateLog.objects.filter(source=source, user_id=user_id, spend=None).order_by("row_id").select_related("user"))
    if not logs:
        return 0
    user, amount = logs[0].user, sum(log.amount_nano for log in logs)
    number = LateSpend.objects.filter(source=source, user=user).count() + 1
    purse = purse_for(user=user, origin=origin_of(source))
    ids = [log.row_id for log in logs]
    (result,) = post_entries(
        [
            Posting(
                uuid7_from(stamp(source), source.code, "late_spend", user_id, number),
                "opening_correction",
                purse.pk,
                house_account("opening_equity", origin_of(source)).pk,
                amount,
                reason=_reason(ids),
                actor_id=run.started_by_id,
                allow_debt=True,
            )
        ]
    )
    spend = LateSpend.objects.create(
        source=source,
        run=run,
        user=user,
        number=number,
        is_flagged=number > 1,
        amount_nano=amount,
        log_ids=ids,
        entry_id=result.entry_id,
    )
    LateLog.objects.filter(pk__in=[log.pk for log in logs]).update(spend=spend)
    _note_figures(source, user_id, amount, sum(log.units for log in logs))
    audit.record(
        actor=run.started_by,
        action="import.late_spend",
        target=spend,
        after={"amount_nano": amount, "log_rows": len(ids), "number": number, "entry": result.entry_id},
    )
    return 1


def _reason(ids: list[int]) -> str:
    more = f" and {len(ids) - SHOWN_IDS} more" if len(ids) > SHOWN_IDS else ""
    return f"spent on the old side, log rows {', '.join(map(str, ids[:SHOWN_IDS]))}{more}"[:255]


def _note_figures(source: Source, user_id: int, amount: int, units: int) -> None:
    """What the gates compare the ledger with: the opening less what was taken over."""
    rows = ImportedRow.objects.filter(source=source, table="users", target_type=USER_TYPE, target_id=str(user_id))
    for row in rows:
        quota = dict(row.figures.get("quota", {}))
        quota["prepaid"] = str(int(quota.get("prepaid", 0)) - units)
        row.figures = {**row.figures, "nano": int(row.figures.get("nano", 0)) - amount, "quota": quota}
        row.save(update_fields=["figures"])


@dataclass(frozen=True, slots=True)
class Slack:
    """What may be spent on both sides: the old side's spend since ``read_at``. The rest was taken over."""

    read_at: datetime | None
    taken_over_nano: int
    entries: int
    flagged: int


def slack_of(wave: Wave) -> Slack:
    """The slack of a wave as its page states it; see docs/decisions/0015-late-spend.md."""
    source = wave.plan.source
    people = wave.members.filter(state=WaveMember.State.SWITCHED).values("user_id")
    spends = LateSpend.objects.filter(source=source, user_id__in=people)
    sums = spends.aggregate(total=Sum("amount_nano"), entries=Count("pk"), flagged=Count("pk", filter=Q(is_flagged=True)))
    run = last_run(source)
    return Slack(run.created_at if run else None, int(sums["total"] or 0), sums["entries"], sums["flagged"])
