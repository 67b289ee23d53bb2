"""Health, readiness and the language switch."""

from django.urls import URLPattern, URLResolver, path

from config.pages.health import healthz, readyz
from config.pages.language import set_language

urlpatterns: list[URLPattern | URLResolver] = [
    path("healthz", healthz, name="healthz"),
    path("readyz", readyz, name="readyz"),
    path("language/", set_language, name="set_language"),
]
