"""Pages of the policy: who may create keys, which teams may spend what, who reviews quota when."""

from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.rights import may, require
from config.foundation.clock import now
from config.foundation.errors import PortalError
from keys import selectors_policy as selectors
from keys import services_policy as services
from keys.forms_policy import PolicyForm, ReviewDoneForm, ReviewForm, TeamMoneyForm
from keys.views import Asked

RIGHT = "policy.manage"
PAGE_METHODS = ["GET", "HEAD", "POST"]


@login_required
@require_safe
def policy(request: Asked) -> HttpResponse:
    sees_all = may(request.user, "policy.view")
    context = {
        "policy": selectors.policy_for(request.user),
        "may_issue": services.may_issue(request.user),
        "sees_all": sees_all,
        "may_manage": may(request.user, RIGHT),
        "named": selectors.named_issuers(request.user) if sees_all else [],
        "teams": selectors.team_policies(request.user) if sees_all else [],
        "reviews": selectors.reviews(request.user) if sees_all else selectors.reviews_due(request.user),
        "today": now().date(),
    }
    return render(request, "keys/policy.html", context)


@login_required
@require_http_methods(PAGE_METHODS)
def policy_change(request: Asked) -> HttpResponse:
    require(request.user, RIGHT)
    held = selectors.policy_for(request.user)
    initial = {
        "issuers": held.issuers,
        "team_money": held.team_money,
        "text": held.text,
        "named_issuers": "\n".join(person.username for person in selectors.named_issuers(request.user)),
    }
    form = PolicyForm(request.POST or None, initial=initial)

    def act() -> str:
        services.set_policy(actor=request.user, **form.cleaned_data)
        return _("The policy was changed. Calls and pages follow it within seconds.")

    return _form_page(request, form, act, _("Change the policy"), _("Save the policy"))


@login_required
@require_http_methods(PAGE_METHODS)
def policy_team(request: Asked) -> HttpResponse:
    require(request.user, RIGHT)
    form = TeamMoneyForm(
        request.POST or None,
        teams=selectors.teams(request.user),
        initial={"team": request.GET.get("team", "")[:18]},
    )

    def act() -> str:
        team, money = form.cleaned_data["team"], form.cleaned_data["money"] or None
        services.set_team_money(actor=request.user, team=team, money=money)
        return _("What %(team)s may spend was changed. Calls follow within seconds.") % {"team": team}

    return _form_page(request, form, act, _("What a team may spend"), _("Save"))


@login_required
@require_http_methods(PAGE_METHODS)
def policy_review(request: Asked) -> HttpResponse:
    require(request.user, RIGHT)
    form = ReviewForm(request.POST or None)

    def act() -> str:
        review = services.plan_review(actor=request.user, **form.cleaned_data)
        return _("%(name)s reviews it on %(day)s and gets a notice then.") % {
            "name": review.reviewer,
            "day": review.next_on.isoformat(),
        }

    return _form_page(request, form, act, _("Plan a review of quota"), _("Plan the review"))


@login_required
@require_http_methods(PAGE_METHODS)
def policy_review_done(request: Asked, review_id: int) -> HttpResponse:
    review = selectors.review_for(request.user, review_id)
    form = ReviewDoneForm(request.POST or None)

    def act() -> str:
        done = services.finish_review(actor=request.user, review=review, note=form.cleaned_data["note"])
        return _("Noted. The next review is on %(day)s.") % {"day": done.next_on.isoformat()}

    return _form_page(request, form, act, _("The review is done"), _("Note that it is done"))


@login_required
@require_POST
def policy_review_end(request: Asked, review_id: int) -> HttpResponse:
    require(request.user, RIGHT)
    services.end_review(actor=request.user, review=selectors.review_for(request.user, review_id))
    messages.success(request, _("Nobody is asked to review this any more."))
    return redirect("policy")


def _form_page(request: Asked, form: forms.Form, act: Any, title: str, submit_label: str) -> HttpResponse:
    if request.method == "POST" and form.is_valid():
        try:
            done = act()
        except PortalError as refused:
            field = refused.details.get("field")
            form.add_error(field if field in form.fields else None, refused.message)
        else:
            messages.success(request, done)
            return redirect("policy")
    context = {
        "form": form,
        "title": title,
        "submit_label": submit_label,
        "back_url": reverse("policy"),
        "back_label": _("Policy"),
    }
    return render(request, "_form_page.html", context)
