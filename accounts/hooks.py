"""Places where upper floors join in: a section of their own on the profile page."""

from typing import Any, Protocol

from django import forms
from django.http import HttpRequest
from django.utils.functional import Promise

from accounts.models import User


class ProfileSection(Protocol):
    """A part of the profile page with a form and a service behind it. ``key`` is the form's prefix and button value."""

    key: str
    title: str | Promise
    submit_label: str | Promise

    def form(self, user: User, data: Any = None) -> forms.Form: ...

    def save(self, request: HttpRequest, user: User, form: forms.Form) -> str:
        """Do it and give the sentence that says what happened."""
        ...


PROFILE_SECTIONS: list[ProfileSection] = []


def register_profile_section(section: ProfileSection) -> None:
    """Called in ``apps.py: ready()`` of the app that owns the section; a second call with the same key changes nothing."""
    if all(known.key != section.key for known in PROFILE_SECTIONS):
        PROFILE_SECTIONS.append(section)
