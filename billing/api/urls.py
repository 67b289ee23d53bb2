"""API addresses of this app."""

from django.urls import URLPattern, URLResolver, path
from rest_framework.routers import SimpleRouter

from billing.api import desk_views, finance_views, payment_views, views, watch_views
from billing.api.limits import LimitViewSet

router = SimpleRouter()
router.register("calls", views.CallViewSet, basename="api_call")
router.register("ledger-entries", views.LedgerEntryViewSet, basename="api_ledger_entry")
router.register("top-ups", desk_views.TopUpViewSet, basename="api_top_up")
router.register("adjustments", desk_views.AdjustmentViewSet, basename="api_adjustment")
router.register("codes", desk_views.CodeViewSet, basename="api_code")
router.register("code-batches", desk_views.CodeBatchViewSet, basename="api_code_batch")
router.register("approvals", desk_views.ApprovalViewSet, basename="api_approval")
router.register("statements", finance_views.StatementViewSet, basename="api_statement")
router.register("payments", finance_views.PaymentViewSet, basename="api_payment")
router.register("payment-refunds", payment_views.PaymentRefundViewSet, basename="api_payment_refund")
router.register("unmatched-payments", payment_views.UnmatchedPaymentViewSet, basename="api_unmatched_payment")
router.register("disputes", finance_views.DisputeViewSet, basename="api_dispute")
router.register("call-refunds", finance_views.CallRefundViewSet, basename="api_call_refund")
router.register("conversions", finance_views.ConversionViewSet, basename="api_conversion")
router.register("desk-items", finance_views.DeskItemViewSet, basename="api_desk_item")
router.register("alerts", watch_views.AlertViewSet, basename="api_alert")
router.register("alert-rules", watch_views.AlertRuleViewSet, basename="api_alert_rule")
router.register("web-hooks", watch_views.HookViewSet, basename="api_hook")
router.register("fences", watch_views.FenceViewSet, basename="api_fence")
router.register("prices", views.PriceViewSet, basename="api_price")
router.register("outcome-rules", views.OutcomeRuleViewSet, basename="api_outcome_rule")
router.register("price-books", views.PriceBookViewSet, basename="api_price_book")
router.register("price-versions", views.PriceVersionViewSet, basename="api_price_version")

urlpatterns: list[URLPattern | URLResolver] = [
    path("balance/", views.BalanceViewSet.as_view({"get": "retrieve"}), name="api_balance"),
    path("limits/", LimitViewSet.as_view({"get": "retrieve", "put": "update"}), name="api_limits"),
    path("policy/", watch_views.PolicyViewSet.as_view({"get": "retrieve", "put": "update"}), name="api_policy"),
    path("usage/", views.UsageViewSet.as_view({"get": "retrieve"}), name="api_usage"),
    *router.urls,
]
