"""Data planes: made, given a new token, told to do something, ended; and what their processes report."""

from datetime import timedelta
from typing import Any

from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from accounts.models import User
from accounts.rights import require
from accounts.services import audit
from config.foundation.clock import now
from config.foundation.crypto import unseal
from config.foundation.errors import Conflict, InvalidInput, NotFound
from config.foundation.redaction import looks_like_key
from gateway.models import DataPlane, DataPlaneInstance
from keys.secrets import candidate_digests, digest_of, generate
from models_catalog.models import Upstream

RIGHT = "planes.manage"
PREFIX = "dp-"
LONGEST_OVERLAP_HOURS = 72
# With so many processes a data plane makes up names; the oldest silent ones are forgotten.
MOST_INSTANCES = 200


class PlaneRefused(InvalidInput):
    """A data plane needs a name of its own and a known kind."""

    code = "data_plane_refused"


class PlaneRevoked(Conflict):
    """The data plane is revoked. That is final: add a new one."""

    code = "data_plane_revoked"


class SecretNotAllowed(NotFound):
    """There is no such credential, or this data plane may not read it."""

    code = "secret_not_found"


@transaction.atomic
def create_plane(*, actor: User | None, name: str, kind: str, may_read_secrets: bool = False) -> tuple[DataPlane, str]:
    """A new data plane and its clear token, which is told this once. ``actor`` None is the system. Raises PlaneRefused."""
    if actor is not None:
        require(actor, RIGHT)
    name = name.strip()
    if not name or len(name) > 128 or "\x00" in name or looks_like_key(name):
        raise PlaneRefused(_("Give the data plane a name of at most 128 characters."), fields={"name": [_("Another name.")]})
    if kind not in DataPlane.Kind.values or kind == DataPlane.Kind.EMBEDDED:
        raise PlaneRefused(_("There is no such kind."), fields={"kind": [_("There is no such kind.")]})
    clear, digest = _token()
    try:
        with transaction.atomic():
            plane = DataPlane.objects.create(
                name=name,
                kind=kind,
                digest=digest,
                tail=clear[-4:],
                may_read_secrets=may_read_secrets,
                created_by=actor,
                rotated_at=now(),
            )
    except IntegrityError:
        text = _("There is a data plane of this name.")
        raise PlaneRefused(text, fields={"name": [text]}) from None
    after = {"kind": kind, "may_read_secrets": may_read_secrets, "tail": plane.tail}
    audit.record(actor=actor, action="data_plane.created", target=plane, after=after)
    return plane, clear


@transaction.atomic
def rotate_token(*, actor: User | None, plane: DataPlane, overlap_hours: int = 24) -> str:
    """A new token; the one so far works for ``overlap_hours`` more (0 to 72). Raises PlaneRevoked."""
    if actor is not None:
        require(actor, RIGHT)
    if not 0 <= overlap_hours <= LONGEST_OVERLAP_HOURS:
        raise InvalidInput(_("The overlap is 0 to 72 hours."))
    clear, digest = _token()
    moment = now()
    before = DataPlane.objects.filter(pk=plane.pk, state=DataPlane.State.ACTIVE).first()
    if before is None:
        raise PlaneRevoked
    # Two at once: the second finds another newest token, and is refused instead of cutting the first one's off.
    changed = DataPlane.objects.filter(pk=plane.pk, state=DataPlane.State.ACTIVE, digest=before.digest).update(
        digest=digest,
        tail=clear[-4:],
        old_digest=before.digest if overlap_hours else None,
        old_valid_until=moment + timedelta(hours=overlap_hours) if overlap_hours else None,
        rotated_at=moment,
    )
    if not changed:
        raise Conflict(_("Somebody else has just issued a token."))
    plane.refresh_from_db()
    after = {"tail": plane.tail, "overlap_hours": overlap_hours}
    audit.record(actor=actor, action="data_plane.rotated", target=plane, before={"tail": before.tail}, after=after)
    return clear


@transaction.atomic
def revoke_plane(*, actor: User | None, plane: DataPlane) -> bool:
    """End a data plane for good: its tokens are refused from now on. Twice is once; gives whether something changed."""
    if actor is not None:
        require(actor, RIGHT)
    changed = DataPlane.objects.filter(pk=plane.pk, state=DataPlane.State.ACTIVE).update(
        state=DataPlane.State.REVOKED, revoked_at=now(), old_digest=None, old_valid_until=None
    )
    if changed:
        audit.record(actor=actor, action="data_plane.revoked", target=plane)
    return bool(changed)


