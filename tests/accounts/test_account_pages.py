"""Pages of people, teams, invitations, mails and the trail: for whom they work, and what a stranger gets."""

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import Group, Invitation, OutboundMail, Role, User
from accounts.services import invitations, mail, teams
from accounts.services.mail import queue_mail
from tests.accounts.conftest import PASSWORD
from tests.accounts.test_people import link_in

Make = Callable[..., User]
ADMIN, PEOPLE = {Role.ADMIN}, {Role.ADMIN, Role.OPS, Role.SUPPORT, Role.FINANCE}
RUNNERS = {Role.ADMIN, Role.OPS}
EVERYBODY = set(Role.values)


def client_of(person: User) -> Client:
    client = Client()
    client.force_login(person)
    return client


@pytest.fixture
def target(make_person: Make) -> User:
    return make_person("target")


@pytest.fixture
def letter(target: User) -> OutboundMail:
    return mail.queue_text(
        user=target, address="t@example.org", kind="test", dedupe_key="x", language="en", subject="Hello", text="Text"
    )


def grid(target: User, letter: OutboundMail) -> dict[str, tuple[str, set[str]]]:
    """Address and roles that see it."""
    pages = {
        "profile": ([], EVERYBODY),
        "team_list": ([], EVERYBODY),
        "team_create": ([], RUNNERS),
        "person_list": ([], PEOPLE),
        "person_detail": ([target.pk], PEOPLE),
        "person_role": ([target.pk], ADMIN),
        "person_disable": ([target.pk], ADMIN),
        "person_enable": ([target.pk], ADMIN),
        "invitation_list": ([], ADMIN),
        "invitation_create": ([], ADMIN),
        "mail_list": ([], RUNNERS),
        "mail_detail": ([letter.pk], RUNNERS),
        "audit_list": ([], ADMIN),
    }
    return {name: (reverse(name, args=args), roles) for name, (args, roles) in pages.items()}


@pytest.mark.parametrize("role", Role.values)
def test_the_grid_of_roles(make_person: Make, target: User, letter: OutboundMail, role: str) -> None:
    """R018: every role against every page of accounts; what is not allowed is 403 and changes nothing when posted."""
    client = client_of(make_person("somebody", role))
    pages = grid(target, letter)
    got = {name: client.get(url).status_code for name, (url, _roles) in pages.items()}
    assert got == {name: 200 if role in roles else 403 for name, (_url, roles) in pages.items()}
    shut = [url for _name, (url, roles) in pages.items() if role not in roles]
    before = (User.objects.count(), Group.objects.count(), Invitation.objects.count())
    for url in shut:
        client.post(url, {"role": "admin", "email": "evil@example.org", "name": "x", "code": "x", "owner": "target"})
    assert (User.objects.count(), Group.objects.count(), Invitation.objects.count()) == before
    target.refresh_from_db()
    assert (target.role, target.state) == ("user", "enabled")


def test_nobody_in_particular_is_asked_to_log_in(target: User, letter: OutboundMail) -> None:
    for url, _roles in grid(target, letter).values():
        answer = Client().get(url)
        assert (answer.status_code, answer["Location"].split("?")[0]) == (302, "/accounts/login/")


