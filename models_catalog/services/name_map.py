"""The name map: published as versions, never edited, only superseded.

A map has one step: what an old name leads to is a callable model and not itself an old name that leads elsewhere. So
there can be no cycle, and a reader never has to follow a chain.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from django.db import IntegrityError, models, transaction
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from models_catalog.errors import NameMapMoved, NameMapRefused
from models_catalog.hooks import CatalogChange, announce
from models_catalog.models import AIModel, NameMapEntry, NameMapVersion

Kind = NameMapEntry.Kind
MOVED = gettext_noop("The name map has been published by somebody else meanwhile; look at it again.")
PROBLEMS = {
    "named_twice": gettext_noop("named twice"),
    "no_old_name": gettext_noop("no usable old name"),
    "unknown_kind": gettext_noop("no such kind"),
    "retired_has_target": gettext_noop("a retired name leads nowhere"),
    "no_target": gettext_noop("no called name"),
    "target_not_callable": gettext_noop("the called name is no active model"),
    "same_means_same_name": gettext_noop("“same” means the same name, every other kind another one"),
    "target_is_mapped_elsewhere": gettext_noop("the called name is itself led elsewhere"),
}


@dataclass(frozen=True, slots=True)
class NameChange:
    """One line of the map as it shall be. ``kind`` "" takes the old name out of the map; ``target`` "" is for retired names."""

    old_name: str
    kind: str
    target: str = ""
    bill_as_called: bool = True
    reason: str = ""
    approved_by: str = ""


def publish_name_map(
    *, actor_name: str, changes: Iterable[NameChange], reason: str = "", expected_version: int | None = None
) -> NameMapVersion | None:
    """Publish all changes as one version; None when the map already says all of this.

    ``expected_version`` is the version the publisher looked at (0: none yet); raises NameMapMoved when it is no longer
    the newest, and NameMapRefused with every line that cannot be.
    """
    wanted = _by_old_name(changes)
    try:
        with transaction.atomic():
            return _publish(actor_name, wanted, reason, expected_version)
    except IntegrityError:
        # Somebody published the same number at the same moment; the unique constraint let one of us through.
        raise NameMapMoved(_(MOVED)) from None


def _publish(
    actor_name: str, wanted: dict[str, NameChange], reason: str, expected_version: int | None
) -> NameMapVersion | None:
    newest = NameMapVersion.objects.aggregate(n=models.Max("number"))["n"] or 0
    if expected_version is not None and expected_version != newest:
        raise NameMapMoved(_(MOVED))
    current = {
        entry.old_name: entry for entry in NameMapEntry.objects.filter(until_version=None).select_related("callable_model")
    }
    changed = [change for change in wanted.values() if _line(current.get(change.old_name)) != _wanted_line(change)]
    if not changed:
        return None
    targets = {model.name: model for model in AIModel.objects.filter(name__in={c.target for c in wanted.values() if c.target})}
    _refuse_impossible(wanted, current, targets)
    version = NameMapVersion.objects.create(number=newest + 1, created_by=actor_name, reason=reason)
    ended = [current[change.old_name].pk for change in changed if change.old_name in current]
    NameMapEntry.objects.filter(pk__in=ended, until_version=None).update(until_version=version)
    NameMapEntry.objects.bulk_create(
        [_entry(change, version, targets, actor_name) for change in changed if change.kind], batch_size=1000
    )
    before = {c.old_name: _line(current.get(c.old_name)) for c in changed}
    after = {c.old_name: _wanted_line(c) for c in changed}
    announce([CatalogChange("name_map.published", version, actor_name, {"lines": before}, {"lines": after}, reason)])
    return version


def _by_old_name(changes: Iterable[NameChange]) -> dict[str, NameChange]:
    wanted: dict[str, NameChange] = {}
    twice = []
    for change in changes:
        if change.old_name in wanted:
            twice.append({"old_name": change.old_name, "problem": "named_twice"})
        wanted[change.old_name] = change
    if twice:
        raise NameMapRefused(_summary(twice), lines=twice)
    return wanted


def _refuse_impossible(wanted: dict[str, NameChange], current: dict[str, NameMapEntry], targets: dict[str, AIModel]) -> None:
    """Raise NameMapRefused with all lines of the resulting map that cannot be."""
    problems = [
        {"old_name": change.old_name, "problem": problem}
        for change in wanted.values()
        if (problem := _problem_of_line(change, targets))
    ]
    leads: dict[str, tuple[str, str]] = {}
    for old_name, entry in current.items():
        leads[old_name] = (entry.kind, entry.callable_model.name if entry.callable_model else "")
    for change in wanted.values():
        leads.pop(change.old_name, None)
        if change.kind:
            leads[change.old_name] = (change.kind, change.target)
    for old_name, (_kind, target) in leads.items():
        if target and target != old_name and target in leads and leads[target][1] != target:
            problems.append({"old_name": old_name, "problem": "target_is_mapped_elsewhere"})
    if problems:
        raise NameMapRefused(_summary(problems), lines=problems)


def _problem_of_line(change: NameChange, targets: dict[str, AIModel]) -> str:
    if not change.old_name.strip() or len(change.old_name) > 255:
        return "no_old_name"
    if not change.kind:
        return ""
    if change.kind not in Kind.values:
        return "unknown_kind"
    if change.kind == Kind.RETIRED:
        return "retired_has_target" if change.target else ""
    if not change.target:
        return "no_target"
    if change.target not in targets or not targets[change.target].is_active:
        return "target_not_callable"
    if (change.kind == Kind.SAME) != (change.target == change.old_name):
        return "same_means_same_name"
    return ""


def _entry(change: NameChange, version: NameMapVersion, targets: dict[str, AIModel], actor_name: str) -> NameMapEntry:
    return NameMapEntry(
        old_name=change.old_name,
        kind=change.kind,
        callable_model=targets.get(change.target),
        bill_as_called=change.bill_as_called,
        reason=change.reason,
        approved_by=change.approved_by or actor_name,
        from_version=version,
    )


def _line(entry: NameMapEntry | None) -> dict[str, str | bool] | None:
    if entry is None:
        return None
    return {
        "kind": entry.kind,
        "target": entry.callable_model.name if entry.callable_model else "",
        "bill_as_called": entry.bill_as_called,
        "reason": entry.reason,
    }


def _wanted_line(change: NameChange) -> dict[str, str | bool] | None:
    if not change.kind:
        return None
    return {
        "kind": str(change.kind),
        "target": change.target,
        "bill_as_called": change.bill_as_called,
        "reason": change.reason,
    }


def _summary(problems: list[dict[str, str]]) -> str:
    shown = "; ".join(f"{line['old_name']}: {_(PROBLEMS[line['problem']])}" for line in problems[:10])
    return _("%(count)d lines cannot be published: %(lines)s") % {"count": len(problems), "lines": shown}
