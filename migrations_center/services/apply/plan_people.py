"""Which people land, under which name and address, in which state. No writes."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

from django.core.exceptions import ValidationError
from django.core.validators import validate_email

from accounts.models import Role, User
from accounts.models.people import STAFF_ROLES
from migrations_center.services.apply.carry import Carried, mark
from migrations_center.services.apply.context import REFUSE, ImportContext
from migrations_center.services.apply.portal import KnownRow
from migrations_center.services.apply.tally import CREATED, UNCHANGED, UPDATED
from migrations_center.sources.records import ROLE_ADMIN, ROLE_ROOT, OldUser

TABLE = "users"
LONGEST = 191


@dataclass(frozen=True)
class PersonPlan:
    old: OldUser
    outcome: str
    carried: Carried
    known: KnownRow | None
    joined_time: int

    @property
    def marks(self) -> dict[str, str]:
        """What tells that a later row of this id is still the same person."""
        return {"aff": mark(self.old.aff_code)} if self.old.aff_code else {}


def plan_people(context: ImportContext) -> dict[int, PersonPlan]:
    """Plans by old id; refused people are missing and counted."""
    tally, portal = context.tally, context.portal
    tally.table(TABLE).read = len(context.snapshot.users)
    names = _Names(context)
    addresses = _addresses(context)
    plans: dict[int, PersonPlan] = {}
    for user in sorted(context.snapshot.users, key=lambda user: user.id):
        known = portal.row(TABLE, user.id)
        if known and _is_another(user, known):
            tally.refuse(TABLE, user.id, "id_reused", label=user.username)
            continue
        username = names.free_for(user, known)
        if username is None:
            continue
        carried = _carried(context, user, username, addresses.get(user.id, ""))
        outcome = CREATED if known is None else UNCHANGED if known.digest == carried.digest() else UPDATED
        context.land(TABLE, outcome, known)
        plans[user.id] = PersonPlan(user, outcome, carried, known, user.created_time)
        if user.role >= ROLE_ADMIN and not context.options.grant_staff:
            tally.decide(TABLE, "staff_not_granted", row_id=user.id, label=user.username, role=user.role)
    tally.leave_part("users.access_token", "management_token", count=context.snapshot.access_token_count)
    return plans


def role_of(user: OldUser, *, grant_staff: bool) -> str:
    """Nobody becomes staff unless the operator says so."""
    if not grant_staff or user.role < ROLE_ADMIN:
        return Role.USER
    return Role.ADMIN if user.role >= ROLE_ROOT else Role.OPS


def state_of(user: OldUser) -> str:
    if user.is_deleted:
        return User.State.DELETED
    return User.State.ENABLED if user.is_enabled else User.State.DISABLED


def encoded_password(user: OldUser) -> str:
    """The bcrypt hash as Django spells it; "" where there is none that could verify, so the password is unusable."""
    return f"bcrypt${user.password}" if user.password.startswith("$2") else ""


def _carried(context: ImportContext, user: OldUser, username: str, email: str) -> Carried:
    role = role_of(user, grant_staff=context.options.grant_staff)
    state = state_of(user)
    wanted: dict[str, Any] = {
        "username": username,
        "email": email,
        "password": encoded_password(user),
        "display_name": (user.display_name or user.username)[:LONGEST],
        "role": role,
        "is_staff": role in STAFF_ROLES,
        "state": state,
        "is_active": state == User.State.ENABLED,
        "group": context.group_code(user.group),
        "language": "zh-hans" if user.language.lower().startswith("zh") else "en",
    }
    return Carried(wanted, sources={"username": user.username})


def _is_another(user: OldUser, known: KnownRow) -> bool:
    """Hard deletes free an id on SQLite; an invitation code never changes, so another code is another person."""
    before = known.figures.get("aff")
    return bool(before and user.aff_code and before != mark(user.aff_code))


class _Names:
    """Hands out user names: the old one, or a changed one where somebody else here has it. Never a silent merge."""

    def __init__(self, context: ImportContext) -> None:
        self.context = context
        self.taken = dict(context.portal.usernames)
        self.ours = {int(row.target_id): row_id for row_id, row in context.portal.rows_of(TABLE).items()}

    def free_for(self, user: OldUser, known: KnownRow | None) -> str | None:
        own_id = int(known.target_id) if known else None
        wanted = user.username.strip()[:LONGEST] or f"{self.context.code}-{user.id}"
        if self._is_free(wanted, own_id):
            return self._take(wanted, own_id)
        if known and known.figures.get("fields", {}).get("username", [""])[0] == mark(user.username):
            # He had to be renamed at an earlier import and keeps that name.
            return self._kept(int(known.target_id), wanted)
        if self.context.options.name_clash == REFUSE:
            self.context.tally.refuse(TABLE, user.id, "username_taken", label=user.username)
            return None
        stem = f"{wanted[: LONGEST - 50]}.{self.context.code}"
        number, changed = 2, stem
        while not self._is_free(changed, own_id):
            changed, number = f"{stem}.{number}", number + 1
        self.context.tally.decide(TABLE, "username_changed", row_id=user.id, label=user.username, username=changed)
        return self._take(changed, own_id)

    def _kept(self, own_id: int, wanted: str) -> str:
        return User.objects.filter(pk=own_id).values_list("username", flat=True).first() or wanted

    def _is_free(self, name: str, own_id: int | None) -> bool:
        holder = self.taken.get(name.lower())
        if holder is None and name.lower() not in self.taken:
            holder = User.objects.filter(username__iexact=name).values_list("pk", flat=True).first() if "." in name else None
        return holder is None or holder == own_id

    def _take(self, name: str, own_id: int | None) -> str:
        self.taken[name.lower()] = own_id if own_id is not None else -1
        return name


def _addresses(context: ImportContext) -> dict[int, str]:
    """E-mail addresses that land: each once. The first living person keeps it; others are left empty and reported."""
    tally, portal = context.tally, context.portal
    count = Counter(user.email.lower() for user in context.snapshot.users if user.email)
    given: dict[str, int] = {}
    answer: dict[int, str] = {}
    for user in sorted(context.snapshot.users, key=lambda user: (not user.is_enabled, user.id)):
        address = user.email.lower()
        if not address:
            continue
        known = portal.row(TABLE, user.id)
        holder = portal.emails.get(address)
        if not _is_address(user.email):
            tally.decide(TABLE, "email_unreadable", row_id=user.id, label=user.username)
        elif holder is not None and (known is None or int(known.target_id) != holder):
            tally.decide(TABLE, "email_taken_here", row_id=user.id, label=user.username)
        elif address in given:
            tally.decide(TABLE, "email_twice", row_id=user.id, label=user.username, first=given[address], people=count[address])
        else:
            given[address] = user.id
            answer[user.id] = user.email
    return answer


def _is_address(text: str) -> bool:
    try:
        validate_email(text)
    except ValidationError:
        return False
    return len(text) <= 254
