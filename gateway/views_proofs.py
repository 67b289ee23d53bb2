"""Pages of proofs of names: start one, watch it, read what is red and why; say which features are in use."""

from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.rights import may, require
from accounts.views.common import person, show_refusal
from config.foundation.errors import PortalError
from gateway import selectors_proofs as selectors
from gateway.forms_proofs import FeaturesForm, ProofForm
from gateway.models import ProofRun
from gateway.services.proofs import RIGHT, say_features, start_proof, stop_proof

CAUSES = {
    "refused": gettext_lazy("The call was refused; the code says why."),
    "unreachable": gettext_lazy("Nothing answers at the entry's address."),
    "timeout": gettext_lazy("No answer within a minute."),
    "not-json": gettext_lazy("The answer was no JSON."),
    "not-streaming": gettext_lazy("The answer did not come as a stream."),
    "stream-not-ended": gettext_lazy("The stream never said that it is over."),
    "another-model": gettext_lazy("Another model answered than the map says."),
    "no-tool-call": gettext_lazy("The model did not call the tool it had to call."),
    "no-json-object": gettext_lazy("The answer was no JSON object though one was asked for."),
    "empty-answer": gettext_lazy("The answer was empty."),
    "no-picture": gettext_lazy("No picture came, or it cannot be fetched."),
    "wrong-size": gettext_lazy("The picture has another size than was asked for."),
    "no-probe": gettext_lazy("There is no call that would prove this; look by hand."),
}
BUSY = (ProofRun.State.WAITING, ProofRun.State.RUNNING)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def proof_list(request: HttpRequest) -> HttpResponse:
    actor = person(request)
    runs = list(selectors.runs(actor)[:50])
    may_start = may(actor, RIGHT)
    keys = selectors.keys_for_tests(actor) if may_start else []
    form = ProofForm(request.POST or None, keys=keys)
    if request.method == "POST":
        require(actor, RIGHT)
        if form.is_valid():
            data = form.cleaned_data
            try:
                run = start_proof(actor=actor, key_id=int(data["key"]), with_called_names=data["with_called_names"])
            except PortalError as error:
                show_refusal(form, error, invalid_input="key")
            else:
                return redirect("proof_run", run.pk)
    context = {
        "runs": runs,
        "form": form,
        "keys": keys,
        "may_start": may_start,
        "features": selectors.features(actor)[:200],
        "newest": next((run for run in runs if run.state == ProofRun.State.DONE), None),
    }
    return render(request, "gateway/proof_list.html", context, status=422 if form.errors else 200)


@login_required
@require_safe
def proof_run(request: HttpRequest, run_id: UUID) -> HttpResponse:
    actor = person(request)
    return render(request, "gateway/proof_run.html", _context(selectors.run_for(actor, run_id), may(actor, RIGHT)))


@login_required
@require_safe
def proof_progress(request: HttpRequest, run_id: UUID) -> HttpResponse:
    """The part of the page that polls while a worker makes the calls; the page reloads at the end."""
    run = selectors.run_for(person(request), run_id)
    response = render(request, "gateway/_proof_progress.html", {"run": run, "progress": selectors.progress_of(run)})
    if run.state not in BUSY:
        response["HX-Refresh"] = "true"
    return response


@login_required
@require_POST
def proof_stop(request: HttpRequest, run_id: UUID) -> HttpResponse:
    actor = person(request)
    run = selectors.run_for(actor, run_id)
    stopped = stop_proof(actor=actor, run=run)
    messages.success(request, _("The proof is stopped. What was found stays.") if stopped else _("It had ended."))
    return redirect("proof_run", run.pk)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def proof_features(request: HttpRequest) -> HttpResponse:
    actor = person(request)
    require(actor, RIGHT)
    name = request.GET.get("name", "")
    said = [row.feature for known, rows in selectors.features(actor) if known == name for row in rows if row.source == "said"]
    form = FeaturesForm(request.POST or None, initial={"name": name, "features": said})
    if request.method == "POST" and form.is_valid():
        try:
            say_features(actor=actor, **form.cleaned_data)
        except PortalError as error:
            show_refusal(form, error, invalid_input="name")
        else:
            messages.success(request, _("The next proof tries these features."))
            return redirect("proof_list")
    return render(request, "gateway/proof_features.html", {"form": form}, status=422 if form.errors else 200)


def _context(run: ProofRun, may_stop: bool) -> dict[str, object]:
    lines = [
        {"line": line, "results": [{"result": one, "why": CAUSES.get(one.cause, "")} for one in line.results]}
        for line in selectors.names_of(run)
    ]
    return {
        "run": run,
        "progress": selectors.progress_of(run),
        "lines": lines,
        "red_names": sum(row["line"].state == "red" for row in lines),  # type: ignore[attr-defined]
        "green_names": sum(row["line"].state == "green" for row in lines),  # type: ignore[attr-defined]
        "is_busy": run.state in BUSY,
        "may_stop": may_stop,
    }
