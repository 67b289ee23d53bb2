"""Pages of this app."""

from django.urls import URLPattern, URLResolver

from migrations_center.urls_imports import urlpatterns as import_urls
from migrations_center.urls_waves import urlpatterns as wave_urls

urlpatterns: list[URLPattern | URLResolver] = [*import_urls, *wave_urls]
