"""What those who book money look up before they do, and whose figures a person may ask for."""

from accounts.models import Group, User
from accounts.rights import may, require
from billing.models import LedgerAccount, LedgerEntry
from config.foundation.errors import NotFound

RIGHT = "ledger.adjust"


def person_whose(actor: User, user_id: int | None, right: str) -> User:
    """The person a question is about: oneself, or another one for those with ``right``. NotFound for everybody else."""
    if user_id is None or user_id == actor.pk:
        return actor
    person = User.objects.filter(pk=user_id).first() if may(actor, right) else None
    if person is None:
        raise NotFound
    return person


def payer_for(actor: User, *, user_id: int | None, group_id: int | None) -> tuple[User | None, Group | None]:
    """The person or the team of these numbers; raises NotFound."""
    require(actor, RIGHT)
    user = User.objects.filter(pk=user_id).first() if user_id is not None else None
    group = Group.objects.filter(pk=group_id).first() if group_id is not None else None
    if (user_id is not None and user is None) or (group_id is not None and group is None):
        raise NotFound
    return user, group


def purse_to_adjust(actor: User, purse_id: int) -> LedgerAccount:
    """A purse of a person or team; accounts of the house are NotFound."""
    require(actor, RIGHT)
    purse = LedgerAccount.objects.filter(pk=purse_id, is_purse=True).first()
    if purse is None:
        raise NotFound
    return purse


def entry_to_reverse(actor: User, entry_id: int) -> LedgerEntry:
    require(actor, RIGHT)
    entry = LedgerEntry.objects.filter(pk=entry_id).first()
    if entry is None:
        raise NotFound
    return entry
