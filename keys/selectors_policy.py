"""What a person may see of the policy on keys and money, and the reviews that wait for them."""

from django.db.models import QuerySet
from django.utils.translation import gettext as _

from accounts.models import Group, User
from accounts.rights import may, require
from config.foundation.clock import now
from config.foundation.errors import NotFound
from keys.models import AccessPolicy, QuotaReview, TeamPolicy
from keys.services_policy import policy


def policy_for(actor: User) -> AccessPolicy:
    """The policy in force: everybody it binds may read it."""
    return policy()


def named_issuers(actor: User) -> list[User]:
    """People whom the policy names, for staff."""
    require(actor, "policy.view")
    saved = policy()
    return list(saved.named_issuers.order_by("username")) if saved.pk and AccessPolicy.objects.filter(pk=1).exists() else []


def team_policies(actor: User) -> QuerySet[TeamPolicy]:
    require(actor, "policy.view")
    return TeamPolicy.objects.select_related("group").order_by("group__code")


def teams(actor: User) -> QuerySet[Group]:
    """Teams that may get a line of their own."""
    require(actor, "policy.manage")
    return Group.objects.filter(kind=Group.Kind.TEAM).order_by("code")


def team_in_policy(actor: User, team_id: int) -> Group:
    team = teams(actor).filter(pk=team_id).first()
    if team is None:
        raise NotFound
    return team


def reviews(actor: User) -> QuerySet[QuotaReview]:
    require(actor, "policy.view")
    return QuotaReview.objects.select_related("group", "reviewer")


def reviews_due(actor: User) -> QuerySet[QuotaReview]:
    """Reviews whose date has come and that are this person's to do."""
    return QuotaReview.objects.filter(reviewer=actor, next_on__lte=now().date()).select_related("group")


def review_for(actor: User, review_id: int) -> QuotaReview:
    """One review, for its reviewer and for those who manage the policy."""
    review = QuotaReview.objects.select_related("group", "reviewer").filter(pk=review_id).first()
    if review is None or not (review.reviewer_id == actor.pk or may(actor, "policy.manage")):
        raise NotFound(_("There is no such review, or it is not yours."))
    return review
