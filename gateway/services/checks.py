"""Access checks: the portal calls its own entry with somebody's key, as that person's client would.

The check never sees a stored key. It gives the key one more secret that lives for two minutes, uses it and ends it.
"""

import uuid
from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.utils.translation import gettext as _

from accounts.models import User
from accounts.services import audit
from config.foundation.clock import now
from config.foundation.errors import InvalidInput, PortalError
from config.foundation.redaction import mask
from gateway.models import AccessCheck
from gateway.probes import PROFILES, probe
from keys.models import ApiKey
from keys.selectors import key_for
from keys.services import add_secret, require_manage, revoke_secret

SECRET_LIFE = timedelta(minutes=2)


@transaction.atomic
def start_check(*, actor: User, key_id: int, profile: str, model: str) -> AccessCheck:
    """A check of one of the actor's keys, taken by a worker on commit. Raises NotFound, NotAllowed or InvalidInput."""
    key = key_for(actor, key_id)
    require_manage(actor, key)
    if key.state != ApiKey.State.ACTIVE:
        raise InvalidInput(_("Only an active key can be checked."))
    if key.route != ApiKey.Route.NEW:
        raise InvalidInput(_("This key is not served here yet, so there is nothing to check."))
    if profile not in PROFILES:
        raise InvalidInput(_("There is no such kind of client."))
    if not model.strip() or mask(model) != model:
        raise InvalidInput(_("Name a model."))
    check = AccessCheck.objects.create(key=key, asked_by=actor, profile=profile, model_name=model.strip()[:255])
    audit.record(actor=actor, action="key.access_check", target=key, after={"profile": profile, "model": check.model_name})

    def hand_over() -> None:
        from gateway.tasks import run_access_check_task

        run_access_check_task.delay(str(check.pk))

    transaction.on_commit(hand_over)
    return check


def run_check(check_id: uuid.UUID) -> AccessCheck | None:
    """Make the calls, once: of two workers one takes the check. Gives None to the other."""
    if not AccessCheck.objects.filter(pk=check_id, state=AccessCheck.State.WAITING).update(state=AccessCheck.State.RUNNING):
        return None
    check = AccessCheck.objects.select_related("key", "asked_by").get(pk=check_id)
    try:
        results = _calls(check)
    except PortalError as error:
        results = [{"is_stream": False, "cause": "refused", "error_code": error.code}]
    check.results = results
    check.state = AccessCheck.State.PASSED if results and not any(one["cause"] for one in results) else AccessCheck.State.FAILED
    check.ended_at = now()
    check.save(update_fields=["results", "state", "ended_at"])
    return check


def _calls(check: AccessCheck) -> list[dict[str, object]]:
    clear = add_secret(actor=check.asked_by, key=check.key, valid_until=now() + SECRET_LIFE)
    try:
        outcomes = probe(settings.PUBLIC_URL.rstrip("/"), clear, check.model_name, PROFILES[check.profile])
    finally:
        secret = check.key.secrets.filter(tail=clear[-4:], revoked_at=None).order_by("-pk").first()
        if secret is not None:
            revoke_secret(actor=check.asked_by, secret=secret, reason="access check")
    return [outcome.as_dict() for outcome in outcomes]