class TestTeamPages:
    """Alice owns the team, Bob is in it, Charlie is not."""

    @pytest.fixture
    def team(self, make_person: Make) -> Group:
        for name in ("alice", "bob", "charlie"):
            make_person(name)
        team = teams.create_team(actor=None, name="Blue", owner=User.objects.get(username="alice"))
        teams.join(group=team, person=User.objects.get(username="bob"), team_role="member")
        return team

    def page(self, name: str, stem: str, *args: Any, data: dict[str, str] | None = None) -> Any:
        client = client_of(User.objects.get(username=name))
        url = reverse(stem, args=args)
        return client.post(url, data) if data is not None else client.get(url)

    def test_works_for_the_owner(self, team: Group) -> None:
        page = self.page("alice", "team_detail", team.pk).content.decode()
        for word in ("bob", "Invite somebody", "Make owner", "Take out", "the only owner"):
            assert word in page
        answer = self.page(
            "alice",
            "team_invite",
            team.pk,
            data={
                "email": "new@example.org",
                "team_role": "member",
                "language": "en",
                "valid_days": "7",
            },
        )
        assert answer.status_code == 302
        invitation = Invitation.objects.get()
        assert (invitation.email, invitation.role, invitation.group) == ("new@example.org", "user", team)
        assert "new@example.org" in self.page("alice", "team_detail", team.pk).content.decode()
        self.page("alice", "invitation_withdraw", invitation.pk, data={})
        assert "new@example.org" not in self.page("alice", "team_detail", team.pk).content.decode().split("Members")[1]

    def test_shows_a_colleague_and_lets_nothing_change(self, team: Group) -> None:
        bob = User.objects.get(username="bob")
        page = self.page("bob", "team_detail", team.pk).content.decode()
        assert "alice" in page
        assert "Leave the team" in page
        for word in ("Invite somebody", "Make owner", "Take out"):
            assert word not in page
        assert self.page("bob", "team_invite", team.pk).status_code == 403
        assert self.page("bob", "team_member_role", team.pk, bob.pk, data={"team_role": "owner"}).status_code == 403
        alice = User.objects.get(username="alice")
        assert self.page("bob", "team_member_remove", team.pk, alice.pk, data={"reason": ""}).status_code == 403
        assert sorted(team.memberships.values_list("user__username", "team_role")) == [("alice", "owner"), ("bob", "member")]
        assert self.page("bob", "team_member_remove", team.pk, bob.pk, data={"reason": ""}).status_code == 302
        assert team.memberships.count() == 1

    def test_a_stranger_gets_404(self, team: Group) -> None:
        alice = User.objects.get(username="alice")
        assert self.page("charlie", "team_detail", team.pk).status_code == 404
        assert self.page("charlie", "team_invite", team.pk).status_code == 404
        assert self.page("charlie", "team_member_remove", team.pk, alice.pk).status_code == 404
        assert "Blue" not in self.page("charlie", "team_list").content.decode()
        invitation = invitations.invite(actor=alice, email="new@example.org", group=team)
        assert self.page("charlie", "invitation_withdraw", invitation.pk, data={}).status_code == 404
        assert invitations.open_invitation(digest=bytes(invitation.token_digest)) == invitation

    def test_a_bad_number_is_404(self, team: Group) -> None:
        for stem, args in (("team_detail", (987,)), ("team_invite", (987,)), ("team_member_remove", (team.pk, 987))):
            assert self.page("alice", stem, *args).status_code == 404


class TestPeoplePages:
    @pytest.fixture
    def admin(self, make_person: Make) -> Client:
        return client_of(make_person("ada", Role.ADMIN))

    def test_a_list_that_filters_and_pages(self, admin: Client, make_person: Make) -> None:
        for number in range(60):
            make_person(f"person{number:02d}", password=None)
        first = admin.get(reverse("person_list"))
        assert [row.username for row in first.context["page"].rows][:2] == ["ada", "person00"]
        assert len(first.context["page"].rows) == 50
        second = admin.get(reverse("person_list"), {"after": first.context["page"].next})
        assert [row.username for row in second.context["page"].rows] == [f"person{number:02d}" for number in range(49, 60)]
        found = admin.get(reverse("person_list"), {"text": "PERSON4", "state": "enabled"})
        assert len(found.context["page"].rows) == 10

    def test_change_role_and_state(self, admin: Client, target: User) -> None:
        admin.post(reverse("person_role", args=[target.pk]), {"role": "support", "reason": "helps"})
        admin.post(reverse("person_disable", args=[target.pk]), {"reason": "away"})
        target.refresh_from_db()
        assert (target.role, target.state) == ("support", "disabled")
        page = admin.get(reverse("person_detail", args=[target.pk])).content.decode()
        assert "person.set_role" in page
        assert "away" in page
        admin.post(reverse("person_enable", args=[target.pk]), {"reason": ""})
        target.refresh_from_db()
        assert target.is_active

    def test_the_last_administrator_is_told_why_not(self, admin: Client) -> None:
        ada = User.objects.get(username="ada")
        page = admin.post(reverse("person_disable", args=[ada.pk]), {"reason": ""}).content.decode()
        assert "Somebody must stay administrator" in page
        ada.refresh_from_db()
        assert ada.is_active

    def test_no_password_and_no_hash_on_a_page(self, admin: Client, target: User) -> None:
        for url in (reverse("person_detail", args=[target.pk]), reverse("person_list"), reverse("audit_list")):
            page = admin.get(url).content.decode()
            assert target.password not in page
            assert PASSWORD not in page


