"""How allauth behaves here: no open sign-up (people are invited or imported), mails through the outbox."""

import uuid
from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.core import context as request_context
from django.conf import settings
from django.http import HttpRequest
from django.template.exceptions import TemplateDoesNotExist
from django.template.loader import render_to_string

from accounts.models import User
from accounts.services.mail import queue_text, speaking_to
from accounts.services.sealed_text import sealed
from config import env

# What lets its reader in: kept sealed in the outbox.
SECRET_NAMES = ("password_reset_url", "activate_url", "code", "key", "uid")


class AccountAdapter(DefaultAccountAdapter):
    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return env.flag("OPEN_SIGNUP", False)

    def send_mail(self, template_prefix: str, email: str, context: dict[str, Any]) -> None:
        """Write the mail as a row, in the person's language; the sender takes it from there."""
        user = context.get("user") or User.objects.filter(email__iexact=email).first()
        request = request_context.request
        fallback = getattr(request, "LANGUAGE_CODE", None)
        with speaking_to(user, None if user else fallback) as language:
            values = {"email": email, "PUBLIC_URL": settings.PUBLIC_URL.rstrip("/"), "person": user, "language": language}
            values |= {name: value for name, value in context.items() if name != "request"}
            values |= {name: sealed(str(values[name])) for name in SECRET_NAMES if values.get(name)}
            subject = render_to_string(f"{template_prefix}_subject.txt", values)
            text = render_to_string(f"{template_prefix}_message.txt", values)
            html = _html_part(f"{template_prefix}_message.html", values)
        queue_text(
            user=user,
            address=email,
            kind=template_prefix.rpartition("/")[2],
            dedupe_key=f"account:{uuid.uuid4()}",
            language=language,
            subject=subject,
            text=text,
            html=html,
        )


def _html_part(name: str, values: dict[str, Any]) -> str:
    """The HTML of a mail that has some; the others go out as text."""
    try:
        return str(render_to_string(name, values))
    except TemplateDoesNotExist:
        return ""
