"""The page that explains access: a question, the verdict, the rule and its record."""

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from accounts.rights import may, require
from accounts.views.common import person
from billing.explain import BY_CODE
from gateway import access
from gateway.forms_access import AccessForm
from gateway.recognise import is_pasted_key
from gateway.rule_words import words_of


@login_required
@require_safe
def access_explain(request: HttpRequest) -> HttpResponse:
    actor = person(request)
    require(actor, access.RIGHT)
    if any(is_pasted_key(str(value)) for value in request.GET.values()):
        # Away from the address with the key in it, so that no history or log keeps it.
        messages.warning(
            request,
            _("That was a whole API key. It was not looked up or kept. Its last four characters are enough."),
        )
        return redirect("access_explain")
    is_asked = "key" in request.GET and "model" in request.GET
    form = AccessForm(request.GET if is_asked else None, initial=request.GET.dict())
    context: dict[str, Any] = {"form": form, "is_asked": is_asked}
    if is_asked and form.is_valid():
        found = access.keys_named(actor, form.cleaned_data["key"])
        if len(found) == 1:
            context |= _answer(request, access.explain(actor, found[0].pk, access.Question(**form.question())))
        else:
            context["matches"] = found
    return render(request, "gateway/access_explain.html", context)


def _answer(request: HttpRequest, verdict: access.Verdict) -> dict[str, Any]:
    denial = verdict.denial
    return {
        "verdict": verdict,
        "rule_words": words_of(verdict.ruling.rule),
        "why": BY_CODE.get(denial.code) if denial else None,
        "changed_since": verdict.changed_since,
        "may_see_audit": may(person(request), "audit.view"),
        "may_see_route": may(person(request), "calls.inner_route"),
    }
