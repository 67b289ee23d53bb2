"""A logged-in person's language and time zone, and the second factor that staff must have."""

import zoneinfo
from collections.abc import Callable

from allauth.mfa.utils import is_mfa_enabled
from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect
from django.utils import timezone, translation

# What staff without a second factor may open: setting one up, logging out, and what every page needs.
SECOND_FACTOR_OPEN = ("/accounts/", "/static/", "/healthz", "/readyz", "/language/")
API_PREFIX = "/api/"


class PersonMiddleware:
    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        user = request.user
        if not user.is_authenticated:
            return self.get_response(request)
        translation.activate(user.language)
        request.LANGUAGE_CODE = translation.get_language() or "en"
        try:
            timezone.activate(zoneinfo.ZoneInfo(user.time_zone))
        except (zoneinfo.ZoneInfoNotFoundError, ValueError):
            timezone.deactivate()
        try:
            if self._lacks_second_factor(request):
                return self._refuse(request)
            return self.get_response(request)
        finally:
            timezone.deactivate()

    def _lacks_second_factor(self, request: HttpRequest) -> bool:
        if not settings.STAFF_SECOND_FACTOR or not request.user.is_staff:
            return False
        return not request.path.startswith(SECOND_FACTOR_OPEN) and not is_mfa_enabled(request.user)

    def _refuse(self, request: HttpRequest) -> HttpResponse:
        """A program gets a status it can read, a person the page where the factor is set up."""
        if request.path.startswith(API_PREFIX):
            body = {"code": "second_factor_required", "message": "Your role needs a second factor: set one up in your account."}
            return JsonResponse({"error": body}, status=403)
        return redirect("mfa_index")
