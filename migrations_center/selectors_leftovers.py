"""People who were switched and still call an old address."""

from dataclasses import dataclass

from accounts.models import User
from accounts.rights import require
from gateway.models import EntryPoint, EntrySighting
from gateway.selectors import Sighting, sightings
from migrations_center.models import WaveMember


@dataclass(frozen=True, slots=True)
class Leftover:
    """A switched person's calls at an old entry since the switch: the setting of one client that waits to be changed."""

    member: WaveMember
    entry: EntryPoint
    seen: Sighting


def leftovers_for(actor: User, limit: int = 500) -> list[Leftover]:
    """The latest first. Only calls that came in here count, under the old name; what goes to the old machine itself is
    seen when its log is read again."""
    require(actor, "migrations.view")
    switched = WaveMember.objects.filter(state=WaveMember.State.SWITCHED).exclude(switched_at=None)
    members = {member.user_id: member for member in switched.select_related("wave", "user")}
    found: list[Leftover] = []
    for entry in EntryPoint.objects.filter(side=EntryPoint.Side.OLD).select_related("owner"):
        # The route a key had at the call tells apart what was called before the switch from what was called after it.
        rows = EntrySighting.objects.filter(entry=entry, key__owner__in=members)
        for line in sightings(rows, route="new", limit=limit):
            member = members[line.key.owner_id or 0]
            if member.switched_at and line.last_at >= member.switched_at:
                found.append(Leftover(member, entry, line))
    return sorted(found, key=lambda leftover: leftover.seen.last_at, reverse=True)[:limit]
