"""R045: each mapping is proven by calls through the new entry, for the features in use."""

from typing import Any

import httpx
import pytest
from django.test import Client

from accounts.models import AuditEvent, Role, User
from accounts.services.people import create_person
from billing.models import LedgerEntry
from billing.pricing import RuleFigures
from config.foundation.errors import InvalidInput, NotAllowed
from gateway.contract.features import features_of
from gateway.feature_trials import try_feature
from gateway.models import FeatureUse, ProofResult, ProofRun
from gateway.services.proofs import ProofRunning, features_in_use, run_proof, same_model, say_features, start_proof, stop_proof
from models_catalog import services as catalog
from tests.gateway.servers import until
from tests.gateway.world import RULE, USD, World, balance

BACKEND = "allauth.account.auth_backends.AuthenticationBackend"


@pytest.mark.parametrize(
    ("body", "kind", "is_stream", "found"),
    [
        ({}, "chat", False, []),
        ({"tools": []}, "chat", True, ["stream"]),
        ({"tools": [{"type": "function"}]}, "chat", False, ["tools"]),
        ({"functions": [{"name": "old style"}]}, None, False, ["tools"]),
        ({"response_format": {"type": "text"}}, "chat", False, []),
        ({"response_format": {"type": "json_schema"}}, "chat", False, ["json"]),
        ({"response_format": "json"}, "chat", False, []),
        ({"text": {"format": {"type": "json_object"}}}, "responses", False, ["json"]),
        ({"messages": [{"content": [{"type": "image_url"}]}, {"content": "and?"}]}, "chat", False, ["vision"]),
        ({"input": [{"content": [{"type": "input_image"}]}]}, "responses", False, ["vision"]),
        ({"messages": [{"content": [{"type": "image"}]}]}, "messages", False, ["vision"]),
        ({"messages": [7, None, {"content": [None, "x"]}], "size": "1x1"}, "chat", False, []),
        ({"size": "512x512", "tools": [1]}, "images", False, ["size"]),
        ({"size": 3}, "images", False, []),
    ],
)
def test_R045_features_of_a_request(body: dict[str, Any], kind: Any, is_stream: bool, found: list[str]) -> None:
    assert features_of(body, kind, is_stream=is_stream) == found


@pytest.mark.parametrize(
    ("answered", "expected", "same"),
    [
        ("gpt-4o", "gpt-4o", True),
        ("gpt-4o-2024-11-20", "gpt-4o", True),
        ("gpt-4-0613", "gpt-4", True),
        ("GPT-4o", "openai/gpt-4o", True),
        ("claude-3-5-sonnet-20241022", "claude-3-5-sonnet-latest", True),
        ("gpt-4o-mini", "gpt-4o", False),
        ("gpt-4.1", "gpt-4", False),
        ("gpt-4-32k", "gpt-4", False),
        ("demo-served-instead", "demo-other-model", False),
        ("", "anything", True),
    ],
)
def test_R045_a_dated_version_is_the_same_model_and_a_sister_is_not(answered: str, expected: str, same: bool) -> None:
    assert same_model(answered, {"", expected}) is same


@pytest.fixture
def ops(db: None) -> User:
    return create_person(actor=None, username="operator", email="operator@example.org", role=Role.OPS)


