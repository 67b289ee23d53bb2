"""API addresses of this app."""

from django.urls import URLPattern, URLResolver
from rest_framework.routers import SimpleRouter

from gateway.api.proof_views import ProofViewSet
from gateway.api.task_views import TaskTemplateViewSet, TaskViewSet
from gateway.api.views import AccessViewSet, TrialViewSet

router = SimpleRouter()
router.register("access", AccessViewSet, basename="api_access")
router.register("tasks", TaskViewSet, basename="api_task")
router.register("task-templates", TaskTemplateViewSet, basename="api_task_template")
router.register("proofs", ProofViewSet, basename="api_proof")
router.register("trials", TrialViewSet, basename="api_trial")

urlpatterns: list[URLPattern | URLResolver] = [*router.urls]