@transaction.atomic
def ask_plane(*, actor: User, plane: DataPlane, wanted: str) -> None:
    """Ask every process of it to ``drain`` or ``resync``, or "" for nothing any more; they hear it at their next heartbeat."""
    require(actor, RIGHT)
    if wanted not in DataPlane.Wanted.values:
        raise InvalidInput(_("There is nothing of this name to ask for."))
    before = plane.wanted
    if not DataPlane.objects.filter(pk=plane.pk, state=DataPlane.State.ACTIVE).update(wanted=wanted, wanted_at=now()):
        raise PlaneRevoked
    audit.record(actor=actor, action="data_plane.asked", target=plane, before={"wanted": before}, after={"wanted": wanted})


@transaction.atomic
def allow_secrets(*, actor: User, plane: DataPlane, allowed: bool) -> None:
    """Whether it may read credentials of upstreams."""
    require(actor, RIGHT)
    if DataPlane.objects.filter(pk=plane.pk).exclude(may_read_secrets=allowed).update(may_read_secrets=allowed):
        before, after = {"may_read_secrets": not allowed}, {"may_read_secrets": allowed}
        audit.record(actor=actor, action="data_plane.secrets", target=plane, before=before, after=after)


def plane_of(token: str) -> DataPlane | None:
    """The active data plane whose token this is."""
    if not token.startswith(PREFIX) or len(token) > 128:
        return None
    digests = candidate_digests(token)
    found = DataPlane.objects.filter(state=DataPlane.State.ACTIVE, digest__in=digests).first()
    if found is not None:
        return found
    return DataPlane.objects.filter(state=DataPlane.State.ACTIVE, old_digest__in=digests, old_valid_until__gt=now()).first()


def take_heartbeat(*, plane: DataPlane, instance: str, clock_ms: int = 0, **reported: Any) -> dict[str, Any]:
    """Keep what a process reports of itself, and answer what is wanted of it."""
    moment = now()
    if not DataPlaneInstance.objects.filter(plane=plane, name=instance).exists():
        _make_room(plane)
    DataPlaneInstance.objects.update_or_create(
        plane=plane, name=instance, defaults={**reported, "clock_ms": clock_ms, "seen_at": moment}
    )
    return {
        "wanted": plane.wanted,
        "wanted_at": plane.wanted_at.isoformat() if plane.wanted_at else None,
        "server_time": moment.isoformat(),
        "clock_ms": clock_ms,
    }


def note_batch(*, plane: DataPlane, instance: str, seq: int) -> None:
    """Remember how far the events of a process are taken; the heartbeat makes the row."""
    DataPlaneInstance.objects.filter(plane=plane, name=instance, acked_seq__lt=seq).update(acked_seq=seq, seen_at=now())


def read_secret(*, plane: DataPlane, ref: str) -> str:
    """The credential of an upstream, for a data plane with that right; audited. Raises SecretNotAllowed."""
    number = ref.removeprefix("upstream-")
    if not plane.may_read_secrets or not number.isdecimal() or len(number) > 18:
        raise SecretNotAllowed
    upstream = Upstream.objects.filter(pk=int(number), state=Upstream.State.ENABLED).first()
    if upstream is None or not upstream.credential_sealed:
        raise SecretNotAllowed
    audit.record(actor=None, action="data_plane.secret_read", target=upstream, after={"data_plane": plane.name})
    return unseal(bytes(upstream.credential_sealed))


def _token() -> tuple[str, bytes]:
    clear = PREFIX + generate().removeprefix("sk-")
    return clear, digest_of(clear).digest


def _make_room(plane: DataPlane) -> None:
    """Forget the processes that were silent for longest, when there are too many."""
    rows = DataPlaneInstance.objects.filter(plane=plane).order_by("-seen_at")
    gone = list(rows.values_list("pk", flat=True)[MOST_INSTANCES - 1 :])
    if gone:
        DataPlaneInstance.objects.filter(pk__in=gone).delete()
