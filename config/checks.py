"""Numbered system checks: what is wrong with the settings is said at start, with a hint that can be pasted."""

import re
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register
from django.core.exceptions import ImproperlyConfigured
from django.db import connections

SHORTEST_SECRET = 32
OLDEST_POSTGRES = 150_000
LOCAL_HOSTS = {"localhost", "127.0.0.1", "::1"}
_BUNDLED_SOCKET = re.compile(r"/portal-\d+-[0-9a-f]{10}$")


@register()
def secrets_are_set(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    problems: list[CheckMessage] = []
    if len(_secret_key()) < SHORTEST_SECRET:
        problems.append(
            Error("SECRET_KEY is missing or short.", hint="export SECRET_KEY=$(openssl rand -hex 32)", id="portal.E001")
        )
    if not peppers_are_usable(settings.KEY_PEPPERS):
        problems.append(
            Error(
                "KEY_PEPPERS is missing or not number:secret pairs with secrets of 32 characters: API keys cannot be checked.",
                hint="export KEY_PEPPERS=1:$(openssl rand -hex 32)",
                id="portal.E002",
            )
        )
    if not settings.FIELD_KEYS or any(len(key) < SHORTEST_SECRET for key in settings.FIELD_KEYS):
        problems.append(
            Error(
                "FIELD_KEYS is missing or short: upstream credentials cannot be sealed.",
                hint="export FIELD_KEYS=$(openssl rand -hex 32)",
                id="portal.E003",
            )
        )
    if not settings.DEMO and getattr(settings, "MFA_TOTP_INSECURE_BYPASS_CODE", None):
        problems.append(Error("MFA_TOTP_INSECURE_BYPASS_CODE opens every account.", hint="unset it", id="portal.E004"))
    return problems


@register()
def addresses_fit(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    problems: list[CheckMessage] = []
    public = urlsplit(settings.PUBLIC_URL)
    if public.scheme not in ("http", "https") or not public.hostname:
        problems.append(
            Error(
                "PUBLIC_URL is not an address: links in mails would lead nowhere.",
                hint="export PUBLIC_URL=https://portal.example.org",
                id="portal.E005",
            )
        )
    if public.scheme == "https" and not settings.HTTPS:
        problems.append(
            Warning(
                "PUBLIC_URL is https, but cookies may travel without it.",
                hint="export HTTPS=1 (and BEHIND_PROXY=1 behind a proxy)",
                id="portal.W001",
            )
        )
    if settings.DEMO and public.hostname not in LOCAL_HOSTS:
        problems.append(
            Warning("DEMO is on under a public address: staff need no second factor.", hint="export DEMO=0", id="portal.W002")
        )
    if "*" in settings.ALLOWED_HOSTS and not settings.DEBUG and settings.PUBLIC_URL.startswith("https"):
        problems.append(
            Warning(
                "ALLOWED_HOSTS takes any host name: links can be made to lead elsewhere.",
                hint=f"export ALLOWED_HOSTS={public.hostname}",
                id="portal.W003",
            )
        )
    return problems


@register()
def holds_outlive_calls(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    if settings.HOLD_SECONDS > settings.UPSTREAM_TIMEOUT_SECONDS:
        return []
    return [
        Error(
            "HOLD_SECONDS is not longer than UPSTREAM_TIMEOUT_SECONDS: money of calls that still run would be given back.",
            hint=f"export HOLD_SECONDS={settings.UPSTREAM_TIMEOUT_SECONDS + 300}",
            id="portal.E006",
        )
    ]


@register()
def leases_are_sound(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    if settings.RELAY_MONEY not in ("leases", "holds"):
        return [
            Error(
                "RELAY_MONEY names no way in which a relay gets the money of a call.",
                hint="export RELAY_MONEY=leases",
                id="portal.E011",
            )
        ]
    if settings.LEASE_SECONDS > 0 and 1 <= settings.LEASE_SHARE_PERCENT <= 50 and settings.LEASE_MOST_NANO > 0:
        return []
    return [
        Error(
            "LEASE_SECONDS and LEASE_MOST_CENTS must be above 0, LEASE_SHARE_PERCENT between 1 and 50: no money could be lent.",
            hint="export LEASE_SECONDS=120 LEASE_SHARE_PERCENT=10 LEASE_MOST_CENTS=100",
            id="portal.E010",
        )
    ]


@register()
def payments_are_set_up(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    if settings.PAYMENT_PROVIDER == "":
        return []
    if settings.PAYMENT_PROVIDER != "stripe":
        return [
            Error(
                "PAYMENT_PROVIDER names no provider that is known here.",
                hint="export PAYMENT_PROVIDER=stripe",
                id="portal.E008",
            )
        ]
    if settings.STRIPE_API_KEY and settings.STRIPE_WEBHOOK_SECRET:
        return []
    return [
        Error(
            "PAYMENT_PROVIDER is stripe, but STRIPE_API_KEY or STRIPE_WEBHOOK_SECRET is missing: nothing could be credited.",
            hint="export STRIPE_API_KEY=... STRIPE_WEBHOOK_SECRET=...",
            id="portal.E009",
        )
    ]


# A check of `manage.py check --deploy`: on every command it would only be noise for somebody who tries the portal out.
@register(deploy=True)
def servers_are_meant_for_this(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    if settings.DEMO or settings.DEBUG or not _BUNDLED_SOCKET.search(str(settings.DATABASES["default"].get("HOST", ""))):
        return []
    return [
        Warning(
            "The database is the one that `make up` started: it has no back-up and ends with it.",
            hint="for real use export DATABASE_URL=postgresql://... and REDIS_URL=redis://...",
            id="portal.W004",
        )
    ]


@register(Tags.database)
def database_is_new_enough(app_configs: Any, databases: Sequence[str] | None = None, **kwargs: Any) -> list[CheckMessage]:
    problems: list[CheckMessage] = []
    for alias in databases or ():
        version = connections[alias].cursor().connection.info.server_version
        if version < OLDEST_POSTGRES:
            problems.append(
                Error(f"PostgreSQL 15 or newer is needed, this is {version // 10_000}.", hint="upgrade it", id="portal.E007")
            )
    return problems


def peppers_are_usable(raw: str) -> bool:
    """True for ``number:secret`` pairs, each number once, each secret long enough."""
    pairs = [part.strip().partition(":") for part in raw.split(",") if part.strip()]
    numbers = [number for number, _, _ in pairs]
    fine = all(number.isdigit() and len(secret) >= SHORTEST_SECRET for number, _, secret in pairs)
    return bool(pairs) and fine and len(set(numbers)) == len(numbers)


def _secret_key() -> str:
    try:
        return str(settings.SECRET_KEY)
    except ImproperlyConfigured:  # Django refuses to hand out an empty one
        return ""
