"""People, teams and invitations: services, their refusals, and what is written down."""

import hashlib
import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import call_command
from django.db import IntegrityError, connection, transaction
from django.db.utils import DatabaseError

from accounts.models import AuditEvent, Group, GroupMembership, Invitation, OutboundMail, Role, User
from accounts.services import invitations, people, teams
from accounts.services.delivery import _message
from accounts.services.sealed_text import opened
from config.foundation.clock import now
from config.foundation.errors import Conflict, InvalidInput, NotAllowed
from tests.accounts.conftest import PASSWORD

Make = Callable[..., User]


def link_in(mail: OutboundMail) -> str:
    found = re.search(r"https?://\S+/invitations/open/(\S+)/", opened(mail.text))
    assert found
    return found.group(1)


class TestPeople:
    @pytest.mark.parametrize("role", Role.values)
    def test_staff_follows_the_role(self, make_person: Make, role: str) -> None:
        person = make_person("ada", role)
        assert person.is_staff == (role in {"admin", "ops", "support", "finance"})

    def test_names_and_addresses_are_taken_once(self, make_person: Make) -> None:
        make_person("ada")
        with pytest.raises(people.NameTaken):
            make_person("ada", email="other@example.org")
        with pytest.raises(people.EmailTaken):
            make_person("ada2", email="ADA@example.org")
        assert User.objects.count() == 1

    def test_a_weak_password_is_refused_with_its_field(self, make_person: Make) -> None:
        with pytest.raises(InvalidInput) as refused:
            make_person("ada", password="short")
        assert list(refused.value.details["fields"]) == ["password"]
        assert User.objects.count() == 0

    @pytest.mark.parametrize(
        ("field", "value"), [("email", "no-address"), ("language", "xx"), ("time_zone", "Mars/Base"), ("role", "king")]
    )
    def test_impossible_values_are_refused(self, make_person: Make, field: str, value: str) -> None:
        with pytest.raises(InvalidInput) as refused:
            make_person("ada", **{field: value})
        assert list(refused.value.details["fields"]) == [field]

    def test_somebody_stays_administrator(self, make_person: Make) -> None:
        ada = make_person("ada", Role.ADMIN)
        for act in (
            lambda: people.set_role(actor=ada, person=ada, role=Role.USER),
            lambda: people.disable_person(actor=ada, person=ada),
        ):
            with pytest.raises(people.LastAdministrator), transaction.atomic():
                act()
            ada.refresh_from_db()
            assert (ada.role, ada.state) == ("admin", "enabled")
        bob = make_person("bob", Role.ADMIN)
        people.set_role(actor=bob, person=ada, role=Role.SUPPORT)
        assert (ada.role, ada.is_staff) == ("support", True)

    def test_a_deleted_person_stays_deleted(self, make_person: Make) -> None:
        person = make_person("ada")
        User.objects.filter(pk=person.pk).update(state="deleted", is_active=False)
        person.refresh_from_db()
        with pytest.raises(Conflict):
            people.enable_person(actor=None, person=person)

    @pytest.mark.parametrize("role", [Role.USER, Role.OPS, Role.SUPPORT, Role.FINANCE, Role.DEVELOPER, Role.CONTENT_LEAD])
    def test_only_administrators_change_people(self, make_person: Make, role: str) -> None:
        other, target = make_person("other", role), make_person("target")
        for act in (people.disable_person, people.enable_person):
            with pytest.raises(NotAllowed):
                act(actor=other, person=target)
        with pytest.raises(NotAllowed):
            people.set_role(actor=other, person=other, role=Role.ADMIN)
        with pytest.raises(NotAllowed):
            people.create_person(actor=other, username="new")
        with pytest.raises(NotAllowed):
            people.change_profile(actor=other, person=target, language="zh-hans")
        assert people.change_profile(actor=other, person=other, language="zh-hans").language == "zh-hans"

    def test_the_database_holds_role_and_state_together(self, make_person: Make) -> None:
        person = make_person("ada")
        for values in ({"is_staff": True}, {"is_active": False}, {"role": Role.ADMIN}):
            with pytest.raises(IntegrityError), transaction.atomic():
                User.objects.filter(pk=person.pk).update(**values)

    def test_createsuperuser_makes_an_administrator(self, db: None, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("DJANGO_SUPERUSER_PASSWORD", PASSWORD)
        call_command("createsuperuser", username="root", email="root@example.org", interactive=False, verbosity=0)
        root = User.objects.get()
        assert (root.role, root.is_staff, root.is_superuser) == ("admin", True, True)


class TestTeams:
    def test_an_owner_runs_a_team_and_a_member_does_not(self, make_person: Make) -> None:
        ops, owner, member = make_person("ops", Role.OPS), make_person("owner"), make_person("member")
        team = teams.create_team(actor=ops, name="Blue", owner=owner)
        teams.add_member(actor=ops, group=team, person=member)
        for act in (
            lambda: teams.remove_member(actor=member, group=team, person=owner),
            lambda: teams.set_team_role(actor=member, group=team, person=member, team_role="owner"),
            lambda: teams.rename_team(actor=member, group=team, name="Red"),
            lambda: teams.add_member(actor=owner, group=team, person=ops),
            lambda: teams.create_team(actor=owner, name="Own"),
        ):
            with pytest.raises(NotAllowed):
                act()
        assert sorted(team.memberships.values_list("user__username", "team_role")) == [("member", "member"), ("owner", "owner")]
        teams.set_team_role(actor=owner, group=team, person=member, team_role="owner")
        assert teams.remove_member(actor=owner, group=team, person=owner)
        assert list(team.memberships.values_list("user__username", "team_role")) == [("member", "owner")]

    def test_the_last_owner_stays(self, make_person: Make) -> None:
        owner = make_person("owner")
        team = teams.create_team(actor=None, name="Blue", owner=owner)
        with pytest.raises(teams.LastOwner), transaction.atomic():
            teams.remove_member(actor=owner, group=team, person=owner)
        with pytest.raises(teams.LastOwner), transaction.atomic():
            teams.set_team_role(actor=owner, group=team, person=owner, team_role="member")
        assert team.memberships.get().team_role == "owner"

    def test_a_code_is_taken_once(self, db: None) -> None:
        teams.create_team(actor=None, name="Blue")
        with pytest.raises(teams.TeamTaken):
            teams.create_team(actor=None, name="Blue")
        assert Group.objects.count() == 1

    def test_a_price_class_has_no_members(self, make_person: Make) -> None:
        ops = make_person("ops", Role.OPS)
        price_class = Group.objects.create(code="old/vip", name="vip", kind=Group.Kind.PRICE_CLASS)
        with pytest.raises(Conflict):
            teams.add_member(actor=ops, group=price_class, person=ops)


class TestInvitations:
    def test_the_token_is_kept_as_a_digest_only(self, make_person: Make) -> None:
        admin = make_person("ada", Role.ADMIN)
        invitation = invitations.invite(actor=admin, email="new@example.org", role=Role.SUPPORT, language="en")
        mail = OutboundMail.objects.get(kind="invitation")
        token = link_in(mail)
        assert bytes(invitation.token_digest) == hashlib.sha256(token.encode()).digest()
        assert token not in mail.text + mail.html + mail.subject
        sent = _message(mail).decode()
        assert "ada invites you to the gateway portal" in sent
        with connection.cursor() as cursor:
            cursor.execute("SELECT json_agg(i)::text FROM accounts_invitation i")
            assert token not in cursor.fetchone()[0]
            cursor.execute("SELECT json_agg(e)::text FROM accounts_auditevent e")
            assert token not in cursor.fetchone()[0]

    def test_accepting_makes_the_promised_person_once(self, make_person: Make) -> None:
        admin, owner = make_person("ada", Role.ADMIN), make_person("owner")
        team = teams.create_team(actor=None, name="Blue", owner=owner)
        invitations.invite(actor=admin, email="New@Example.org", group=team, team_role="owner", role=Role.DEVELOPER)
        digest = invitations.digest_of(link_in(OutboundMail.objects.get()))
        made = invitations.accept(digest=digest, username="newcomer", password=PASSWORD)
        assert (made.role, made.email, made.check_password(PASSWORD)) == ("developer", "New@example.org", True)
        assert team.memberships.get(user=made).team_role == "owner"
        assert made.emailaddress_set.get().verified  # type: ignore[attr-defined]
        with pytest.raises(invitations.InvitationOver):
            invitations.accept(digest=digest, username="again", password=PASSWORD)
        assert not User.objects.filter(username="again").exists()

    def test_a_refused_name_leaves_the_invitation_open(self, make_person: Make) -> None:
        admin = make_person("ada", Role.ADMIN)
        invitations.invite(actor=admin, email="new@example.org")
        digest = invitations.digest_of(link_in(OutboundMail.objects.get()))
        with pytest.raises(people.NameTaken):
            invitations.accept(digest=digest, username="ada", password=PASSWORD)
        assert invitations.accept(digest=digest, username="eva", password=PASSWORD).username == "eva"

    def test_it_runs_out_is_withdrawn_and_is_replaced(self, make_person: Make) -> None:
        admin = make_person("ada", Role.ADMIN)
        first = invitations.invite(actor=admin, email="new@example.org")
        second = invitations.invite(actor=admin, email="new@example.org")
        for dead in (first,):
            with pytest.raises(invitations.InvitationOver):
                invitations.open_invitation(digest=bytes(Invitation.objects.get(pk=dead.pk).token_digest))
        assert invitations.open_invitation(digest=bytes(second.token_digest)) == second
        invitations.withdraw(actor=admin, invitation=second)
        with pytest.raises(invitations.InvitationOver):
            invitations.open_invitation(digest=bytes(second.token_digest))
        third = invitations.invite(actor=admin, email="new@example.org", valid_days=1)
        Invitation.objects.filter(pk=third.pk).update(expires_at=now() - timedelta(seconds=1))
        with pytest.raises(invitations.InvitationOver):
            invitations.open_invitation(digest=bytes(third.token_digest))

    def test_a_team_owner_invites_plain_members_of_the_own_team(self, make_person: Make) -> None:
        owner, other = make_person("owner"), make_person("other")
        team = teams.create_team(actor=None, name="Blue", owner=owner)
        foreign = teams.create_team(actor=None, name="Red", owner=other)
        assert invitations.invite(actor=owner, email="new@example.org", group=team).group == team
        attempts: list[dict[str, Any]] = [{"group": None}, {"group": foreign}, {"group": team, "role": Role.ADMIN}]
        for values in attempts:
            with pytest.raises(NotAllowed):
                invitations.invite(actor=owner, email="evil@example.org", **values)
        with pytest.raises(NotAllowed):
            invitations.invite(actor=other, email="evil@example.org", group=team)
        assert Invitation.objects.count() == 1

    def test_somebody_with_an_account_joins_with_it(self, make_person: Make) -> None:
        owner, known, stranger = make_person("owner"), make_person("known"), make_person("stranger")
        team = teams.create_team(actor=None, name="Blue", owner=owner)
        invitation = invitations.invite(actor=owner, email="known@example.org", group=team)
        with pytest.raises(NotAllowed):
            invitations.accept_as(actor=stranger, digest=bytes(invitation.token_digest))
        invitations.accept_as(actor=known, digest=bytes(invitation.token_digest))
        assert team.memberships.filter(user=known, team_role="member").exists()
        assert not team.memberships.filter(user=stranger).exists()


FIFTEEN = (
    "person.create",
    "person.set_role",
    "person.disable",
    "person.enable",
    "person.change_profile",
    "team.create",
    "team.rename",
    "team.add_member",
    "team.set_role",
    "team.remove_member",
    "invitation.create",
    "invitation.withdraw",
    "invitation.accept",
    "mail.send_again",
    "mail.cancel",
)


def test_fifteen_actions_leave_fifteen_rows_with_before_and_after(make_person: Make) -> None:
    """R093: who, what, before, after, why; one row each."""
    admin, friend = make_person("ada", Role.ADMIN), make_person("friend")
    start = AuditEvent.objects.latest("id").pk
    person = people.create_person(actor=admin, username="eve", email="eve@example.org", reason="hired")
    people.set_role(actor=admin, person=person, role=Role.SUPPORT, reason="helps out")
    people.disable_person(actor=admin, person=person, reason="on leave")
    people.enable_person(actor=admin, person=person, reason="is back")
    people.change_profile(actor=admin, person=person, language="zh-hans")
    team = teams.create_team(actor=admin, name="Blue")
    teams.rename_team(actor=admin, group=team, name="Sky")
    teams.add_member(actor=admin, group=team, person=friend)
    teams.set_team_role(actor=admin, group=team, person=friend, team_role="owner")
    GroupMembership.objects.create(group=team, user=person, team_role="owner")
    teams.remove_member(actor=admin, group=team, person=friend, reason="left")
    gone = invitations.invite(actor=admin, email="gone@example.org")
    invitations.withdraw(actor=admin, invitation=gone, reason="typo")
    kept = Invitation.objects.create(
        email="friend@example.org", group=team, token_digest=b"x" * 32, invited_by=admin, expires_at=now() + timedelta(days=1)
    )
    GroupMembership.objects.create(group=team, user=friend)
    invitations.accept_as(actor=friend, digest=bytes(kept.token_digest))
    mail = OutboundMail.objects.get(kind="invitation")
    from accounts.services.mail import cancel_mail, resend_mail

    cancel_mail(actor=admin, mail=mail, reason="not needed")
    mail.refresh_from_db()
    resend_mail(actor=admin, mail=mail, reason="needed after all")
    events = list(AuditEvent.objects.filter(pk__gt=start).order_by("id"))
    assert sorted(event.action for event in events) == sorted(FIFTEEN)
    made = {"person.create", "team.create", "team.add_member", "invitation.create"}
    for event in events:
        assert event.after or event.action == "team.remove_member", event.action
        assert event.before or event.action in made, event.action
        assert event.before != event.after, event.action
        assert event.actor_name == ("friend" if event.action == "invitation.accept" else "ada")
    role = next(event for event in events if event.action == "person.set_role")
    assert (role.before["role"], role.after["role"], role.reason) == ("user", "support", "helps out")


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE accounts_auditevent SET reason = 'rewritten'",
        "DELETE FROM accounts_auditevent",
        "TRUNCATE accounts_auditevent",
    ],
)
def test_the_trail_cannot_be_changed(make_person: Make, statement: str) -> None:
    """R093: UPDATE, DELETE and TRUNCATE are refused by the database."""
    make_person("ada")
    with connection.cursor() as cursor:
        # What waits for the end of the transaction would refuse a TRUNCATE first.
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)
    event = AuditEvent.objects.get()
    assert (event.action, event.reason) == ("person.create", "")
