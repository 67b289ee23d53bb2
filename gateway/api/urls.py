"""API addresses of this app."""

from django.urls import URLPattern, URLResolver
from rest_framework.routers import SimpleRouter

from gateway.api.views import AccessViewSet

router = SimpleRouter()
router.register("access", AccessViewSet, basename="api_access")

urlpatterns: list[URLPattern | URLResolver] = [*router.urls]
