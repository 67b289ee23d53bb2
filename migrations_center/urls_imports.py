"""Addresses of the import wizard."""

from django.urls import URLPattern, URLResolver, path

from migrations_center import views_imports as views

urlpatterns: list[URLPattern | URLResolver] = [
    path("migrations/imports/", views.import_list, name="import_list"),
    path("migrations/imports/new/", views.import_start, name="import_start"),
    path("migrations/imports/sample/", views.import_sample, name="import_sample"),
    path("migrations/imports/<uuid:run_id>/", views.import_run, name="import_run"),
    path("migrations/imports/<uuid:run_id>/progress/", views.import_progress, name="import_progress"),
    path("migrations/imports/<uuid:run_id>/decide/", views.import_decide, name="import_decide"),
    path("migrations/imports/<uuid:run_id>/stop/", views.import_stop, name="import_stop"),
    path("migrations/imports/<uuid:run_id>/report.json", views.import_report, name="import_report"),
    path("migrations/imports/<uuid:run_id>/rows/", views.import_issues, name="import_issues"),
]
