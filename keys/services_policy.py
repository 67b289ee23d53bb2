"""The policy on keys and money: who may create keys, which teams may spend what, and who reviews quota when."""

from collections.abc import Iterable
from datetime import date, timedelta

from django.db import transaction
from django.utils.translation import gettext as _

from accounts.models import Group, GroupMembership, User
from accounts.rights import may, require
from accounts.services import audit
from accounts.services.mail import queue_mail
from config.foundation.clock import now
from config.foundation.errors import InvalidInput, NotAllowed
from keys.models import AccessPolicy, ApiKey, QuotaReview, TeamPolicy

RIGHT = "policy.manage"


class MayNotIssue(NotAllowed):
    """The policy does not let you create keys."""

    code = "may_not_issue_keys"


def policy() -> AccessPolicy:
    """The policy in force; without a row, what everybody may do from the start."""
    return AccessPolicy.objects.filter(pk=1).first() or AccessPolicy(pk=1)


def may_issue(actor: User | None) -> bool:
    """Whether the policy lets this person create keys at all; whose keys, ``keys.services.may_issue_for`` says."""
    if actor is None or may(actor, "keys.manage"):
        return True
    issuers = AccessPolicy.Issuers
    said = policy()
    if said.issuers == issuers.EVERYBODY:
        return True
    if said.pk and AccessPolicy.objects.filter(pk=1, named_issuers=actor).exists():
        return True
    owner = GroupMembership.TeamRole.OWNER
    return (
        said.issuers == issuers.TEAM_OWNERS
        and GroupMembership.objects.filter(user=actor, team_role=owner, group__is_active=True).exists()
    )


def require_issuer(actor: User | None) -> None:
    """Raise MayNotIssue unless the policy allows it. The refused attempt is kept in the audit trail: call it outside of a
    transaction that the refusal would undo."""
    if may_issue(actor):
        return
    assert actor is not None
    audit.record(actor=actor, action="key.issue_refused", target=actor, after={"policy": policy().issuers})
    raise MayNotIssue(_("The policy does not let you create keys. Ask an administrator."))


def money_of_team(team: Group) -> str:
    """Which money a team may spend: any, production or test."""
    own = TeamPolicy.objects.filter(group=team).values_list("money", flat=True).first()
    return own or policy().team_money


def check_purpose(team: Group | None, purpose: str) -> None:
    """Refuse a key that could never call: its purpose spends what its team may not. Raises InvalidInput."""
    if team is None:
        return
    money = money_of_team(team)
    is_test = purpose == ApiKey.Purpose.TEST
    if money == AccessPolicy.Money.TEST and not is_test:
        raise InvalidInput(_("This team may spend test balance only: give the key the purpose test."), field="purpose")
    if money == AccessPolicy.Money.PRODUCTION and is_test:
        raise InvalidInput(_("This team is for production only: keys for tests are refused."), field="purpose")


@transaction.atomic
def set_policy(
    *, actor: User | None, issuers: str, named_issuers: Iterable[User] = (), team_money: str, text: str = ""
) -> AccessPolicy:
    """Replace the policy. Raises NotAllowed or InvalidInput."""
    if actor is not None:
        require(actor, RIGHT)
    if issuers not in AccessPolicy.Issuers.values:
        raise InvalidInput(_("There is no such choice."), field="issuers")
    if team_money not in AccessPolicy.Money.values:
        raise InvalidInput(_("There is no such choice."), field="team_money")
    people = sorted(set(named_issuers), key=lambda person: person.pk)
    before = _described(policy())
    row, _is_new = AccessPolicy.objects.update_or_create(
        pk=1, defaults={"issuers": issuers, "team_money": team_money, "text": text.strip()}
    )
    row.named_issuers.set(people)
    after = _described(row)
    if after != before:
        audit.record(actor=actor, action="policy.set", target=row, before=before, after=after, label="access policy")
    return row


