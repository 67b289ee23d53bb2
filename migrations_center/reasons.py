"""Reason codes of imports in words. A code never changes once published; its words may."""

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from config.foundation.money import format_usd

SHOWN = 8
REASONS = {
    # Left out by name
    "preset_grant": _("The product gave this to its first administrator at the start; nobody paid for it."),
    "management_token": _("Management tokens of the old gateway are never taken over."),
    "derived_from_channels": _("The routing table follows from the channels and is made anew."),
    "settings_read_as_rules": _("Settings are read as rules for prices and rights; none is copied."),
    "payment_record": _("Payments are in the balance already; the records stay in the old gateway."),
    "plan_not_carried": _("Plans for sale are not carried; what is left of running ones is."),
    "working_data": _("Working data of the old gateway."),
    "sums_made_anew": _("Sums are made anew from the log rows."),
    "jobs_not_carried": _("Jobs end in the old gateway, which also gives their money back if they fail."),
    "second_factor_not_carried": _("Second factors are set up anew here."),
    "already_in_balance": _("The balance holds this already."),
    "descriptions_not_carried": _("Descriptions of models and makers are not carried."),
    "login_provider_not_carried": _("Log-in by another provider is set up anew here."),
    "table_not_carried": _("This table is not carried."),
    "served_by_named_upstream": _("The upstream that you named serves every model instead."),
    "balance_owned_here": _("This person's balance is spent here by now, so the source no longer decides it."),
    "subscription_ended": _("The subscription is cancelled or ran out."),
    "subscription_over": _("The subscription's time is over, although its state still says active."),
    "subscription_unlimited": _("The subscription has no limit, so there is no rest to carry. Decide what this person gets."),
    "code_used": _("Redeemed in the old gateway: the code lands as used, without money."),
    "code_disabled": _("Disabled in the old gateway: the code lands disabled, without money."),
    "code_expired": _("The code ran out, so it promises nothing any more."),
    "code_deleted": _("Deleted in the old gateway: the code lands disabled, without money."),
    "code_negative": _("The code's amount is below zero, so it promises nothing."),
    "log_top_up": _("A record of a top-up, not a call; the balance holds it already."),
    "log_manage": _("A record of an administrator's change, not a call."),
    "log_system": _("A note of the old gateway, not a call."),
    "log_channel_test": _("A test of a channel, not a call of a person."),
    "log_refund": _("Money given back for a failed job, not a call; the balance holds it already."),
    "log_login": _("A record of a log-in, not a call."),
    "log_unknown": _("A log row of an unknown kind."),
    # Refused
    "owner_missing": _("The person it belongs to has no row in the old gateway."),
    "owner_refused": _("The person it belongs to was refused."),
    "username_taken": _("Somebody here has this user name already, and you chose to refuse such people."),
    "id_reused": _("This row number belonged to something else at an earlier import."),
    "secret_taken": _("Another key or code here has the same secret."),
    "secret_empty": _("There is no secret in this row."),
    "secret_unusable": _("The old gateway could never read this secret: it has a dash or is too long."),
    "log_row_unusable": _("The row has no possible time, or an amount below zero."),
    "channel_address_unknown": _("The channel has no address, and none is known for its type."),
    # Decisions
    "staff_not_granted": _("An administrator of the old gateway lands as an ordinary person. Give a role by hand if wanted."),
    "username_changed": _("Somebody else here has this user name, so the person lands under another one."),
    "email_twice": _("Several people have this e-mail address; the first living one keeps it, this one lands without."),
    "email_taken_here": _("Somebody here has this e-mail address already, so this person lands without."),
    "email_unreadable": _("The e-mail address cannot be one, so this person lands without."),
    "price_only_in_code": _("The price stood in the old product's code only; calls are refused until you set one."),
    "price_not_set": _("The model had no price, so calls are refused until you set one."),
    "upstreams_need_credentials": _("Upstreams land without their credentials; enter them before the first switch."),
    # Differences
    "unit_is_default": _("The old gateway does not say its units per dollar; the product's default is used."),
    "column_missing": _("This version of the old gateway lacks a column; its default stands in."),
    "group_without_ratio": _("The group is not in the old list of groups; its people pay factor 1 where it is served."),
    "name_leads_to_several": _("Channels lead this name to different models; the one of the highest priority counts."),
    "name_mapped_elsewhere": _("The name map here leads this name elsewhere already, and that stays."),
    "price_proven_by_logs": _("No setting names the price; it is taken from log rows that it reproduces to the unit."),
    "price_of_unknown_name": _("The old product charged names without a price at ratio 30, and so does this one."),
    "price_of_unpriced": _("The old gateway served models without a price at ratio 37.5, and so does this one."),
    "price_depends_on_channel": _("The price depended on the channel's type; the first channel's price counts."),
    "completion_ratio_proven_by_logs": _("The product's code beat the setting; the output price is the one of the log rows."),
    "completion_ratio_assumed": _("Nothing says the output price, so it is the input price."),
    "balance_is_debt": _("The balance is below zero and stays a debt."),
    "log_person_gone": _("Calls of people who have no row any more: they land without a person."),
    "log_row_twice": _("Rows that were here already, or that both log tables have; each is here once."),
    "gone_from_source": _("The row is no longer in the old gateway, so it ends here too."),
    "gone_but_switched": _("The row is no longer in the old gateway, but its person is served here by now, so it stays."),
    "networks_unreadable": _("Some of the allowed networks cannot be read and are not carried."),
    "statuses_differ": _("Refusals have other HTTP statuses: 402 for a short balance, 404 and 403 for models, 401 for keys."),
    "more_headers_accepted": _("A key is accepted in more headers than before, on every address."),
    "addresses_of_proxies_not_believed": _("A caller's own claim of an address is believed only from proxies you name."),
    "small_bearer_accepted": _("The scheme word Bearer may be written in any case; the old gateway wanted a capital B."),
    "channel_pin_ignored": _("A channel pinned behind the key is ignored; the old gateway refused one that did not exist."),
    "missing_owner_is_401": _("A key of a deleted person is refused with 401; the old gateway failed with 500."),
    "served_in_other_group": _("The call would be served in another group, so at another price."),
    "refused_now_no_price": _("Served before at the price for unpriced models, which this person had allowed; refused here."),
    "refused_now_balance_short": _("Served before; refused here because what landed of the balance does not cover it."),
    "refused_now_unknown_key": _("Served before; refused here because the key did not land."),
    "refused_now_model_not_in_key": _("Served before; refused here by the key's list of models."),
    "refused_now_group_not_allowed": _("Served before; refused here because the key's group is not open to its owner."),
    "refused_now_no_channel": _("Served before; refused here because nothing serves the model to this group."),
    "refused_now_networks_unreadable": _("Served before; refused here because none of its networks can be read."),
    "served_now_no_channel": _("Refused before because no channel served it; served here."),
    "served_now_no_price": _("Refused before because it had no price; served here."),
    "served_now_balance_short": _("Refused before for an empty wallet; served here from another purse, or because it is free."),
    "served_now_model_not_in_key": _("Refused before by the key's list of models; served here under its other name."),
}  # fmt: skip


