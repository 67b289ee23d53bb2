"""Pages of this app."""

from django.urls import URLPattern, URLResolver, path

from billing import finance_urls
from billing.views import calls, fences, finance, home, money, statements, usage

urlpatterns: list[URLPattern | URLResolver] = [
    path("", home.home, name="home"),
    path("calls/", calls.call_list, name="call_list"),
    path("calls/<str:request_id>/", calls.call_detail, name="call_detail"),
    path("usage/", usage.usage, name="usage"),
    path("billing/", money.billing, name="billing"),
    path("billing/redeem/", money.code_redeem, name="code_redeem"),
    path("statements/", statements.statement_list, name="statement_list"),
    path("statements/<int:statement_id>/", statements.statement_detail, name="statement_detail"),
    path("statements/<int:statement_id>/<str:language>.<str:kind>", statements.statement_download, name="statement_download"),
    path("finance/statements/", statements.statement_desk, name="statement_desk"),
    path("finance/statements/preview/", statements.statement_preview, name="statement_preview"),
    path("finance/statements/issue/", statements.statement_issue, name="statement_issue"),
    path("models/", money.model_list, name="model_list"),
    path("finance/ledger/", finance.ledger, name="ledger"),
    path("finance/top-up/", finance.top_up, name="top_up"),
    path("fences/", fences.fence_list, name="fence_list"),
    path("fences/tiers/", fences.fence_tiers, name="fence_tiers"),
    path("fences/groups/<int:group_id>/", fences.fence_group, name="fence_group"),
    path("fences/models/<int:model_id>/", fences.fence_model, name="fence_model"),
    *finance_urls.urlpatterns,
]
