"""Every write to keys and their secrets. A clear secret exists in the return value of the call that made it, nowhere else."""

import ipaddress
from collections.abc import Iterable
from datetime import datetime, timedelta

from django.db import IntegrityError, transaction
from django.db.models import Q, QuerySet
from django.utils.translation import gettext as _

from accounts.models import AuditEvent, Group, GroupMembership, User
from accounts.rights import may
from accounts.services import audit
from config.foundation.clock import now
from config.foundation.errors import InvalidInput, NotAllowed
from config.foundation.redaction import looks_like_key
from keys import secrets, services_policy
from keys.errors import KeyHasNoOwner, KeyNotActive, KeyRevoked, SecretPasted, SecretTaken
from keys.models import ApiKey, KeySecret

MAX_NAME = 191
MAX_MODELS = 1000
MAX_NETWORKS = 100
MAX_OVERLAP_HOURS = 24 * 30


def may_manage(actor: User | None, key: ApiKey) -> bool:
    """True for the key's owner, an owner of its team, staff who manage keys, and the system itself (None)."""
    if actor is None or may(actor, "keys.manage"):
        return True
    if not actor.is_active:
        return False
    return key.owner_id == actor.pk if key.owner_id else _owns_team(actor, key.team_id)


def may_issue_for(actor: User | None, *, owner: User | None, team: Group | None) -> bool:
    """True for one's own keys, keys of a team one owns, staff who manage keys, and the system itself (None)."""
    if actor is None or may(actor, "keys.manage"):
        return True
    if not actor.is_active:
        return False
    return actor == owner if owner else _owns_team(actor, team.pk if team else None)


@transaction.atomic
def issue_key(
    *,
    actor: User | None,
    owner: User | None = None,
    team: Group | None = None,
    member: User | None = None,
    name: str,
    purpose: str = ApiKey.Purpose.PRODUCTION,
    model_names: Iterable[str] | None = None,
    networks: Iterable[str] = (),
    expires_at: datetime | None = None,
    route: str = ApiKey.Route.NEW,
) -> tuple[ApiKey, str]:
    """A new key and its clear secret, which is not kept. ``model_names`` None means every model of the group. ``member``: whose
    limits within the ``team`` count for its calls, because it is theirs to use.

    Raises KeyHasNoOwner, NotAllowed, SecretPasted or InvalidInput. Doors that people use ask
    ``services_policy.require_issuer`` first, outside of any transaction, so that a refused attempt stays in the audit trail.
    """
    if (owner is None) == (team is None):
        raise KeyHasNoOwner(_("A key belongs to one person or to one team."))
    if not may_issue_for(actor, owner=owner, team=team):
        raise NotAllowed(_("You may issue keys for yourself and for teams you own."))
    if not services_policy.may_issue(actor):
        raise services_policy.MayNotIssue(_("The policy does not let you create keys. Ask an administrator."))
    services_policy.check_purpose(team, purpose)
    if member is not None and (team is None or not team.memberships.filter(user=member).exists()):
        raise InvalidInput(_("This person is not a member of the team."))
    key = ApiKey.objects.create(
        name=clean_name(name),
        owner=owner,
        team=team,
        member=member,
        purpose=_clean_purpose(purpose),
        model_names=clean_model_names(model_names),
        networks=clean_networks(networks),
        expires_at=_clean_expiry(expires_at),
        route=route,
    )
    clear = _new_secret(key)
    after = {**_described(key), "tail": clear[-4:]}
    audit.record(actor=actor, action="key.issue", target=key, after=after)
    return key, clear


@transaction.atomic
def add_secret(*, actor: User | None, key: ApiKey, valid_until: datetime | None = None) -> str:
    """One more secret beside those the key has; returns it in clear, once."""
    require_manage(actor, key)
    _hold_row(key, ApiKey.State.ACTIVE)
    clear = _new_secret(key, valid_until=_clean_expiry(valid_until))
    audit.record(actor=actor, action="key.add_secret", target=key, after={"tail": clear[-4:]})
    return clear


