"""R030: odd spend of a key against its own usual, as a function of values and on the database with a moved clock."""

import random
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from django.utils import timezone

from accounts.models import AuditEvent, Group, GroupMembership, OutboundMail, User
from billing.alerting.odd_spend import MINIMUM_NANO, MINIMUM_SAMPLE, Sample, judge
from billing.models import AlertEvent, KeySpend, RequestLog
from billing.services import alerts
from config.foundation.errors import InvalidInput
from config.foundation.ids import uuid7
from keys import services as key_services
from keys.models import ApiKey
from tests.billing.helpers import key_of, person

USUAL = 100_000_000
STEADY = [Sample(hour, USUAL + hour * 1_000_000) for hour in range(24) for _n in range(12)]


class TestJudgement:
    def test_eight_times_the_usual_is_odd_and_the_figures_say_why(self) -> None:
        verdict = judge(8 * USUAL, 3, STEADY, 4)
        assert verdict.is_odd
        assert (verdict.usual_nano, verdict.times_tenths, verdict.sample_size, verdict.is_same_hour) == (
            103_000_000,
            77,
            60,
            True,
        )
        assert not judge(3 * USUAL, 3, STEADY, 4).is_odd

    def test_a_small_sample_says_nothing_and_little_money_is_never_odd(self) -> None:
        few = STEADY[: MINIMUM_SAMPLE - 1]
        assert not judge(1000 * USUAL, 0, few, 4).is_odd
        assert not judge(1000 * USUAL, 0, few, 4).has_sample
        assert judge(1000 * USUAL, 0, STEADY[:MINIMUM_SAMPLE], 4).is_odd
        tiny = [Sample(0, 1000)] * 100
        assert not judge(MINIMUM_NANO - 1, 0, tiny, 4).is_odd
        assert judge(MINIMUM_NANO, 0, tiny, 4).is_odd

    def test_the_busy_hour_of_a_key_is_its_own_usual(self) -> None:
        """A batch job that spends twenty times as much at three in the morning every day is odd at noon only."""
        days = [
            Sample(hour, 20 * USUAL if hour == 3 else USUAL) for _day in range(14) for hour in range(24) for _n in range(12)
        ]
        only_three = [one for one in days if one.hour == 3]
        assert not judge(20 * USUAL, 3, only_three, 4).is_odd
        assert judge(20 * USUAL, 12, days, 4).is_odd

    def test_a_healthy_noisy_key_rarely_fires(self) -> None:
        """Two weeks learnt, then four weeks of the same restlessness: idle two windows in three, swinging by a factor of two
        and more, busier by day. Over five such keys less than one alert a key and week, and none for a calm key."""
        chance = random.Random(30)

        def window(hour: int, swing: float) -> int:
            busy = 0.33 if 8 <= hour < 20 else 0.1
            return int(USUAL * chance.lognormvariate(0, swing)) if chance.random() < busy else 0

        def alerts_of(swing: float) -> int:
            past = [Sample(hour, window(hour, swing)) for _day in range(14) for hour in range(24) for _n in range(12)]
            hours = set()
            for day in range(28):
                for hour in range(24):
                    if any(judge(cost, hour, past, 4).is_odd for cost in (window(hour, swing) for _n in range(3)) if cost):
                        hours.add((day, hour))
            return len(hours)

        noisy = [alerts_of(0.7) for _key in range(5)]
        assert sum(noisy) < len(noisy) * 4
        assert alerts_of(0.2) == 0


def plant(key: ApiKey, at: datetime, cost: int, calls: int = 1) -> None:
    """Calls of a key that cost this much together, spread over the minute after ``at``."""
    rows = []
    for n in range(calls):
        moment = int((at + timedelta(seconds=60 * n / calls)).timestamp() * 1000)
        call = uuid7(moment)
        started = datetime.fromtimestamp(moment / 1000, tz=UTC)
        rows.append(
            RequestLog(
                id=call, started_at=started, key=key, user=key.owner, cost_nano=cost // calls, outcome="ok", asked_model="m"
            )
        )
    RequestLog.objects.bulk_create(rows)


