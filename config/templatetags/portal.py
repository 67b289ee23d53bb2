"""Filters and tags for money, numbers, times, states, icons and form fields; templates have no arithmetic of their own.

Builtins of the template engine: no ``{% load %}`` needed. docs/pages.md shows each with an example.
"""

import json
import re
from collections.abc import Iterable
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from django import template
from django.conf import settings
from django.forms import BoundField, CheckboxInput
from django.template.loader import render_to_string
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe
from django.utils.timesince import timesince, timeuntil
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, gettext_noop

from config.foundation.clock import now
from config.foundation.money import NANO_PER_USD, format_money, format_usd
from config.foundation.outcomes import Outcome
from config.foundation.panels import filled

register = template.Library()

# What a state of any model looks like: signal and icon. The word comes from the model's choices.
LOOKS: dict[str, tuple[str, str]] = {
    "good": ("good", "circle-check"),
    "warn": ("warn", "triangle-alert"),
    "bad": ("bad", "circle-x"),
    "info": ("info", "info"),
    "quiet": ("quiet", "circle-dashed"),
    "busy": ("info", "clock"),
}
STATE_LOOKS: dict[str, str] = {
    **dict.fromkeys(
        ["ok", "active", "enabled", "sent", "used", "settled", "done", "new", "ready", "switched", "posted", "applied"],
        "good",
    ),
    **dict.fromkeys(
        ["low", "needs_credential", "handed_over", "expiring", "gone_back", "overlap", "timeout", "cut_stream", "stopped"],
        "warn",
    ),
    **dict.fromkeys(["rate_limited", "no_balance", "cancelled", "client_error", "unsupported_input", "no_rights"], "warn"),
    **dict.fromkeys(["bad_key", "unknown_model", "model_unavailable"], "warn"),
    **dict.fromkeys(["failed", "refused", "upstream_error", "revoked", "closed", "auto_disabled", "error", "paused"], "bad"),
    **dict.fromkeys(["draft", "disabled", "deleted", "released", "expired", "unused", "old", "left_out", "void"], "quiet"),
    **dict.fromkeys(["withdrawn", "refunded", "returned"], "quiet"),
    **dict.fromkeys(["paid", "assigned"], "good"),
    **dict.fromkeys(["created", "asked", "submitted", "in_progress"], "busy"),
    **dict.fromkeys(["completed"], "good"),
    **dict.fromkeys(["unknown"], "warn"),
    **dict.fromkeys(["unmatched"], "warn"),
    **dict.fromkeys(
        [
            "queued",
            "sending",
            "reading",
            "running",
            "open",
            "notified",
            "observing",
            "applying",
            "stopping",
            "held",
            "switching",
            "going_back",
        ],
        "busy",
    ),
}
ICONS = Path(settings.BASE_DIR) / "static" / "vendor" / "lucide"


@register.filter
def usd(nano: int | None, places: int = 4) -> str:
    """Money for a list: at most ``places`` digits."""
    return "-" if nano is None else format_usd(int(nano), int(places))


@register.filter
def usd_exact(nano: int | None) -> str:
    """Money with every digit, for details."""
    return "-" if nano is None else format_usd(int(nano), 9)


@register.filter
def money_in(nano: int | None, currency: str) -> str:
    """Money of any currency with every digit."""
    return "-" if nano is None else format_money(int(nano), str(currency))


@register.filter
def money(nano: int | None, places: int = 4) -> SafeString:
    """Money for a table cell or a headline: negative and zero look different from positive, every digit on hover."""
    if nano is None:
        return mark_safe('<span class="money none">-</span>')  # noqa: S308  (constant)
    value = int(nano)
    look = "neg" if value < 0 else "zero" if value == 0 else "pos"
    # Cents of a cent line up in a column: 0.008 is written 0.0080 beside 0.0083.
    shown = format_usd(value, int(places), trim=int(places) != 4 or abs(value) >= NANO_PER_USD or value % 10_000_000 == 0)
    if value > 0 and shown.strip("$0.,") == "":
        shown = f"<{format_usd(10 ** (9 - int(places)), int(places), trim=False)}"
    return format_html('<span class="money {}" title="{}">{}</span>', look, format_usd(value, 9), shown)


