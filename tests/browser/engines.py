"""Data planes for the pictures: one that is fine, one with trouble, one that was never heard of."""

from datetime import timedelta

from config.foundation.clock import now
from gateway.models import DataPlaneInstance, PlaneEvent, PlaneTally, RelayInstance
from gateway.planes.config import config_document
from gateway.services.planes import create_plane
from tests.pages.conftest import World

PAGES = [
    ("planes", "root", "/data-planes/"),
    ("plane", "root", "/data-planes/{plane}/"),
    ("plane-silent", "root", "/data-planes/{quiet_plane}/"),
    ("plane-new", "root", "/data-planes/new/"),
    ("plane-token", "root", "/data-planes/{plane}/token/"),
    ("plane-revoke", "root", "/data-planes/{plane}/revoke/"),
    ("explain-past", "sue", "/access/explain/?key=%23{key}&model=gpt-4o&at=2020-01-01T10:00"),
    ("explain-now", "sue", "/access/explain/?key=%23{key}&model=gpt-4o"),
]


def planes_of(world: World) -> dict[str, str]:
    fine, _ = create_plane(actor=world.admin, name="Frankfurt", kind="litellm")
    busy, _ = create_plane(actor=world.admin, name="the engine with a rather long name in the second hall", kind="litellm")
    quiet, _ = create_plane(actor=world.admin, name="Spare", kind="other", may_read_secrets=True)
    moment, version = now(), config_document()["version"]
    rows = (
        (fine, "fra-1-0", 3, {"config_version": version, "inflight": 12, "version": "1.0"}),
        (busy, "hall-2.internal.example.org-0", 4, {"config_version": version, "spool_depth": 12_345, "oldest_unacked_s": 640}),
        (busy, "hall-2.internal.example.org-1", 300, {"config_version": "an-older-one", "inflight": 3, "clock_ms": -4_210}),
    )
    for plane, name, ago, fields in rows:
        DataPlaneInstance.objects.create(plane=plane, name=name, seen_at=moment - timedelta(seconds=ago), **fields)
    relays = (("fra-1.internal-4711", 5, 2, 0), ("hall-2.internal.example.org-4712", 3, 1_234, 725), ("gone-4713", 600, 0, 0))
    for name, ago, depth, oldest in relays:
        RelayInstance.objects.create(
            name=name, started_at=moment - timedelta(hours=5), seen_at=moment - timedelta(seconds=ago), config_version=7,
            open_calls=3, spool_depth=depth, oldest_unacked_s=oldest, lease_count=4,
        )  # fmt: skip
    for n, reason in enumerate(("no_reservation", "unknown_field:usage.inputs", "event_changed")):
        PlaneEvent.objects.create(
            plane=busy, source="hall-2.internal.example.org-0", event_id=f"0197c2d4-8e1f-7a3b-9c5d-0123456789a{n}:1",
            fingerprint=b"x" * 16, status="rejected", reason=reason, received_at=moment - timedelta(minutes=n),
        )  # fmt: skip
    PlaneTally.objects.create(
        plane=busy, source="hall-2.internal.example.org-0", hour_at=moment.replace(minute=0, second=0, microsecond=0),
        upstream_id=4, told_calls=1_204, told_input=2_400_000, told_output=310_000, our_calls=1_200, our_input=2_391_000,
        our_output=309_100, told_at=moment,
    )  # fmt: skip
    return {"plane": str(busy.pk), "quiet_plane": str(quiet.pk)}
