"""API addresses of this app."""

from django.urls import URLPattern, URLResolver
from rest_framework.routers import SimpleRouter

from keys.api.profiles import ProfileViewSet
from keys.api.views import KeyViewSet

router = SimpleRouter()
router.register("keys", KeyViewSet, basename="api_key")
router.register("profiles", ProfileViewSet, basename="api_profile")

urlpatterns: list[URLPattern | URLResolver] = [*router.urls]
