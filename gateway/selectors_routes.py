"""Reads about routes: which models can be served now and why not, fallback rules, in whose shape errors are told."""

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Count, QuerySet
from django.utils.functional import Promise
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _

from accounts.models import Group, User
from accounts.rights import may, require
from billing.models import RequestLog
from config.foundation.clock import now
from config.foundation.outcomes import Outcome
from gateway.contract import denials
from gateway.contract.error_shapes import NEW_API, ONE_API, error_value, retries, status_of
from gateway.contract.types import Denial
from gateway.models import ErrorProfile, FallbackRule, UpstreamHealth
from models_catalog.models import AIModel, Upstream, UpstreamModel
from models_catalog.selectors import callable_models

# A relay says again every quarter of a minute what it leaves alone; what is older was said by one that is gone.
HEARD_OF = timedelta(seconds=45)
COUNTED = timedelta(hours=24)
REASONS: dict[str, str | Promise] = {
    "timeout": _("Its provider does not answer in time."),
    "connect_timeout": _("Its provider cannot be reached."),
    "ConnectFailed": _("Its provider cannot be reached."),
    "ClientConnectorError": _("Its provider cannot be reached."),
    "unavailable": _("Its provider says that it cannot serve the model at the moment."),
    "credential": _("Its provider does not accept our access. The operators know."),
}


@dataclass(frozen=True, slots=True)
class ModelState:
    """``state``: available, limited (some of its places are left alone) or unavailable, with ``reason`` and since when.

    ``alternative``: the model that answers instead by a rule in force. Counts are of the last 24 hours.
    """

    model: AIModel
    state: str
    reason: str | Promise
    since: datetime | None
    alternative: str
    unavailable_count: int
    left_alone: tuple[UpstreamHealth, ...] = ()


def model_states(actor: User) -> list[ModelState]:
    """The models open to the person's group; those who may see the inner route see every model and what is left alone."""
    sees_route = may(actor, "calls.inner_route")
    if sees_route:
        models = list(AIModel.objects.filter(is_active=True))
    else:
        code = actor.billing_group.code if actor.billing_group else ""
        models = list(callable_models([code] if code else []))
    places: defaultdict[int, list[tuple[int, str]]] = defaultdict(list)
    served = UpstreamModel.objects.filter(model__in=models, upstream__state=Upstream.State.ENABLED)
    for model_id, upstream_id, name in served.values_list("model_id", "upstream_id", "upstream_name"):
        places[model_id].append((upstream_id, name))
    open_now: defaultdict[tuple[int, str], list[UpstreamHealth]] = defaultdict(list)
    for row in UpstreamHealth.objects.filter(seen_at__gte=now() - HEARD_OF).order_by("since_at"):
        open_now[(row.upstream_id, row.upstream_name)].append(row)
    rules = dict(FallbackRule.objects.filter(state=FallbackRule.State.ACTIVE).values_list("from_model_id", "to_model__name"))
    counts = unavailable_counts([model.name for model in models])
    return [
        _state(model, places[model.pk], open_now, rules.get(model.pk, ""), counts.get(model.name, 0), sees_route)
        for model in models
    ]


def _state(
    model: AIModel,
    places: list[tuple[int, str]],
    open_now: dict[tuple[int, str], list[UpstreamHealth]],
    alternative: str,
    count: int,
    sees_route: bool,
) -> ModelState:
    if not places:
        return ModelState(model, "unavailable", _("No place that serves it is switched on."), None, alternative, count)
    broken = [row for place in places for row in open_now.get(place, ())[:1]]
    shown = tuple(broken) if sees_route else ()
    if not broken:
        return ModelState(model, "available", "", None, alternative, count)
    first = broken[0]
    if len(broken) < len(places):
        return ModelState(
            model, "limited", _("Some of its places fail; others serve it."), first.since_at, alternative, count, shown
        )
    reason = REASONS.get(first.reason, _("Its provider fails again and again."))
    return ModelState(model, "unavailable", reason, first.since_at, alternative, count, shown)


def unavailable_counts(names: list[str]) -> dict[str, int]:
    """Calls of the last 24 hours that ended because the model was not available, by asked name."""
    rows = RequestLog.objects.filter(
        started_at__gte=now() - COUNTED, outcome=Outcome.MODEL_UNAVAILABLE, asked_model__in=names
    ).order_by()
    return dict(rows.values_list("asked_model").annotate(n=Count("id")))


def refused_key_count(actor: User) -> int:
    """Calls of the last 24 hours whose key was not accepted: another thing than a model that is not available."""
    require(actor, "calls.search")
    return RequestLog.objects.filter(started_at__gte=now() - COUNTED, outcome=Outcome.BAD_KEY).count()