@register.filter
def word_of(value: str, choices: Iterable[tuple[str, Any]]) -> str:
    """The word of a choice, for filters that are on; the value itself when it is none of them."""
    return str(dict(choices).get(value, value))


@register.filter
def count(number: int | None) -> str:
    """A whole number with thousands separated; "-" for None."""
    return "-" if number is None else f"{int(number):,}"


@register.filter
def local_time(at: datetime | None) -> str:
    """``2026-11-20 09:40:59`` in the viewer's zone, without its name."""
    return timezone.localtime(at).strftime("%Y-%m-%d %H:%M:%S") if at else "-"


@register.filter
def when(at: datetime | None) -> SafeString | str:
    """The viewer's time with the zone's name, how long ago on hover. For details."""
    if at is None:
        return "-"
    zone = timezone.get_current_timezone_name()
    return format_html('<time datetime="{}" title="{}">{} {}</time>', at.isoformat(), relative(at), local_time(at), zone)


@register.filter
def when_short(at: datetime | None) -> SafeString | str:
    """The viewer's time for a dense table whose heading names the zone; the full instant on hover."""
    if at is None:
        return "-"
    title = f"{relative(at)}, {timezone.get_current_timezone_name()}"
    return format_html('<time datetime="{}" title="{}">{}</time>', at.isoformat(), title, local_time(at))


@register.filter
def ago(at: datetime | None) -> SafeString | str:
    """ "2 minutes ago" or "in 3 days"; the instant with its zone on hover."""
    if at is None:
        return "-"
    title = f"{local_time(at)} {timezone.get_current_timezone_name()}"
    return format_html('<time datetime="{}" title="{}">{}</time>', at.isoformat(), title, relative(at))


def relative(at: datetime) -> str:
    """The distance to now in one unit, in the active language."""
    reference = now()
    if abs((reference - at).total_seconds()) < 60:
        return _("just now")
    if at > reference:
        return _("in %(distance)s") % {"distance": timeuntil(at, reference, depth=1)}
    return _("%(distance)s ago") % {"distance": timesince(at, reference, depth=1)}


@register.simple_tag
def zone_name() -> str:
    """Name of the viewer's time zone, for table headings."""
    return timezone.get_current_timezone_name()


@lru_cache(maxsize=128)
def _icon_body(name: str) -> str:
    svg = (ICONS / f"{name}.svg").read_text(encoding="utf-8")
    return re.sub(r"\s+", " ", svg[svg.index(">", svg.index("<svg")) + 1 : svg.rindex("</svg>")]).strip()


@register.simple_tag
def icon(name: str, label: str = "") -> SafeString:
    """An icon of static/vendor/lucide, inlined. Without ``label`` it is decoration and hidden from screen readers."""
    said = format_html('role="img" aria-label="{}"', label) if label else mark_safe('aria-hidden="true"')  # noqa: S308
    body = mark_safe(_icon_body(name))  # noqa: S308  (a file of ours)
    return format_html(
        '<svg class="icon" {} width="24" height="24" viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="2" '
        'stroke-linecap="round" stroke-linejoin="round">{}</svg>',
        said,
        body,
    )


@register.simple_tag
def badge(look: str, word: Any) -> SafeString:
    """A state: icon and word. ``look``: good, warn, bad, info, quiet, busy."""
    signal, icon_name = LOOKS[look]
    return format_html('<span class="badge {}">{}{}</span>', signal, icon(icon_name), word)


@register.simple_tag
def state_badge(value: str, word: Any = "") -> SafeString:
    """The badge of a model's state: ``{% state_badge key.state key.get_state_display %}``."""
    return badge(STATE_LOOKS.get(str(value), "quiet"), word or value)