def reason_text(reason: str, detail: Mapping[str, Any] | None = None) -> str:
    """The reason in words, with the facts that go with it; an unknown code is shown as it is."""
    facts = detail or {}
    words = str(REASONS.get(reason, reason))
    parts = [str(facts["label"])] if facts.get("label") else []
    parts.append(words)
    text = ": ".join(parts)
    extra = _facts(facts)
    return f"{text} ({extra})" if extra else text


def _facts(facts: Mapping[str, Any]) -> str:
    found = []
    models = facts.get("models") or facts.get("targets") or []
    if models:
        shown = ", ".join(str(name) for name in models[:SHOWN])
        more = len(models) - SHOWN
        found.append(shown if more <= 0 else gettext("%(names)s and %(count)s more") % {"names": shown, "count": more})
    if facts.get("username"):
        found.append(gettext("as %(name)s") % {"name": facts["username"]})
    if facts.get("quota") is not None:
        found.append(gettext("%(count)s units") % {"count": f"{int(facts['quota']):,}"})
    if facts.get("nano") is not None:
        found.append(format_usd(int(facts["nano"])))
    if facts.get("old") and facts.get("new"):
        found.append(gettext("%(old)s before, %(new)s here") % {"old": facts["old"], "new": facts["new"]})
    return "; ".join(found)