@transaction.atomic
def rotate_key(*, actor: User | None, key: ApiKey, overlap_hours: int = 24) -> str:
    """A new clear secret; the ones so far end after ``overlap_hours`` (0: at once), never later than they would have."""
    require_manage(actor, key)
    if not 0 <= overlap_hours <= MAX_OVERLAP_HOURS:
        raise InvalidInput(_("The overlap is between 0 hours and 30 days."))
    _hold_row(key, ApiKey.State.ACTIVE)
    at = now()
    until = at + timedelta(hours=overlap_hours)
    living = living_secrets(key)
    old_tails = list(living.values_list("tail", flat=True))
    if overlap_hours:
        living.filter(Q(valid_until=None) | Q(valid_until__gt=until)).update(valid_until=until)
    else:
        living.update(valid_until=at, revoked_at=at)
    clear = _new_secret(key)
    audit.record(
        actor=actor,
        action="key.rotate",
        target=key,
        before={"tails": old_tails},
        after={"tail": clear[-4:], "old_valid_until": until.isoformat()},
    )
    return clear


@transaction.atomic
def revoke_secret(*, actor: User | None, secret: KeySecret, reason: str = "") -> bool:
    """End one secret of a key now, for instance an overlap that is no longer needed. False if it had ended."""
    key = secret.key
    require_manage(actor, key)
    at = now()
    ended = KeySecret.objects.filter(pk=secret.pk, revoked_at=None).update(revoked_at=at, valid_until=at)
    if ended:
        audit.record(actor=actor, action="key.revoke_secret", target=key, before={"tail": secret.tail}, reason=reason)
    return bool(ended)


@transaction.atomic
def revoke_key(*, actor: User | None, key: ApiKey, reason: str = "") -> bool:
    """End a key for good, with all its secrets. False if it was revoked before."""
    require_manage(actor, key)
    _refuse_pasted(reason)
    before = key.state
    done = (
        ApiKey.objects.filter(pk=key.pk)
        .exclude(state=ApiKey.State.REVOKED)
        .update(state=ApiKey.State.REVOKED, state_reason=reason[:191])
    )
    if done:
        KeySecret.objects.filter(key=key, revoked_at=None).update(revoked_at=now())
        audit.record(actor=actor, action="key.revoke", target=key, before={"state": before}, reason=reason)
    key.refresh_from_db()
    return bool(done)


@transaction.atomic
def disable_key(*, actor: User | None, key: ApiKey, reason: str = "") -> bool:
    """Stop a key until it is enabled again. False if it was not active."""
    require_manage(actor, key)
    _refuse_pasted(reason)
    done = ApiKey.objects.filter(pk=key.pk, state=ApiKey.State.ACTIVE).update(
        state=ApiKey.State.DISABLED, state_reason=reason[:191]
    )
    if done:
        audit.record(actor=actor, action="key.disable", target=key, after={"state": "disabled"}, reason=reason)
    key.refresh_from_db()
    return bool(done)


@transaction.atomic
def pause_key(*, actor: User | None, key: ApiKey, reason: str) -> bool:
    """Stop a key until somebody who manages it resumes it: its calls get 403. False if it was not active."""
    require_manage(actor, key)
    done = ApiKey.objects.filter(pk=key.pk, state=ApiKey.State.ACTIVE).update(
        state=ApiKey.State.PAUSED, state_reason=reason[:191]
    )
    if done:
        audit.record(actor=actor, action="key.pause", target=key, after={"state": "paused"}, reason=reason)
    key.refresh_from_db()
    return bool(done)


def may_enable(actor: User | None, key: ApiKey) -> bool:
    """Owners enable what an owner disabled or a watch paused; what staff stopped, or arrived disabled, staff starts again."""
    if actor is None or may(actor, "keys.manage"):
        return True
    if not may_manage(actor, key):
        return False
    if key.state == ApiKey.State.PAUSED:
        return True
    last = (
        AuditEvent.objects.filter(object_type="keys.apikey", object_id=str(key.pk), action="key.disable")
        .select_related("actor")
        .order_by("-at", "-id")
        .first()
    )
    return last is not None and last.actor is not None and not may(last.actor, "keys.manage")


