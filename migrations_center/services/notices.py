"""What members of a wave are told: one mail per person and occasion, a row first, in the person's language and zone."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.db import transaction
from django.utils.translation import gettext as _

from accounts.models import OutboundMail, User
from accounts.rights import require
from accounts.services.mail import queue_mail
from config.foundation.money import format_usd
from migrations_center.models import Wave, WaveMember, WaveNotice
from migrations_center.services.continuity import choices_of
from migrations_center.services.wave_errors import WrongState
from migrations_center.services.wave_facts import Decider, purses_of, used_models
from migrations_center.services.waves import move, require_turn, round_of

# A person's models are those they called in this time.
NAMES_DAYS = 90


@dataclass(frozen=True)
class NotifyResult:
    """``written``: new mails; ``told_before``: people who have theirs; ``no_address``: people nobody can write to."""

    written: int
    told_before: int
    no_address: list[str]


def notify(*, actor: User | None, wave: Wave, reason: str = "") -> NotifyResult:
    """Write the notices before the switch, once per person, and note that the wave was told; safe to repeat."""
    if actor:
        require(actor, "migrations.manage")
    wave.refresh_from_db()
    if wave.state not in (Wave.State.READY, Wave.State.NOTIFIED):
        raise WrongState(_("Make the wave ready first: notices name its time and figures."), state=wave.state)
    require_turn(wave)
    result = write_notices(wave)
    if wave.state == Wave.State.READY:
        move(wave, Wave.State.NOTIFIED, actor=actor, reason=reason)
    return result


def write_notices(wave: Wave) -> NotifyResult:
    """The 'before' mails of a wave, each with its notice in one transaction."""
    written, told_before, silent = 0, 0, []
    decide = Decider()
    waiting = wave.members.filter(state=WaveMember.State.WAITING).select_related("user", "wave__plan__source__old_entry")
    for member in waiting.order_by("user__username"):
        notice, is_new = tell(member=member, occasion=WaveNotice.Occasion.BEFORE, decide=decide)
        if notice.mail_id is None:
            silent.append(member.user.username)
        elif is_new:
            written += 1
        else:
            told_before += 1
    return NotifyResult(written, told_before, silent)


@transaction.atomic
def tell(*, member: WaveMember, occasion: str, decide: Decider | None = None, added_nano: int = 0) -> tuple[WaveNotice, bool]:
    """Write one mail and its notice together; gives the notice that is there when this was done before."""
    known = WaveNotice.objects.filter(member=member, occasion=occasion).first()
    if known:
        return known, False
    mail = queue_mail(
        user=member.user,
        kind=f"wave_{occasion}",
        dedupe_key=f"wave:{member.wave_id}:{round_of(member.wave)}:{member.pk}:{occasion}",
        template=f"wave_{occasion}",
        context=_context(member, occasion, decide or Decider(), added_nano),
    )
    # The constraint decides when two workers write at once; the loser's mail is the winner's by its dedupe key.
    row = WaveNotice(member=member, occasion=occasion, mail=mail, skipped_reason="" if mail else "no_address")
    WaveNotice.objects.bulk_create([row], ignore_conflicts=True)
    return WaveNotice.objects.get(member=member, occasion=occasion), True


def unfinished(wave: Wave) -> int:
    """Mails of the wave that are not delivered for sure."""
    done = (OutboundMail.State.SENT, OutboundMail.State.CANCELLED)
    return WaveNotice.objects.filter(member__wave=wave, mail__isnull=False).exclude(mail__state__in=done).count()


def _context(member: WaveMember, occasion: str, decide: Decider, added_nano: int) -> dict[str, Any]:
    wave = member.wave
    source = wave.plan.source
    balance = sum(purses_of(source, [member.user_id]).values_list("balance_nano", flat=True))
    renamed = [] if occasion == WaveNotice.Occasion.GOING_BACK else _renamed(member.user, decide)
    switched_at = member.switched_at or wave.planned_at
    old_url = source.old_entry.base_url if source.old_entry else ""
    return {
        "wave": wave,
        "source": source,
        "renamed": renamed,
        **({} if occasion == WaveNotice.Occasion.GOING_BACK else choices_of(member)),
        "balance": format_usd(balance),
        "planned_at": wave.planned_at,
        "switched_at": member.switched_at,
        "window_until": switched_at + timedelta(hours=wave.window_hours) if switched_at else None,
        "old_url": old_url,
        "new_url": settings.PUBLIC_URL.rstrip("/") + "/v1",
        "same_host": urlsplit(old_url).netloc == urlsplit(settings.PUBLIC_URL).netloc,
        "statement": _statement(member, added_nano),
    }


def _renamed(person: User, decide: Decider) -> list[dict[str, str]]:
    """The person's models whose name changes; ``new`` is empty for one that is retired."""
    names = {name for by_key in used_models([person.pk], NAMES_DAYS)[person.pk].values() for name in by_key}
    return [{"old": old, "new": new} for old, new in decide.renamed(names)]


def _statement(member: WaveMember, added_nano: int) -> dict[str, str] | None:
    """Amounts as text; ``added`` is empty when nothing came in during the stay."""
    if member.opening_nano is None or member.spent_nano is None or member.closed_nano is None:
        return None
    return {
        "opening": format_usd(member.opening_nano - added_nano),
        "added": format_usd(added_nano) if added_nano else "",
        "spent": format_usd(member.spent_nano),
        "closed": format_usd(member.closed_nano),
    }
