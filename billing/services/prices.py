"""Publishing price versions, and looking prices up. A published version never changes: the database refuses it."""

import hashlib
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import fields
from datetime import datetime
from decimal import Decimal
from typing import Any

import orjson
from django.db import transaction

from accounts.models import Group, User
from accounts.rights import require
from accounts.services import audit
from billing.locks import lock_book
from billing.models import GroupBook, GroupMultiplier, PriceBook, PriceRule, PriceVersion
from billing.pricing import ROUNDINGS, UNIT_KEY, BookPrices, Price, PriceTable, RuleFigures, VersionPrices
from config.foundation.clock import now
from config.foundation.errors import InvalidInput

_FIGURES = tuple(field.name for field in fields(RuleFigures))
# Part of the digest from the start; figures that came later count only where they say something, so that the digests of
# earlier versions stay what they are.
_FIRST_FIGURES = _FIGURES[: _FIGURES.index("source_figures") + 1]
_SILENT = RuleFigures()


@transaction.atomic
def create_book(
    *, actor: User | None, code: str, name: str, formula: str, quota_per_unit: Decimal = Decimal(0), is_default: bool = False
) -> PriceBook:
    """A price book, or the one that has this code; ``actor`` None is the system. Raises InvalidInput on another formula."""
    if actor is not None:
        require(actor, "prices.manage")
    book, created = PriceBook.objects.get_or_create(
        code=code,
        defaults={"name": name, "formula": formula, "quota_per_unit": quota_per_unit, "is_default": is_default},
    )
    if (book.formula, book.quota_per_unit) != (formula, Decimal(quota_per_unit)):
        raise InvalidInput("A price book of this code calculates in another way.")
    if created:
        audit.record(actor=actor, action="price_book.created", target=book, after={"formula": formula})
    return book


@transaction.atomic
def publish_version(
    *,
    actor: User | None,
    book: PriceBook,
    rules: Mapping[str, RuleFigures],
    multipliers: Mapping[tuple[str, str], Decimal],
    note: str = "",
    valid_from: datetime | None = None,
) -> PriceVersion:
    """Publish prices by model name and multipliers by (group code, payer's group code or "").

    When the newest version of the book says the same, that one is given back. ``actor`` None is the system.
    """
    if actor is not None:
        require(actor, "prices.manage")
    _check(rules, multipliers)
    lock_book(book.pk)
    digest = content_digest(rules, multipliers)
    newest = PriceVersion.objects.filter(book=book, published_at__isnull=False).order_by("-number").first()
    if newest and newest.content_digest == digest:
        return newest
    last = PriceVersion.objects.filter(book=book).order_by("-number").values_list("number", flat=True).first()
    version = PriceVersion.objects.create(
        book=book,
        number=(last or 0) + 1,
        valid_from=valid_from or now(),
        created_by=actor.username if actor else "system",
        content_digest=digest,
        note=note,
    )
    PriceRule.objects.bulk_create(
        [PriceRule(version=version, model_name=name, **stored_figures(rule)) for name, rule in sorted(rules.items())],
        batch_size=1000,
    )
    GroupMultiplier.objects.bulk_create(
        [
            GroupMultiplier(version=version, group_code=group, payer_group_code=payer, multiplier=value)
            for (group, payer), value in sorted(multipliers.items())
        ]
    )
    version.published_at = now()
    version.save(update_fields=["published_at"])
    audit.record(
        actor=actor,
        action="price_version.published",
        target=version,
        after={"models": len(rules), "multipliers": len(multipliers), "digest": digest},
        reason=note,
    )
    return version


@transaction.atomic
def assign_book(*, actor: User | None, group: Group, book: PriceBook | None) -> None:
    """Let a billing group pay by a book; None gives it the default book again."""
    if actor is not None:
        require(actor, "prices.manage")
    before = GroupBook.objects.filter(group=group).values_list("book__code", flat=True).first()
    if book is None:
        GroupBook.objects.filter(group=group).delete()
    else:
        GroupBook.objects.update_or_create(group=group, defaults={"book": book})
    after = book.code if book else None
    if before != after:
        audit.record(actor=actor, action="group.book_changed", target=group, before={"book": before}, after={"book": after})


