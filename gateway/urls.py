"""Pages of this app."""

from django.urls import URLPattern, URLResolver, path

from gateway import views
from gateway.conventions.urls import urlpatterns as conventions

urlpatterns: list[URLPattern | URLResolver] = [
    path("set-up/", views.setup_guide, name="setup_guide"),
    path("find/", views.find, name="find"),
    path("find/<str:request_id>/", views.find_call, name="find_call"),
    *conventions,
]