@transaction.atomic
def enable_key(*, actor: User | None, key: ApiKey) -> bool:
    """Start a disabled or paused key again. Raises KeyRevoked, or NotAllowed when staff stopped it. False if it was active."""
    if key.state == ApiKey.State.REVOKED:
        raise KeyRevoked(_("The key is revoked. That is final: issue a new one."))
    if not may_enable(actor, key):
        raise NotAllowed(_("This key was stopped by the operators. Ask them to start it again."))
    stopped = key.state if key.state == ApiKey.State.PAUSED else ApiKey.State.DISABLED
    done = ApiKey.objects.filter(pk=key.pk, state=stopped).update(state=ApiKey.State.ACTIVE, state_reason="")
    if done:
        action = "key.resume" if stopped == ApiKey.State.PAUSED else "key.enable"
        audit.record(actor=actor, action=action, target=key, before={"state": str(stopped), "reason": key.state_reason})
    key.refresh_from_db()
    return bool(done)


@transaction.atomic
def rename_key(*, actor: User | None, key: ApiKey, name: str, purpose: str | None = None) -> ApiKey:
    """Change what a key is called and what it is for."""
    require_manage(actor, key)
    _refuse_revoked(key)
    before = {"name": key.name, "purpose": key.purpose}
    key.name = clean_name(name)
    key.purpose = _clean_purpose(purpose) if purpose is not None else key.purpose
    after = {"name": key.name, "purpose": key.purpose}
    if key.purpose != before["purpose"]:
        services_policy.check_purpose(key.team, key.purpose)
    if after != before:
        key.save(update_fields=["name", "purpose"])
        audit.record(actor=actor, action="key.rename", target=key, before=before, after=after)
    return key


@transaction.atomic
def set_key_member(*, actor: User | None, key: ApiKey, member: User | None) -> ApiKey:
    """Say which member uses a key of a team, None for nobody in particular. Calls that run count for who it was."""
    require_manage(actor, key)
    _refuse_revoked(key)
    if member is not None and (key.team is None or not key.team.memberships.filter(user=member).exists()):
        text = _("This person is not a member of the team.")
        raise InvalidInput(text, field="member")
    before = {"member": key.member.username if key.member else None}
    after = {"member": member.username if member else None}
    if after != before:
        key.member = member
        key.save(update_fields=["member"])
        audit.record(actor=actor, action="key.member_changed", target=key, before=before, after=after)
    return key


@transaction.atomic
def set_key_limits(
    *,
    actor: User | None,
    key: ApiKey,
    model_names: Iterable[str] | None,
    networks: Iterable[str],
    expires_at: datetime | None,
) -> ApiKey:
    """Replace which models the key may call (None: all of the group), from where, and until when."""
    require_manage(actor, key)
    _refuse_revoked(key)
    before = _described(key)
    if key.profile_id is not None and model_names is not None:
        raise InvalidInput(_("This key follows a use profile. Take it off the profile to give it models of its own."))
    key.model_names = clean_model_names(model_names)
    key.networks = clean_networks(networks)
    if expires_at != key.expires_at:
        key.expires_at = _clean_expiry(expires_at)
    after = _described(key)
    if after != before:
        key.save(update_fields=["model_names", "networks", "expires_at"])
        audit.record(actor=actor, action="key.set_limits", target=key, before=before, after=after)
    return key


@transaction.atomic
def import_secret(*, key: ApiKey, bare: str) -> KeySecret:
    """Keep an old gateway's secret by its digest; ``bare`` is without ``sk-``. The same one again is found, not doubled.

    Raises SecretTaken when another key has it, InvalidInput when nothing is left to digest.
    """
    if not bare or len(bare) > 128:
        raise InvalidInput(_("An imported secret has between 1 and 128 characters."))
    known = KeySecret.objects.filter(digest__in=secrets.candidate_digests(bare)).first()
    if known is None:
        digest = secrets.digest_of(bare)
        try:
            with transaction.atomic():
                return KeySecret.objects.create(
                    key=key,
                    digest=digest.digest,
                    pepper_number=digest.pepper_number,
                    tail=digest.tail,
                    origin=KeySecret.Origin.IMPORTED,
                )
        except IntegrityError:
            known = KeySecret.objects.get(digest=digest.digest)
    if known.key_id != key.pk:
        raise SecretTaken(_("This secret belongs to another key already."))
    return known


def living_secrets(key: ApiKey) -> QuerySet[KeySecret]:
    """The secrets that are accepted now."""
    return key.secrets.filter(Q(valid_until=None) | Q(valid_until__gt=now()), revoked_at=None)


