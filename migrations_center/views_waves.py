"""Pages of plans and waves: parse, ask, show. What can be done to a wave is in ``views_wave_acts``."""

import uuid
from datetime import datetime, time
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_POST

from accounts.models import OutboundMail, User
from accounts.rights import may, require
from accounts.selectors import mail_for
from accounts.services.mail import resend_mail
from accounts.views.common import person, show_refusal
from config.foundation.errors import PortalError
from gateway.selectors import entries_for
from gateway.services import remember_old_entry
from migrations_center import present_waves, selectors_waves
from migrations_center.forms_waves import MemberFilterForm, PlanForm, WaveForm
from migrations_center.models import Wave, WaveNotice
from migrations_center.selectors_keys import adoption_of, lines_of
from migrations_center.selectors_leftovers import leftovers_for
from migrations_center.services import late_spend, plans, waves

MANAGE = "migrations.manage"
FOUND_SHOWN = 200
State = Wave.State


@login_required
def migration_overview(request: HttpRequest) -> HttpResponse:
    user = person(request)
    lines = []
    for line in selectors_waves.plans_for(user):
        code, wave = selectors_waves.blocker_of(line)
        states = [(state.label, line.state_counts[state]) for state in present_waves.STATE_ORDER if state in line.state_counts]
        blocker = present_waves.blocker_text(code, wave, line.unplanned_count)
        lines.append({"line": line, "blocker": blocker, "blocker_wave": wave, "states": states, "is_done": code == ""})
    context = {
        "lines": lines,
        "sources": selectors_waves.sources_without_plan(user),
        "may_manage": may(user, MANAGE),
    }
    return render(request, "migrations_center/plan_overview.html", context)


@login_required
def plan_create(request: HttpRequest) -> HttpResponse:
    user = person(request)
    require(user, MANAGE)
    sources = selectors_waves.sources_without_plan(user)
    initial = {"source": request.GET.get("source") or sources.values_list("pk", flat=True).first()}
    form = PlanForm(request.POST or None, sources=sources, initial=initial)
    if request.method == "POST" and form.is_valid():
        values = form.cleaned_data
        try:
            entry = values["old_entry"] or remember_old_entry(
                actor=user, name=values["source"].name, base_url=values["entry_url"]
            )
            result = plans.create_plan(actor=user, source=values["source"], name=values["name"], old_entry=entry)
        except PortalError as error:
            show_refusal(form, error, plan_exists="source", address_refused="entry_url")
        else:
            said = _("Keys passed on to the old entry: %(keys)s. Balances that wait for their switch: %(purses)s.")
            messages.success(request, said % {"keys": result.routed_key_count, "purses": result.closed_purse_count})
            if result.already_here:
                names = ", ".join(one.username for one in result.already_here[:20])
                messages.warning(
                    request, _("Charged here already, so they stay on the new entry: %(names)s.") % {"names": names}
                )
            return redirect("plan_detail", result.plan.pk)
    return render(request, "migrations_center/plan_create.html", {"form": form, "has_sources": sources.exists()})


@login_required
def plan_detail(request: HttpRequest, plan_id: int) -> HttpResponse:
    user = person(request)
    plan = selectors_waves.plan_for(user, plan_id)
    line = selectors_waves.plan_line(plan)
    code, wave = selectors_waves.blocker_of(line)
    context = {
        "plan": plan,
        "line": line,
        "moved_count": sum(line.state_counts.get(state, 0) for state in (State.SWITCHED, State.OBSERVING, State.SETTLED)),
        "blocker": present_waves.blocker_text(code, wave, line.unplanned_count),
        "blocker_wave": wave,
        "may_manage": may(user, MANAGE),
    }
    return render(request, "migrations_center/plan_detail.html", context)


@login_required
def leftover_list(request: HttpRequest) -> HttpResponse:
    leftovers = leftovers_for(person(request))
    context = {
        "leftovers": leftovers,
        "people_count": len({line.member.user_id for line in leftovers}),
        "has_old_entry": entries_for(person(request)).filter(side="old").exists(),
    }
    return render(request, "migrations_center/leftover_list.html", context)


