"""Shared by the services: change fields, keep what they were, and say so."""

from typing import Any

from django.core.exceptions import ValidationError
from django.db.models import Model

from config.foundation.errors import InvalidInput


def checked(target: Model) -> None:
    """Check the fields as the model declares them (not the constraints: the database says those)."""
    try:
        # Django's URL rule refuses a host without a dot, which inner networks have; usable_address is the rule here.
        target.clean_fields(exclude={"base_url"})
    except ValidationError as error:
        fields = {name: [str(text) for text in texts] for name, texts in error.message_dict.items()}
        raise InvalidInput("; ".join(f"{name}: {' '.join(texts)}" for name, texts in fields.items()), fields=fields) from None


def apply_fields(target: Model, wanted: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Set the fields that differ; returns what they were and what they are. Nothing is saved."""
    before, after = {}, {}
    for name, value in wanted.items():
        old = getattr(target, name)
        if old == value:
            continue
        before[name], after[name] = plain(old), plain(value)
        setattr(target, name, value)
    return before, after


def plain(value: Any) -> Any:
    """The value as JSON can hold it."""
    if isinstance(value, Model):
        return str(value)
    if isinstance(value, list | tuple | set | frozenset):
        return sorted(value) if isinstance(value, set | frozenset) else list(value)
    return value
