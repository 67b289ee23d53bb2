"""API addresses of this app."""

from django.urls import URLPattern, URLResolver
from rest_framework.routers import SimpleRouter

from keys.api.views import KeyViewSet

router = SimpleRouter()
router.register("keys", KeyViewSet, basename="api_key")

urlpatterns: list[URLPattern | URLResolver] = [*router.urls]