class Clock:
    """Moves the time the portal sees."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, start: datetime) -> None:
        self.at = start
        monkeypatch.setattr(timezone, "now", lambda: self.at)

    def tick(self, **by: float) -> None:
        self.at += timedelta(**by)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch, datetime.now(UTC).replace(minute=1, second=0, microsecond=0) - timedelta(hours=6))


def learn(key: ApiKey, until: datetime, days: int = 4, cost: int = USUAL) -> None:
    """A past with this cost in every five minutes of the hours around."""
    rows = []
    for day in range(1, days + 1):
        for n in range(-12, 24):
            at = until - timedelta(days=day) + timedelta(minutes=5 * n)
            call = uuid7(int(at.timestamp() * 1000))
            rows.append(RequestLog(id=call, started_at=at.replace(microsecond=0), key=key, cost_nano=cost, outcome="ok"))
    for row in rows:
        row.started_at = datetime.fromtimestamp((row.id.int >> 80) / 1000, tz=UTC)
    RequestLog.objects.bulk_create(rows)


def minute(*spends: tuple[ApiKey, int]) -> int:
    """One beat: what the keys spend in a minute, then the look."""
    for key, cost in spends:
        plant(key, timezone.now() - timedelta(seconds=61), cost)
    alerts.fold_spend_windows()
    return alerts.check_odd_spend()


@pytest.mark.django_db
class TestKeys:
    def test_R030_a_spike_of_eight_is_told_within_five_minutes_and_once_an_hour(self, clock: Clock) -> None:
        """8x on K3: alert within 5 min, at most one an hour; steady K4: none."""
        ann = person("ann", email="ann@example.org")
        k3, k4 = key_of(ann, "K3"), key_of(ann, "K4")
        learn(k3, clock.at)
        learn(k4, clock.at)
        told_at = []
        for n in range(90):
            calm = n < 5 or 40 <= n < 50
            if minute((k3, USUAL // 5 if calm else 8 * USUAL // 5), (k4, USUAL // 5)):
                told_at.append(n)
            clock.tick(minutes=1)
        assert 5 < told_at[0] <= 10
        assert all(later - earlier >= 60 for earlier, later in zip(told_at, told_at[1:], strict=False))
        assert {event.subject for event in AlertEvent.objects.all()} == {f"key:{k3.pk}"}
        assert OutboundMail.objects.count() == len(told_at) == 2
        event = AlertEvent.objects.earliest("fired_at")
        assert event.figures["usual_nano"] == USUAL
        assert event.figures["times_tenths"] >= 40
        assert event.figures["sample_size"] >= MINIMUM_SAMPLE
        top = [UUID(one["id"]) for one in event.figures["top_calls"]]
        assert set(top) <= set(RequestLog.objects.filter(key=k3).values_list("id", flat=True))
        assert "“K3” spends" in OutboundMail.objects.earliest("created_at").subject
        k3.refresh_from_db()
        assert k3.state == "active"

    def test_R030_with_automatic_pause_the_key_stops_and_resumes_by_one_act(self, clock: Clock) -> None:
        ann = person("ann", email="ann@example.org")
        k3 = key_of(ann, "K3")
        learn(k3, clock.at)
        alerts.set_rule(actor=ann, kind="odd_spend", key=k3, thresholds=[4], channels=["mail"], pauses_key=True)
        assert minute((k3, 8 * USUAL)) == 1
        k3.refresh_from_db()
        assert (k3.state, k3.state_reason) == ("paused", "odd_spend")
        assert AlertEvent.objects.get().figures["is_paused"] is True
        assert "The key is paused" in OutboundMail.objects.get().text
        assert key_services.enable_key(actor=ann, key=k3)
        k3.refresh_from_db()
        assert k3.state == "active"
        assert list(AuditEvent.objects.filter(object_type="keys.apikey").order_by("pk").values_list("action", flat=True)) == [
            "key.pause",
            "key.resume",
        ]
        clock.tick(minutes=1)
        assert minute((k3, 8 * USUAL)) == 0
        k3.refresh_from_db()
        assert k3.state == "active"

    def test_a_team_is_judged_by_all_its_keys(self, clock: Clock) -> None:
        """Five new keys without a sample of their own, each as dear as the one the team had: odd together."""
        team = Group.objects.create(code="lab", name="Lab")
        boss = person("boss", email="boss@example.org")
        GroupMembership.objects.create(group=team, user=boss, team_role="owner")
        old = ApiKey.objects.create(name="old", team=team)
        fresh = [ApiKey.objects.create(name=f"new{n}", team=team) for n in range(5)]
        learn(old, clock.at)
        assert minute((old, USUAL), *((key, USUAL // 2) for key in fresh)) == 0
        clock.tick(minutes=6)
        assert minute((old, USUAL), *((key, USUAL) for key in fresh)) == 1
        assert AlertEvent.objects.get().subject == f"team:{team.pk}"
        assert OutboundMail.objects.get().to_address == "boss@example.org"

    def test_windows_are_counted_again_and_old_ones_go(self, clock: Clock) -> None:
        key = key_of(person())
        plant(key, clock.at - timedelta(minutes=2), 1000, calls=2)
        assert alerts.fold_spend_windows() >= 1
        plant(key, clock.at - timedelta(minutes=2), 500)
        alerts.fold_spend_windows()
        assert sum(KeySpend.objects.values_list("cost_nano", flat=True)) == 1500
        clock.tick(days=16)
        alerts.fold_spend_windows()
        assert not KeySpend.objects.exists()

    def test_one_threshold_and_only_for_keys_one_manages(self) -> None:
        ann: User = person("ann")
        with pytest.raises(InvalidInput):
            alerts.set_rule(actor=ann, kind="odd_spend", user=ann, thresholds=[4, 8], channels=[])
