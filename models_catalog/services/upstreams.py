"""Providers and upstreams. A credential goes in and never comes out: it is sealed here and opened only by the data path."""

from collections.abc import Collection, Mapping
from typing import Any, TypedDict, Unpack
from urllib.parse import urlsplit

from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from config.foundation.crypto import seal
from models_catalog.errors import CredentialMissing, EmptyCredential, NameTaken, UnknownModels, UnusableAddress
from models_catalog.hooks import CatalogChange, announce
from models_catalog.known_targets import known_description
from models_catalog.models import AIModel, Provider, Upstream, UpstreamModel
from models_catalog.parameters import checked_description
from models_catalog.services._changes import apply_fields, checked

# A tail of a short credential would give too much of it away.
SHORTEST_WITH_TAIL = 16


class ProviderFields(TypedDict, total=False):
    name: str
    protocol: str
    website: str


class UpstreamFields(TypedDict, total=False):
    name: str
    provider: Provider
    base_url: str
    group_codes: Collection[str]
    priority: int
    weight: int
    timeout_seconds: int
    note: str


@transaction.atomic
def create_provider(
    *, actor_name: str, code: str, name: str, protocol: str = Provider.Protocol.OPENAI, website: str = "", reason: str = ""
) -> Provider:
    """A new provider; raises NameTaken when the code is in use."""
    provider = Provider(code=code, name=name, protocol=protocol, website=website)
    checked(provider)
    try:
        with transaction.atomic():
            provider.save(force_insert=True)
    except IntegrityError:
        raise NameTaken(_("There is already a provider with the code %(code)s.") % {"code": code}) from None
    after = {"code": code, "name": name, "protocol": str(protocol), "website": website}
    announce([CatalogChange("provider.created", provider, actor_name, {}, after, reason)])
    return provider


def ensure_provider(
    *, actor_name: str, code: str, name: str, protocol: str = Provider.Protocol.OPENAI, reason: str = ""
) -> Provider:
    """The provider with this code, made when missing; an existing one stays as it is."""
    try:
        return Provider.objects.get(code=code)
    except Provider.DoesNotExist:
        try:
            return create_provider(actor_name=actor_name, code=code, name=name, protocol=protocol, reason=reason)
        except NameTaken:
            return Provider.objects.get(code=code)


@transaction.atomic
def update_provider(*, actor_name: str, provider: Provider, reason: str = "", **fields: Unpack[ProviderFields]) -> Provider:
    """Change the named fields; no event when nothing differs."""
    before, after = apply_fields(provider, dict(fields))
    if after:
        checked(provider)
        provider.save(update_fields=list(after))
        announce([CatalogChange("provider.updated", provider, actor_name, before, after, reason)])
    return provider


@transaction.atomic
def create_upstream(
    *,
    actor_name: str,
    name: str,
    provider: Provider,
    base_url: str,
    credential: str = "",
    state: str | None = None,
    group_codes: Collection[str] = (),
    priority: int = 0,
    weight: int = 1,
    timeout_seconds: int = 600,
    note: str = "",
    reason: str = "",
) -> Upstream:
    """A new upstream. Without a credential it waits for one, unless ``state`` says that it needs none (``enabled``)."""
    default = Upstream.State.ENABLED if credential.strip() else Upstream.State.NEEDS_CREDENTIAL
    upstream = Upstream(
        name=name,
        provider=provider,
        base_url=usable_address(base_url),
        state=state or default,
        group_codes=list(group_codes),
        priority=priority,
        weight=weight,
        timeout_seconds=timeout_seconds,
        note=note,
    )
    if credential.strip():
        _seal_into(upstream, credential)
    checked(upstream)
    upstream.save(force_insert=True)
    announce([CatalogChange("upstream.created", upstream, actor_name, {}, _figures(upstream), reason)])
    return upstream


@transaction.atomic
def update_upstream(*, actor_name: str, upstream: Upstream, reason: str = "", **fields: Unpack[UpstreamFields]) -> Upstream:
    """Change the named fields; the state and the credential have services of their own."""
    wanted: dict[str, Any] = dict(fields)
    if "base_url" in wanted:
        wanted["base_url"] = usable_address(wanted["base_url"])
    if "group_codes" in wanted:
        wanted["group_codes"] = list(wanted["group_codes"])
    before, after = apply_fields(upstream, wanted)
    if after:
        checked(upstream)
        upstream.save(update_fields=list(after))
        announce([CatalogChange("upstream.updated", upstream, actor_name, before, after, reason)])
    return upstream


@transaction.atomic
def set_upstream_state(*, actor_name: str, upstream: Upstream, state: str, reason: str = "") -> Upstream:
    """Enable or disable; one that waits for a credential cannot be enabled, it is enabled by getting it."""
    if upstream.state == Upstream.State.NEEDS_CREDENTIAL and state == Upstream.State.ENABLED:
        raise CredentialMissing(_("The upstream has no credential yet, so it cannot be enabled."))
    before, after = apply_fields(upstream, {"state": state})
    if after:
        checked(upstream)
        upstream.save(update_fields=["state"])
        announce([CatalogChange("upstream.state", upstream, actor_name, before, after, reason)])
    return upstream


