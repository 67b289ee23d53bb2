"""API addresses of this app."""

from django.urls import URLPattern, URLResolver
from rest_framework.routers import SimpleRouter

from models_catalog.api.views import ModelViewSet, NameMapViewSet, ProviderViewSet, UpstreamViewSet

router = SimpleRouter()
router.register("models", ModelViewSet, basename="api_model")
router.register("providers", ProviderViewSet, basename="api_provider")
router.register("upstreams", UpstreamViewSet, basename="api_upstream")
router.register("name-map", NameMapViewSet, basename="api_name_map")

urlpatterns: list[URLPattern | URLResolver] = [*router.urls]
