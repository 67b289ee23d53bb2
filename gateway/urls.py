"""Pages of this app."""

from django.urls import URLPattern, URLResolver, path

from gateway import views, views_access, views_checks, views_entries, views_proofs, views_routes, views_tasks, views_templates
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
    path("tasks/", views_tasks.task_list, name="task_list"),
    path("tasks/doubt/", views_tasks.task_desk, name="task_desk"),
    path("tasks/check/", views_tasks.task_preflight, name="task_preflight"),
    path("tasks/templates/", views_templates.template_list, name="template_list"),
    path("tasks/templates/new/", views_templates.template_new, name="template_new"),
    path("tasks/templates/<int:template_id>/", views_templates.template_detail, name="template_detail"),
    path("tasks/templates/<int:template_id>/edit/", views_templates.template_edit, name="template_edit"),
    path("tasks/templates/<int:template_id>/switch/", views_templates.template_switch, name="template_switch"),
    path("tasks/templates/<int:template_id>/<int:number>/run/", views_templates.template_run, name="template_run"),
    path("tasks/<str:task_id>/", views_tasks.task_detail, name="task_detail"),
    path("tasks/<str:task_id>/decide/", views_tasks.task_decide, name="task_decide"),
    path("tasks/<str:task_id>/ask/", views_tasks.task_ask_again, name="task_ask_again"),
    path("tasks/<str:task_id>/refund/", views_tasks.task_refund, name="task_refund"),
    path("tasks/<str:task_id>/callbacks/<uuid:delivery_id>/", views_tasks.task_callback_again, name="task_callback_again"),
    *conventions,
    path("keys/<int:key_id>/may-call/", views.key_may_call, name="key_may_call"),
]
