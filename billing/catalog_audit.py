"""Keeps the audit trail of the catalogue, which does not know people: subscribed when the apps are ready."""

from accounts.models import User
from accounts.services import audit
from models_catalog.hooks import CatalogChange


def record_changes(changes: list[CatalogChange]) -> None:
    """One audit event per change, in the transaction of the change; a name that is no person's stays in the reason."""
    people = {user.username: user for user in User.objects.filter(username__in={change.actor_name for change in changes})}
    for change in changes:
        actor = people.get(change.actor_name)
        by = "" if actor or change.actor_name == "system" else f"[{change.actor_name}]"
        audit.record(
            actor=actor,
            action=f"catalog.{change.action}",
            target=change.target,
            before=change.before,
            after=change.after,
            reason=" ".join(filter(None, (by, change.reason))),
        )
