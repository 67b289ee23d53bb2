"""How much a key may spend in all."""

from django.db import transaction
from django.utils.translation import gettext as _

from accounts.models import User
from accounts.services import audit
from billing.models import KeyBudget
from config.foundation.errors import InvalidInput, NotAllowed
from keys.models import ApiKey
from keys.services import may_manage


@transaction.atomic
def set_key_limit(*, actor: User | None, key: ApiKey, limit_nano: int | None) -> KeyBudget:
    """How much a key may spend in all, None for no limit; for its owner, its team's owners and staff who manage keys."""
    if not may_manage(actor, key):
        raise NotAllowed
    if limit_nano is not None and limit_nano < 0:
        raise InvalidInput(_("A limit is not negative."))
    KeyBudget.objects.get_or_create(key=key)
    before = KeyBudget.objects.values_list("limit_nano", flat=True).get(pk=key.pk)
    KeyBudget.objects.filter(pk=key.pk).update(limit_nano=limit_nano)
    if before != limit_nano:
        audit.record(
            actor=actor,
            action="key.limit_changed",
            target=key,
            before={"limit_nano": before},
            after={"limit_nano": limit_nano},
        )
    return KeyBudget.objects.get(pk=key.pk)
