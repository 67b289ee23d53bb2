"""Pages of this app."""

from django.urls import URLPattern, URLResolver, path

from migrations_center import views_groups
from migrations_center.urls_imports import urlpatterns as import_urls
from migrations_center.urls_waves import urlpatterns as wave_urls

urlpatterns: list[URLPattern | URLResolver] = [
    *import_urls,
    *wave_urls,
    path("finance/groups/", views_groups.group_quota, name="group_quota"),
    path("finance/groups/<int:group_id>/", views_groups.group_quota_members, name="group_quota_members"),
]
