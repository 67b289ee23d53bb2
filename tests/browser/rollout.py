"""What the pages of moving step by step need beside the world of ``test_pictures``, and those pages."""

from datetime import timedelta

from accounts.models import User
from accounts.services import teams
from billing.models import RequestLog
from config.foundation.clock import now
from config.foundation.ids import uuid7
from gateway.models import ProofResult, ProofRun
from gateway.services.proofs import say_features
from gateway.services.trial_lists import open_trial
from keys.services import issue_key
from tests.pages.conftest import World, one_call

# picture, who looks, address
PAGES = [
    ("access-explain", "sue", "/access/explain/"),
    ("access-allowed", "sue", "/access/explain/?key=%23{key}&model=gpt-4o"),
    ("access-refused", "sue", "/access/explain/?key=%23{key}&model=no-such-model&at=2026-01-01T10:00"),
    ("proofs", "root", "/proofs/"),
    ("proof", "root", "/proofs/{proof}/"),
    ("proof-features", "root", "/proofs/features/?name=gpt-4o"),
    ("trials", "root", "/trials/"),
    ("trial", "root", "/trials/{trial}/"),
    ("trial-production", "root", "/trials/{trial}/production/"),
    ("calls-repeated", "alice", "/calls/?period=1"),
    ("call-repeats", "alice", "/calls/{repeat}/repeats/"),
    ("find-repeated", "sue", "/find/?person=alice&period=1&as=person"),
]


def rollout_of(world: World) -> dict[str, str]:
    """What the addresses of PAGES name."""
    return {"proof": _proof(world), "trial": _trial(), "repeat": _repeats(world)}


def _trial() -> str:
    """A project half way: shown, not shown with its cause, and open."""
    root = User.objects.get(username="root")
    team = teams.create_team(actor=root, name="Poster workshop", code="posters", owner=root)
    trial = open_trial(actor=root, team=team, kind="creative")
    issue_key(actor=root, team=team, name="poster trials", purpose="test")
    passed = {"state": "passed", "checked_at": now(), "request_id": uuid7().hex}
    trial.items.filter(code__in=("prompt", "download")).update(**passed)
    trial.items.filter(code="ratio").update(state="failed", cause="refused", error_code="invalid_size", checked_at=now())
    return str(trial.pk)


def _repeats(world: World) -> str:
    """Seven same calls in three minutes, the last one without a result."""
    calls = [one_call(world.alice, world.key, at=now() - timedelta(seconds=30 * n)) for n in range(7)]
    RequestLog.objects.filter(id__in=calls).update(body_digest=41)
    RequestLog.objects.filter(id=calls[0]).update(outcome="timeout", cost_nano=0, http_status=504)
    return str(calls[0].hex)


def _proof(world: World) -> str:
    """A proof that is done: green, red by its model, red by a feature, and one that cannot be tried."""
    world.test_key = issue_key(actor=world.alice, owner=world.alice, name="for checks", purpose="test")[0]  # type: ignore[attr-defined]
    root = User.objects.get(username="root")
    run = ProofRun.objects.create(started_by=root, key=world.test_key, map_version=3, state="done", ended_at=now())  # type: ignore[attr-defined]
    rows = [
        ("our-chat", "gpt-4o", "plain", "green", "", "gpt-4o-2024-11-20", 200),
        ("our-chat", "gpt-4o", "stream", "green", "", "gpt-4o-2024-11-20", 200),
        ("gpt-3.5-turbo", "gpt-4o-mini", "plain", "red", "another-model", "gpt-4o", 200),
        ("an-old-name-with-a-rather-long-tail-2024", "gpt-4o", "tools", "red", "refused", "", 400),
        ("whisper-1", "whisper-1", "plain", "skipped", "no-probe", "", 0),
    ]
    for name, called, feature, state, cause, answered, status in rows:
        code = "tools_not_supported" if cause == "refused" else ""
        ProofResult.objects.create(
            run=run, name=name, called_name=called, feature=feature, state=state, cause=cause, answered_as=answered,
            http_status=status, error_code=code, took_ms=412,
        )  # fmt: skip
    say_features(actor=root, name="our-chat", features=["tools", "json"])
    return str(run.pk)
