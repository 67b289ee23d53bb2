"""Pages of trial lists: open one, have it checked, set the project to production."""

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods, require_safe

from accounts.forms import ReasonForm
from accounts.rights import may, require
from accounts.selectors import team_for
from accounts.views.common import person, show_refusal
from config.foundation.errors import PortalError
from gateway import selectors_trials as selectors
from gateway.forms_trials import TrialCheckForm, TrialOpenForm
from gateway.models import TrialItem, TrialList
from gateway.services import trial_lists
from gateway.views_proofs import CAUSES

WHAT = {
    "base_url": gettext_lazy("The list of models comes from the Base URL, and the project's model is in it."),
    "key": gettext_lazy("The key opens the entry, and a key that nobody was given does not."),
    "model": gettext_lazy("The model answers, and no other one answers for it."),
    "streaming": gettext_lazy("A streamed answer comes in parts and ends as it should."),
    "errors": gettext_lazy("A wrong call gets a status, a stable code and a request id."),
    "prompt": gettext_lazy("A prompt makes a picture."),
    "ratio": gettext_lazy("A picture of another ratio comes in that ratio."),
    "resolution": gettext_lazy("A picture comes in the resolution that was asked for."),
    "record": gettext_lazy("The picture has its row in the log of calls."),
    "download": gettext_lazy("The picture can be fetched or decoded."),
}
MORE_CAUSES = {
    "not-listed": gettext_lazy("The model is not in the list of models of this key."),
    "stranger-let-in": gettext_lazy("A key that nobody was given was let in."),
    "no-error-code": gettext_lazy("The refusal had no stable code or no request id."),
    "wrong-ratio": gettext_lazy("The picture has another ratio than was asked for."),
    "no-record": gettext_lazy("The log of calls has no row of the picture."),
}


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def trial_list(request: HttpRequest) -> HttpResponse:
    actor = person(request)
    may_open = may(actor, trial_lists.RIGHT)
    teams = selectors.teams_without(actor) if may_open else []
    form = TrialOpenForm(request.POST or None, teams=teams)
    if request.method == "POST":
        require(actor, trial_lists.RIGHT)
        if form.is_valid():
            try:
                team = team_for(actor, int(form.cleaned_data["team"]))
                trial = trial_lists.open_trial(actor=actor, team=team, kind=form.cleaned_data["kind"])
            except PortalError as error:
                show_refusal(form, error, trial_exists="team", invalid_input="team")
            else:
                return redirect("trial_detail", trial.pk)
    trials = list(selectors.trials_for(actor)[:500])
    context = {
        "trials": trials,
        "on_trial": sum(trial.state == TrialList.State.TRIAL for trial in trials),
        "form": form,
        "teams": teams,
        "may_open": may_open,
    }
    return render(request, "gateway/trial_list.html", context, status=422 if form.errors else 200)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def trial_detail(request: HttpRequest, team_id: int) -> HttpResponse:
    actor = person(request)
    trial = selectors.trial_for(actor, team_id)
    keys = selectors.keys_for_checks(actor, trial)
    initial = {
        "key": trial.key_id,
        "model": trial.model_name,
        "resolution": trial.resolution,
        "wide_size": trial.wide_size,
    }
    is_creative = trial.kind == TrialList.Kind.CREATIVE
    form = TrialCheckForm(request.POST or None, keys=keys, is_creative=is_creative, initial=initial)
    if request.method == "POST" and form.is_valid():
        data = dict(form.cleaned_data)
        try:
            trial_lists.start_checks(actor=actor, trial=trial, key_id=int(data.pop("key")), **data)
        except PortalError as error:
            if error.http_status in (403, 404):
                raise
            field = str(error.details.get("field", ""))
            show_refusal(form, error, invalid_input=field)
        else:
            return redirect("trial_detail", trial.pk)
    elif request.method == "POST" and not trial_lists.may_check(actor, trial):
        require(actor, trial_lists.RIGHT)
    context = _context(trial) | {
        "form": form,
        "keys": keys,
        "may_check": trial_lists.may_check(actor, trial),
        "may_decide": may(actor, trial_lists.RIGHT),
    }
    return render(request, "gateway/trial_detail.html", context, status=422 if form.errors else 200)


@login_required
@require_safe
def trial_progress(request: HttpRequest, team_id: int) -> HttpResponse:
    """The part that polls while a worker makes the calls; the page reloads at the end."""
    trial = selectors.trial_for(person(request), team_id)
    response = render(request, "gateway/_trial_progress.html", _context(trial))
    if trial.check_state == TrialList.Check.NONE:
        response["HX-Refresh"] = "true"
    return response


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def trial_production(request: HttpRequest, team_id: int) -> HttpResponse:
    actor = person(request)
    trial = selectors.trial_for(actor, team_id)
    require(actor, trial_lists.RIGHT)
    context = {
        "title": _("Set %(name)s to production") % {"name": trial.team},
        "question": _("Every item of its trial list has to be shown."),
        "consequences": [_("Its keys may spend production balance."), _("Test keys go on working with test balance.")],
        "undo": _("Put it back on trial on its page."),
        "submit_label": _("Set it to production"),
        "is_danger": False,
    }
    return _confirmed(request, trial, context, trial_lists.set_production, _("The project is in production."))


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def trial_reopen(request: HttpRequest, team_id: int) -> HttpResponse:
    actor = person(request)
    trial = selectors.trial_for(actor, team_id)
    require(actor, trial_lists.RIGHT)
    context = {
        "title": _("Put %(name)s back on trial") % {"name": trial.team},
        "question": _("Every item is open again."),
        "consequences": [_("Its production keys are refused at once; only test keys go on working.")],
        "undo": _("Have the checks made again, then set it to production."),
        "submit_label": _("Back on trial"),
    }
    return _confirmed(request, trial, context, trial_lists.reopen_trial, _("The project is on trial again."))


def _confirmed(request: HttpRequest, trial: TrialList, context: dict[str, Any], act: Any, said: str) -> HttpResponse:
    form = ReasonForm(request.POST or None)
    back = reverse("trial_detail", args=[trial.pk])
    if request.method == "POST" and form.is_valid():
        try:
            act(actor=person(request), trial=trial, reason=form.cleaned_data["reason"])
        except PortalError as error:
            form.add_error(None, error.message)
        else:
            messages.success(request, said)
            return redirect(back)
    status = 409 if form.non_field_errors() else 200
    return render(request, "confirm.html", {**context, "form": form, "back_url": back}, status=status)


def _context(trial: TrialList) -> dict[str, Any]:
    items = selectors.items_of(trial)
    causes = {**CAUSES, **MORE_CAUSES}
    return {
        "trial": trial,
        "items": [{"item": item, "what": WHAT[item.code], "why": causes.get(item.cause, item.cause)} for item in items],
        "passed": sum(item.state == TrialItem.State.PASSED for item in items),
        "total": len(items),
        "is_busy": trial.check_state != TrialList.Check.NONE,
    }
