"""Why a call ended as it did, in words: what happened, what it means for the money, what to do, and what to tell the caller.

One table by error code, then by outcome, so that the caller's own page and the support's page say the same. Nothing here
names a group, an upstream, a network or an account number.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from billing.models import CallRefund, RequestLog
from config.foundation.money import format_usd
from config.foundation.outcomes import Outcome

Words = str | Promise


@dataclass(frozen=True, slots=True)
class Reason:
    """``fallback``: whether another place serving the model would have helped."""

    what: Words
    todo: Words
    fallback: bool = False


@dataclass(frozen=True, slots=True)
class Explanation:
    """The five answers of a call, finished text in the active language."""

    what: str
    money: str
    todo: str
    fallback: str
    tell: str


BY_CODE: Mapping[str, Reason] = {
    "missing_api_key": Reason(
        gettext_lazy("The call carried no API key."),
        gettext_lazy("Set the key in the client as a bearer token, then call again."),
    ),
    "invalid_api_key": Reason(
        gettext_lazy("The key of the call is not known here, was revoked, or its secret has ended."),
        gettext_lazy("Compare the last four characters with those on the Keys page; if none fits, rotate or issue a key."),
    ),
    "api_key_disabled": Reason(
        gettext_lazy("The key is disabled."),
        gettext_lazy("Enable it on its page, or use another key. If the operators stopped it, ask them."),
    ),
    "key_paused": Reason(
        gettext_lazy("The key is paused: its spend rose far above its own usual."),
        gettext_lazy("Look at the alert with its calls. If the spend is meant, resume the key on its page with one click."),
    ),
    "not_found": Reason(
        gettext_lazy("There is nothing at the address that was called."),
        gettext_lazy(
            "Compare the base URL with the card of the client on the page Set up: often /v1 is missing or there twice."
        ),
    ),
    "method_not_allowed": Reason(
        gettext_lazy("The address was called with another method than POST."),
        gettext_lazy("Send the call with POST; an address that is opened in a browser is called with GET."),
    ),
    "request_too_large": Reason(
        gettext_lazy("The request was larger than the entry takes."),
        gettext_lazy("Send less text or smaller files, or attachments by address."),
    ),
    "invalid_json": Reason(
        gettext_lazy("The body of the request could not be read as JSON."),
        gettext_lazy("Look at what the client sends; a library makes such bodies right."),
    ),
    "nested_too_deep": Reason(
        gettext_lazy("The body of the request was nested in more levels than can be passed on."),
        gettext_lazy("Look at what the client sends; no client means so many levels."),
    ),
    "unsupported_encoding": Reason(
        gettext_lazy("The body of the request was packed in a way that cannot be read here."),
        gettext_lazy("Send bodies plain, or packed with gzip or deflate."),
    ),
    "invalid_form": Reason(
        gettext_lazy("The form with the files could not be read."),
        gettext_lazy("Name each field once and send the form as the client's library makes it."),
    ),
    "unsupported_parameter": Reason(
        gettext_lazy("A field of the request is not one that the model takes as it was sent."),
        gettext_lazy(
            "The answer names the field and what is allowed; for images and videos the page Check parameters "
            "tells it before a call."
        ),
    ),
    "template_not_found": Reason(
        gettext_lazy("The request names a template that none of the caller's teams has."),
        gettext_lazy("Look at the page Templates for its name, and whether it is in use."),
    ),
    "callback_not_accepted": Reason(
        gettext_lazy("The callback's address cannot be called from here."),
        gettext_lazy("Give a public address that begins with https://."),
    ),
    "callback_secret_missing": Reason(
        gettext_lazy("The request asked for a callback, and there is no secret to sign it with."),
        gettext_lazy("Add a web hook for tasks on the page Web hooks; its secret signs callbacks too."),
    ),
    "decided_failed": Reason(
        gettext_lazy("Nobody could say how the video ended, and the operators found that it gave nothing."),
        gettext_lazy("Ask for it again."),
    ),
    "background_not_supported": Reason(
        gettext_lazy("Responses in the background are not served here."),
        gettext_lazy("Leave “background” out of the request."),
    ),
    "realtime_not_supported": Reason(
        gettext_lazy("Realtime sessions are not served here."),
        gettext_lazy("Use chat completions or the addresses for sound instead."),
    ),
    "old_entry_failed": Reason(
        gettext_lazy("The old entry, where the key still belongs, did not answer or failed."),
        gettext_lazy("Call again; if it stays, ask the operators whether the old entry runs."),
    ),
    "old_entry_timeout": Reason(
        gettext_lazy("The old entry, where the key still belongs, did not answer in time."),
        gettext_lazy("Call again; if it stays, ask the operators whether the old entry runs."),
    ),
    "api_key_expired": Reason(
        gettext_lazy("The key, or this secret of it, is past its end."),
        gettext_lazy("Move its end on the key's page, or rotate it."),
    ),
    "key_closed": Reason(
        gettext_lazy("The key is closed at this entry."), gettext_lazy("Ask the operators which entry the key belongs to now.")
    ),
    "account_disabled": Reason(
        gettext_lazy("The account behind the key is not active."), gettext_lazy("Ask the operators to enable the account.")
    ),
    "network_not_allowed": Reason(
        gettext_lazy("The key may not be used from the network the call came from."),
        gettext_lazy("Add the network on the key's page, or call from an allowed one."),
    ),
    "channel_pin_not_allowed": Reason(
        gettext_lazy("The key was sent with a suffix after a dash, which only old gateways understood."),
        gettext_lazy("Send the key without it."),
    ),
    "group_not_allowed": Reason(
        gettext_lazy("The group chosen for the key is not open to its owner."),
        gettext_lazy("Choose another group for the key."),
    ),
    "model_not_allowed_for_key": Reason(
        gettext_lazy("The key names the models it may call, and this one is not among them."),
        gettext_lazy("Add the model on the key's page, or use another key."),
    ),
    "model_not_available_for_group": Reason(
        gettext_lazy("This model is not open to the account."),
        gettext_lazy("Choose one from the Models page, or ask for access."),
    ),
    "model_not_found": Reason(
        gettext_lazy("There is no model of this name."),
        gettext_lazy("Copy the name from the Models page; names are case-sensitive."),
    ),
    "model_not_priced": Reason(
        gettext_lazy("The model has no price yet, and nothing is served without a price."),
        gettext_lazy("Ask the operators to price the model."),
    ),
    "model_required": Reason(gettext_lazy("The request names no model."), gettext_lazy("Set “model” in the request.")),
    "insufficient_quota": Reason(
        gettext_lazy("The balance did not cover what this call could have cost."),
        gettext_lazy("Top up, redeem a code, or lower max_tokens so that less has to be held."),
    ),
    "key_limit_reached": Reason(
        gettext_lazy("The key's own spending limit did not cover this call; the balance was not the reason."),
        gettext_lazy("Raise the limit on the key's page, or use another key."),
    ),
    "model_tier_not_allowed": Reason(
        gettext_lazy("The model is dearer than the account may call: its price tier is above the highest one allowed."),
        gettext_lazy("Choose a model from the Models page, or ask the operators for an exception."),
    ),
    "production_not_allowed": Reason(
        gettext_lazy("The team of the key may not spend production balance."),
        gettext_lazy("Use a key of purpose test, or ask an administrator to list the team on the policy page."),
    ),
    "test_key_not_allowed": Reason(
        gettext_lazy("The team of the key is for production only, and the key is for tests."),
        gettext_lazy("Use a key of another purpose."),
    ),
    "requests_per_minute_exceeded": Reason(
        gettext_lazy("The calls of this minute were made: a limit of calls a minute stopped this one."),
        gettext_lazy(
            "Wait for the next minute; clients that retry do so by themselves. The key's page shows whose limit it is."
        ),
    ),
    "tokens_per_minute_exceeded": Reason(
        gettext_lazy("The tokens of this minute were used: a limit of tokens a minute stopped this call."),
        gettext_lazy("Wait for the next minute, or lower max_tokens: what a call may use is counted before it is made."),
    ),
    "request_exceeds_token_limit": Reason(
        gettext_lazy("The call alone may use more tokens than the limit allows in a minute."),
        gettext_lazy("Send less text or lower max_tokens; waiting does not help."),
    ),
    "parallel_calls_exceeded": Reason(
        gettext_lazy("As many calls were running as the limit allows at once."),
        gettext_lazy("Let one end before the next begins, or ask who set the limit to raise it."),
    ),
    "old_entry_unavailable": Reason(
        gettext_lazy("The old entry this key belongs to could not be reached."),
        gettext_lazy("Try again shortly; if it stays, tell support."),
        True,
    ),
    "service_unavailable": Reason(
        gettext_lazy("The entry could not take calls at that moment."),
        gettext_lazy("Try again shortly; clients that retry do so by themselves."),
    ),
    "served_elsewhere": Reason(
        gettext_lazy("The key is not served at this address yet: its people have not moved."),
        gettext_lazy("Call the address the key was issued for; the notice of the move says from when this one serves it."),
    ),
    "task_not_found": Reason(
        gettext_lazy("There is no such video, or it belongs to somebody else."),
        gettext_lazy("Compare the id with those under Images and videos."),
    ),
    "task_running": Reason(
        gettext_lazy("The video was still being made and could not be deleted."),
        gettext_lazy("Delete it when it is completed or has failed."),
    ),
    "video_not_ready": Reason(
        gettext_lazy("The video had nothing to download yet."),
        gettext_lazy("Ask for it until its status is completed, then download it."),
    ),
    "asset_expired": Reason(
        gettext_lazy("The provider no longer keeps the file of the video."),
        gettext_lazy("Make the video again, and download it soon after it is completed."),
    ),
    "hold_expired": Reason(
        gettext_lazy("The call never reported an end, so its hold was given back after its time."),
        gettext_lazy("Call again. If it happens often, tell support the request id."),
    ),
}
BY_OUTCOME: Mapping[str, Reason] = {
    Outcome.OK: Reason(gettext_lazy("The call was answered in full."), gettext_lazy("Nothing to do.")),
    Outcome.CLIENT_ERROR: Reason(
        gettext_lazy("The request itself was refused: a parameter or the format was wrong."),
        gettext_lazy("Read the error message your client received and correct the request."),
    ),
    Outcome.BAD_KEY: Reason(
        gettext_lazy("The key was not accepted."), gettext_lazy("Compare the last four characters with those on the Keys page.")
    ),
    Outcome.NO_RIGHTS: Reason(
        gettext_lazy("The key has no right to this call."), gettext_lazy("Check the key's models, networks and state.")
    ),
    Outcome.NO_BALANCE: BY_CODE["insufficient_quota"],
    Outcome.RATE_LIMITED: Reason(
        gettext_lazy("Too many calls came in too short a time."),
        gettext_lazy("Wait a little and call again, slower or with fewer in parallel."),
        True,
    ),
    Outcome.UNKNOWN_MODEL: BY_CODE["model_not_found"],
    Outcome.MODEL_UNAVAILABLE: Reason(
        gettext_lazy("The model exists, but nothing that serves it was available."),
        gettext_lazy("Try again in some minutes, or use another model meanwhile."),
        True,
    ),
    Outcome.UPSTREAM_ERROR: Reason(
        gettext_lazy("The service behind the model failed."),
        gettext_lazy("Call again; if it stays, use another model meanwhile."),
        True,
    ),
    Outcome.TIMEOUT: Reason(
        gettext_lazy("No answer came in time."),
        gettext_lazy("Call again, with a shorter prompt or a smaller max_tokens if it stays."),
        True,
    ),
    Outcome.CUT_STREAM: Reason(
        gettext_lazy("The answer began and broke off before its end."),
        gettext_lazy("Call again; what arrived until then may be incomplete."),
        True,
    ),
    Outcome.CANCELLED: Reason(
        gettext_lazy("The client closed the connection before the answer was complete."),
        gettext_lazy("If nobody did that on purpose, raise the client's time limit."),
    ),
    Outcome.UNSUPPORTED_INPUT: Reason(
        gettext_lazy("The model cannot take this kind of input."),
        gettext_lazy("Remove it, or choose a model that can, on the Models page."),
    ),
}
_UNKNOWN = Reason(
    gettext_lazy("The call did not end well."), gettext_lazy("Call again; if it stays, tell support the request id.")
)


def explain_call(call: RequestLog, refunds: Sequence[CallRefund] = ()) -> Explanation:
    """The answers for one call and what was given back for it, in the active language."""
    reason = BY_CODE.get(call.error_code) or BY_OUTCOME.get(call.outcome, _UNKNOWN)
    what, todo, money = str(reason.what), str(reason.todo), money_of(call, refunds)
    tell = _("Call %(id)s to %(model)s: %(what)s %(money)s What to do: %(todo)s") % {
        "id": call.id.hex,
        "model": call.asked_model or "-",
        "what": what,
        "money": money,
        "todo": todo,
    }
    return Explanation(what, money, todo, _fallback(call, reason), tell)


def money_of(call: RequestLog, refunds: Sequence[CallRefund] = ()) -> str:
    """What the call meant for the balance, in a sentence or two."""
    if call.origin == RequestLog.Origin.IMPORTED:
        return _("It was served and charged by the old gateway; nothing was charged here.")
    if call.route == "old":
        return _("It was passed on to the old entry and charged there; nothing was charged here.")
    if call.cost_nano:
        text = _("%(cost)s was charged.") % {"cost": format_usd(call.cost_nano)}
        if call.usage_source == RequestLog.UsageSource.ESTIMATED:
            text += " " + _("The number of tokens was estimated, because none was reported.")
        if refunds:
            back = sum(refund.amount_nano for refund in refunds)
            text += " " + _("%(back)s of it was given back: %(why)s") % {
                "back": format_usd(back),
                "why": "; ".join(dict.fromkeys(refund.reason for refund in refunds)),
            }
        return text
    if call.held_nano:
        return _("Nothing was charged; the %(held)s held for it was given back.") % {"held": format_usd(call.held_nano)}
    return _("Nothing was charged.")


def _fallback(call: RequestLog, reason: Reason) -> str:
    if call.outcome == Outcome.OK:
        return _("Not needed.")
    if reason.fallback:
        return _("Yes: another place that serves the model, or another model, could have answered.")
    return _("No: it would have been refused everywhere, because the reason lies with the request, the key or the balance.")