@transaction.atomic
def set_credential(*, actor_name: str, upstream: Upstream, credential: str, reason: str = "") -> Upstream:
    """Seal a new credential; an upstream that waited for one becomes enabled. The trail holds the tail alone."""
    if not credential.strip():
        raise EmptyCredential(_("A credential cannot be empty."))
    before = {"credential_tail": upstream.credential_tail, "state": upstream.state}
    _seal_into(upstream, credential)
    if upstream.state == Upstream.State.NEEDS_CREDENTIAL:
        upstream.state = Upstream.State.ENABLED
    upstream.save(update_fields=["credential_sealed", "credential_tail", "state"])
    after = {"credential_tail": upstream.credential_tail, "state": upstream.state}
    announce([CatalogChange("upstream.credential", upstream, actor_name, before, after, reason)])
    return upstream


def serve_model(*, actor_name: str, upstream: Upstream, model: AIModel, upstream_name: str = "", reason: str = "") -> None:
    """Let the upstream serve one more model, under its own name for it when that differs."""
    serve_models(actor_name=actor_name, upstream=upstream, served={model.name: upstream_name}, reason=reason)


@transaction.atomic
def serve_models(
    *, actor_name: str, upstream: Upstream, served: Mapping[str, str], replace: bool = False, reason: str = ""
) -> None:
    """Let the upstream serve these models: our name to its name ("" for the same). ``replace`` ends all others."""
    models = {model.name: model for model in AIModel.objects.filter(name__in=list(served))}
    if missing := sorted(set(served) - set(models)):
        raise UnknownModels(_("Not in the catalogue: %(names)s.") % {"names": ", ".join(missing)}, models=missing)
    was = dict(UpstreamModel.objects.filter(upstream=upstream).values_list("model__name", "upstream_name"))
    wanted = {name: upstream_name or name for name, upstream_name in served.items()}
    after = wanted if replace else {**was, **wanted}
    if after == was:
        return
    UpstreamModel.objects.filter(upstream=upstream, model__name__in=set(was) - set(after)).delete()
    UpstreamModel.objects.bulk_create(
        [UpstreamModel(upstream=upstream, model=models[name], upstream_name=theirs) for name, theirs in wanted.items()],
        update_conflicts=True,
        unique_fields=["upstream", "model"],
        update_fields=["upstream_name"],
        batch_size=1000,
    )
    changed = {name for name in set(was) | set(after) if was.get(name) != after.get(name)}
    announce(
        [
            CatalogChange(
                "upstream.models",
                upstream,
                actor_name,
                {"models": {name: was[name] for name in sorted(changed) if name in was}},
                {"models": {name: after[name] for name in sorted(changed) if name in after}},
                reason,
            )
        ]
    )


@transaction.atomic
def describe_target(*, actor_name: str, target: UpstreamModel, parameters: Any, reason: str = "") -> UpstreamModel:
    """Say what a model at an upstream takes; {} lets everything pass. Raises InvalidInput. Relays obey within a second."""
    wanted = checked_description(parameters)
    before = target.parameters
    if before == wanted:
        return target
    target.parameters = wanted
    target.save(update_fields=["parameters"])
    told = ({"parameters": before}, {"parameters": wanted})
    announce([CatalogChange("target.described", target.upstream, actor_name, *_named(target, told), reason)])
    return target


def fill_in_target(*, actor_name: str, target: UpstreamModel) -> bool:
    """Describe a target that nobody described yet by what is known of its model; False when there is nothing to fill in."""
    known = known_description(target.upstream_name) or known_description(target.model.name)
    if target.parameters or not known:
        return False
    describe_target(actor_name=actor_name, target=target, parameters=known, reason="known model")
    return True


def _named(target: UpstreamModel, told: tuple[dict[str, Any], dict[str, Any]]) -> tuple[dict[str, Any], dict[str, Any]]:
    return {"model": target.model.name, **told[0]}, {"model": target.model.name, **told[1]}


def usable_address(base_url: str) -> str:
    """The address as it is stored: no slash and no ``/v1`` at the end; raises UnusableAddress."""
    text = base_url.strip()
    # A refusal does not repeat the address: what makes it unusable may be a password.
    refusal = UnusableAddress(
        _("A base URL is http or https, with a host, and without user name, password, query or fragment.")
    )
    try:
        parts = urlsplit(text)
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        raise refusal from None
    if not usable or "@" in parts.netloc or parts.query or parts.fragment or any(char.isspace() for char in text):
        raise refusal
    return text.rstrip("/").removesuffix("/v1").rstrip("/")


def _seal_into(upstream: Upstream, credential: str) -> None:
    clear = credential.strip()
    upstream.credential_sealed = seal(clear)
    upstream.credential_tail = clear[-4:] if len(clear) >= SHORTEST_WITH_TAIL else ""


def _figures(upstream: Upstream) -> dict[str, Any]:
    return {
        "name": upstream.name,
        "provider": upstream.provider.code,
        "base_url": upstream.base_url,
        "group_codes": list(upstream.group_codes),
        "priority": upstream.priority,
        "weight": upstream.weight,
        "state": str(upstream.state),
        "timeout_seconds": upstream.timeout_seconds,
        "credential_tail": upstream.credential_tail,
        "note": upstream.note,
    }