@pytest.fixture
def mapped(world: World, ops: User, settings: Any) -> World:
    """Twenty fine names, one that another model answers, two for a model without tools, and one that is retired."""
    settings.PUBLIC_URL = world.relay.url
    world.models["demo-no-tools"] = catalog.create_model(actor_name="t", figures=catalog.ModelFigures(name="demo-no-tools"))
    catalog.set_access(actor_name="t", model=world.models["demo-no-tools"], group_codes=[world.group.code])
    catalog.serve_model(actor_name="t", upstream=world.route, model=world.models["demo-no-tools"])
    catalog.update_model(actor_name="t", model=world.models["demo-image"], modality="image")
    catalog.update_model(actor_name="t", model=world.models["demo-embedding"], modality="embedding")
    targets = {f"name-{n:02d}": "demo-chat" for n in range(17)}
    targets |= {"names-image": "demo-image", "names-vector": "demo-embedding", "names-plain": "demo-no-tools"}
    targets |= {"turned": "demo-other-model", "with-tools": "demo-no-tools"}
    changes = [catalog.NameChange(name, "alias", target) for name, target in targets.items()]
    catalog.publish_name_map(actor_name="t", changes=[*changes, catalog.NameChange("gone", "retired")])
    world.publish({"demo-image": RuleFigures(item_nano=USD // 100), "demo-no-tools": RULE})
    world.tester = world.person("0")  # type: ignore[attr-defined]
    from billing.services import ledger
    from config.foundation.ids import uuid7

    purse = ledger.purse_for(user=world.tester, kind="test")  # type: ignore[attr-defined]
    ledger.post_entries([ledger.Posting(uuid7(), "top_up", ledger.house_account("cash").pk, purse.pk, USD)])
    world.settle_in()
    return world


def use(world: World, name: str, **body: Any) -> None:
    """A person's own call, as the relay sees it."""
    _key, clear = world.key()
    answer = world.ask(clear, model=name, **body)
    assert answer.status_code == 200, answer.text


TOOL = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}
PICTURE = [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}, {"type": "text", "text": "what?"}]


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_R045_twenty_names_are_green_and_two_red_with_their_cause(mapped: World, ops: User, client: Client) -> None:
    use(mapped, "name-00", stream=True)
    use(mapped, "name-01", tools=[TOOL])
    use(mapped, "name-02", response_format={"type": "json_object"})
    use(mapped, "name-03", messages=[{"role": "user", "content": PICTURE}])
    _key, clear = mapped.key()
    body = {"model": "names-image", "prompt": "a hill", "size": "512x512"}
    httpx.post(f"{mapped.relay.url}/v1/images/generations", json=body, headers={"Authorization": f"Bearer {clear}"}, timeout=30)
    wanted = {"name-00": {"stream"}, "name-01": {"tools"}, "name-02": {"json"}, "name-03": {"vision"}, "names-image": {"size"}}
    until(lambda: features_in_use() == wanted, 15)
    say_features(actor=ops, name="with-tools", features=["tools"], note="the monthly report")
    key, _clear = mapped.key(mapped.tester, purpose="test")  # type: ignore[attr-defined]
    secrets = key.secrets.filter(revoked_at=None).count()
    run = start_proof(actor=ops, key_id=key.pk)
    with pytest.raises(ProofRunning):
        start_proof(actor=ops, key_id=key.pk)
    done = run_proof(run.pk)
    assert done is not None
    assert (done.state, run_proof(run.pk)) == (ProofRun.State.DONE, None)
    by_name: dict[str, dict[str, ProofResult]] = {}
    for result in done.results.all():
        by_name.setdefault(result.name, {})[result.feature] = result
    red = {name: [one for one in found.values() if one.state == "red"] for name, found in by_name.items()}
    green = [name for name, found in by_name.items() if {one.state for one in found.values()} == {"green"}]
    assert (len(green), len(by_name)) == (20, 22)
    assert {name for name, found in red.items() if found} == {"turned", "with-tools"}
    (turned,) = red["turned"]
    assert (turned.feature, turned.cause, turned.answered_as) == ("plain", "another-model", "demo-served-instead")
    (tools,) = red["with-tools"]
    assert (tools.feature, tools.cause, tools.http_status) == ("tools", "refused", 400)
    assert set(by_name["with-tools"]) == {"plain", "tools"}
    assert set(by_name["names-plain"]) == {"plain"}, "nobody uses tools under this name, so nothing is red"
    assert {name: set(found) - {"plain"} for name, found in by_name.items() if len(found) == 2} == {
        **wanted, "with-tools": {"tools"},
    }  # fmt: skip
    # Charged to test money and to nobody else; the borrowed secret has ended.
    assert key.secrets.filter(revoked_at=None).count() == secrets
    spent = USD - balance(mapped.tester)  # type: ignore[attr-defined]
    until(lambda: USD - balance(mapped.tester) > 0, 5)  # type: ignore[attr-defined]
    charged = LedgerEntry.objects.filter(kind="charge", from_account__user=mapped.tester)  # type: ignore[attr-defined]
    assert {entry.from_account.kind for entry in charged} == {"test"}
    assert spent >= 0
    client.force_login(ops, backend=BACKEND)
    page = client.get(f"/proofs/{run.pk}/").content.decode()
    assert "<strong>20</strong> of 22 names green" in page
    for words in ("demo-served-instead", "Another model answered", "400", "with-tools"):
        assert words in page
    assert client.get(f"/proofs/{run.pk}/progress/")["HX-Refresh"] == "true"
    listed = client.get("/proofs/").content.decode()
    assert "the relays count" not in listed
    assert "name-03" in listed


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_R045_what_the_answer_has_to_show(mapped: World) -> None:
    """Each feature against the relay: shown by the demo upstream, and not shown by models that cannot."""
    _key, clear = mapped.key(mapped.person("1"))

    def cause(name: str, feature: str, form: Any = "chat", **more: Any) -> str:
        return try_feature(mapped.relay.url, clear, name, form, feature, **more).cause

    assert [cause("demo-chat", one) for one in ("plain", "stream", "tools", "json", "vision")] == [""] * 5
    assert [cause("demo-chat", one, "messages") for one in ("plain", "stream", "tools", "vision")] == [""] * 4
    assert cause("demo-image", "size", "images", size="640x480") == ""
    assert try_feature(mapped.relay.url, clear, "demo-image", "images", "size", size="640x480").size == "640x480"
    assert cause("demo-no-tools", "tools") == "refused"
    assert cause("demo-garbage", "plain") == "refused"
    assert cause("demo-cut-stream", "stream") == "stream-not-ended"
    assert cause("no-such-name", "plain") == "refused"
    assert try_feature("http://127.0.0.1:9", clear, "demo-chat", "chat", "plain").cause == "unreachable"


@pytest.mark.django_db
def test_R045_who_may_prove_and_with_which_key(ops: User, client: Client) -> None:
    from tests.migrations_center.waves.town import Town

    town = Town().build("ann")
    support = create_person(actor=None, username="sue", role=Role.SUPPORT)
    key = town.keys["ann"]
    with pytest.raises(NotAllowed):
        start_proof(actor=support, key_id=key.pk)
    with pytest.raises(NotAllowed):
        say_features(actor=support, name="x", features=["tools"])
    with pytest.raises(InvalidInput) as refused:
        start_proof(actor=ops, key_id=key.pk)
    assert refused.value.details["field"] == "key"
    for name, features in (("", ["tools"]), ("x", ["plain"]), ("sk-" + "aB3" * 16, ["tools"])):
        with pytest.raises(InvalidInput):
            say_features(actor=ops, name=name, features=features)
    assert not FeatureUse.objects.exists()
    assert not ProofRun.objects.exists()
    say_features(actor=ops, name="our-chat", features=["tools", "json"])
    say_features(actor=ops, name="our-chat", features=["json"])
    say_features(actor=ops, name="our-chat", features=["json"])
    assert features_in_use(["our-chat"]) == {"our-chat": {"json"}}
    assert AuditEvent.objects.filter(action="features.said").count() == 2
    type(key).objects.filter(pk=key.pk).update(purpose="test")
    run = start_proof(actor=ops, key_id=key.pk)
    with pytest.raises(NotAllowed):
        stop_proof(actor=support, run=run)
    assert stop_proof(actor=ops, run=run)
    assert not stop_proof(actor=ops, run=run)
    assert run_proof(run.pk) is None, "a stopped run makes no call"
    client.force_login(support, backend=BACKEND)
    assert client.get("/proofs/").status_code == 200
    assert client.get(f"/proofs/{run.pk}/").status_code == 200
    for address in ("/proofs/", f"/proofs/{run.pk}/stop/", "/proofs/features/"):
        assert client.post(address, {"key": key.pk}).status_code == 403
    client.force_login(town.people["ann"], backend=BACKEND)
    assert client.get("/proofs/").status_code == 403
    assert client.get(f"/proofs/{run.pk}/").status_code == 403
    client.force_login(ops, backend=BACKEND)
    assert client.post("/proofs/", {"key": "999999"}).status_code == 422
    answer = client.post("/proofs/features/?name=our-chat", {"name": "our-chat", "features": ["vision"], "note": "by hand"})
    assert (answer.status_code, features_in_use(["our-chat"])) == (302, {"our-chat": {"vision"}})
    assert client.get("/proofs/00000000-0000-0000-0000-000000000000/").status_code == 404
