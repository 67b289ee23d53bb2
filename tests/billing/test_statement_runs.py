"""Who issues statements, for whom, and what happens when that is done at once, is killed, or goes on for years."""

import os
import signal
import subprocess
import sys
import threading
from datetime import UTC, date, datetime
from typing import Any

import pytest
import time_machine
from django.db import connection, connections
from django.test import Client

from accounts.models import AuditEvent, Group, GroupMembership, Role, User
from billing.models import Statement, StatementFile, StatementRun
from billing.selectors import statements as selectors
from billing.services import ledger, partitions
from billing.services import statements as service
from billing.statements.months import bounds_of, month_after, month_before
from config.foundation.errors import InvalidInput, NotAllowed, NotFound
from config.foundation.money import format_usd
from tests.billing.helpers import person
from tests.billing.statement_world import AUGUST, IN_OCTOBER, SEPTEMBER, SHANGHAI, a_customer, call, top_up


@pytest.mark.django_db
@time_machine.travel(IN_OCTOBER, tick=True)
def test_R032_a_team_has_its_own_and_its_owners_see_it(client: Client) -> None:
    partitions.ensure_partitions(date(2026, 6, 1), date(2026, 10, 1))
    team = Group.objects.create(code="crew", name="Crew")
    owner, member, stranger = person("ada"), person("bob"), person("eve")
    GroupMembership.objects.create(group=team, user=owner, team_role="owner")
    GroupMembership.objects.create(group=team, user=member)
    top_up(team, 10**9, datetime(2026, 8, 2, tzinfo=UTC))
    call(team, 4_000_000, datetime(2026, 8, 3, tzinfo=UTC))
    statement = service.issue_statement(actor=None, owner=team, month_on=AUGUST).statement
    assert statement is not None
    assert (statement.usage_nano, statement.closing_nano) == (-4_000_000, 10**9 - 4_000_000)
    assert selectors.statements_for(owner) == [statement]
    assert selectors.statement_for(person("fin", Role.FINANCE), statement.pk) == statement
    for other in (member, stranger, person("sue", Role.SUPPORT)):
        assert selectors.statements_for(other) == []
        with pytest.raises(NotFound):
            selectors.statement_for(other, statement.pk)
        client.force_login(other)
        assert client.get(f"/statements/{statement.pk}/").status_code == 404
        assert client.get(f"/statements/{statement.pk}/en.csv").status_code == 404
    client.force_login(owner)
    assert "Crew" in client.get("/statements/").content.decode()
    assert client.get(f"/statements/{statement.pk}/en.exe").status_code == 404
    assert client.get("/statements/999999/").status_code == 404


@pytest.mark.django_db
@time_machine.travel(IN_OCTOBER, tick=True)
def test_finance_previews_issues_one_and_everybody(client: Client, django_capture_on_commit_callbacks: Any) -> None:
    user = a_customer()
    a_customer("bob", "UTC")
    person("idle")
    fin = person("fin", Role.FINANCE)
    client.force_login(fin)
    desk = client.get("/finance/statements/?month=2026-08").content.decode()
    assert "Issue 2026-08 for everybody" in desk
    preview = client.get("/finance/statements/preview/?month=2026-08&who=ada").content.decode()
    for who, said in (("", "name whose statement"), ("nobody", "no person and no team of this name")):
        answer = client.get(f"/finance/statements/preview/?month=2026-08&who={who}", follow=True)
        assert answer.redirect_chain[0][0] == f"/finance/statements/?month=2026-08&who={who}"
        assert said in answer.content.decode()
    assert "Nothing is issued yet" in preview
    assert format_usd(15 * 10**9 - 250_000_001 - 373_000_000) in preview
    assert not Statement.objects.exists()
    assert client.post("/finance/statements/issue/", {"month": "2026-08", "who": "ada"}).status_code == 302
    assert Statement.objects.get().user == user
    for bad in ({"month": "nonsense"}, {"month": "2026-08", "who": "nobody"}, {"month": "2026-10", "who": "ada"}):
        assert client.post("/finance/statements/issue/", bad).status_code == 302
    assert Statement.objects.count() == 1
    asked = client.get("/finance/statements/issue/?month=2026-08").content.decode()
    assert "an issued statement never changes" in asked
    assert 'name="month" value="2026-08"' in asked
    assert Statement.objects.count() == 1
    assert client.get("/finance/statements/issue/?month=nonsense").status_code == 302
    for run in service.start_runs(actor=fin, month_on=AUGUST, again=True):
        while service.continue_run(run.pk, limit=1):
            pass
    runs = {run.time_zone: (run.issued_count, run.present_count, run.failed_count) for run in StatementRun.objects.all()}
    assert runs == {SHANGHAI: (0, 1, 0), "UTC": (1, 0, 0)}
    page = client.get("/finance/statements/?month=2026-08").content.decode()
    assert "1 issued, 0 there already" in page
    assert AuditEvent.objects.filter(action="statement.issued").count() == 2
    for who in (user, person("ops", Role.OPS), person("sue", Role.SUPPORT)):
        client.force_login(who)
        assert client.get("/finance/statements/").status_code == 403
        assert client.post("/finance/statements/issue/", {"month": "2026-09", "who": "ada"}).status_code == 403
        with pytest.raises(NotAllowed):
            service.issue_statement(actor=who, owner=user, month_on=SEPTEMBER)
    assert Statement.objects.count() == 2


