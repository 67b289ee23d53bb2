"""API addresses of this app."""

from django.urls import URLPattern, URLResolver
from rest_framework.routers import SimpleRouter

from migrations_center.api.views import ImportRunViewSet, PlanViewSet, SourceViewSet, WaveViewSet

router = SimpleRouter()
router.register("sources", SourceViewSet, basename="api_source")
router.register("imports", ImportRunViewSet, basename="api_import")
router.register("plans", PlanViewSet, basename="api_plan")
router.register("waves", WaveViewSet, basename="api_wave")

urlpatterns: list[URLPattern | URLResolver] = [*router.urls]
