"""Pages of this app."""

from django.urls import URLPattern, URLResolver, path

from gateway import views, views_access, views_checks, views_entries, views_proofs, views_routes
from gateway.conventions.urls import urlpatterns as conventions

urlpatterns: list[URLPattern | URLResolver] = [
    path("set-up/", views.setup_guide, name="setup_guide"),
    path("models/health/", views_routes.model_health, name="model_health"),
    path("fallbacks/", views_routes.fallback_list, name="fallback_list"),
    path("fallbacks/new/", views_routes.fallback_new, name="fallback_new"),
    path("fallbacks/<int:rule_id>/approve/", views_routes.fallback_approve, name="fallback_approve"),
    path("fallbacks/<int:rule_id>/end/", views_routes.fallback_end, name="fallback_end"),
    path("errors/", views_routes.error_map, name="error_map"),
    path("access/explain/", views_access.access_explain, name="access_explain"),
    path("find/", views.find, name="find"),
    path("find/<str:request_id>/", views.find_call, name="find_call"),
    path("set-up/check/", views_checks.access_check_start, name="access_check_start"),
    path("set-up/check/<uuid:check_id>/", views_checks.access_check, name="access_check"),
    path("set-up/check/<uuid:check_id>/result/", views_checks.access_check_result, name="access_check_result"),
    path("proofs/", views_proofs.proof_list, name="proof_list"),
    path("proofs/features/", views_proofs.proof_features, name="proof_features"),
    path("proofs/<uuid:run_id>/", views_proofs.proof_run, name="proof_run"),
    path("proofs/<uuid:run_id>/progress/", views_proofs.proof_progress, name="proof_progress"),
    path("proofs/<uuid:run_id>/stop/", views_proofs.proof_stop, name="proof_stop"),
    path("entries/", views_entries.entry_list, name="entry_list"),
    path("entries/new/", views_entries.entry_register, name="entry_register"),
    path("entries/<int:entry_id>/", views_entries.entry_detail, name="entry_detail"),
    path("entries/<int:entry_id>/change/", views_entries.entry_change, name="entry_change"),
    *conventions,
    path("keys/<int:key_id>/may-call/", views.key_may_call, name="key_may_call"),
]
