"""The admin site: the one door in, what is not shown there, and the navigation by room."""

from typing import Any

from allauth.account.decorators import secure_admin_login
from django.apps import apps
from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from config.foundation.clock import now

# Registered by packages, and either useless here (Django's own groups) or full of secrets (second factors, provider
# secrets, sessions).
NOT_SHOWN = (
    "auth.Group",
    "account.EmailAddress",
    "account.EmailConfirmation",
    "mfa.Authenticator",
    "socialaccount.SocialApp",
    "socialaccount.SocialToken",
    "socialaccount.SocialAccount",
    "usersessions.UserSession",
)

# Rooms of the sidebar: title, then (model, icon). A link shows when the model's admin may be seen.
ROOMS: tuple[tuple[Any, tuple[tuple[str, str], ...]], ...] = (
    (
        _("People"),
        (
            ("accounts.User", "person"),
            ("accounts.Group", "group"),
            ("accounts.GroupMembership", "diversity_3"),
            ("accounts.Invitation", "mail"),
        ),
    ),
    (
        _("Models"),
        (
            ("models_catalog.AIModel", "deployed_code"),
            ("models_catalog.NameMapEntry", "swap_horiz"),
            ("models_catalog.NameMapVersion", "history"),
            ("models_catalog.Upstream", "dns"),
            ("models_catalog.Provider", "factory"),
        ),
    ),
    (_("Keys"), (("keys.ApiKey", "key"), ("billing.SpendLimit", "speed"))),
    (
        _("Money"),
        (
            ("billing.PriceBook", "menu_book"),
            ("billing.PriceVersion", "sell"),
            ("billing.PriceRule", "payments"),
            ("billing.GroupBook", "group_work"),
            ("billing.LedgerAccount", "account_balance_wallet"),
            ("billing.LedgerEntry", "receipt_long"),
            ("billing.Hold", "pause_circle"),
            ("billing.Lease", "handshake"),
            ("billing.CodeBatch", "style"),
            ("billing.RedemptionCode", "confirmation_number"),
            ("billing.Payment", "credit_card"),
            ("billing.IncomingPayment", "help_center"),
            ("billing.PaymentRefund", "undo"),
            ("billing.PaymentEvent", "inbox"),
            ("billing.AdjustmentRequest", "rule"),
            ("billing.BreakGlass", "emergency"),
        ),
    ),
    (
        _("Calls"),
        (
            ("billing.RequestLog", "list_alt"),
            ("gateway.RelayInstance", "router"),
            ("gateway.DataPlane", "hub"),
            ("gateway.DataPlaneInstance", "memory"),
            ("gateway.PlaneEvent", "receipt"),
            ("gateway.OldEntry", "door_back"),
            ("gateway.EntryPoint", "door_front"),
        ),
    ),
    (
        _("Migrations"),
        (
            ("migrations_center.Source", "database"),
            ("migrations_center.ImportRun", "upload"),
            ("migrations_center.Plan", "map"),
            ("migrations_center.Wave", "groups"),
            ("gateway.ProofRun", "fact_check"),
            ("gateway.TrialList", "checklist"),
            ("gateway.KeyWatch", "vpn_key"),
        ),
    ),
    (_("Records"), (("accounts.AuditEvent", "shield"), ("accounts.OutboundMail", "outgoing_mail"))),
)


def set_up() -> None:
    """Called when the addresses are loaded: all admin modules are registered by then."""
    for label in NOT_SHOWN:
        model = apps.get_model(label)
        if admin.site.is_registered(model):
            admin.site.unregister(model)
    # Everybody comes in by the one door, where the second factor is.
    admin.site.login = secure_admin_login(admin.site.login)  # type: ignore[method-assign]


def dashboard(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Unfold's first page: the figures of the day and what waits, as on the portal's own first page for staff."""
    from billing.staff_home import staff_home_of

    return {**context, "house": staff_home_of(request.user, now())}  # type: ignore[arg-type]


def sidebar(request: HttpRequest) -> list[dict[str, Any]]:
    """Unfold's navigation: one section a room, with what this person may see."""
    sections: list[dict[str, Any]] = []
    for title, links in ROOMS:
        items = []
        for label, icon in links:
            model = apps.get_model(label)
            model_admin = admin.site._registry.get(model)
            if model_admin and model_admin.has_view_permission(request):
                address = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
                name = str(model._meta.verbose_name_plural)
                items.append({"title": name[:1].upper() + name[1:], "icon": icon, "link": address})
        if items:
            sections.append({"title": title, "separator": True, "collapsible": False, "items": items})
    return sections