def clean_name(name: str) -> str:
    """The name as it is stored; raises SecretPasted or InvalidInput."""
    name = " ".join(name.split())
    _refuse_pasted(name)
    if not name:
        raise InvalidInput(_("A key needs a name, so that you know it again."))
    if len(name) > MAX_NAME:
        raise InvalidInput(_("A name has at most 191 characters."))
    return name


def clean_networks(networks: Iterable[str]) -> list[str]:
    """CIDR blocks in their usual spelling, each once; a lone address becomes a block of one. Raises InvalidInput."""
    cleaned: dict[str, None] = {}
    for text in networks:
        if not text.strip():
            continue
        _refuse_pasted(text)
        try:
            cleaned[str(ipaddress.ip_network(text.strip(), strict=False))] = None
        except ValueError:
            raise InvalidInput(
                _("%(text)s is not a network. Write 203.0.113.0/24, or one address such as 203.0.113.7.") % {"text": text[:64]}
            ) from None
    if len(cleaned) > MAX_NETWORKS:
        raise InvalidInput(_("A key has at most 100 networks."))
    return list(cleaned)


def clean_model_names(model_names: Iterable[str] | None) -> list[str] | None:
    """Model names without blanks and repeats; None stays None. Raises SecretPasted or InvalidInput."""
    if model_names is None:
        return None
    cleaned = list(dict.fromkeys(name.strip() for name in model_names if name.strip()))
    for name in cleaned:
        _refuse_pasted(name)
    if len(cleaned) > MAX_MODELS or any(len(name) > 255 for name in cleaned):
        raise InvalidInput(_("A key names at most 1,000 models of 255 characters each."))
    return cleaned


def _refuse_pasted(text: str) -> None:
    if any(looks_like_key(word.strip("\"'`,;:()[]<>")) for word in text.split()):
        raise SecretPasted(
            _("This looks like a whole API key. It was not stored. A name is enough here; keep the key to yourself.")
        )


def _clean_purpose(purpose: str) -> str:
    if purpose not in ApiKey.Purpose.values:
        raise InvalidInput(_("There is no such purpose."))
    return purpose


def _clean_expiry(expires_at: datetime | None) -> datetime | None:
    if expires_at is not None and expires_at <= now():
        raise InvalidInput(_("The end lies in the past."))
    return expires_at


def _new_secret(key: ApiKey, valid_until: datetime | None = None) -> str:
    clear = secrets.generate()
    presented = secrets.normalise(clear)
    assert presented is not None
    digest = secrets.digest_of(presented.bare)
    KeySecret.objects.create(
        key=key, digest=digest.digest, pepper_number=digest.pepper_number, tail=digest.tail, valid_until=valid_until
    )
    return clear


def _hold_row(key: ApiKey, state: str) -> None:
    """One writer at a time: the update takes the row until the transaction ends, and says whether the state still holds."""
    if not ApiKey.objects.filter(pk=key.pk, state=state).update(state=state):
        key.refresh_from_db()
        _refuse_revoked(key)
        raise KeyNotActive(_("The key is disabled. Enable it first."))


def _refuse_revoked(key: ApiKey) -> None:
    if key.state == ApiKey.State.REVOKED:
        raise KeyRevoked(_("The key is revoked. That is final: issue a new one."))


def require_manage(actor: User | None, key: ApiKey) -> None:
    """Raise NotAllowed unless ``may_manage``."""
    if not may_manage(actor, key):
        raise NotAllowed(_("Only the owner of the key and the operators may change it."))


def _owns_team(actor: User, team_id: int | None) -> bool:
    return (
        team_id is not None
        and GroupMembership.objects.filter(
            group_id=team_id, user=actor, team_role=GroupMembership.TeamRole.OWNER, group__is_active=True
        ).exists()
    )


def _described(key: ApiKey) -> dict[str, object]:
    return {
        "name": key.name,
        "owner_id": key.owner_id,
        "team_id": key.team_id,
        "member_id": key.member_id,
        "purpose": key.purpose,
        "model_names": key.model_names,
        "networks": key.networks,
        "expires_at": key.expires_at.isoformat() if key.expires_at else None,
    }
