"""What the demo starts with: people of each role, models of the demo upstream, prices, and a user with money and a key.

Everything goes through the services, so the audit trail tells how it came about. Running it again adds what is missing, puts
the addresses right (they follow PORT), and leaves alone what people changed since.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from django.db import transaction

from accounts.models import Role, User
from accounts.services.people import create_person
from billing.models import LedgerEntry, PriceBook
from billing.pricing import RuleFigures
from billing.services.ledger import Posting, house_account, post_entries, purse_for
from billing.services.prices import create_book, publish_version
from config.foundation.money import NANO_PER_USD, parse_usd
from config.stack import keepsakes
from gateway.services import remember_old_entry
from keys import secrets
from keys.models import ApiKey, KeySecret
from keys.services import issue_key
from models_catalog.models import Modality, Provider, Upstream
from models_catalog.services.ai_models import ModelFigures, add_access, ensure_models
from models_catalog.services.upstreams import (
    create_upstream,
    ensure_provider,
    fill_in_target,
    serve_models,
    update_upstream,
)

REASON = "demo content"
SYSTEM = "system"
UPSTREAM_NAME = "demo"
# The same helper spoken to as Anthropic's clients speak, so that Claude Code has something to call.
MESSAGES_UPSTREAM_NAME = "demo messages"
MESSAGES_MODELS = ("claude-sonnet-4-5",)
OLD_ENTRY_NAME = "Old gateway (demo double)"
DEMO_KEY_NAME = "first steps"
DEMO_BALANCE_NANO = 25 * NANO_PER_USD
# One top-up, whenever it is booked: the ledger refuses a second one with this id.
_TOP_UP_ID = uuid.UUID("01930000-0000-7000-8000-000000000001")

ROLES = {"admin": Role.ADMIN, "ops": Role.OPS, "support": Role.SUPPORT, "finance": Role.FINANCE, "demo": Role.USER}
CHAT = ("chat", "stream", "tools")
MODELS = (
    ModelFigures("gpt-4o-mini", "GPT-4o mini", capabilities=CHAT, context_tokens=128_000, max_output_tokens=16_384),
    ModelFigures("gpt-4o", "GPT-4o", capabilities=(*CHAT, "vision"), context_tokens=128_000, max_output_tokens=16_384),
    ModelFigures(
        "claude-sonnet-4-5",
        "Claude Sonnet 4.5",
        capabilities=(*CHAT, "vision"),
        context_tokens=200_000,
        max_output_tokens=64_000,
    ),
    ModelFigures("text-embedding-3-small", "Embedding 3 small", modality=Modality.EMBEDDING, context_tokens=8_191),
    ModelFigures("gpt-image-1", "GPT Image 1", modality=Modality.IMAGE),
    ModelFigures("sora-2", "Sora 2", modality=Modality.VIDEO),
    ModelFigures("gpt-4o-mini-tts", "GPT-4o mini TTS", modality=Modality.AUDIO),
    ModelFigures("whisper-1", "Whisper", modality=Modality.AUDIO),
    ModelFigures("rerank-v3.5", "Rerank 3.5", modality=Modality.RERANK),
    ModelFigures("omni-moderation-latest", "Omni moderation", modality=Modality.MODERATION),
    # Names that make the demo upstream fail on purpose, to see what a failure looks like and that it costs nothing.
    ModelFigures("demo-500", "Demo: the upstream fails", capabilities=CHAT, context_tokens=128_000, max_output_tokens=4_096),
    ModelFigures("demo-slow", "Demo: a slow answer", capabilities=CHAT, context_tokens=128_000, max_output_tokens=4_096),
    ModelFigures(
        "demo-cut-stream", "Demo: the answer is cut", capabilities=CHAT, context_tokens=128_000, max_output_tokens=4_096
    ),
)


def _per_million(
    input_usd: str, output_usd: str = "0", cached_usd: str | None = None, write_usd: str | None = None
) -> RuleFigures:
    return RuleFigures(
        input_nano=parse_usd(input_usd),
        output_nano=parse_usd(output_usd),
        cached_nano=None if cached_usd is None else parse_usd(cached_usd),
        cache_write_nano=None if write_usd is None else parse_usd(write_usd),
    )


PRICES = {
    "gpt-4o-mini": _per_million("0.15", "0.60", "0.075"),
    "gpt-4o": _per_million("2.50", "10", "1.25"),
    "claude-sonnet-4-5": _per_million("3", "15", "0.30", "3.75"),
    "text-embedding-3-small": _per_million("0.02"),
    "gpt-image-1": RuleFigures(unit_prices={"image:*:*": parse_usd("0.04"), "image:*:high": parse_usd("0.16")}),
    "sora-2": RuleFigures(unit_prices={"video:720p": parse_usd("0.10"), "video:1080p": parse_usd("0.30")}),
    "gpt-4o-mini-tts": RuleFigures(character_nano=parse_usd("15")),
    "whisper-1": RuleFigures(unit_prices={"audio": parse_usd("0.0001")}),
    "rerank-v3.5": RuleFigures(call_nano=parse_usd("0.002")),
    "omni-moderation-latest": RuleFigures(call_nano=0),
    "demo-500": _per_million("0.15", "0.60"),
    "demo-slow": _per_million("0.15", "0.60"),
    "demo-cut-stream": _per_million("0.15", "0.60"),
}


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where the demo's helpers listen; None leaves the thing out."""

    upstream: str | None
    old_gateway: str | None


