"""What the pages of moving step by step need beside the world of ``test_pictures``, and those pages."""

from accounts.models import User
from config.foundation.clock import now
from gateway.models import ProofResult, ProofRun
from gateway.services.proofs import say_features
from keys.services import issue_key
from tests.pages.conftest import World

# picture, who looks, address
PAGES = [
    ("access-explain", "sue", "/access/explain/"),
    ("access-allowed", "sue", "/access/explain/?key=%23{key}&model=gpt-4o"),
    ("access-refused", "sue", "/access/explain/?key=%23{key}&model=no-such-model&at=2026-01-01T10:00"),
    ("proofs", "root", "/proofs/"),
    ("proof", "root", "/proofs/{proof}/"),
    ("proof-features", "root", "/proofs/features/?name=gpt-4o"),
]


def rollout_of(world: World) -> dict[str, str]:
    """What the addresses of PAGES name."""
    return {"proof": _proof(world)}


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
