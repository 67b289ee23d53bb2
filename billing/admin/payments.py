"""Payments, what fits no order, and refunds in the admin: looked at; the work is done on their own pages."""

from typing import Any

from django.contrib import admin
from django.utils.translation import gettext_lazy as _

from billing.models import IncomingPayment, Payment, PaymentEvent, PaymentRefund
from config.foundation.admin import ReadOnlyAdmin, usd_column

RIGHT = "ledger.view"
amount = usd_column("amount_nano", _("amount"))
refunded = usd_column("refunded_nano", _("refunded amount"))
booked = usd_column("booked_nano", _("amount"))


@admin.register(Payment)
class PaymentAdmin(ReadOnlyAdmin):
    view_right = RIGHT
    list_display = ("id", "user", amount, refunded, "state", "provider", "created_at", "paid_at")
    list_filter = ("state", "created_at")
    list_select_related = ("user",)
    search_fields = ("=id", "session_id__exact", "provider_payment_id__exact", "user__username__exact")
    ordering = ("-created_at",)
    fields: Any = ("user", amount, refunded, "currency", "state", "provider", "session_id", "provider_payment_id", "created_at")
    fields = (*fields, "paid_at", "closed_at", "entry")


@admin.register(PaymentEvent)
class PaymentEventAdmin(ReadOnlyAdmin):
    """The word-for-word payload is not shown: it holds what the payer told the provider."""

    view_right = RIGHT
    list_display = ("event_id", "event_type", "state", "attempts", "received_at", "processed_at")
    list_filter = ("state", "received_at")
    search_fields = ("event_id__exact", "=id")
    ordering = ("-id",)
    fields = ("provider", "event_id", "event_type", "state", "attempts", "received_at", "processed_at", "payment")


@admin.register(IncomingPayment)
class IncomingPaymentAdmin(ReadOnlyAdmin):
    view_right = RIGHT
    list_display = ("reference", "why", booked, "currency", "payer", "state", "received_at", "closed_by")
    list_filter = ("state", "why", "received_at")
    list_select_related = ("closed_by",)
    search_fields = ("reference__exact", "payer", "=id")
    ordering = ("-received_at",)
    fields: Any = ("source", "provider", "reference", "why", "amount_minor", "currency", booked, "payer", "received_at")
    fields = (*fields, "payment", "state", "user", "group", "created_by", "closed_by", "closed_at", "reason")


@admin.register(PaymentRefund)
class PaymentRefundAdmin(ReadOnlyAdmin):
    view_right = RIGHT
    list_display = ("id", amount, "state", "reason", "asked_by", "created_at", "closed_at")
    list_filter = ("state", "created_at")
    list_select_related = ("asked_by",)
    search_fields = ("=id", "provider_refund_id__exact")
    ordering = ("-created_at",)
    fields: Any = ("payment", "incoming", amount, "state", "provider_refund_id", "reason", "attempts", "error", "entry")
    fields = (*fields, "asked_by", "created_at", "closed_at")