@transaction.atomic
def set_team_money(*, actor: User | None, team: Group, money: str | None) -> None:
    """What one team may spend; None: what the policy says for teams that are not listed."""
    if actor is not None:
        require(actor, RIGHT)
    if money is not None and money not in AccessPolicy.Money.values:
        raise InvalidInput(_("There is no such choice."), field="money")
    before = TeamPolicy.objects.filter(group=team).values_list("money", flat=True).first()
    if before == money:
        return
    if money is None:
        TeamPolicy.objects.filter(group=team).delete()
    else:
        TeamPolicy.objects.update_or_create(group=team, defaults={"money": money})
    audit.record(actor=actor, action="team.money", target=team, before={"money": before}, after={"money": money})


@transaction.atomic
def plan_review(*, actor: User | None, group: Group | None, reviewer: User, next_on: date, every_days: int = 90) -> QuotaReview:
    """Name who reviews the quota of a group (None: of everybody), when next, and how often. One review for each group."""
    if actor is not None:
        require(actor, RIGHT)
    if not 1 <= every_days <= 3650:
        raise InvalidInput(_("Write a number of days from 1 to 3,650."), field="every_days")
    if not reviewer.is_active:
        raise InvalidInput(_("This person's account is not active."), field="reviewer")
    old = QuotaReview.objects.filter(group=group).first()
    before = _review(old) if old else {}
    defaults = {"reviewer": reviewer, "next_on": next_on, "every_days": every_days}
    if old is None or old.next_on != next_on or old.reviewer_id != reviewer.pk:
        defaults["noticed_on"] = None
    row, _is_new = QuotaReview.objects.update_or_create(group=group, defaults=defaults)
    audit.record(actor=actor, action="quota_review.planned", target=row, before=before, after=_review(row))
    return row


@transaction.atomic
def end_review(*, actor: User | None, review: QuotaReview) -> None:
    """Nobody reviews this any more."""
    if actor is not None:
        require(actor, RIGHT)
    audit.record(actor=actor, action="quota_review.ended", target=review, before=_review(review))
    review.delete()


@transaction.atomic
def finish_review(*, actor: User, review: QuotaReview, note: str = "") -> QuotaReview:
    """The reviewer (or an administrator) has looked; the next date is counted from today."""
    if actor.pk != review.reviewer_id:
        require(actor, RIGHT)
    at = now()
    before = _review(review)
    next_on = at.date() + timedelta(days=review.every_days)
    done = QuotaReview.objects.filter(pk=review.pk, next_on=review.next_on).update(
        next_on=next_on, noticed_on=None, last_done_at=at, last_note=note.strip()
    )
    review.refresh_from_db()
    if done:
        audit.record(actor=actor, action="quota_review.done", target=review, before=before, after=_review(review), reason=note)
    return review


@transaction.atomic
def notice_due_reviews() -> int:
    """Write to every reviewer whose date has come, once for each date; gives the number of notices."""
    today = now().date()
    sent = 0
    for review in QuotaReview.objects.filter(next_on__lte=today, noticed_on=None).select_related("group", "reviewer"):
        if not QuotaReview.objects.filter(pk=review.pk, next_on=review.next_on, noticed_on=None).update(noticed_on=today):
            continue
        queue_mail(
            user=review.reviewer,
            kind="quota_review",
            dedupe_key=f"quota_review:{review.pk}:{review.next_on.isoformat()}:{review.reviewer_id}",
            template="quota_review",
            context={"review": review},
        )
        audit.record(actor=None, action="quota_review.due", target=review, after=_review(review))
        sent += 1
    return sent


def _described(row: AccessPolicy) -> dict[str, object]:
    saved = AccessPolicy.objects.filter(pk=row.pk).first()
    names = sorted(saved.named_issuers.values_list("username", flat=True)) if saved else []
    return {"issuers": row.issuers, "named_issuers": names, "team_money": row.team_money, "text": row.text}


def _review(row: QuotaReview) -> dict[str, object]:
    return {
        "group": row.group.code if row.group else None,
        "reviewer": row.reviewer.username,
        "next_on": row.next_on.isoformat(),
        "every_days": row.every_days,
    }
