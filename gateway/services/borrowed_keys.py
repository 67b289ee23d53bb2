"""Test keys that a check borrows: for checks that the portal makes with calls of its own, charged to test money."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from django.utils.translation import gettext as _

from accounts.models import User
from config.foundation.clock import now
from config.foundation.errors import InvalidInput, PortalError
from keys.models import ApiKey
from keys.services import add_secret, require_manage, revoke_secret

SECRET_LIFE = timedelta(minutes=30)


def require_test_key(actor: User, key: ApiKey) -> ApiKey:
    """The key, if the actor manages it and it is an active test key that is served here. Raises InvalidInput, NotAllowed."""
    require_manage(actor, key)
    if key.purpose != ApiKey.Purpose.TEST:
        raise InvalidInput(_("Choose a key of purpose test: such calls are charged to test balance."), field="key")
    if key.state != ApiKey.State.ACTIVE:
        raise InvalidInput(_("Only an active key can be checked."), field="key")
    if key.route != ApiKey.Route.NEW:
        raise InvalidInput(_("This key is not served here yet, so there is nothing to check."), field="key")
    return key


@contextmanager
def borrowed_secret(actor: User, key: ApiKey, reason: str) -> Iterator[str | None]:
    """One more secret of the key while inside; None when the key takes none. It ends with the block, or by itself."""
    try:
        clear = add_secret(actor=actor, key=key, valid_until=now() + SECRET_LIFE)
    except PortalError:
        yield None
        return
    try:
        yield clear
    finally:
        secret = key.secrets.filter(tail=clear[-4:], revoked_at=None, valid_until__isnull=False).order_by("-pk").first()
        if secret is not None:
            revoke_secret(actor=actor, secret=secret, reason=reason)
