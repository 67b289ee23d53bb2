"""Pages of the register of entries: which addresses there are, whose they are, and who was seen where."""

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _

from accounts.rights import may, require
from accounts.views.common import person, show_refusal
from config.foundation.errors import PortalError
from gateway import selectors, services
from gateway.forms import EntryForm
from gateway.models import EntryPoint

MANAGE = "migrations.manage"


@login_required
def entry_list(request: HttpRequest) -> HttpResponse:
    user = person(request)
    entries = list(selectors.entries_for(user))
    context = {"entries": entries, "may_manage": may(user, MANAGE), "known": selectors.known_addresses(entries)}
    return render(request, "gateway/entry_list.html", context)


@login_required
def entry_detail(request: HttpRequest, entry_id: int) -> HttpResponse:
    user = person(request)
    entry = selectors.entry_for(user, entry_id)
    context = {"entry": entry, "seen": selectors.sightings_at(user, entry), "may_manage": may(user, MANAGE)}
    return render(request, "gateway/entry_detail.html", context)


@login_required
def entry_register(request: HttpRequest) -> HttpResponse:
    require(person(request), MANAGE)
    return _form(request, None)


@login_required
def entry_change(request: HttpRequest, entry_id: int) -> HttpResponse:
    require(person(request), MANAGE)
    return _form(request, selectors.entry_for(person(request), entry_id))


def _form(request: HttpRequest, entry: EntryPoint | None) -> HttpResponse:
    user = person(request)
    initial: dict[str, Any] = {name: getattr(entry, name) for name in EntryForm.base_fields} if entry else {"owner": user}
    if entry is None:
        # A known address is put in with one click from the list.
        initial |= {name: request.GET[name] for name in ("name", "url", "side") if name in request.GET}
    form = EntryForm(request.POST or None, initial=initial)
    if request.method == "POST" and form.is_valid():
        try:
            if entry is None:
                saved = services.register_entry(actor=user, **form.cleaned_data)
            else:
                saved = services.change_entry(actor=user, entry=entry, **form.cleaned_data)
        except PortalError as error:
            show_refusal(form, error)
        else:
            messages.success(request, _("The register has %(name)s.") % {"name": saved.name})
            return redirect("entry_detail", saved.pk)
    context = {"form": form, "entry": entry}
    return render(request, "gateway/entry_form.html", context, status=422 if form.is_bound else 200)