class TestInvitationPages:
    def test_from_the_mail_to_the_account(self, make_person: Make, client: Client) -> None:
        admin = client_of(make_person("ada", Role.ADMIN))
        form = {"email": "new@example.org", "role": "support", "language": "en", "valid_days": "7"}
        assert admin.post(reverse("invitation_create"), form).status_code == 302
        token = link_in(OutboundMail.objects.get())
        answer = client.get(reverse("invitation_open", args=[token]))
        # The token leaves the address bar at once.
        assert answer["Location"] == reverse("invitation_accept")
        page = client.get(answer["Location"]).content.decode()
        assert "new@example.org" in page
        assert token not in page
        values = {
            "username": "newcomer",
            "display_name": "",
            "password": PASSWORD,
            "password_again": "other",
            "language": "zh-hans",
            "time_zone": "Asia/Shanghai",
        }
        page = client.post(reverse("invitation_accept"), values).content.decode()
        assert "The two passwords are not the same." in page
        assert PASSWORD not in page
        answer = client.post(reverse("invitation_accept"), {**values, "password_again": PASSWORD})
        assert answer.status_code == 302
        person = User.objects.get(username="newcomer")
        assert (person.role, person.language, person.time_zone) == ("support", "zh-hans", "Asia/Shanghai")
        assert client.session["_auth_user_id"] == str(person.pk)
        assert Client().get(reverse("invitation_open", args=[token])).status_code == 410

    def test_a_made_up_link_is_over(self, db: None, client: Client) -> None:
        assert client.get(reverse("invitation_open", args=["made-up"])).status_code == 410
        assert client.get(reverse("invitation_accept")).status_code == 410

    def test_somebody_else_cannot_use_it_while_signed_in(self, make_person: Make) -> None:
        owner, known, other = make_person("owner"), make_person("known"), make_person("other")
        team = teams.create_team(actor=None, name="Blue", owner=owner)
        invitations.invite(actor=owner, email="known@example.org", group=team)
        url = reverse("invitation_open", args=[link_in(OutboundMail.objects.get())])
        page = client_of(other).get(url, follow=True).content.decode()
        assert "you are signed in as other" in page
        client = client_of(other)
        client.get(url)
        assert client.post(reverse("invitation_accept")).status_code == 403
        client = client_of(known)
        assert "Join the team Blue" in client.get(url, follow=True).content.decode()
        client.post(reverse("invitation_accept"))
        assert team.memberships.filter(user=known).exists()
        assert not team.memberships.filter(user=other).exists()


class TestProfile:
    def test_language_and_time_zone_take_effect(self, make_person: Make) -> None:
        person = make_person("ada")
        client = client_of(person)
        values = {"section": "profile", "display_name": "Ada L.", "language": "zh-hans", "time_zone": "Asia/Shanghai"}
        assert client.post(reverse("profile"), values).status_code == 302
        person.refresh_from_db()
        assert (person.display_name, person.language, person.time_zone) == ("Ada L.", "zh-hans", "Asia/Shanghai")
        page = client.get(reverse("profile")).content.decode()
        assert '<html lang="zh-hans"' in page
        assert "Asia/Shanghai" in page

    def test_a_pasted_key_is_refused_with_a_kind_word(self, make_person: Make) -> None:
        person = make_person("ada")
        key = "sk-" + "aB3" * 16
        values = {"section": "profile", "display_name": key, "language": "en", "time_zone": "UTC"}
        page = client_of(person).post(reverse("profile"), values).content.decode()
        assert "This looks like an API key." in page
        assert key not in page
        person.refresh_from_db()
        assert person.display_name == ""


def test_a_mail_shows_no_working_link(make_person: Make) -> None:
    admin = make_person("ada", Role.ADMIN)
    invitations.invite(actor=admin, email="new@example.org")
    letter = OutboundMail.objects.get()
    page = client_of(admin).get(reverse("mail_detail", args=[letter.pk])).content.decode()
    assert link_in(letter) not in page
    assert "[a link that only its reader gets]" in page
    assert "sealed" not in page


def test_a_mail_without_an_address_is_none_and_a_second_one_is_the_first(make_person: Make) -> None:
    silent, ada = make_person("silent", email=""), make_person("ada")
    values: dict[str, Any] = {
        "kind": "invitation",
        "template": "invitation",
        "context": {"inviter": "x"},
        "secrets": {"link": "y"},
    }
    assert queue_mail(user=silent, dedupe_key="a", **values) is None
    first = queue_mail(user=ada, dedupe_key="b", **values)
    assert queue_mail(user=ada, dedupe_key="b", **values) == first
    assert OutboundMail.objects.count() == 1
