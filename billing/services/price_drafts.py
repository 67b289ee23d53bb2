"""Drafts of price versions: one per book, edited freely, then published as a version that never changes."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal

from django.db import transaction
from django.utils.translation import gettext as _

from accounts.models import User
from accounts.rights import require
from accounts.services import audit
from billing.locks import lock_book
from billing.models import GroupMultiplier, PriceBook, PriceRule, PriceVersion
from billing.pricing import RuleFigures
from billing.services.prices import figures_of, publish_version, stored_figures
from config.foundation.clock import now
from config.foundation.errors import Conflict

RIGHT = "prices.manage"
Rules = Mapping[str, RuleFigures]
Multipliers = Mapping[tuple[str, str], Decimal]


class NotADraft(Conflict):
    """This version is published. It never changes; start a draft from it."""

    code = "not_a_draft"


def rules_of(version: PriceVersion) -> dict[str, RuleFigures]:
    return {rule.model_name: figures_of(rule) for rule in version.rules.all()}


def multipliers_of(version: PriceVersion) -> dict[tuple[str, str], Decimal]:
    return {(row.group_code, row.payer_group_code): row.multiplier for row in version.multipliers.all()}


@transaction.atomic
def start_draft(*, actor: User, book: PriceBook) -> PriceVersion:
    """The draft of a book: the one that is there, or a copy of the newest published version."""
    require(actor, RIGHT)
    lock_book(book.pk)
    versions = PriceVersion.objects.filter(book=book).order_by("-number")
    draft = versions.filter(published_at=None).first()
    if draft is not None:
        return draft
    newest = versions.first()
    draft = PriceVersion.objects.create(
        book=book, number=newest.number + 1 if newest else 1, valid_from=now(), created_by=actor.username
    )
    if newest is not None:
        _fill(draft, rules_of(newest), multipliers_of(newest))
    audit.record(actor=actor, action="price_draft.started", target=draft)
    return draft


@transaction.atomic
def change_draft(
    *, actor: User, draft: PriceVersion, rules: Rules, multipliers: Multipliers, note: str, valid_from: datetime
) -> PriceVersion:
    """Replace everything a draft says. Raises NotADraft."""
    require(actor, RIGHT)
    _hold(draft)
    old_rules, old_multipliers = rules_of(draft), multipliers_of(draft)
    before = {"note": draft.note, "valid_from": draft.valid_from.isoformat()}
    draft.rules.all().delete()
    draft.multipliers.all().delete()
    _fill(draft, rules, multipliers)
    draft.note, draft.valid_from = note, valid_from
    draft.save(update_fields=["note", "valid_from"])
    changed = sorted(name for name in {*old_rules, *rules} if old_rules.get(name) != rules.get(name))
    pairs = {*old_multipliers, *multipliers}
    groups = sorted(f"{group}>{payer}" for group, payer in pairs if _differs(old_multipliers, multipliers, (group, payer)))
    after = {"note": note, "valid_from": valid_from.isoformat(), "models": changed, "multipliers": groups}
    audit.record(actor=actor, action="price_draft.changed", target=draft, before=before, after=after)
    return draft


@transaction.atomic
def publish_draft(*, actor: User, draft: PriceVersion) -> PriceVersion:
    """Publish what a draft says and end it; the newest version when that says the same. Raises NotADraft.

    A start that has passed meanwhile becomes now: prices never change backwards.
    """
    require(actor, RIGHT)
    _hold(draft)
    rules, multipliers, book = rules_of(draft), multipliers_of(draft), draft.book
    note, valid_from = draft.note, max(draft.valid_from, now())
    draft.delete()
    return publish_version(actor=actor, book=book, rules=rules, multipliers=multipliers, note=note, valid_from=valid_from)


@transaction.atomic
def discard_draft(*, actor: User, draft: PriceVersion) -> None:
    """Throw a draft away. Raises NotADraft."""
    require(actor, RIGHT)
    _hold(draft)
    audit.record(actor=actor, action="price_draft.discarded", target=draft, before={"note": draft.note})
    draft.delete()


def _hold(draft: PriceVersion) -> None:
    """One writer per book; who comes late finds the draft gone."""
    lock_book(draft.book_id)
    if not PriceVersion.objects.filter(pk=draft.pk, published_at=None).exists():
        raise NotADraft(_("This version is published. It never changes; start a draft from it."))
    draft.refresh_from_db()


def _fill(draft: PriceVersion, rules: Rules, multipliers: Multipliers) -> None:
    PriceRule.objects.bulk_create(
        [PriceRule(version=draft, model_name=name, **stored_figures(rule)) for name, rule in sorted(rules.items())],
        batch_size=1000,
    )
    GroupMultiplier.objects.bulk_create(
        [
            GroupMultiplier(version=draft, group_code=group, payer_group_code=payer, multiplier=value)
            for (group, payer), value in sorted(multipliers.items())
        ]
    )


def _differs(old: Multipliers, new: Multipliers, pair: tuple[str, str]) -> bool:
    return old.get(pair) != new.get(pair)
