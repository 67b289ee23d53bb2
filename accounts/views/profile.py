"""One's own profile: name, language, time zone."""

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import translation
from django.utils.translation import gettext as _

from accounts.forms import ProfileForm
from accounts.selectors import teams_of
from accounts.services.people import change_profile
from accounts.views.common import person


@login_required
def profile(request: HttpRequest) -> HttpResponse:
    user = person(request)
    chosen = request.POST.get("section", "")
    data = request.POST if request.method == "POST" else None
    initial = {"display_name": user.display_name, "language": user.language, "time_zone": user.time_zone}
    form = ProfileForm(data if chosen == "profile" else None, initial=initial)
    if chosen == "profile" and form.is_valid():
        change_profile(actor=user, person=user, **form.cleaned_data)
        with translation.override(user.language):
            messages.success(request, _("Your profile is saved."))
        return redirect("profile")
    return render(request, "accounts/profile.html", {"form": form, "memberships": teams_of(user)})
