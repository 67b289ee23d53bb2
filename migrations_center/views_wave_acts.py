"""What can be done to a wave. Every act has a page that says what will happen and how to undo it, and asks for a reason."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from accounts.forms import ReasonForm
from accounts.models import User
from config.foundation.errors import PortalError
from migrations_center import present_waves
from migrations_center.models import Plan, Wave
from migrations_center.services import notices, switching, waves
from migrations_center.services.wave_errors import GatesRed
from migrations_center.tasks_waves import go_back_wave_task, switch_wave_task
from migrations_center.views_waves import for_change

# Waves up to this size are worked on while the page waits; larger ones by a worker, with progress.
AT_ONCE = 20
State = Wave.State


@login_required
def wave_ready(request: HttpRequest, wave_id: int) -> HttpResponse:
    context = {
        "title": _("Make the wave ready"),
        "question": _("The gates are checked once more: balances, keys, models, time."),
        "consequences": [_("Its people can no longer be changed."), _("Nobody is told and nothing is switched yet.")],
        "undo": _("Take it back to draft."),
        "submit_label": _("Make it ready"),
        "is_danger": False,
    }

    def ready(user: User, wave: Wave, reason: str) -> str:
        waves.mark_ready(actor=user, wave=wave, reason=reason)
        return _("The wave is ready: every gate is open. The next step is to tell its people.")

    return _act(request, wave_id, context, ready)


@login_required
def wave_notify(request: HttpRequest, wave_id: int) -> HttpResponse:
    user, wave = for_change(request, wave_id)
    count = wave.members.exclude(user__email="").count()
    context = {
        "title": _("Tell the people of the wave"),
        "question": _("Each gets one mail in their own language, with their models, their balance, the time and the way back."),
        "consequences": [
            ngettext("%(count)s mail is written and sent.", "%(count)s mails are written and sent.", count) % {"count": count},
            _("The planned time is fixed from then on."),
            _("People who were told already get no second mail."),
        ],
        "undo": _("A mail that was sent cannot be called back; take the wave back to draft to stop those that wait."),
        "submit_label": ngettext("Send %(count)s mail", "Send %(count)s mails", count) % {"count": count},
    }

    def tell(user: User, wave: Wave, reason: str) -> str:
        result = notices.notify(actor=user, wave=wave, reason=reason)
        said = ngettext("%(count)s mail is written.", "%(count)s mails are written.", result.written) % {
            "count": result.written
        }
        rest = _("Told before: %(before)s. Without an address: %(silent)s.")
        return f"{said} {rest % {'before': result.told_before, 'silent': len(result.no_address)}}"

    return _act(request, wave_id, context, tell)


@login_required
def wave_switch(request: HttpRequest, wave_id: int) -> HttpResponse:
    user, wave = for_change(request, wave_id)
    people = wave.members.count()
    was_told = wave.state == State.NOTIFIED
    context = {
        "title": _("Switch the wave"),
        "question": _("Planned for %(at)s.") % {"at": _local(wave.planned_at)},
        "consequences": present_waves.switch_consequences(wave, people, len(waves.keys_of_members(wave)), was_told=was_told),
        "undo": _("Go back, in one action for the whole wave, for %(hours)s hours after the switch.")
        % {"hours": wave.window_hours},
        "submit_label": ngettext(
            "Switch %(people)s person to the new entry", "Switch %(people)s people to the new entry", people
        )
        % {"people": people},
    }

    def start(user: User, wave: Wave, reason: str) -> str:
        switching.begin_switch(actor=user, wave=wave, reason=reason)
        if people > AT_ONCE:
            switch_wave_task.delay(wave.pk)
            return _("The switch runs. You can close this page.")
        result = switching.run_switch(actor=user, wave=wave)
        done = result.done + result.done_before
        return ngettext("%(done)s person is on the new entry.", "%(done)s people are on the new entry.", done) % {"done": done}

    return _act(request, wave_id, context, start)


@login_required
def wave_go_back(request: HttpRequest, wave_id: int) -> HttpResponse:
    user, wave = for_change(request, wave_id)
    people = wave.members.count()
    context = {
        "title": _("Take the wave back"),
        "question": _("Everybody in it is served by the old entry again."),
        "consequences": present_waves.back_consequences(people),
        "undo": _("Plan the same people again in a new wave: what was closed is opened again."),
        "submit_label": ngettext(
            "Take %(people)s person back to the old entry", "Take %(people)s people back to the old entry", people
        )
        % {"people": people},
    }

    def start(user: User, wave: Wave, reason: str) -> str:
        switching.begin_back(actor=user, wave=wave, reason=reason)
        if people > AT_ONCE:
            go_back_wave_task.delay(wave.pk)
            return _("Going back runs. You can close this page.")
        result = switching.run_back(actor=user, wave=wave)
        if result.waiting:
            return _("Back: %(done)s. Waited for, because a call still runs: %(names)s.") % {
                "done": result.done,
                "names": ", ".join(result.waiting[:10]),
            }
        done = result.done + result.done_before
        said = ngettext("%(done)s person is back on the old entry.", "%(done)s people are back on the old entry.", done)
        return said % {"done": done}

    return _act(request, wave_id, context, start)


@login_required
def wave_settle(request: HttpRequest, wave_id: int) -> HttpResponse:
    context = {
        "title": _("Settle the wave"),
        "question": _("The observation ends well."),
        "consequences": [_("The way back of this wave is closed for good."), _("The next wave may start.")],
        "undo": _("None: people can only be moved one by one afterwards."),
        "submit_label": _("Settle the wave"),
    }

    def settle(user: User, wave: Wave, reason: str) -> str:
        waves.settle(actor=user, wave=wave, reason=reason)
        return _("The wave is settled. The next one may start.")

    return _act(request, wave_id, context, settle)


@login_required
def wave_reopen(request: HttpRequest, wave_id: int) -> HttpResponse:
    context = {
        "title": _("Take the wave back to draft"),
        "question": _("Nothing was switched, so nothing has to be undone."),
        "consequences": [
            _("Mails that still wait are cancelled; those that were sent stay sent."),
            _("When the wave is told again, everybody gets a new mail."),
        ],
        "undo": _("Make it ready again."),
        "submit_label": _("Back to draft"),
        "is_danger": False,
    }

    def reopen(user: User, wave: Wave, reason: str) -> str:
        waves.reopen(actor=user, wave=wave, reason=reason)
        return _("The wave is a draft again; its people can be changed.")

    return _act(request, wave_id, context, reopen)


@login_required
def wave_delete(request: HttpRequest, wave_id: int) -> HttpResponse:
    user, wave = for_change(request, wave_id)
    context = {
        "title": _("Remove the draft"),
        "question": _("Only a wave that was never ready can be removed."),
        "consequences": [_("Its people are free for another wave.")],
        "undo": _("Make a new wave."),
        "submit_label": _("Remove the draft"),
    }
    plan: Plan = wave.plan

    def remove(user: User, wave: Wave, reason: str) -> str:
        waves.delete_wave(actor=user, wave=wave, reason=reason)
        return _("The draft is removed.")

    return _act(request, wave_id, context, remove, to=reverse("plan_detail", args=[plan.pk]))


def _act(
    request: HttpRequest,
    wave_id: int,
    context: dict[str, Any],
    do: Callable[[User, Wave, str], str],
    to: str = "",
) -> HttpResponse:
    """The confirm page of an act; a refusal is shown on it, with every finding that stands in the way."""
    user, wave = for_change(request, wave_id)
    form = ReasonForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            said = do(user, wave, form.cleaned_data["reason"])
        except GatesRed as error:
            form.add_error(None, error.message)
            for line in present_waves.finding_lines(error.findings):
                form.add_error(None, f"{', '.join(line.people)}: {line.text}" if line.people else line.text)
        except PortalError as error:
            form.add_error(None, error.message)
        else:
            messages.success(request, said)
            return redirect(to or reverse("wave_detail", args=[wave_id]))
    back = reverse("wave_detail", args=[wave.pk])
    status = 409 if form.non_field_errors() else 200
    title = _("%(act)s: %(name)s") % {"act": context["title"], "name": wave.name}
    return render(request, "confirm.html", {**context, "title": title, "form": form, "back_url": back}, status=status)


def _local(moment: datetime | None) -> str:
    if moment is None:
        return "-"
    return f"{timezone.localtime(moment):%Y-%m-%d %H:%M} {timezone.get_current_timezone_name()}"
