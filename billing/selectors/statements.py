"""Statements a person may see: their own, those of teams they own, and everybody's for those who may see the ledger."""

from dataclasses import dataclass
from datetime import date

from django.db.models import Q, QuerySet

from accounts.models import Group, GroupMembership, User
from accounts.rights import may, require
from billing.models import Statement, StatementFile, StatementRun
from config.foundation.errors import NotFound

ISSUE = "statements.issue"
SEE_ALL = "ledger.view"
PAGE = 50


@dataclass(frozen=True, slots=True)
class StatementPage:
    """``next_before`` is the id to ask for the next page with, 0 on the last."""

    rows: list[Statement]
    next_before: int


def owned_teams(actor: User) -> QuerySet[Group]:
    owner = GroupMembership.TeamRole.OWNER
    return Group.objects.filter(memberships__user=actor, memberships__team_role=owner).order_by("name", "pk")


def statements_for(actor: User, limit: int = 240) -> list[Statement]:
    """One's own and those of the teams one owns, newest month first."""
    mine = Q(user=actor) | Q(group__in=owned_teams(actor))
    return list(_light().filter(mine).order_by("-month_on", "group_id", "-pk")[:limit])


def statement_for(actor: User, statement_id: int) -> Statement:
    """One statement; raises NotFound for an unknown one and for somebody else's."""
    found = Statement.objects.select_related("user", "group").filter(pk=statement_id).first()
    if found is None or not _may_see(actor, found):
        raise NotFound
    return found


def statement_file(actor: User, statement_id: int, kind: str, language: str) -> StatementFile:
    """The bytes as they were issued."""
    statement = statement_for(actor, statement_id)
    found = StatementFile.objects.filter(statement=statement, format=kind, language=language).first()
    if found is None:
        raise NotFound
    return found


def file_digests(actor: User, statement: Statement) -> list[StatementFile]:
    """The files without their bytes."""
    statement_for(actor, statement.pk)
    return list(StatementFile.objects.filter(statement=statement).defer("content").order_by("format", "language"))


def issued_statements(actor: User, month_on: date | None, who: str = "", before: int | None = None) -> StatementPage:
    """Everybody's, newest first, for finance; ``who`` is a user name or the code of a team, exactly."""
    require(actor, ISSUE)
    query = _light().order_by("-pk")
    if month_on:
        query = query.filter(month_on=month_on)
    if who:
        query = query.filter(Q(user__username=who) | Q(group__code=who))
    if before:
        query = query.filter(pk__lt=before)
    rows = list(query[: PAGE + 1])
    return StatementPage(rows[:PAGE], rows[PAGE - 1].pk if len(rows) > PAGE else 0)


def statement_runs(actor: User, month_on: date) -> list[StatementRun]:
    require(actor, ISSUE)
    return list(StatementRun.objects.filter(month_on=month_on).order_by("time_zone"))


def statement_owner(actor: User, who: str) -> User | Group:
    """The person or team a statement is asked for, by user name or team code; raises NotFound."""
    require(actor, ISSUE)
    owner = User.objects.filter(username=who).first() or Group.objects.filter(code=who).first()
    if owner is None:
        raise NotFound
    return owner


def _light() -> QuerySet[Statement]:
    return Statement.objects.select_related("user", "group").defer("figures")


def _may_see(actor: User, statement: Statement) -> bool:
    if statement.user_id == actor.pk or may(actor, SEE_ALL):
        return True
    return statement.group_id is not None and owned_teams(actor).filter(pk=statement.group_id).exists()
