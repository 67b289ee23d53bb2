"""Addresses of the price pages."""

from django.urls import URLPattern, URLResolver, path

from billing.views import outcomes, prices

urlpatterns: list[URLPattern | URLResolver] = [
    path("billing/failed-calls/", outcomes.failed_calls, name="failed_calls"),
    path("prices/", prices.price_list, name="price_list"),
    path("prices/compare/", prices.price_compare, name="price_compare"),
    path("prices/outcomes/", outcomes.outcome_rules, name="outcome_rules"),
    path("prices/versions/<int:version_id>/export/", prices.price_export, name="price_export"),
    path("prices/books/<str:code>/import/", prices.price_import, name="price_import"),
]
