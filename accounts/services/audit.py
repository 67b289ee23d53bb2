"""The one way to write an audit event."""

from typing import Any

from django.db.models import Model

from accounts.models import AuditEvent, User
from config.foundation.request_id import current_request_id


def record(
    *,
    actor: User | None,
    action: str,
    target: Model,
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
    reason: str = "",
    label: str = "",
) -> AuditEvent:
    """Write one event in the caller's transaction; ``actor`` None is the system itself. Never pass a secret."""
    return AuditEvent.objects.create(
        actor=actor,
        actor_name=actor.username if actor else "system",
        action=action,
        object_type=target._meta.label_lower,
        object_id=str(target.pk),
        object_label=(label or str(target))[:255],
        before=before or {},
        after=after or {},
        reason=reason,
        request_id=current_request_id.get(),
    )
