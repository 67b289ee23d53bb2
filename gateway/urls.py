"""Pages of this app."""

from django.urls import URLPattern, URLResolver, path

from gateway import views, views_checks, views_entries
from gateway.conventions.urls import urlpatterns as conventions

urlpatterns: list[URLPattern | URLResolver] = [
    path("set-up/", views.setup_guide, name="setup_guide"),
    path("find/", views.find, name="find"),
    path("find/<str:request_id>/", views.find_call, name="find_call"),
    path("set-up/check/", views_checks.access_check_start, name="access_check_start"),
    path("set-up/check/<uuid:check_id>/", views_checks.access_check, name="access_check"),
    path("set-up/check/<uuid:check_id>/result/", views_checks.access_check_result, name="access_check_result"),
    path("entries/", views_entries.entry_list, name="entry_list"),
    path("entries/new/", views_entries.entry_register, name="entry_register"),
    path("entries/<int:entry_id>/", views_entries.entry_detail, name="entry_detail"),
    path("entries/<int:entry_id>/change/", views_entries.entry_change, name="entry_change"),
    *conventions,
    path("keys/<int:key_id>/may-call/", views.key_may_call, name="key_may_call"),
]