@login_required
def wave_list(request: HttpRequest) -> HttpResponse:
    user = person(request)
    context = {"waves": selectors_waves.waves_for(user), "may_manage": may(user, MANAGE)}
    return render(request, "migrations_center/wave_list.html", context)


@login_required
def wave_create(request: HttpRequest, plan_id: int) -> HttpResponse:
    user = person(request)
    require(user, MANAGE)
    plan = selectors_waves.plan_for(user, plan_id)
    initial = {"name": _("Wave %(number)s") % {"number": plan.waves.count() + 1}}
    form = WaveForm(request.POST or None, zone=timezone.get_current_timezone_name(), initial=initial)
    if request.method == "POST" and form.is_valid():
        try:
            wave = waves.create_wave(actor=user, plan=plan, **form.cleaned_data)
        except PortalError as error:
            show_refusal(form, error)
        else:
            return redirect("wave_members_add", wave.pk)
    return render(request, "migrations_center/wave_form.html", {"form": form, "plan": plan, "wave": None})


@login_required
def wave_edit(request: HttpRequest, wave_id: int) -> HttpResponse:
    user, wave = for_change(request, wave_id)
    fields = ("name", "planned_at", "window_hours", "observation_hours")
    initial = {name: getattr(wave, name) for name in fields}
    form = WaveForm(request.POST or None, zone=timezone.get_current_timezone_name(), initial=initial)
    if request.method == "POST" and form.is_valid():
        values = {**form.cleaned_data}
        # The field has minutes only: what was not touched stays to the second.
        if "planned_at" not in form.changed_data:
            values["planned_at"] = wave.planned_at
        try:
            waves.change_wave(actor=user, wave=wave, **values)
        except PortalError as error:
            show_refusal(form, error)
        else:
            messages.success(request, _("The wave is changed."))
            return redirect("wave_detail", wave.pk)
    return render(request, "migrations_center/wave_form.html", {"form": form, "plan": wave.plan, "wave": wave})


@login_required
def wave_detail(request: HttpRequest, wave_id: int) -> HttpResponse:
    user = person(request)
    wave = selectors_waves.wave_for(user, wave_id)
    members, more = selectors_waves.members_of(wave, after=request.GET.get("after", ""))
    before_switch = wave.state in waves.BEFORE_SWITCH
    findings = present_waves.finding_lines(waves.check_gates(wave)) if before_switch else []
    until = waves.window_until(wave)
    context = {
        "wave": wave,
        "members": members,
        "more": more,
        "totals": selectors_waves.totals_of(wave),
        "findings": findings,
        "red_count": sum(line.is_blocking for line in findings),
        "events": selectors_waves.events_of(wave),
        "notices": _notice_counts(wave),
        "panel": selectors_waves.calls_panel(wave),
        "adoption": None if before_switch else adoption_of(lines_of(user, wave)),
        "unseen_count": selectors_waves.unseen_count(wave),
        "window_until": until,
        "observed_until": waves.observed_until(wave),
        "is_window_open": until is not None and until > timezone.now(),
        "is_observed": _is_over(waves.observed_until(wave)),
        "may_manage": may(user, MANAGE),
        "is_busy": wave.state in (State.SWITCHING, State.GOING_BACK),
        "before_switch": before_switch,
        "slack": late_spend.slack_of(wave) if not before_switch else None,
    }
    return render(request, "migrations_center/wave_detail.html", context)


@login_required
def wave_progress(request: HttpRequest, wave_id: int) -> HttpResponse:
    """The part of the page that polls while a wave is worked on; tells the page to reload at the end."""
    wave = selectors_waves.wave_for(person(request), wave_id)
    context = {"wave": wave, "totals": selectors_waves.totals_of(wave)}
    response = render(request, "migrations_center/_wave_progress.html", context)
    if wave.state not in (State.SWITCHING, State.GOING_BACK):
        response["HX-Refresh"] = "true"
    return response