@transaction.atomic
def ensure_demo(*, home: Path, addresses: Addresses) -> None:
    """All of it. The passwords and the key's clear value are those of ``home``."""
    kept = keepsakes.load(home)
    people = _people(keepsakes.passwords_in(kept))
    _prices()
    if addresses.upstream:
        _upstream_with_models(addresses.upstream)
    if addresses.old_gateway:
        _old_entry(addresses.old_gateway)
    _money(people["demo"])
    _key(people["demo"], home, kept.get("demo_api_key", ""))


def _people(passwords: dict[str, str]) -> dict[str, User]:
    people = {person.username: person for person in User.objects.filter(username__in=list(ROLES))}
    for name, role in ROLES.items():
        if name not in people:
            people[name] = create_person(
                actor=None,
                username=name,
                email=f"{name}@example.org",
                role=role,
                password=passwords[name],
                email_is_proven=True,
                reason=REASON,
            )
    return people


def _prices() -> None:
    book = PriceBook.objects.filter(code="standard").first()
    if book is None:
        has_default = PriceBook.objects.filter(is_default=True).exists()
        book = create_book(
            actor=None, code="standard", name="Standard", formula=PriceBook.Formula.PORTAL, is_default=not has_default
        )
    # Prices that somebody published since are theirs.
    if not book.versions.filter(published_at__isnull=False).exists():
        publish_version(actor=None, book=book, rules=PRICES, multipliers={}, note=REASON)


def _upstream_with_models(address: str) -> None:
    known = list(Upstream.objects.filter(name__in=(UPSTREAM_NAME, MESSAGES_UPSTREAM_NAME)))
    for upstream in known:
        update_upstream(actor_name=SYSTEM, upstream=upstream, base_url=address, reason=REASON)
    if known:
        return
    ensure_models(actor_name=SYSTEM, models=MODELS, reason=REASON)
    add_access(actor_name=SYSTEM, grants=[(model.name, "*") for model in MODELS], reason=REASON)
    _serve(address, UPSTREAM_NAME, Provider.Protocol.OPENAI, [model.name for model in MODELS])
    _serve(address, MESSAGES_UPSTREAM_NAME, Provider.Protocol.ANTHROPIC, MESSAGES_MODELS)


def _serve(address: str, name: str, protocol: str, models: Sequence[str]) -> None:
    provider = ensure_provider(
        actor_name=SYSTEM, code=name.replace(" ", "-"), name=name.capitalize(), protocol=protocol, reason=REASON
    )
    upstream = create_upstream(
        actor_name=SYSTEM, name=name, provider=provider, base_url=address, state=Upstream.State.ENABLED, reason=REASON
    )
    serve_models(actor_name=SYSTEM, upstream=upstream, served=dict.fromkeys(models, ""), reason=REASON)
    for target in upstream.served.select_related("model", "upstream"):
        fill_in_target(actor_name=SYSTEM, target=target)


def _old_entry(address: str) -> None:
    remember_old_entry(actor=None, name=OLD_ENTRY_NAME, base_url=address)


def _money(person: User) -> None:
    if LedgerEntry.objects.filter(transaction_id=_TOP_UP_ID).exists():
        return
    cash, purse = house_account("cash"), purse_for(user=person)
    top_up = Posting(_TOP_UP_ID, LedgerEntry.Kind.TOP_UP, cash.pk, purse.pk, DEMO_BALANCE_NANO, reason=REASON)
    post_entries([top_up])


def _key(person: User, home: Path, kept: str) -> None:
    """The key whose clear value is kept, or a fresh one where that is not a key of this database."""
    known = secrets.normalise(kept) if kept else None
    if known and KeySecret.objects.filter(digest__in=secrets.candidate_digests(known.bare), key__owner=person).exists():
        return
    _, clear = issue_key(actor=None, owner=person, name=DEMO_KEY_NAME, purpose=ApiKey.Purpose.PERSONAL)
    keepsakes.remember(home, "demo_api_key", clear)
