"""All limits of one kind of thing as lines for a page: money and calls, used, left, and when it begins anew."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from accounts.models import Group, User
from billing.selectors.limits import LimitState, limits_of, limits_of_call, member_limits, states_at_home
from config.foundation.clock import now
from keys.counts import used_now
from keys.models import ApiKey, CallLimit
from keys.selectors_limits import call_limit_of, call_limits_at_home, call_limits_on, member_call_limits

Word = str | Promise
WHOSE: dict[str, Word] = {
    "key": _("this key"),
    "profile": _("every key of the use profile"),
    "member": _("member of the team"),
    "group": _("the whole team"),
    "person": _("the person"),
}
SPANS: dict[str, Word] = {"total": _("money in all"), "daily": _("money a day"), "monthly": _("money a month")}
CALLS: tuple[tuple[str, str, Word], ...] = (
    ("requests_per_minute", "calls", _("calls a minute")),
    ("tokens_per_minute", "tokens", _("tokens a minute")),
    ("parallel_calls", "slots", _("calls at once")),
)
# The code a call is refused with when the limit has no room: what a program sees.
CODES = {"calls": "requests_per_minute_exceeded", "tokens": "tokens_per_minute_exceeded", "slots": "parallel_calls_exceeded"}
FULL, NEARLY = 100, 80


@dataclass(frozen=True, slots=True)
class LimitLine:
    """``unit`` says what the figures are: nano-USD ("usd") or a plain count. ``used`` None: not known just now."""

    scope: str
    kind: str
    what: Word
    unit: str
    limit: int
    used: int | None
    held: int
    resets_at: datetime | None
    time_zone: str
    code: str
    name: str = ""

    @property
    def whose(self) -> Word:
        return WHOSE[self.scope]

    @property
    def left(self) -> int | None:
        return None if self.used is None else max(0, self.limit - self.used - self.held)

    @property
    def percent(self) -> int:
        if not self.limit:
            return FULL
        return max(0, min(FULL, ((self.used or 0) + self.held) * 100 // self.limit))

    @property
    def look(self) -> str:
        """Class of the bar."""
        return "bad" if self.percent >= FULL else "warn" if self.percent >= NEARLY else ""

    @property
    def resets(self) -> str:
        """When it begins anew, on the clock of its own time zone, with the zone's name."""
        return f"{self.resets_at:%Y-%m-%d %H:%M} {self.time_zone}" if self.resets_at else ""

    @property
    def refusal(self) -> str:
        """Status and code of a refused call."""
        return f"{403 if self.kind == 'total' else 429} {self.code}"


def key_lines(key: ApiKey) -> list[LimitLine]:
    """Every limit a call of this key has to fit in. No rights are looked at: ask for keys the actor may see."""
    return [*_money(limits_of_call(key)), *_calls(call_limits_on(key))]


def own_lines(
    actor: User, *, key: ApiKey | None = None, user: User | None = None, group: Group | None = None
) -> list[LimitLine]:
    """The limits set on this key, person, team or member itself; raises NotFound for a stranger."""
    states = limits_of(actor, key=key, user=user, group=group)
    call_limit = call_limit_of(key=key, user=user, group=group)
    return [*_money(states), *_calls([call_limit] if call_limit else [])]


def members_lines(actor: User, team: Group) -> dict[int, list[LimitLine]]:
    """The limits of every member of a team, by person; for its owners and staff."""
    found: dict[int, list[LimitLine]] = {}
    for state in member_limits(actor, team):
        found.setdefault(state.user_id or 0, []).extend(_money([state]))
    for person_id, limit in member_call_limits(team).items():
        found.setdefault(person_id, []).extend(_calls([limit]))
    return found


def limits_at_home(person: User) -> list[LimitLine]:
    """Limits on the person, as a member of teams, and on the group that pays for the person's own keys."""
    return [*_money(states_at_home(person)), *_calls(call_limits_at_home(person))]


def _money(states: Iterable[LimitState]) -> list[LimitLine]:
    return [
        LimitLine(
            scope=state.scope,
            kind=state.span,
            what=SPANS[state.span],
            unit="usd",
            limit=state.limit_nano,
            used=state.spent_nano,
            held=state.held_nano,
            resets_at=state.resets_at,
            time_zone=state.time_zone,
            code=f"{state.scope}_limit_reached" if state.span == "total" else f"{state.scope}_{state.span}_limit_reached",
        )
        for state in states
    ]


def _calls(limits: Iterable[CallLimit]) -> list[LimitLine]:
    rows = list(limits)
    used = used_now([subject_of(row) for row in rows])
    minute = now().replace(second=0, microsecond=0) + timedelta(minutes=1)
    lines = []
    for row in rows:
        known: dict[str, Any] = used.get(subject_of(row), {})
        for field, kind, what in CALLS:
            limit = getattr(row, field)
            if limit is not None:
                resets_at = None if kind == "slots" else minute
                lines.append(
                    LimitLine(subject_of(row)[0], kind, what, "count", limit, known.get(kind), 0, resets_at, "UTC", CODES[kind])
                )
    return lines


def subject_of(limit: CallLimit) -> tuple[str, str]:
    """(kind, ids) under which the relays count it."""
    ids = ":".join(str(pk) for pk in (limit.key_id, limit.user_id, limit.group_id, limit.profile_id) if pk is not None)
    if limit.key_id is not None or limit.profile_id is not None:
        return ("profile" if limit.key_id is None else "key"), ids
    return ("group" if limit.user_id is None else "person" if limit.group_id is None else "member"), ids