@login_required
def wave_members_add(request: HttpRequest, wave_id: int) -> HttpResponse:
    user, wave = for_change(request, wave_id)
    data = request.POST if request.method == "POST" else request.GET
    form = MemberFilterForm(data or None, groups=selectors_waves.groups_of(wave.plan))
    found = selectors_waves.find_people(user, wave.plan, **(_filters(form) if form.is_bound and form.is_valid() else {}))
    if request.method == "POST":
        chosen = [int(value) for value in request.POST.getlist("person") if value.isdigit()]
        ids = list(found.values_list("pk", flat=True)) if "all" in request.POST else chosen
        result = waves.add_members(actor=user, wave=wave, user_ids=ids)
        said = ngettext("%(count)s person is in the wave now.", "%(count)s people joined the wave.", result.added)
        messages.success(request, said % {"count": result.added})
        return redirect("wave_detail", wave.pk)
    total = found.count()
    context = {"wave": wave, "form": form, "found": found[:FOUND_SHOWN], "total": total, "shown": min(total, FOUND_SHOWN)}
    return render(request, "migrations_center/wave_members_add.html", context)


@login_required
@require_POST
def wave_member_remove(request: HttpRequest, wave_id: int, person_id: int) -> HttpResponse:
    user, wave = for_change(request, wave_id)
    waves.remove_members(actor=user, wave=wave, user_ids=[person_id])
    messages.success(request, _("Taken out of the wave."))
    return redirect("wave_detail", wave.pk)


@login_required
@require_POST
def wave_again(request: HttpRequest, wave_id: int) -> HttpResponse:
    user, wave = for_change(request, wave_id)
    again = waves.plan_again(actor=user, wave=wave)
    messages.success(request, _("%(name)s is a draft with the same people. Give it a time.") % {"name": again.name})
    return redirect("wave_edit", again.pk)


@login_required
def wave_notices(request: HttpRequest, wave_id: int) -> HttpResponse:
    user = person(request)
    wave = selectors_waves.wave_for(user, wave_id)
    only_open = request.GET.get("show") == "open"
    context = {
        "wave": wave,
        "rows": selectors_waves.notice_rows(wave, only_open=only_open),
        "only_open": only_open,
        "counts": _notice_counts(wave),
        "may_manage": may(user, "mail.manage"),
    }
    return render(request, "migrations_center/wave_notices.html", context)


@login_required
@require_POST
def wave_notice_resend(request: HttpRequest, wave_id: int, mail_id: uuid.UUID) -> HttpResponse:
    user, wave = for_change(request, wave_id)
    mail = resend_mail(actor=user, mail=mail_for(user, mail_id))
    messages.success(request, _("The mail to %(address)s waits to be sent again.") % {"address": mail.to_address})
    return redirect("wave_notices", wave.pk)


def for_change(request: HttpRequest, wave_id: int) -> tuple[User, Wave]:
    user = person(request)
    wave = selectors_waves.wave_for(user, wave_id)
    require(user, MANAGE)
    return user, wave


def _notice_counts(wave: Wave) -> list[dict[str, Any]]:
    """Per occasion: how many notices, and (state, word, count) for each state of delivery."""
    counts = selectors_waves.notices_of(wave)
    words = {**dict(OutboundMail.State.choices), "no_address": _("no address")}
    return [
        {
            "label": occasion.label,
            "states": [(state, words[state], number) for state, number in sorted(counts[occasion].items())],
            "total": sum(counts[occasion].values()),
        }
        for occasion in WaveNotice.Occasion
        if occasion in counts
    ]


def _filters(form: MemberFilterForm) -> dict[str, Any]:
    values = {name: value for name, value in form.cleaned_data.items() if value}
    for name in ("used_before", "used_after"):
        if name in values:
            values[name] = timezone.make_aware(datetime.combine(values[name], time.min))
    if "names" in values:
        values["names"] = values["names"].replace(",", " ").split()
    return values


def _is_over(moment: datetime | None) -> bool:
    return moment is not None and moment <= timezone.now()
