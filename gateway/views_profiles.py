"""The page of one use profile: the set-up cards that name it, the keys that follow it, the places that still name a model."""

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from accounts.models import User
from gateway.contract.endpoints import ENDPOINTS
from gateway.selectors_profiles import places_of_names
from gateway.setup_cards import profile_cards
from keys.forms_profiles import BindForm
from keys.selectors_limits import call_limit_of_profile
from keys.selectors_profiles import followers_of, keys_to_bind, profile_for
from keys.services import may_manage
from keys.services_profiles import may_keep

MOST_KEYS = 200


class Asked(HttpRequest):
    """A request of somebody who is logged in."""

    user: User


@login_required
@require_safe
def profile_detail(request: Asked, profile_id: int) -> HttpResponse:
    profile = profile_for(request.user, profile_id)
    places = places_of_names(request.user, profile)
    loose = [key for key in keys_to_bind(request.user, profile)[:MOST_KEYS] if may_manage(request.user, key)]
    context = {
        "profile": profile,
        "may_keep": may_keep(request.user, profile.team),
        "limit": call_limit_of_profile(profile),
        "followers": followers_of(request.user, profile)[:MOST_KEYS],
        "places": places,
        "place_count": len(places),
        "bind_form": BindForm(keys=loose) if loose else None,
        "cards": profile_cards(
            origin=settings.PUBLIC_URL.rstrip("/"),
            tail="",
            alias=profile.alias,
            served=frozenset(ENDPOINTS),
            use=profile.use,
            answers=profile.default_model,
        ),
    }
    return render(request, "gateway/profile_detail.html", context)
