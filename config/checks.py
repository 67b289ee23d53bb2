"""Numbered system checks; each hint can be pasted."""

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, register
from django.core.exceptions import ImproperlyConfigured


@register()
def secrets_are_set(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    problems: list[CheckMessage] = []
    try:
        secret_key = settings.SECRET_KEY
    except ImproperlyConfigured:  # Django refuses to hand out an empty one
        secret_key = ""
    if len(secret_key) < 32:
        problems.append(
            Error("SECRET_KEY is missing or short.", hint="export SECRET_KEY=$(openssl rand -hex 32)", id="portal.E001")
        )
    if not settings.KEY_PEPPERS:
        problems.append(
            Error(
                "KEY_PEPPERS is missing: API keys cannot be checked.",
                hint="export KEY_PEPPERS=1:$(openssl rand -hex 32)",
                id="portal.E002",
            )
        )
    if not settings.FIELD_KEYS:
        problems.append(
            Error(
                "FIELD_KEYS is missing: upstream credentials cannot be sealed.",
                hint="export FIELD_KEYS=$(openssl rand -hex 32)",
                id="portal.E003",
            )
        )
    if not settings.DEMO and getattr(settings, "MFA_TOTP_INSECURE_BYPASS_CODE", None):
        problems.append(Error("MFA_TOTP_INSECURE_BYPASS_CODE opens every account.", hint="unset it", id="portal.E004"))
    return problems