@pytest.mark.django_db(transaction=True)
@time_machine.travel(IN_OCTOBER, tick=True)
def test_R032_issued_by_eight_at_once_is_issued_once() -> None:
    people = [a_customer(f"p{n}") for n in range(4)]
    answers: list[str] = []

    def work(owner: User) -> None:
        try:
            answers.append(service.issue_statement(actor=None, owner=owner, month_on=AUGUST).status)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=work, args=(people[n % 4],)) for n in range(32)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == ["issued"] * 4 + ["present"] * 28
    assert Statement.objects.count() == 4
    assert StatementFile.objects.count() == 24


_ISSUER = """
import django; django.setup()
import time_machine
from datetime import datetime, UTC
from django.db import connection
connection.settings_dict["NAME"] = {name!r}
from billing.services import statements
with time_machine.travel(datetime(2026, 10, 5, tzinfo=UTC), tick=True):
    print("ready", flush=True)
    while statements.continue_run({run}, limit=2):
        print("step", flush=True)
print("end", flush=True)
"""


@pytest.mark.django_db(transaction=True)
@time_machine.travel(IN_OCTOBER, tick=True)
def test_R032_a_killed_job_goes_on_where_it_was() -> None:
    """kill -9 in the middle of issuing: what was issued stands whole, the next worker issues the rest, each once."""
    for n in range(12):
        a_customer(f"p{n:02}")
    (run,) = [run for run in service.start_runs(actor=None, month_on=AUGUST) if run.time_zone == SHANGHAI]
    code = _ISSUER.format(name=connection.settings_dict["NAME"], run=run.pk)
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, env=os.environ.copy())
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    assert process.stdout.readline() == b"step\n"
    process.send_signal(signal.SIGKILL)
    process.wait()
    run.refresh_from_db()
    assert run.finished_at is None
    assert Statement.objects.count() == run.issued_count >= 2
    assert StatementFile.objects.count() == 6 * Statement.objects.count()
    while service.continue_run(run.pk):
        pass
    run.refresh_from_db()
    assert (run.issued_count + run.present_count, run.failed_count) == (12, 0)
    assert Statement.objects.count() == 12
    assert StatementFile.objects.count() == 72
    before = set(Statement.objects.values_list("pk", flat=True))
    for again in service.start_runs(actor=None, month_on=AUGUST, again=True):
        while service.continue_run(again.pk):
            pass
    assert set(Statement.objects.values_list("pk", flat=True)) == before


@pytest.mark.django_db
@time_machine.travel(IN_OCTOBER, tick=True)
def test_three_years_of_months_chain_and_add_up_to_the_balance() -> None:
    user = person("ada", time_zone="America/New_York")
    partitions.ensure_partitions(date(2023, 8, 1), date(2026, 10, 1))
    month = date(2023, 9, 1)
    while month < date(2026, 10, 1):
        start, end = bounds_of(month, "America/New_York")
        top_up(user, 1000, start)
        call(user, 7, end - (end - start) / 1000)
        month = month_after(month)
    month = date(2023, 9, 1)
    while month < date(2026, 10, 1):
        found = service.issue_statement(actor=None, owner=user, month_on=month).statement
        assert found is not None
        assert (found.credits_nano, found.usage_nano, found.earlier_nano, found.entry_count) == (1000, -7, 0, 2)
        assert found.opening_nano == 993 * (Statement.objects.count() - 1)
        month = month_after(month)
    assert Statement.objects.order_by("-month_on")[0].closing_nano == ledger.purse_for(user=user).balance_nano == 993 * 37
    with pytest.raises(InvalidInput):
        service.issue_statement(actor=None, owner=user, month_on=date(2022, 1, 1))


def test_months() -> None:
    assert month_after(date(2026, 12, 1)) == date(2027, 1, 1)
    assert month_before(date(2027, 1, 1)) == date(2026, 12, 1)
    assert bounds_of(date(2026, 3, 1), "America/New_York") == (
        datetime(2026, 3, 1, 5, tzinfo=UTC),
        datetime(2026, 4, 1, 4, tzinfo=UTC),
    )
