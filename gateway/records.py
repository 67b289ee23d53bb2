"""The records that decide calls, as things with a name, a page and a time of the last change."""

from dataclasses import dataclass
from datetime import datetime

from django.db.models import Model, Q
from django.urls import reverse
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from accounts.models import AuditEvent, Group, User
from accounts.rights import may
from billing.models import GroupFence, LedgerAccount, PriceVersion, SpendLimit
from gateway.contract.rules import Ruling
from gateway.contract.snapshot import Snapshot
from gateway.contract.types import Decision, KeyView
from gateway.models import OldEntry
from keys.models import AccessPolicy, ApiKey, CallLimit, TeamPolicy
from keys.selectors_limits import call_limits_on
from models_catalog.models import AIModel, NameMapEntry, Upstream

KINDS: dict[str, str | Promise] = {
    "key": _("API key"),
    "person": _("person"),
    "group": _("group"),
    "policy": _("policy"),
    "old_entry": _("old entry"),
    "model": _("model"),
    "name": _("name map"),
    "price": _("price book"),
    "fence": _("fence"),
    "purse": _("balance"),
    "spend_limit": _("spend limit"),
    "call_limit": _("call limit"),
}


@dataclass(frozen=True, slots=True)
class Record:
    """``changed_at`` is the newest word of the audit trail on it, or when it was made; None when neither is known.

    ``url`` "" when no page shows it to the asker.
    """

    kind: str
    pk: int
    label: str
    url: str
    changed_at: datetime | None
    changed_by: str = ""

    @property
    def word(self) -> str | Promise:
        return KINDS[self.kind]


def record_of(actor: User, ruling: Ruling, key: KeyView) -> Record | None:
    """The record a rule was read from; None when the request itself decided."""
    if not ruling.record:
        return None
    found, label, url = _found(ruling, key)
    event = _newest_event(found) if found else None
    made = getattr(found, "created_at", None) or getattr(found, "changed_at", None) or getattr(found, "published_at", None)
    return Record(
        kind=ruling.record,
        pk=int(found.pk) if found else 0,
        label=label or (str(found) if found else ruling.name),
        url=_page(actor, *url) if url else "",
        changed_at=event.at if event else made,
        changed_by=event.actor_name if event else "",
    )


def related_records(snapshot: Snapshot, key: KeyView, decision: Decision) -> list[tuple[str, str]]:
    """Every record that had a say in the decision, as the audit trail names them."""
    found: list[tuple[type[Model], int | None]] = [
        (ApiKey, key.id),
        (User, key.owner_id),
        (Group, key.payer_group_id),
        (Group, key.group_id),
        (OldEntry, key.old_entry_id),
        (AIModel, decision.model.id if decision.model else None),
        (AccessPolicy, AccessPolicy.objects.values_list("pk", flat=True).first()),
        (TeamPolicy, key.team_id),
        *((Upstream, one.upstream.id) for one in decision.candidates),
    ]
    mapped = snapshot.names.get(decision.asked_model)
    if mapped is not None:
        found.append((NameMapEntry, _entry_id(decision.asked_model)))
    return [(model._meta.label_lower, str(pk)) for model, pk in found if pk]


def _entry_id(old_name: str) -> int | None:
    return NameMapEntry.objects.filter(old_name=old_name, until_version=None).values_list("pk", flat=True).first()


def _found(ruling: Ruling, key: KeyView) -> tuple[Model | None, str, tuple[str, ...]]:
    """The row, its label ("" for its own) and the page that shows it: right, URL name, arguments."""
    match ruling.record:
        case "key":
            return ApiKey.objects.filter(pk=ruling.id).first(), "", ("keys.view", "key_detail", str(ruling.id))
        case "person":
            return User.objects.filter(pk=ruling.id).first(), "", ("people.view", "person_detail", str(ruling.id))
        case "group":
            return Group.objects.filter(pk=ruling.id).first(), "", ("people.view", "team_detail", str(ruling.id))
        case "policy":
            row: Model | None = TeamPolicy.objects.filter(pk=ruling.id).first() if ruling.id else AccessPolicy.objects.first()
            return row, "", ("policy.view", "policy")
        case "old_entry":
            return OldEntry.objects.filter(pk=ruling.id).first(), "", ("migrations.view", "entry_list")
        case "purse" | "spend_limit" | "call_limit":
            return _limit_or_purse(ruling, key)
    return _of_catalogue(ruling)


def _of_catalogue(ruling: Ruling) -> tuple[Model | None, str, tuple[str, ...]]:
    name = ruling.name
    match ruling.record:
        case "model":
            model = AIModel.objects.filter(name=name).first()
            if model is None:
                return None, name, ("catalog.manage", "admin:models_catalog_aimodel_changelist")
            return model, "", ("catalog.manage", "admin:models_catalog_aimodel_change", str(model.pk))
        case "name":
            entry = NameMapEntry.objects.filter(old_name=name, until_version=None).select_related("callable_model").first()
            return entry, "", ("catalog.manage", "admin:models_catalog_namemapentry_changelist")
        case "price":
            version = PriceVersion.objects.filter(published_at__isnull=False).order_by("-published_at").first()
            return version, name, ("prices.view", "price_list")
        case "fence":
            fence = GroupFence.objects.filter(group__code=name).select_related("group").first()
            return fence, "", ("fences.view", "fence_list")
    return None, name, ()


def _limit_or_purse(ruling: Ruling, key: KeyView) -> tuple[Model | None, str, tuple[str, ...]]:
    if ruling.record == "purse":
        owner = {"group_id": key.team_id} if key.team_id else {"user_id": key.owner_id}
        purse = LedgerAccount.objects.filter(is_purse=True, **owner).order_by("-priority").first()
        page = (
            ("people.view", "team_detail", str(key.team_id))
            if key.team_id
            else ("people.view", "person_detail", str(key.owner_id))
        )
        return purse, "", page
    of = ruling.rule.split(".")[1]
    if ruling.record == "call_limit":
        row: CallLimit | None = None
        for one in call_limits_on(ApiKey.objects.get(pk=key.id)):
            kind = "key" if one.key_id else "profile" if one.profile_id else _whose(one)
            row = row or (one if kind == of else None)
        return row, "", ("keys.view", "limits_key", str(key.id))
    span = ruling.rule.split(".")[2]
    wanted = {
        "key": Q(key_id=key.id),
        "group": Q(group_id=key.payer_group_id, user=None),
        "person": Q(user_id=key.owner_id, group=None),
        "member": Q(group_id=key.team_id, user__isnull=False),
    }.get(of, Q(pk=None))
    return SpendLimit.objects.filter(wanted, span=span).first(), "", ("keys.view", "limits_key", str(key.id))


def _whose(limit: CallLimit) -> str:
    return "group" if limit.user_id is None else "person" if limit.group_id is None else "member"


def _newest_event(row: Model) -> AuditEvent | None:
    events = AuditEvent.objects.filter(object_type=row._meta.label_lower, object_id=str(row.pk))
    return events.order_by("-at", "-id").first()


def _page(actor: User, right: str, name: str, *arguments: str) -> str:
    return reverse(name, args=arguments) if may(actor, right) else ""
