"""In whose shape errors are told, chosen for everybody, a group or a key; relays obey within a second."""

from django.db import transaction

from accounts.models import Group, User
from accounts.rights import require
from accounts.services import audit
from gateway.errors import ProfileRefused
from gateway.models import ErrorProfile
from keys.models import ApiKey

RIGHT = "catalog.manage"


@transaction.atomic
def set_error_profile(*, actor: User | None, profile: str, group: Group | None = None, key: ApiKey | None = None) -> None:
    """``profile`` "" takes the choice away, so that the next wider one counts; ``actor`` None is the system.

    Neither group nor key: for everybody. Raises ProfileRefused for an unknown shape or for both at once.
    """
    if actor is not None:
        require(actor, RIGHT)
    if (profile and profile not in ErrorProfile.Profile.values) or (group and key):
        raise ProfileRefused
    before = ErrorProfile.objects.filter(group=group, key=key).first()
    was = before.profile if before else ""
    if was == profile:
        return
    if not profile and before is not None:
        before.delete()
    else:
        ErrorProfile.objects.update_or_create(group=group, key=key, defaults={"profile": profile})
    target = key or group or actor
    if target is not None:
        audit.record(
            actor=actor, action="error_profile.set", target=target, before={"profile": was}, after={"profile": profile}
        )
