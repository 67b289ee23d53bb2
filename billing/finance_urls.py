"""Pages of the desk of finance: codes, approvals and payments."""

from django.urls import URLPattern, URLResolver, path

from billing.views import approvals, codes, conversions, disputes, payments, refunds

urlpatterns: list[URLPattern | URLResolver] = [
    path("billing/top-up/", payments.payment_start, name="payment_start"),
    path("billing/payments/<uuid:payment_id>/", payments.payment_detail, name="payment_detail"),
    path("payments/webhooks/<str:provider_name>/", payments.payment_webhook, name="payment_webhook"),
    path("finance/payments/", payments.payment_list, name="payment_list"),
    path("finance/disputes/", disputes.dispute_list, name="dispute_list"),
    path("finance/disputes/<uuid:dispute_id>/", disputes.dispute_detail, name="dispute_detail"),
    path("finance/unmatched/", payments.unmatched_list, name="unmatched_list"),
    path("finance/unmatched/new/", payments.unmatched_create, name="unmatched_create"),
    path("finance/unmatched/<uuid:incoming_id>/", payments.unmatched_detail, name="unmatched_detail"),
    path("finance/refunds/", refunds.refund_list, name="refund_list"),
    path("finance/refunds/new/", refunds.refund_create, name="refund_create"),
    path("finance/conversions/", conversions.conversion_list, name="conversion_list"),
    path("finance/conversions/new/", conversions.conversion_create, name="conversion_create"),
    path("finance/codes/", codes.code_batch_list, name="code_batch_list"),
    path("finance/codes/new/", codes.code_batch_create, name="code_batch_create"),
    path("finance/codes/<uuid:batch_id>/", codes.code_batch_detail, name="code_batch_detail"),
    path("finance/codes/<uuid:batch_id>/download/", codes.code_batch_download, name="code_batch_download"),
    path("finance/codes/<uuid:batch_id>/revalue/", codes.code_batch_revalue, name="code_batch_revalue"),
    path("finance/codes/<uuid:batch_id>/<str:verb>/", codes.code_batch_change, name="code_batch_change"),
    path("finance/approvals/", approvals.approval_list, name="approval_list"),
    path("finance/approvals/<int:request_id>/", approvals.approval_detail, name="approval_detail"),
    path("finance/adjust/", approvals.adjustment_create, name="adjustment_create"),
    path("finance/override/", approvals.override_open, name="override_open"),
    path("finance/override/<int:override_id>/", approvals.override_detail, name="override_detail"),
    path("finance/override/<int:override_id>/close/", approvals.override_close, name="override_close"),
]
