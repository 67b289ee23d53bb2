"""A team with use profiles for the pictures."""

from accounts.models import Group, GroupMembership
from keys.services import issue_key
from keys.services_limits import CallFigures
from keys.services_profiles import bind_key, create_profile
from tests.pages.conftest import World

PAGES = [
    ("profiles", "alice", "/profiles/"),
    ("profiles-none", "charlie", "/profiles/"),
    ("profile", "alice", "/profiles/{profile}/"),
    ("profile-new", "alice", "/profiles/new/"),
    ("profile-change", "alice", "/profiles/{profile}/change/"),
    ("profile-remove", "alice", "/profiles/{profile}/remove/"),
    ("set-up-profile", "alice", "/set-up/?key={bound_key}"),
]


def profiles_of(world: World) -> dict[str, str]:
    """Alice owns the team: one of its keys follows a profile, another has a list of its own."""
    team = Group.objects.create(code="writers", name="Writers of the newsletter", kind=Group.Kind.TEAM, usable_codes=["svip"])
    GroupMembership.objects.create(group=team, user=world.alice, team_role="owner")
    long_name = "Drafts, translations and everything else that is written before it is read by anybody"
    for use, alias, name in (("writing", "writing", long_name), ("coding", "coding", "Code")):
        profile = create_profile(
            actor=world.alice, team=team, use=use, name=name, alias=alias, default_model="gpt-4o", model_names=["our-chat"],
            parameters={"max_output": 1200, "temperature": 0.4, "effort": "low"},
            figures=CallFigures(requests_per_minute=60, parallel_calls=4),
        )  # fmt: skip
    bound, _ = issue_key(actor=world.alice, team=team, name="editor on the laptop")
    bind_key(actor=world.alice, key=bound, profile=profile)
    issue_key(actor=world.alice, team=team, name="nightly translations", model_names=["gpt-4o", "our-chat"])
    return {"profile": str(profile.pk), "bound_key": str(bound.pk)}
