"""Fallback rules: proposed by one person, in force when another one agrees, ended by anybody who may write them."""

from collections.abc import Collection

from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from accounts.models import User
from accounts.rights import require
from accounts.services import audit
from config.foundation.clock import now
from config.foundation.errors import NotAllowed
from gateway.errors import FallbackRefused
from gateway.models import FallbackRule
from models_catalog.models import AIModel

MANAGE = "fallbacks.manage"
APPROVE = "fallbacks.approve"


@transaction.atomic
def propose_fallback(
    *,
    actor: User,
    from_model: AIModel,
    to_model: AIModel,
    triggers: Collection[str],
    is_price_protected: bool = True,
    reason: str,
) -> FallbackRule:
    """A rule that does nothing yet; raises FallbackRefused for one that cannot be."""
    require(actor, MANAGE)
    wanted = sorted(set(triggers))
    if from_model == to_model:
        raise FallbackRefused(_("A model cannot answer instead of itself."))
    if not wanted or not set(wanted) <= set(FallbackRule.Trigger.values):
        raise FallbackRefused(_("Say when the rule applies."))
    if not reason.strip():
        raise FallbackRefused(_("Give a reason: whoever approves the rule reads it."))
    rule = FallbackRule.objects.create(
        from_model=from_model,
        to_model=to_model,
        triggers=wanted,
        is_price_protected=is_price_protected,
        reason=reason.strip()[:255],
        proposed_by=actor,
    )
    audit.record(actor=actor, action="fallback.proposed", target=rule, after=_told(rule))
    return rule


@transaction.atomic
def approve_fallback(*, actor: User, rule: FallbackRule) -> FallbackRule:
    """Put a proposed rule in force; the one in force for the same model ends. Raises NotAllowed for whoever proposed it,
    FallbackRefused for a rule that is not waiting. Relays obey within a second."""
    require(actor, APPROVE)
    if rule.proposed_by_id == actor.pk:
        raise NotAllowed(_("A rule is approved by somebody else than who wrote it."))
    moment = now()
    for before in FallbackRule.objects.filter(from_model_id=rule.from_model_id, state=FallbackRule.State.ACTIVE):
        _end(actor, before)
    try:
        with transaction.atomic():
            changed = FallbackRule.objects.filter(pk=rule.pk, state=FallbackRule.State.PROPOSED).update(
                state=FallbackRule.State.ACTIVE, approved_by=actor, approved_at=moment
            )
    except IntegrityError:
        raise FallbackRefused(_("Another rule for this model came into force at the same moment.")) from None
    if not changed:
        raise FallbackRefused(_("This rule is not waiting for approval."))
    rule.refresh_from_db()
    audit.record(actor=actor, action="fallback.approved", target=rule, after=_told(rule))
    return rule


@transaction.atomic
def end_fallback(*, actor: User, rule: FallbackRule) -> None:
    """Take a rule out of force, or a proposal back; twice is once."""
    require(actor, MANAGE)
    _end(actor, rule)


def _end(actor: User, rule: FallbackRule) -> None:
    changed = FallbackRule.objects.filter(pk=rule.pk).exclude(state=FallbackRule.State.ENDED)
    if changed.update(state=FallbackRule.State.ENDED, ended_at=now()):
        audit.record(actor=actor, action="fallback.ended", target=rule, before={"state": rule.state})


def _told(rule: FallbackRule) -> dict[str, object]:
    return {
        "from": rule.from_model.name,
        "to": rule.to_model.name,
        "when": list(rule.triggers),
        "price_protected": rule.is_price_protected,
        "reason": rule.reason,
    }
