"""Addresses of the contract over HTTP, below ``/dp/v1/``."""

from django.urls import URLPattern, URLResolver, path

from gateway.planes.api import views

urlpatterns: list[URLPattern | URLResolver] = [
    path("config", views.ConfigView.as_view(), name="dp_config"),
    path("keys", views.KeysView.as_view(), name="dp_keys"),
    path("authorize", views.AuthorizeView.as_view(), name="dp_authorize"),
    path("usage", views.UsageView.as_view(), name="dp_usage"),
    path("leases", views.LeasesView.as_view(), name="dp_leases"),
    path("heartbeat", views.HeartbeatView.as_view(), name="dp_heartbeat"),
    path("reconcile", views.ReconcileView.as_view(), name="dp_reconcile"),
    path("secrets/<str:ref>", views.SecretView.as_view(), name="dp_secret"),
    path("<path:rest>", views.NothingView.as_view()),
]
