"""What staff see first: today's calls of everybody, and the work that waits, each by its role."""

from collections.abc import Callable

from django.test import Client

from accounts.models import OutboundMail, User
from billing.models import DeskItem
from billing.staff_home import staff_home_of, waiting_for
from config.foundation.clock import now
from tests.pages.conftest import DOLLAR, World, one_call

SignIn = Callable[[User], Client]


def test_staff_see_todays_calls_of_everybody_and_people_do_not(world: World, as_person: SignIn) -> None:
    one_call(world.alice, world.key, outcome="unknown_model", status=404)
    house = staff_home_of(world.support, now())
    assert house is not None
    assert (house.today.call_count, house.today.failed_count, house.failed_percent) == (2, 1, "50.0")
    assert house.today.cost_nano == 1204 * 2500 + 88 * 10000
    assert staff_home_of(world.alice, now()) is None
    page = as_person(world.support).get("/").content.decode()
    assert "Calls of everybody today" in page
    assert "50.0 %" in page
    assert "Calls of everybody today" not in as_person(world.alice).get("/").content.decode()
    admin = as_person(world.admin).get("/admin/").content.decode()
    assert "Calls of everybody today" in admin
    assert "What waits for somebody" in admin


def test_work_that_waits_is_named_with_its_list_to_those_who_may_do_it(world: World, as_person: SignIn) -> None:
    assert [waiting_for(who) for who in (world.support, world.finance, world.ops, world.admin)] == [[], [], [], []]
    OutboundMail.objects.create(kind="test", to_address="x@example.org", subject="x", text="x", dedupe_key="x", state="failed")
    for number in range(2):
        DeskItem.objects.create(kind="unmatched", reference=str(number), reason="no_hold", user=world.alice, amount_nano=DOLLAR)
    desk, mail = "2 items lie at the desk", "1 mail was not delivered"
    said = [[line.text for line in waiting_for(who)] for who in (world.support, world.finance, world.ops, world.admin)]
    assert said == [[], [desk], [desk, mail], [desk, mail]]
    for line in waiting_for(world.admin):
        assert as_person(world.admin).get(line.url).status_code == 200
