"""What the account pages share: the person behind a request, and a refusal shown in the form it belongs to."""

from typing import Any

from django import forms
from django.http import HttpRequest

from accounts.models import User
from config.foundation.errors import InvalidInput, PortalError


def person(request: HttpRequest) -> User:
    """The logged-in person; only for views behind ``login_required``."""
    assert isinstance(request.user, User)
    return request.user


def show_refusal(form: forms.Form, error: PortalError, **fields: str) -> None:
    """Put a service's refusal where the eye is: by field if it names some, or by the map ``code=field``."""
    named: dict[str, Any] = error.details.get("fields", {}) if isinstance(error, InvalidInput) else {}
    known = {name: messages for name, messages in named.items() if name in form.fields}
    if known:
        for name, messages in known.items():
            form.add_error(name, messages)
        return
    field = fields.get(error.code)
    form.add_error(field if field in form.fields else None, error.message)
