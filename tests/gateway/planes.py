"""A company without a relay, and a data plane that speaks the contract to the portal in this process."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from rest_framework.test import APIClient

from config.foundation.ids import uuid7
from gateway.models import DataPlane
from gateway.planes.cache import snapshots
from gateway.services.planes import create_plane
from keys.secrets import digest_of, normalise
from tests.gateway.world import World


@dataclass
class Place:
    url: str


class Company(World):
    """The world of the other tests; nobody has to take notice of a change."""

    def settle_in(self) -> None:
        snapshots.forget()


def company(url: str = "http://upstream.example.org") -> Company:
    return Company(Place(url), None).build()  # type: ignore[arg-type,return-value]


def hash_of(clear: str) -> str:
    presented = normalise(clear)
    assert presented is not None
    return digest_of(presented.bare).digest.hex()


@dataclass
class Plane:
    """One data plane; ``token`` is the clear one."""

    row: DataPlane
    token: str
    source: str = "engine-1"
    seq: int = 0
    client: APIClient = field(default_factory=lambda: APIClient(raise_request_exception=True))

    @classmethod
    def new(cls, name: str = "engine", **fields: Any) -> "Plane":
        row, token = create_plane(actor=None, name=name, kind="litellm", **fields)
        return cls(row, token)

    def get(self, path: str, **query: Any) -> Any:
        return self.client.get(f"/dp/v1/{path}", query, headers={"Authorization": f"Bearer {self.token}"})

    def post(self, path: str, body: Any, **headers: str) -> Any:
        named = {"Authorization": f"Bearer {self.token}", **headers}
        return self.client.post(f"/dp/v1/{path}", body, format="json", headers=named)

    def ask(self, clear: str, model: str = "demo-chat", request_id: UUID | None = None, **fields: Any) -> dict[str, Any]:
        """One authorize call that is answered, as its answer."""
        body = {
            "request_id": str(request_id or uuid7()),
            "key_hash": hash_of(clear),
            "model": model,
            "est": {"input_tokens": 1000, "max_output_tokens": 500},
            **fields,
        }
        answer = self.post("authorize", body)
        assert answer.status_code == 200, answer.content
        return answer.json()

    def send(self, *events: dict[str, Any], **batch: Any) -> Any:
        self.seq += 1
        return self.post("usage", {"source": self.source, "seq": self.seq, "events": list(events), **batch})

    def told(self, *events: dict[str, Any]) -> list[dict[str, Any]]:
        """The answers to a batch."""
        answer = self.send(*events)
        assert answer.status_code == 200, answer.content
        return answer.json()["results"]


def end(request_id: str, outcome: str = "ok", attempt: int = 1, **fields: Any) -> dict[str, Any]:
    """The event of a call that used 1,000 tokens in and 200 out, unless said otherwise."""
    usage = {"input": 1000, "output": 200} if outcome == "ok" else None
    moment = datetime.now(UTC).isoformat()
    return {
        "event_id": f"{request_id}:{attempt}",
        "request_id": request_id,
        "attempt": attempt,
        "outcome": outcome,
        "usage": usage,
        "usage_source": "upstream" if usage else "none",
        "started_at": moment,
        "ended_at": moment,
        "model_served": "demo-chat-001",
        **fields,
    }
