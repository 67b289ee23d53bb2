"""Pages of this app."""

from django.urls import URLPattern, URLResolver, path

from billing import finance_urls, price_urls
from billing.views import alerts, calls, explanation, fences, finance, home, hooks, money, reconcile, statements, usage

urlpatterns: list[URLPattern | URLResolver] = [
    path("", home.home, name="home"),
    path("calls/", calls.call_list, name="call_list"),
    path("calls/<str:request_id>/", calls.call_detail, name="call_detail"),
    path("usage/", usage.usage, name="usage"),
    path("billing/", money.billing, name="billing"),
    path("billing/explained/", explanation.balance_explained, name="balance_explained"),
    path("billing/redeem/", money.code_redeem, name="code_redeem"),
    path("statements/", statements.statement_list, name="statement_list"),
    path("statements/<int:statement_id>/", statements.statement_detail, name="statement_detail"),
    path("statements/<int:statement_id>/<str:language>.<str:kind>", statements.statement_download, name="statement_download"),
    path("finance/statements/", statements.statement_desk, name="statement_desk"),
    path("finance/statements/preview/", statements.statement_preview, name="statement_preview"),
    path("finance/statements/issue/", statements.statement_issue, name="statement_issue"),
    path("models/", money.model_list, name="model_list"),
    path("alerts/", alerts.alert_list, name="alert_list"),
    path("alerts/choices/", alerts.alert_choices, name="alert_choices"),
    path("alerts/hooks/", hooks.hook_list, name="alert_hook_list"),
    path("alerts/hooks/<int:endpoint_id>/", hooks.hook_detail, name="alert_hook_detail"),
    path("alerts/hooks/<int:endpoint_id>/switch/", hooks.hook_switch, name="alert_hook_switch"),
    path("alerts/hooks/<int:endpoint_id>/<str:delivery_id>/again/", hooks.hook_again, name="alert_hook_again"),
    path("alerts/<str:event_id>/", alerts.alert_detail, name="alert_detail"),
    path("finance/reconcile/", reconcile.reconcile_list, name="reconcile_list"),
    path("finance/reconcile/start/", reconcile.reconcile_start, name="reconcile_start"),
    path("finance/reconcile/runs/<str:run_id>/", reconcile.reconcile_run, name="reconcile_run"),
    path("finance/reconcile/<int:difference_id>/", reconcile.reconcile_difference, name="reconcile_difference"),
    path("finance/desk/", reconcile.desk_list, name="desk_list"),
    path("finance/desk/<int:item_id>/", reconcile.desk_item, name="desk_item"),
    path("finance/ledger/", finance.ledger, name="ledger"),
    path("finance/top-up/", finance.top_up, name="top_up"),
    path("fences/", fences.fence_list, name="fence_list"),
    path("fences/tiers/", fences.fence_tiers, name="fence_tiers"),
    path("fences/groups/<int:group_id>/", fences.fence_group, name="fence_group"),
    path("fences/models/<int:model_id>/", fences.fence_model, name="fence_model"),
    *finance_urls.urlpatterns,
    *price_urls.urlpatterns,
]
