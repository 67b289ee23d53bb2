"""A plan: the people of one source stay on the old entry until the wave they are put into is switched."""

from dataclasses import dataclass, field

from django.db import transaction
from django.utils.translation import gettext as _

from accounts.models import User
from accounts.rights import require
from accounts.services import audit
from billing.services.ledger import set_spendable
from config.foundation.errors import InvalidInput
from gateway.models import OldEntry
from gateway.services import set_routes
from keys.models import ApiKey
from migrations_center.models import Plan, Source
from migrations_center.services.locking import lock_plan
from migrations_center.services.wave_errors import PlanExists
from migrations_center.services.wave_facts import charged_here, key_ids_of, origin_of, people_of


@dataclass(frozen=True)
class PlanResult:
    """The plan and what it did; ``already_here`` are people who were charged here before and stay on the new entry."""

    plan: Plan
    routed_key_count: int
    closed_purse_count: int
    already_here: list[User] = field(default_factory=list)


@transaction.atomic
def create_plan(*, actor: User | None, source: Source, name: str, old_entry: OldEntry | None) -> PlanResult:
    """Plan the move of a source's people: their keys are passed on to the old entry, their brought balance waits.

    People who were charged here already keep the new entry and are listed. Raises PlanExists, InvalidInput.
    """
    if actor:
        require(actor, "migrations.manage")
    name = name.strip()
    if not name:
        raise InvalidInput(_("A plan needs a name."), fields={"name": [_("A plan needs a name.")]})
    if old_entry is None:
        message = _("Say where the old gateway can be reached: calls go there until the switch.")
        raise InvalidInput(message, fields={"old_entry": [message]})
    lock_plan(source.pk)
    if Plan.objects.filter(source=source).exists():
        raise PlanExists(_("This source has a plan already. Its people can be in one plan only."))
    before = {"old_entry": str(source.old_entry) if source.old_entry else ""}
    source.old_entry = old_entry
    source.save(update_fields=["old_entry"])
    plan = Plan.objects.create(name=name, source=source, created_by=actor)
    result = _park(actor, plan, old_entry)
    audit.record(
        actor=actor,
        action="plan.create",
        target=plan,
        before=before,
        after={
            "old_entry": old_entry.name,
            "keys_on_old_entry": result.routed_key_count,
            "purses_waiting": result.closed_purse_count,
            "already_here": len(result.already_here),
        },
    )
    return result


def _park(actor: User | None, plan: Plan, old_entry: OldEntry) -> PlanResult:
    source = plan.source
    people = set(people_of(source).values_list("pk", flat=True))
    here = charged_here(source, people)
    waiting = sorted(people - here)
    theirs = key_ids_of(source, here)
    others = sorted(set(key_ids_of(source)) - set(theirs))
    # Keys of people who stay here only learn where they came from.
    set_routes(actor=actor, key_ids=theirs, route=ApiKey.Route.NEW, old_entry=old_entry)
    routed = set_routes(actor=actor, key_ids=others, route=ApiKey.Route.OLD, old_entry=old_entry)
    closed = set_spendable(actor=actor, user_ids=waiting, origin=origin_of(source), is_spendable=False)
    return PlanResult(plan, routed, closed, list(User.objects.filter(pk__in=here).order_by("username")))
