"""Ten people of a real old database: told, switched, served, charged, and taken back, over real servers."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest
from django.db import connection

from accounts.models import OutboundMail, Role, User
from accounts.services.people import create_person
from accounts.tasks import send_mail_task
from billing.invariants import check_all
from billing.models import LedgerAccount, RequestLog
from config.foundation.clock import now
from gateway.demo_old_gateway import key_digest
from gateway.services import remember_old_entry
from migrations_center.models import Source, Wave
from migrations_center.plans import gates
from migrations_center.selectors_waves import calls_panel
from migrations_center.services import notices, plans, switching, waves
from models_catalog import services as catalog
from tests.accounts.smtp_double import Double
from tests.gateway.servers import Server, until
from tests.migrations_center.imports.support import do_import, sample, totals

pytestmark = pytest.mark.slow
TEN = ("alice", "bob", "chen", "dora", "emil", "fang", "ines", "jun", "mei", "olga")


def settle_in(relay: Server) -> None:
    """Return once the relay obeys what the database says now: it hears of changes in their order."""
    with connection.cursor() as cursor:
        cursor.execute("UPDATE models_catalog_provider SET name = name")
        cursor.execute("SELECT last_value FROM gateway_config_version")
        (wanted,) = cursor.fetchone()
    until(lambda: httpx.get(f"{relay.url}/healthz").json().get("config_version", 0) >= wanted)


def ask(relay: Server, key: str, model: str = "gpt-4o-mini") -> httpx.Response:
    body = {"model": model, "messages": [{"role": "user", "content": "hello"}], "max_tokens": 50}
    headers = {"Authorization": f"Bearer sk-{key}"}
    return httpx.post(f"{relay.url}/v1/chat/completions", json=body, headers=headers, timeout=30)


def seen_by_old(old: Server) -> list[str]:
    return [call["key"] for call in old.calls()["calls"]]


def purse(name: str) -> tuple[int, bool]:
    account = LedgerAccount.objects.get(user__username=name, is_purse=True, kind="prepaid")
    return account.balance_nano, account.is_spendable


def logs(name: str, **where: Any) -> list[RequestLog]:
    return list(RequestLog.objects.filter(user__username=name, origin="relay", **where).order_by("started_at"))


def log_of(response: httpx.Response) -> RequestLog:
    call = UUID(response.headers["x-request-id"])
    return until(lambda: RequestLog.objects.filter(pk=call).first())


@pytest.fixture
def moving(servers: tuple[Server, Server, Server], smtp: Double) -> dict[str, Any]:  # noqa: F811
    """The One API sample imported, a plan over it, and a draft of ten people."""
    relay, upstream, old = servers
    ops = create_person(actor=None, username="operator", email="operator@example.org", role=Role.OPS)
    provider = catalog.create_provider(actor_name="test", code="demo", name="Demo")
    catalog.create_upstream(
        actor_name="test", name="demo", provider=provider, base_url=upstream.url, credential="sk-demo-upstream"
    )
    report = do_import(sample("one-api"), upstream="demo")
    assert report["totals"]["balances"]["ties_out"]
    source = Source.objects.get()
    entry = remember_old_entry(actor=ops, name="Old gateway", base_url=old.url)
    plan = plans.create_plan(actor=ops, source=source, name="One API moves", old_entry=entry).plan
    wave = waves.create_wave(actor=ops, plan=plan, name="Ten people", planned_at=now() + timedelta(days=4))
    people = User.objects.filter(username__in=TEN).values_list("pk", flat=True)
    waves.add_members(actor=ops, wave=wave, user_ids=list(people))
    known = totals("one-api")
    keys = {key["username"]: key["key"] for key in known["keys"] if key["name"] == "main"}
    settle_in(relay)
    return {"ops": ops, "wave": wave, "keys": keys, "relay": relay, "old": old, "upstream": upstream, "smtp": smtp}


def test_ten_people_there_and_back(moving: dict[str, Any]) -> None:
    """R069 R075 R084 R087 and the journey of the first delivery: opening = spent here + closed, to the unit."""
    ops, wave, keys, relay, old = (moving[name] for name in ("ops", "wave", "keys", "relay", "old"))
    found = waves.check_gates(wave)
    assert gates.blocking(found) == []
    waves.mark_ready(actor=ops, wave=wave)

    before_the_switch(moving)
    opening = {name: purse(name)[0] for name in TEN}

    assert switching.switch(actor=ops, wave=wave, reason="pilot").done == 10
    settle_in(relay)
    spent = after_the_switch(moving, opening)

    assert switching.go_back(actor=ops, wave=wave, reason="rehearsal").is_complete
    settle_in(relay)
    old.reset()
    response = ask(relay, keys["bob"])
    assert response.status_code == 200
    assert seen_by_old(old) == [key_digest(keys["bob"])]
    assert log_of(response).cost_nano == 0
    for member in wave.members.select_related("user"):
        name = member.user.username
        assert member.opening_nano == opening[name]
        assert member.spent_nano == spent.get(name, 0)
        assert member.opening_nano == member.spent_nano + member.closed_nano
        assert purse(name) == (0, False)
    send_mail_task()
    back = [mail for mail in moving["smtp"].accepted if mail["Subject"] == "You are back on the old entry"]
    assert len(back) == 10
    assert [finding.code for finding in check_all(None) if finding.breaches] == []


def before_the_switch(moving: dict[str, Any]) -> None:
    """Each is told once; their calls reach the old gateway with their own key and cost nothing here."""
    wave, keys, relay, old, smtp = (moving[name] for name in ("wave", "keys", "relay", "old", "smtp"))  # noqa: F811
    assert notices.notify(actor=moving["ops"], wave=wave).written == 10
    send_mail_task()
    send_mail_task()
    assert notices.notify(actor=moving["ops"], wave=wave).written == 0
    assert sorted(smtp.recipients) == sorted(f"{name}@example.test" for name in TEN)
    assert set(smtp.recipients.values()) == {1}
    for name in TEN:
        response = ask(relay, keys[name])
        assert response.status_code == 200, response.text
        row = log_of(response)
        assert (row.route, row.cost_nano, row.user.username) == ("old", 0, name)  # type: ignore[union-attr]
    assert sorted(seen_by_old(old)) == sorted(key_digest(keys[name]) for name in TEN)
    assert all(not spendable for _balance, spendable in (purse(name) for name in TEN))
    assert sum(row.cost_nano for name in TEN for row in logs(name)) == 0


def after_the_switch(moving: dict[str, Any], opening: dict[str, int]) -> dict[str, int]:
    """Three of them call: served here, charged here to the unit; who is not in the wave stays on the old entry."""
    wave, keys, relay, old, smtp = (moving[name] for name in ("wave", "keys", "relay", "old", "smtp"))  # noqa: F811
    assert {name: purse(name) for name in TEN} == {name: (opening[name], True) for name in TEN}
    old.reset()
    spent: dict[str, int] = {}
    for name in ("alice", "bob", "alice", "chen"):
        response = ask(relay, keys[name])
        assert response.status_code == 200, response.text
        row = log_of(response)
        assert (row.route, row.outcome) == ("new", "ok")
        assert row.cost_nano > 0
        spent[name] = spent.get(name, 0) + row.cost_nano
    assert seen_by_old(old) == []
    for name in TEN:
        until(lambda name=name: purse(name)[0] == opening[name] - spent.get(name, 0))
    assert ask(relay, keys["qing"]).status_code == 200
    assert seen_by_old(old) == [key_digest(keys["qing"])]
    panel = calls_panel(wave)
    assert panel is not None
    assert (panel.total_since, panel.charged_nano) == (4, sum(spent.values()))
    send_mail_task()
    assert len([mail for mail in smtp.accepted if mail["Subject"] == "You are on the new entry"]) == 10
    return spent


def test_mails_speak_to_each_in_their_own_words(moving: dict[str, Any]) -> None:
    """R089: what changes, the new entry, this person's renamed models, the balance, the time with zone, the way back."""
    ops, wave = moving["ops"], moving["wave"]
    User.objects.filter(username="bob").update(language="zh-hans", time_zone="Asia/Shanghai")
    Wave.objects.filter(pk=wave.pk).update(planned_at="2027-01-05T02:30:00Z")
    waves.mark_ready(actor=ops, wave=wave)
    notices.notify(actor=ops, wave=wave)
    mails = {mail.user.username: mail for mail in OutboundMail.objects.select_related("user")}  # type: ignore[union-attr]
    alice, bob = mails["alice"], mails["bob"]
    assert (alice.language, bob.language) == ("en", "zh-hans")
    assert "2027-01-05 02:30 (UTC)" in alice.text
    assert "2027-01-05 10:30（Asia/Shanghai）" in bob.text
    figures = {row["username"]: row for row in balances()}
    assert f"It is ${figures['alice']['usd']} today" in alice.text
    assert "/v1" in alice.text
    assert moving["old"].url in alice.text
    no_secret_in_what_was_written(list(moving["keys"].values()))


def balances() -> list[dict[str, str]]:
    """What the sample's own totals say, in dollars at 500,000 units each."""
    rows = totals("one-api")["balances (user_id, username, group, status, quota, used_quota, request_count)"]
    return [{"username": row[1], "usd": dollars(row[4])} for row in rows]


def dollars(quota: int) -> str:
    text = f"{quota // 500_000:,}.{quota % 500_000 * 2_000:09d}"
    whole, _dot, rest = text.partition(".")
    return f"{whole}.{rest.rstrip('0').ljust(2, '0')}"


def no_secret_in_what_was_written(keys: list[str]) -> None:
    """Neither a whole key nor one of the sample's planted secrets is in a mail or in the trail."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT json_agg(m)::text FROM accounts_outboundmail m")
        (mails,) = cursor.fetchone()
        cursor.execute("SELECT json_agg(e)::text FROM accounts_auditevent e")
        (events,) = cursor.fetchone()
    assert "canary" not in (mails + events).lower()
    assert not [key for key in keys if key in mails + events]
