"""What the rules of explain access say, in words. The ids are ``gateway.contract.rules``'; each stands here once."""

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

RULES: dict[str, str | Promise] = {
    "model.open_to_group": _("The model is open to the group, has a price, and an upstream serves it."),
    "key.route_old": _("The key still belongs to the old entry: the call is passed on, and the old entry decides."),
    "key.paused": _("A paused key makes no calls."),
    "key.disabled": _("A disabled key makes no calls."),
    "key.revoked": _("A revoked key makes no calls, for good."),
    "secret.revoked": _("Every secret of this key was ended."),
    "key.expired": _("A key makes no calls after its end."),
    "secret.expired": _("The secret makes no calls after its end."),
    "key.networks": _("The key is for certain networks, and the address is in none of them."),
    "key.route_closed": _("The key is closed at this entry."),
    "key.suffix": _("The key is sent with a suffix it may not have."),
    "key.models": _("The key names the models it may call, and this one is not among them."),
    "key.group": _("The group chosen for the key is not open to its owner."),
    "key.ownerless": _("A key that belongs to nobody makes no calls."),
    "owner.disabled": _("The owner's account is not active."),
    "team.disabled": _("The team is not active."),
    "policy.team_money": _("The team's own line in the policy says which money it may spend."),
    "policy.other_teams": _("The policy says which money teams without a line of their own may spend."),
    "old_entry.missing": _("The key belongs to an old entry that is not there or not active."),
    "request.no_model": _("A call names a model."),
    "name_map.retired": _("The name map has retired this name."),
    "model.unknown": _("No active model has this name, and no old name leads to one."),
    "model.open_to_nobody": _("The model is open to no group at all."),
    "model.closed_to_group": _("The model is not open to the group that pays."),
    "price.missing": _("A model without a price cannot be called."),
    "fence.tier": _("The fence of the group ends below the price tier of the model."),
    "upstream.none": _("No enabled upstream serves the model to this group."),
    "upstream.protocol": _("The upstreams of the model do not speak the protocol of this address."),
    "balance.short": _("The balance does not cover what the call may cost."),
}
LIMITS: dict[str, str | Promise] = {
    "limit": _("A spend limit has no room for what the call may cost."),
    "calls": _("A limit of calls or tokens a minute, or of calls at once, is used up."),
}


def words_of(rule: str) -> str:
    """The sentence of a rule; the id itself for one that is not here."""
    return str(RULES.get(rule) or LIMITS.get(rule.partition(".")[0]) or rule)
