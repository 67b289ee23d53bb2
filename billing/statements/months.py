"""Months of a zone: where they begin, and which have ended."""

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from accounts.models import Group, GroupMembership, User

DEFAULT_ZONE = "UTC"


def zone_of(owner: User | Group) -> str:
    """The zone an account's months and days are counted in: a person's own, for a team that of its longest-standing owner,
    as its spend limits have it; UTC where there is none or one that is not known."""
    name = owner.time_zone if isinstance(owner, User) else _zone_of_team(owner)
    return name if is_zone(name) else DEFAULT_ZONE


def _zone_of_team(team: Group) -> str:
    owners = team.memberships.filter(team_role=GroupMembership.TeamRole.OWNER, user__is_active=True)
    first = owners.order_by("created_at", "pk").select_related("user").first()
    return first.user.time_zone if first else DEFAULT_ZONE


def is_zone(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True


def first_of(month: date) -> date:
    return month.replace(day=1)


def month_after(month: date) -> date:
    return date(month.year + month.month // 12, month.month % 12 + 1, 1)


def month_before(month: date) -> date:
    return date(month.year - (month.month == 1), (month.month - 2) % 12 + 1, 1)


def start_of(day: date, zone: str) -> datetime:
    """The instant a day begins in a zone, as UTC. Where midnight is skipped by a clock change, the first instant after it."""
    return datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(zone)).astimezone(UTC)


def bounds_of(month: date, zone: str) -> tuple[datetime, datetime]:
    return start_of(first_of(month), zone), start_of(month_after(month), zone)


def last_ended(zone: str, at: datetime) -> date:
    """The newest month that is over in the zone at an instant."""
    return month_before(first_of(at.astimezone(ZoneInfo(zone)).date()))


def has_ended(month: date, zone: str, at: datetime) -> bool:
    return bounds_of(month, zone)[1] <= at


def parse_month(text: str) -> date | None:
    """``2026-08`` as its first day, or None."""
    try:
        return datetime.strptime(text.strip()[:7], "%Y-%m").replace(tzinfo=UTC).date()
    except ValueError:
        return None
