"""The demo's content: made once, through the services, and never over what people changed."""

import io

import pytest
from django.core.management import CommandError, call_command

from accounts.models import AuditEvent, User
from billing.models import LedgerEntry, PriceRule
from billing.selectors import balance_of
from config.stack import keepsakes
from gateway.models import OldEntry
from keys.models import ApiKey, KeySecret
from keys.secrets import candidate_digests, normalise
from models_catalog.models import AIModel, ModelAccess, Upstream

pytestmark = pytest.mark.django_db

USD = 1_000_000_000


@pytest.fixture
def seed(tmp_path, settings, monkeypatch):
    settings.DEMO = True
    monkeypatch.setenv("DEMO_UPSTREAM_URL", "http://127.0.0.1:8002")
    monkeypatch.setenv("DEMO_OLD_GATEWAY_URL", "http://127.0.0.1:8003")
    return lambda: call_command("seed", home=tmp_path, stdout=io.StringIO())


def test_people_of_each_role_can_log_in(seed, tmp_path, client):
    seed()
    roles = dict(User.objects.values_list("username", "role"))
    assert roles == {"admin": "admin", "ops": "ops", "support": "support", "finance": "finance", "demo": "user"}
    for name, password in keepsakes.passwords_in(keepsakes.load(tmp_path)).items():
        assert client.post("/accounts/login/", {"login": name, "password": password}).status_code == 302
        assert client.session["_auth_user_id"] == str(User.objects.get(username=name).pk)
        client.logout()


def test_the_demo_user_has_money_and_a_key_that_is_kept(seed, tmp_path):
    seed()
    person = User.objects.get(username="demo")
    assert balance_of(person).available_nano == 25 * USD
    clear = keepsakes.load(tmp_path)["demo_api_key"]
    secret = KeySecret.objects.get(digest__in=candidate_digests(normalise(clear).bare))
    assert (secret.key.owner, secret.tail) == (person, clear[-4:])


def test_every_model_has_an_upstream_a_price_and_is_open_to_all(seed):
    seed()
    names = set(AIModel.objects.values_list("name", flat=True))
    assert {"gpt-4o-mini", "gpt-4o", "claude-sonnet-4-5", "text-embedding-3-small"} < names
    upstream = Upstream.objects.get(name="demo")
    assert (upstream.base_url, upstream.state) == ("http://127.0.0.1:8002", "enabled")
    assert set(upstream.served.values_list("model__name", flat=True)) == names
    assert set(ModelAccess.objects.values_list("model__name", "group_code")) == {(name, "*") for name in names}
    assert set(PriceRule.objects.values_list("model_name", flat=True)) == names
    rule = PriceRule.objects.get(model_name="gpt-4o-mini")
    assert (rule.input_nano, rule.cached_nano, rule.output_nano) == (150_000_000, 75_000_000, 600_000_000)
    assert OldEntry.objects.get().base_url == "http://127.0.0.1:8003"


def test_a_second_time_changes_nothing_but_the_addresses(seed, monkeypatch, tmp_path):
    seed()
    person, model = User.objects.get(username="support"), AIModel.objects.get(name="gpt-4o")
    person.set_password("another-password-of-hers")
    person.save()
    model.access.all().delete()
    kept = keepsakes.load(tmp_path)
    before = {one: one.objects.count() for one in (User, ApiKey, LedgerEntry, PriceRule, AIModel, Upstream, OldEntry)}
    events = AuditEvent.objects.count()
    monkeypatch.setenv("DEMO_UPSTREAM_URL", "http://127.0.0.1:8102")
    seed()
    assert {one: one.objects.count() for one in before} == before
    assert keepsakes.load(tmp_path) == kept
    # Both upstreams of the demo follow, and the trail says so of each.
    assert set(Upstream.objects.values_list("base_url", flat=True)) == {"http://127.0.0.1:8102"}
    assert AuditEvent.objects.count() == events + Upstream.objects.count() == events + 2
    person.refresh_from_db()
    assert person.check_password("another-password-of-hers")
    assert not model.access.exists()


def test_a_fresh_database_gets_a_key_of_its_own(seed, tmp_path):
    keepsakes.remember(tmp_path, "demo_api_key", "sk-" + "A1" * 24)
    seed()
    clear = keepsakes.load(tmp_path)["demo_api_key"]
    assert KeySecret.objects.filter(digest__in=candidate_digests(normalise(clear).bare)).count() == 1


def test_it_is_refused_where_real_people_work(seed, settings):
    settings.DEMO = False
    with pytest.raises(CommandError, match="not a demo"):
        seed()
    assert not User.objects.exists()


def test_no_clear_secret_is_in_the_audit_trail(seed, tmp_path):
    seed()
    kept = keepsakes.load(tmp_path)
    trail = " ".join(str(row) for row in AuditEvent.objects.values_list("before", "after", "object_label", "reason"))
    assert trail
    assert [name for name, value in kept.items() if value in trail] == []
