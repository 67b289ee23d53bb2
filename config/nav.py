"""The rail on the left: one table of links; a page appears when its URL exists and the person's role allows it.

A new page adds one line here. ``right`` is a word of ``accounts.rights``; "" stands for everybody who is logged in.
"""

from dataclasses import dataclass

from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from accounts.rights import may


@dataclass(frozen=True)
class Link:
    """``stem`` is the URL name; pages whose URL name starts with one of ``family`` light the same link."""

    stem: str
    label: str | Promise
    icon: str
    right: str = ""
    family: tuple[str, ...] = ()


SECTIONS: list[tuple[str | Promise, list[Link]]] = [
    (
        "",
        [
            Link("home", _("Home"), "house"),
            Link(
                "call_list",
                _("Calls"),
                "list",
                family=(
                    "call_detail",
                    "export_",
                ),
            ),
            Link("task_list", _("Images and videos"), "play", family=("task_", "template_")),
            Link("usage", _("Usage"), "chart-column"),
            Link("key_list", _("Keys"), "key-round", family=("key_",)),
            Link(
                "billing",
                _("Billing"),
                "wallet",
                family=(
                    "balance_explained",
                    "code_redeem",
                    "failed_calls",
                    "payment_start",
                    "payment_detail",
                ),
            ),
            Link("statement_list", _("Statements"), "file-text", family=("statement_detail",)),
            Link("model_list", _("Models"), "boxes"),
            Link("model_health", _("Model health"), "heart-pulse"),
            Link("profile_list", _("Use profiles"), "tags", family=("profile_",)),
            Link("setup_guide", _("Set up"), "plug", family=("access_check",)),
            Link("alert_list", _("Alerts"), "bell", family=("alert_",)),
            Link("error_map", _("Errors"), "triangle-alert"),
            Link("api_docs", _("Portal API"), "file-text"),
            Link("team_list", _("Team"), "users", family=("team_",)),
            Link("trial_list", _("Trial lists"), "list", family=("trial_",)),
        ],
    ),
    (
        _("Support"),
        [
            Link("find", _("Find"), "search", "calls.search", family=("find_",)),
            Link("access_explain", _("Explain access"), "circle-help", "keys.view"),
            Link("person_list", _("People"), "user", "people.view", family=("person_", "invitation_")),
        ],
    ),
    (
        _("Finance"),
        [
            Link("reconcile_list", _("Reconciliation"), "scale", "reconcile.view", family=("reconcile_", "desk_")),
            Link("ledger", _("Ledger"), "landmark", "ledger.view", family=("ledger_",)),
            Link("price_list", _("Prices"), "tags", "prices.view", family=("price_", "outcome_")),
            Link("group_quota", _("Groups"), "users", "ledger.view", family=("group_quota_",)),
            Link("top_up", _("Top-ups"), "receipt-text", "ledger.adjust", family=("top_up_",)),
            Link(
                "statement_desk",
                _("Issue statements"),
                "file-text",
                "statements.issue",
                family=("statement_preview", "statement_issue"),
            ),
            Link("payment_list", _("Payments"), "wallet", "ledger.view", family=("dispute_",)),
            Link("unmatched_list", _("Unmatched"), "circle-help", "ledger.view", family=("unmatched_",)),
            Link("refund_list", _("Refunds"), "undo-2", "ledger.view", family=("refund_",)),
            Link("conversion_list", _("Conversions"), "arrow-right-left", "ledger.view", family=("conversion_",)),
            Link("code_batch_list", _("Codes"), "ticket", "ledger.view", family=("code_batch_",)),
            Link("approval_list", _("Approvals"), "users", "ledger.view", family=("approval_", "adjustment_", "override_")),
        ],
    ),
    (
        _("Operations"),
        [
            Link("migration_overview", _("Migrations"), "arrow-right-left", "migrations.view"),
            Link("import_list", _("Imports"), "upload", "migrations.view", family=("import_",)),
            Link("wave_list", _("Waves"), "route", "migrations.view", family=("wave_",)),
            Link("entry_list", _("Entry points"), "external-link", "migrations.view", family=("entry_",)),
            Link("leftover_list", _("Still on the old entry"), "clock", "migrations.view"),
            Link("proof_list", _("Proof of names"), "circle-check", "migrations.view", family=("proof_",)),
            Link("admin:models_catalog_upstream_changelist", _("Upstreams"), "server", "catalog.manage"),
            Link("plane_list", _("Data planes"), "server", "planes.view", family=("plane_",)),
            Link("fallback_list", _("Fallbacks"), "route", "fallbacks.view", family=("fallback_",)),
            Link("mail_list", _("Mail"), "mail", "mail.view", family=("mail_",)),
            Link("mixed_keys", _("Mixed keys"), "key-round", "keys.view"),
            Link("policy", _("Policy"), "shield", "policy.view", family=("policy_",)),
            Link("fence_list", _("Fences"), "ban", "fences.view", family=("fence_",)),
            Link("audit_list", _("Audit"), "shield", "audit.view", family=("audit_",)),
            Link("admin:index", _("Admin"), "settings", "people.view"),
        ],
    ),
]


OF_TEAMS = ("team_list", "trial_list")


def address_of(stem: str) -> str:
    """The address of a page without arguments, "" while no app has it."""
    try:
        return reverse(stem)
    except NoReverseMatch:
        return ""


def rail_for(request: HttpRequest) -> list[dict[str, object]]:
    """Sections of links for this person, the current one marked."""
    user = request.user
    if not isinstance(user, User):
        return []
    here = request.resolver_match.view_name if request.resolver_match else ""
    rail: list[dict[str, object]] = []
    # Teams and their trial lists are shown to who is in a team or may make one; asked once, for both.
    has_teams = may(user, "teams.manage") or user.memberships.exists()
    for title, links in SECTIONS:
        shown = [
            {"url": url, "label": link.label, "icon": link.icon, "is_current": _is_current(link, here)}
            for link in links
            if (not link.right or may(user, link.right))
            and (url := address_of(link.stem))
            and (has_teams or link.stem not in OF_TEAMS)
        ]
        if shown:
            rail.append({"title": title, "links": shown})
    return rail


def _is_current(link: Link, here: str) -> bool:
    return here == link.stem or any(here.startswith(prefix) for prefix in link.family)
