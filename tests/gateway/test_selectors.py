"""The portal asks the same decision as the relay, without a call."""

import pytest

from accounts.services.people import create_person
from config.foundation.errors import NotAllowed, NotFound
from gateway import selectors
from tests.gateway.world import CREDENTIAL, World

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]


def test_explain_access_says_what_the_relay_does(world: World):
    person = world.person()
    key, clear = world.key(person, model_names=["demo-chat", "demo-slow"], networks=["127.0.0.0/8"])
    for model in ("demo-chat", "demo-500", "nobody-has-it"):
        decision = selectors.explain_access(person, key.pk, model)
        answer = world.ask(clear, model=model)
        assert decision.is_allowed == (answer.status_code == 200)
        if decision.denial:
            assert decision.denial.code == answer.json()["error"]["code"]
    assert selectors.models_open_to(person, key.pk) == ["demo-chat", "demo-slow"]
    assert selectors.explain_access(person, key.pk, "demo-chat", address="203.0.113.9").denial.code == "network_not_allowed"
    assert CREDENTIAL not in repr(selectors.explain_access(person, key.pk, "demo-chat"))


def test_a_stranger_learns_nothing_and_support_may_look(world: World):
    key, _ = world.key()
    stranger = world.person()
    support = create_person(actor=None, username="support1", role="support")
    with pytest.raises(NotFound):
        selectors.explain_access(stranger, key.pk, "demo-chat")
    with pytest.raises(NotFound):
        selectors.models_open_to(stranger, 10**9)
    assert selectors.explain_access(support, key.pk, "demo-chat").is_allowed
    with pytest.raises(NotAllowed):
        selectors.relays(support)


def test_a_running_relay_is_seen_by_operations(world: World):
    ops = create_person(actor=None, username="ops2", role="ops")
    from tests.gateway.servers import running, start_relay, until

    with running(start_relay(RELAY_NAME="seen")):
        found = until(lambda: list(selectors.relays(ops).filter(name="seen", config_version__gt=0)), 15)
        assert [relay.name for relay in found] == ["seen"]