def price_for(
    *, model_name: str, payer_group_code: str = "", used_group_code: str = "", at: datetime | None = None
) -> Price | None:
    """The price of a model for a payer whose call runs in ``used_group_code``; None means the call must be refused."""
    moment = at or now()
    book = PriceBook.objects.filter(groups__group__code=payer_group_code).first() if payer_group_code else None
    book = book or PriceBook.objects.filter(is_default=True).first()
    version = (
        PriceVersion.objects.filter(book=book, published_at__isnull=False, valid_from__lte=moment)
        .order_by("-valid_from", "-number")
        .first()
    )
    rule = PriceRule.objects.filter(version=version, model_name=model_name).first() if version else None
    if book is None or version is None or rule is None:
        return None
    rows = GroupMultiplier.objects.filter(
        version=version, group_code=used_group_code, payer_group_code__in={"", payer_group_code}
    )
    multipliers = {(row.group_code, row.payer_group_code): row.multiplier for row in rows}
    prices = VersionPrices(version.pk, version.number, version.valid_from, {}, multipliers)
    return Price(
        version.pk,
        book.code,
        book.formula,
        book.quota_per_unit,
        model_name,
        figures_of(rule),
        prices.multiplier(used_group_code, payer_group_code),
    )


def load_table(at: datetime | None = None) -> PriceTable:
    """Every book with the version in force at a moment and those that come later: what a relay keeps in memory."""
    moment = at or now()
    wanted: list[PriceVersion] = []
    for book_id in PriceBook.objects.values_list("pk", flat=True):
        published = PriceVersion.objects.filter(book_id=book_id, published_at__isnull=False)
        current = published.filter(valid_from__lte=moment).order_by("-valid_from", "-number").first()
        wanted += [*published.filter(valid_from__gt=moment), *([current] if current else [])]
    ids = [version.pk for version in wanted]
    rules: dict[int, dict[str, RuleFigures]] = defaultdict(dict)
    for rule in PriceRule.objects.filter(version_id__in=ids).iterator():
        rules[rule.version_id][rule.model_name] = figures_of(rule)
    multipliers: dict[int, dict[tuple[str, str], Decimal]] = defaultdict(dict)
    for row in GroupMultiplier.objects.filter(version_id__in=ids).iterator():
        multipliers[row.version_id][row.group_code, row.payer_group_code] = row.multiplier
    versions: dict[int, list[VersionPrices]] = defaultdict(list)
    for version in sorted(wanted, key=lambda x: (x.valid_from, x.number), reverse=True):
        versions[version.book_id].append(
            VersionPrices(version.pk, version.number, version.valid_from, rules[version.pk], multipliers[version.pk])
        )
    books = {
        book.pk: BookPrices(book.code, book.formula, book.quota_per_unit, tuple(versions[book.pk]))
        for book in PriceBook.objects.all()
    }
    default = PriceBook.objects.filter(is_default=True).values_list("pk", flat=True).first()
    return PriceTable(books, default, dict(GroupBook.objects.values_list("group__code", "book_id")))


def figures_of(rule: PriceRule) -> RuleFigures:
    """The pure figures of a stored rule."""
    return RuleFigures(**{field: getattr(rule, field) for field in _FIGURES})


def content_digest(rules: Mapping[str, RuleFigures], multipliers: Mapping[tuple[str, str], Decimal]) -> str:
    """SHA-256 over prices and multipliers, whatever their order."""
    body: dict[str, Any] = {
        "rules": {name: _digested(rule) for name, rule in rules.items()},
        "multipliers": sorted([group, payer, format(value.normalize(), "f")] for (group, payer), value in multipliers.items()),
    }
    return hashlib.sha256(orjson.dumps(body, option=orjson.OPT_SORT_KEYS)).hexdigest()


def stored_figures(rule: RuleFigures) -> dict[str, Any]:
    """The columns of a ``PriceRule``."""
    return {field: _stored(getattr(rule, field)) for field in _FIGURES}


def _digested(rule: RuleFigures) -> dict[str, Any]:
    stored = stored_figures(rule)
    return {
        field: value for field, value in stored.items() if field in _FIRST_FIGURES or value != _stored(getattr(_SILENT, field))
    }


def _stored(value: Any) -> Any:
    return dict(value) if isinstance(value, Mapping) else value


def _check(rules: Mapping[str, RuleFigures], multipliers: Mapping[tuple[str, str], Decimal]) -> None:
    for name, rule in rules.items():
        prices = [getattr(rule, field) for field in _FIGURES if field.endswith("_nano")] + list(rule.unit_prices.values())
        if rule.rounding not in ROUNDINGS or rule.rounding_step_nano < 1:
            raise InvalidInput("A price is rounded in a way we know, to a step above zero.", model=name)
        if any(not UNIT_KEY.fullmatch(key) or key != key.lower() for key in rule.unit_prices):
            raise InvalidInput("Units are named like image:1024x1024:hd, video:720p and audio.", model=name)
        if not name or any(price is not None and price < 0 for price in prices):
            raise InvalidInput("A price needs a model and cannot be negative.", model=name)
    for (group, _payer), value in multipliers.items():
        if not value.is_finite() or value < 0:
            raise InvalidInput("A multiplier cannot be negative.", group=group)
