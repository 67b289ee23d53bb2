"""Reads of proofs of names: runs, results by name, features in use."""

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import UUID

from django.db.models import Count, Q, QuerySet

from accounts.models import User
from accounts.rights import may, require
from config.foundation.clock import now
from config.foundation.errors import NotFound
from gateway.models import FeatureUse, ProofResult, ProofRun
from keys.models import ApiKey
from keys.selectors import keys_for, keys_seen_by

VIEW = "migrations.view"
MOST_KEYS = 200


@dataclass(slots=True)
class NameLine:
    """One name with its results by feature. ``state``: red as soon as one is, green when all are."""

    name: str
    called_name: str
    results: list[ProofResult] = field(default_factory=list)

    @property
    def state(self) -> str:
        states = {one.state for one in self.results}
        for state in (ProofResult.State.RED, ProofResult.State.WAITING, ProofResult.State.GREEN):
            if state in states:
                return state
        return ProofResult.State.SKIPPED


@dataclass(frozen=True, slots=True)
class Progress:
    total: int
    done: int
    green: int
    red: int


def runs(actor: User) -> QuerySet[ProofRun]:
    require(actor, VIEW)
    red = Count("results", filter=Q(results__state=ProofResult.State.RED))
    green = Count("results", filter=Q(results__state=ProofResult.State.GREEN))
    found = ProofRun.objects.select_related("started_by", "key")
    return found.annotate(total_count=Count("results"), red_count=red, green_count=green)


def run_for(actor: User, run_id: UUID) -> ProofRun:
    run = runs(actor).filter(pk=run_id).first()
    if run is None:
        raise NotFound
    return run


def progress_of(run: ProofRun) -> Progress:
    states = dict(run.results.order_by().values_list("state").annotate(n=Count("pk")))
    total = sum(states.values())
    return Progress(total, total - states.get("waiting", 0), states.get("green", 0), states.get("red", 0))


def names_of(run: ProofRun) -> list[NameLine]:
    """By name, those with a red result first."""
    found: dict[str, NameLine] = {}
    for result in run.results.all():
        found.setdefault(result.name, NameLine(result.name, result.called_name)).results.append(result)
    return sorted(found.values(), key=lambda line: (line.state != ProofResult.State.RED, line.name))


def features(actor: User) -> list[tuple[str, list[FeatureUse]]]:
    """Per name the features that relays counted or people said, the latest first."""
    require(actor, VIEW)
    by_name: defaultdict[str, list[FeatureUse]] = defaultdict(list)
    for row in FeatureUse.objects.filter(last_at__gte=now() - timedelta(days=365)).order_by("-last_at")[:2000]:
        by_name[row.model_name].append(row)
    return list(by_name.items())


def keys_for_tests(actor: User) -> list[ApiKey]:
    """Active test keys the actor may let calls be made with, the own ones first."""
    wanted = {"purpose": ApiKey.Purpose.TEST, "state": ApiKey.State.ACTIVE, "route": ApiKey.Route.NEW}
    own = list(keys_for(actor).filter(**wanted)[:MOST_KEYS])
    if not may(actor, "keys.manage"):
        return own
    known = {key.pk for key in own}
    return own + [key for key in keys_seen_by(actor).filter(**wanted)[:MOST_KEYS] if key.pk not in known]