@register.simple_tag
def outcome_badge(outcome: str) -> SafeString:
    """How a call ended, in the house's words."""
    word = Outcome(outcome).label if outcome in Outcome.values else outcome
    return badge(STATE_LOOKS.get(outcome, "bad"), word)


@register.simple_tag(takes_context=True)
def panels(context: dict[str, Any], place: str, thing: Any) -> SafeString:
    """Parts of the page that belong to other apps (config.foundation.panels)."""
    request = context["request"]
    parts = [render_to_string(template, values, request) for template, values in filled(place, request.user, thing)]
    return mark_safe("".join(parts))  # noqa: S308  (rendered templates)


@register.simple_tag
def field(bound: BoundField) -> SafeString:
    """A form field with label, help and errors, tied together for screen readers."""
    kind = "checkbox" if isinstance(bound.field.widget, CheckboxInput) else ""
    return mark_safe(render_to_string("_partials/field.html", {"field": bound, "kind": kind}))  # noqa: S308


@register.simple_tag
def fields(form: Any) -> SafeString:
    """Every field of a form, hidden ones and form-wide errors included."""
    return mark_safe(render_to_string("_partials/fields.html", {"form": form}))  # noqa: S308


@register.filter
def seconds(milliseconds: int) -> str:
    """Seconds, without zeros at the end."""
    return f"{int(milliseconds) / 1000:.3f}".rstrip("0").rstrip(".")


@register.filter
def as_json(value: Any) -> str:
    """A value as a program would write it."""
    return json.dumps(value, ensure_ascii=False)


@register.filter
def tail(text: str) -> str:
    """``sk-...a1b2`` for the last four characters of a key."""
    return f"sk-...{text}" if text else "-"


# Words for the audit trail's dotted names, where a page shows them to the person they are about.
ACTIONS: dict[str, Any] = {
    "key.issue": gettext_lazy("issued"),
    "key.add_secret": gettext_lazy("secret added"),
    "key.rotate": gettext_lazy("rotated"),
    "key.bind_profile": gettext_lazy("use profile changed"),
    "key.revoke_secret": gettext_lazy("secret ended"),
    "key.revoke": gettext_lazy("revoked"),
    "key.disable": gettext_lazy("disabled"),
    "key.enable": gettext_lazy("enabled"),
    "key.pause": gettext_lazy("paused"),
    "key.resume": gettext_lazy("resumed"),
    "key.rename": gettext_lazy("renamed"),
    "key.set_limits": gettext_lazy("limits changed"),
    "key.limit_changed": gettext_lazy("spending limit changed"),
    "key.route": gettext_lazy("moved between the old and the new entry"),
}


@register.simple_tag
def audited(name: str, value: object) -> str:
    """One line of what an audit row kept: figures of money as money."""
    if name.endswith("_nano") and isinstance(value, int):
        return f"{name.removesuffix('_nano')}: {format_usd(value, 9)}"
    return f"{name}: {value}"


@register.filter
def key_action(action: str) -> str:
    """What was done to a key, in a word."""
    return str(ACTIONS.get(action, action))


@register.simple_tag(takes_context=True)
def without(context: dict[str, Any], name: str) -> str:
    """The page's own address without one filter, back on the newest rows."""
    query = context["request"].GET.copy()
    for gone in (name, "before", "export"):
        query.pop(gone, None)
    return f"?{query.urlencode()}"


@register.simple_tag(takes_context=True)
def with_query(context: dict[str, Any], **values: Any) -> str:
    """The page's own address with these parameters set; None or "" takes one away."""
    query = context["request"].GET.copy()
    for name, value in values.items():
        query.pop(name, None)
        if value not in (None, ""):
            query[name] = str(value)
    return f"?{query.urlencode()}"


# Errors that are raised without words of their own say their docstring; listed here so that the catalogue has them.
DOCSTRINGS = (
    gettext_noop("Your role does not allow this."),
    gettext_noop("There is no such object, or it is not yours."),
    gettext_noop("The object is in a state that does not allow this."),
    gettext_noop("The input cannot be used as it is."),
)
