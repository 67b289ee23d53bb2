"""API addresses of this app."""

from django.urls import URLPattern, URLResolver, path
from rest_framework.routers import SimpleRouter

from accounts.api.views import AuditEventViewSet, GroupViewSet, MeViewSet, PersonViewSet

router = SimpleRouter()
router.register("people", PersonViewSet, basename="api_person")
router.register("groups", GroupViewSet, basename="api_group")
router.register("audit-events", AuditEventViewSet, basename="api_audit_event")

urlpatterns: list[URLPattern | URLResolver] = [
    path("me/", MeViewSet.as_view({"get": "list", "patch": "change"}), name="api_me"),
    *router.urls,
]