def fallback_rules(actor: User) -> QuerySet[FallbackRule]:
    """Every rule, those that wait or are in force first."""
    require(actor, "fallbacks.view")
    return FallbackRule.objects.select_related("from_model", "to_model", "proposed_by", "approved_by").order_by("-state", "-id")


def fallback_uses(rules: list[FallbackRule]) -> dict[int, int]:
    """How often each rule was used in the last 24 hours."""
    rows = RequestLog.objects.filter(started_at__gte=now() - COUNTED, fallback_rule_id__in=[rule.pk for rule in rules])
    return dict(rows.order_by().values_list("fallback_rule_id").annotate(n=Count("id")))


@dataclass(frozen=True, slots=True)
class ErrorCase:
    """One class of failure and how each shape tells it: (status, the body's error, whether SDKs try again)."""

    code: str
    word: str | Promise
    shapes: tuple[tuple[int, dict[str, object], bool], ...]


CASES: tuple[tuple[str | Promise, Denial], ...] = (
    (_("no key"), denials.MISSING_KEY),
    (_("unknown key"), denials.INVALID_KEY),
    (_("key expired"), denials.KEY_EXPIRED),
    (_("key disabled"), denials.KEY_DISABLED),
    (_("network not allowed"), denials.NETWORK_NOT_ALLOWED),
    (_("account not active"), denials.ACCOUNT_DISABLED),
    (_("group not open"), denials.GROUP_NOT_ALLOWED),
    (_("model not in the key"), denials.model_not_in_key("gpt-x")),
    (_("unknown model"), denials.model_not_found("gpt-x")),
    (_("model not available"), denials.model_unavailable("gpt-x")),
    (_("model without a price"), denials.model_not_priced("gpt-x")),
    (_("balance short"), denials.NO_BALANCE),
    (_("key's allowance short"), denials.KEY_LIMIT),
    (_("too many calls a minute"), denials.calls_per_minute("key", 60, 20)),
    (_("provider busy"), denials.upstream_busy("gpt-x")),
    (_("provider failed"), denials.UPSTREAM_ERROR),
    (_("provider timed out"), denials.UPSTREAM_TIMEOUT),
    (_("request wrong"), denials.NOT_JSON),
    (_("request too large"), denials.TOO_LARGE),
    (_("service not ready"), denials.SERVICE_UNAVAILABLE),
    (_("unknown address"), denials.NOT_FOUND),
)


def error_cases() -> list[ErrorCase]:
    """The map: our own shape, One API's, New API's."""
    return [ErrorCase(denial.code, word, tuple(_told(denial, profile) for profile in ("portal", ONE_API, NEW_API)))
            for word, denial in CASES]  # fmt: skip


# SDKs whose retries the contract suite proves, each in every shape: tests/gateway/test_error_suite.py.
SDKS = ("OpenAI SDK, Python", "OpenAI SDK, Node", "Anthropic SDK, Python", "LiteLLM, Python")


@dataclass(frozen=True, slots=True)
class RetryChange:
    """A class of failure that SDKs try again in one of two shapes only; ``begins``: in the second."""

    word: str | Promise
    before: int
    after: int
    begins: bool


def retry_changes(shape: str) -> list[tuple[str | Promise, list[RetryChange]]]:
    """What a change from ``shape`` to each other one does to programs: (the other shape, classes whose retries change)."""
    found: list[tuple[str | Promise, list[RetryChange]]] = []
    for other in ErrorProfile.Profile:
        if other.value == shape:
            continue
        pairs = [(word, status_of(denial, shape), status_of(denial, other.value)) for word, denial in CASES]
        changed = [RetryChange(word, a, b, retries(b)) for word, a, b in pairs if retries(a) != retries(b)]
        found.append((other.label, changed))
    return found


def _told(denial: Denial, profile: str) -> tuple[int, dict[str, object], bool]:
    status = status_of(denial, profile)
    language = "zh-hans" if (get_language() or "").startswith("zh") else "en"
    value = error_value(denial, dialect="openai", request_id="...", profile=profile, language=language)
    return status, value["error"], retries(status)


def profile_of(actor: User) -> str:
    """In whose shape the person's own calls are told, as far as their group decides it."""
    group_id = actor.billing_group_id
    row = ErrorProfile.objects.filter(key=None, group_id=group_id).first() if group_id else None
    row = row or ErrorProfile.objects.filter(key=None, group=None).first()
    return row.profile if row else "portal"


def error_profiles(actor: User) -> QuerySet[ErrorProfile]:
    require(actor, "catalog.manage")
    return ErrorProfile.objects.select_related("group", "key").order_by("group__code", "key__name")


def groups_to_choose(actor: User) -> QuerySet[Group]:
    require(actor, "catalog.manage")
    return Group.objects.order_by("code")
