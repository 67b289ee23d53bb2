"""Home: the figures a person came for; for staff the ways into their work."""

from datetime import timedelta
from typing import Any

from django.contrib.auth.decorators import login_required
from django.db.models import F
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from accounts.models import User
from accounts.rights import may
from billing.dashboard import chart_data, home_of
from billing.selectors import CallFilters, calls_for
from billing.selectors.calls import FAILED
from billing.selectors.limit_lines import limits_at_home
from billing.staff_home import staff_home_of
from config.foundation.clock import now
from keys import allowance
from keys.selectors import is_living, keys_for, standing_of

RECENT_CALLS = 8
RECENT_SPAN = timedelta(days=400)
KEYS_SHOWN = 5
LATEST_USED = F("last_used_at").desc(nulls_last=True)


class Asked(HttpRequest):
    """A request of somebody who is logged in."""

    user: User


@login_required
@require_safe
def home(request: Asked) -> HttpResponse:
    person = request.user
    figures = home_of(person)
    keys = list(keys_for(person).exclude(state="revoked").order_by(LATEST_USED, "-pk")[: KEYS_SHOWN + 1])
    lately = CallFilters(user_id=person.pk, since=now() - RECENT_SPAN)
    recent = calls_for(person, lately, limit=RECENT_CALLS).rows if figures.has_calls else []
    since = CallFilters(outcome=FAILED, since=now() - timedelta(days=1))
    context: dict[str, Any] = {
        "failures": calls_for(person, since, limit=RECENT_CALLS).rows if may(person, "calls.search") else [],
        "house": staff_home_of(person, now()),
        "figures": figures,
        "chart": chart_data(figures.chart),
        "recent": recent,
        "keys": _key_rows(keys[:KEYS_SHOWN]),
        "has_more_keys": len(keys) > KEYS_SHOWN,
        "limits": limits_at_home(person),
        "is_newcomer": not figures.has_calls and not keys,
    }
    return render(request, "billing/home.html", context)


def _key_rows(keys: list[Any]) -> list[dict[str, Any]]:
    at = now()
    allowances = allowance.read([key.pk for key in keys])
    return [
        {
            "key": key,
            "standing": standing_of(key),
            "tails": [secret.tail for secret in key.secrets.all() if is_living(secret, at)],
            "allowance": allowances.get(key.pk),
        }
        for key in keys
    ]
