"""People, a team and a key; each person is made as the portal would have them."""

import pytest

from accounts.models import Group, GroupMembership, Role, User
from accounts.models.people import STAFF_ROLES
from keys.models import ApiKey
from keys.services import issue_key


def person(username: str, role: str = Role.USER) -> User:
    user = User(username=username, email=f"{username}@example.org", role=role, is_staff=role in STAFF_ROLES)
    user.set_password("a-password-for-tests")
    user.save()
    return user


@pytest.fixture
def alice(db: None) -> User:
    return person("alice")


@pytest.fixture
def bob(db: None) -> User:
    return person("bob")


@pytest.fixture
def charlie(db: None) -> User:
    """A stranger to everybody's keys and teams."""
    return person("charlie")


@pytest.fixture
def support(db: None) -> User:
    return person("support", Role.SUPPORT)


@pytest.fixture
def ops(db: None) -> User:
    return person("ops", Role.OPS)


@pytest.fixture
def team(alice: User, bob: User) -> Group:
    """Alice owns it, Bob is a member."""
    group = Group.objects.create(code="robots", name="Robots")
    GroupMembership.objects.create(group=group, user=alice, team_role="owner")
    GroupMembership.objects.create(group=group, user=bob, team_role="member")
    return group


@pytest.fixture
def issued(alice: User) -> tuple[ApiKey, str]:
    return issue_key(actor=alice, owner=alice, name="nightly job")
