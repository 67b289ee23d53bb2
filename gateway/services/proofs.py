"""Proofs of names (R045): every name of the map is called through the new entry, once for each feature its users use.

A worker makes the calls with one more secret of a test key, which ends with the run; they are charged to test money.
"""

import re
import time
import uuid
from collections import defaultdict
from collections.abc import Collection, Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

from django.conf import settings
from django.db import close_old_connections, transaction
from django.db.models import Q
from django.utils.translation import gettext as _

from accounts.models import User
from accounts.rights import require
from accounts.services import audit
from billing.models import RequestLog
from config.foundation.clock import now
from config.foundation.errors import Conflict, InvalidInput
from config.foundation.redaction import looks_like_key
from gateway.contract.features import OPTIONAL, PLAIN, SIZE, STREAM
from gateway.feature_trials import CAN, Form, Trial, try_feature
from gateway.models import FeatureUse, ProofResult, ProofRun
from gateway.services.borrowed_keys import borrowed_secret, require_test_key
from keys.selectors import key_for
from models_catalog.models import AIModel, NameMapEntry, UpstreamModel
from models_catalog.selectors import current_name_map, newest_name_map_version

RIGHT = "catalog.manage"
USED_DAYS = 30
AT_ONCE = 4
# A run whose worker said nothing for so long is taken over by the next one.
SILENCE = timedelta(minutes=3)
LOG_SECONDS = 5.0
State = ProofRun.State
# What vendors put behind a name: -0613, -20241022, -2024-11-20, @20241022.
_DATED = re.compile(r"[-@:](\d{4}|\d{6}|\d{8}|\d{4}-\d{2}-\d{2})")
FORMS: dict[str, Form] = {"text": "chat", "embedding": "embeddings", "image": "images", "moderation": "moderations"}


class ProofRunning(Conflict):
    """A proof is running already."""

    code = "proof_running"


@transaction.atomic
def start_proof(*, actor: User, key_id: int, with_called_names: bool = False) -> ProofRun:
    """A run over the name map of now, taken by a worker on commit. Raises NotFound, InvalidInput or ProofRunning."""
    require(actor, RIGHT)
    key = require_test_key(actor, key_for(actor, key_id))
    alive = Q(state=State.WAITING) | Q(state=State.RUNNING, beat_at__gt=now() - SILENCE)
    if ProofRun.objects.filter(alive, created_at__gt=now() - timedelta(days=1)).exists():
        raise ProofRunning(_("A proof is running already. Wait for its end, or stop it."))
    run = ProofRun.objects.create(
        started_by=actor, key=key, map_version=newest_name_map_version(), with_called_names=with_called_names
    )
    audit.record(actor=actor, action="proof.start", target=run, after={"key": key.pk, "map": run.map_version})

    def hand_over() -> None:
        from gateway.tasks import run_proof_task

        run_proof_task.delay(str(run.pk))

    transaction.on_commit(hand_over)
    return run


@transaction.atomic
def stop_proof(*, actor: User, run: ProofRun) -> bool:
    """No further call is made; what was found stays. False when it had ended."""
    require(actor, RIGHT)
    open_states = (State.WAITING, State.RUNNING)
    done = ProofRun.objects.filter(pk=run.pk, state__in=open_states).update(state=State.STOPPED, ended_at=now())
    if done:
        audit.record(actor=actor, action="proof.stop", target=run)
    return bool(done)


@transaction.atomic
def say_features(*, actor: User, name: str, features: Collection[str], note: str = "") -> None:
    """Say by hand which features a name's users need, whatever was seen; none takes back what was said."""
    require(actor, RIGHT)
    name = name.strip()
    if not name or len(name) > 255 or looks_like_key(name):
        raise InvalidInput(_("Name a model."), field="name")
    wanted = set(features)
    if wanted - set(OPTIONAL):
        raise InvalidInput(_("There is no such feature."), field="features")
    said = FeatureUse.objects.filter(model_name=name, source=FeatureUse.Source.SAID)
    before = sorted(said.values_list("feature", flat=True))
    if before == sorted(wanted):
        return
    said.exclude(feature__in=wanted).delete()
    at = now()
    FeatureUse.objects.bulk_create(
        [
            FeatureUse(
                model_name=name, feature=one, source=FeatureUse.Source.SAID, first_at=at, last_at=at, note=note.strip()[:255]
            )
            for one in wanted - set(before)
        ]
    )
    target = FeatureUse.objects.filter(model_name=name).first() or FeatureUse(pk=0, model_name=name)
    audit.record(
        actor=actor,
        action="features.said",
        target=target,
        label=name,
        before={"features": before},
        after={"features": sorted(wanted)},
        reason=note,
    )


def features_in_use(names: Collection[str] | None = None) -> dict[str, set[str]]:
    """Per asked name: features its users use, from what relays counted, what people said, and the log of calls."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    rows = FeatureUse.objects.all() if names is None else FeatureUse.objects.filter(model_name__in=list(names))
    for name, feature in rows.values_list("model_name", "feature"):
        found[name].add(feature)
    logs = RequestLog.objects.filter(started_at__gte=now() - timedelta(days=USED_DAYS), outcome="ok")
    if names is not None:
        logs = logs.filter(asked_model__in=list(names))
    for name in logs.filter(is_stream=True).values_list("asked_model", flat=True).distinct().order_by():
        found[name].add(STREAM)
    for name in logs.exclude(media_size="").values_list("asked_model", flat=True).distinct().order_by():
        found[name].add(SIZE)
    return dict(found)


def run_proof(run_id: uuid.UUID) -> ProofRun | None:
    """Make the calls that are not made yet; of two workers one takes the run. Gives None to the other."""
    free = Q(state=State.WAITING) | Q(state=State.RUNNING, beat_at__lt=now() - SILENCE)
    if not ProofRun.objects.filter(free, pk=run_id).update(state=State.RUNNING, beat_at=now()):
        return None
    run = ProofRun.objects.select_related("key", "started_by").get(pk=run_id)
    _plan(run)
    with borrowed_secret(run.started_by, run.key, "proof of names") as clear:
        if clear is None:
            return _end(run, State.FAILED, "no_secret")
        waiting = list(run.results.filter(state=ProofResult.State.WAITING))
        forms = _forms({result.called_name for result in waiting})
        with ThreadPoolExecutor(AT_ONCE) as pool:
            for first in range(0, len(waiting), AT_ONCE):
                part = waiting[first : first + AT_ONCE]
                if not ProofRun.objects.filter(pk=run.pk, state=State.RUNNING).update(beat_at=now()):
                    run.refresh_from_db()
                    return run
                for result, trial in zip(part, pool.map(lambda one: _call(clear, one, forms), part), strict=True):
                    _keep(result, trial)
    close_old_connections()
    return _end(run, State.DONE)


def _end(run: ProofRun, state: str, error: str = "") -> ProofRun:
    ProofRun.objects.filter(pk=run.pk, state=State.RUNNING).update(state=state, error=error, ended_at=now())
    run.refresh_from_db()
    return run


def _plan(run: ProofRun) -> None:
    """One waiting result for every name and feature; what was planned by an earlier worker stays."""
    names = dict(_names(run))
    used = features_in_use(list(names))
    forms = _forms(set(names.values()))
    rows = []
    for name, called in sorted(names.items()):
        form = forms.get(called)
        wanted = [PLAIN, *(one for one in OPTIONAL if one in used.get(name, set()))]
        for feature in wanted:
            can = form is not None and feature in CAN[form]
            state = ProofResult.State.WAITING if can else ProofResult.State.SKIPPED
            rows.append(
                ProofResult(
                    run=run, name=name, called_name=called, feature=feature, state=state, cause="" if can else "no-probe"
                )
            )
    ProofResult.objects.bulk_create(rows, ignore_conflicts=True, batch_size=1000)


def _names(run: ProofRun) -> Iterable[tuple[str, str]]:
    if run.with_called_names:
        active = set(AIModel.objects.filter(is_active=True).values_list("name", flat=True))
        logs = RequestLog.objects.filter(started_at__gte=now() - timedelta(days=USED_DAYS), outcome="ok")
        for name in logs.filter(asked_model__in=active).values_list("asked_model", flat=True).distinct().order_by():
            yield name, name
    for entry in current_name_map().exclude(kind=NameMapEntry.Kind.RETIRED):
        if entry.callable_model:
            yield entry.old_name, entry.callable_model.name


def _forms(called: set[str]) -> dict[str, Form]:
    """How each model is called: by its kind, and in the protocol its upstreams speak."""
    modalities = dict(AIModel.objects.filter(name__in=called).values_list("name", "modality"))
    spoken: defaultdict[str, set[str]] = defaultdict(set)
    served = UpstreamModel.objects.filter(model__name__in=called, upstream__state="enabled")
    for name, protocol in served.values_list("model__name", "upstream__provider__protocol"):
        spoken[name].add(protocol)
    found: dict[str, Form] = {}
    for name, modality in modalities.items():
        form = FORMS.get(modality)
        if form == "chat" and spoken[name] == {"anthropic"}:
            form = "messages"
        if form is not None:
            found[name] = form
    return found


def _call(clear: str, result: ProofResult, forms: dict[str, Form]) -> Trial:
    """In a thread of its own: no database here."""
    return try_feature(settings.PUBLIC_URL.rstrip("/"), clear, result.name, forms[result.called_name], result.feature)


def _keep(result: ProofResult, trial: Trial) -> None:
    answered, expected = served_by(trial.request_id, result.called_name) if trial.request_id and not trial.cause else ("", "")
    answered = answered or trial.answered_as
    cause = trial.cause
    if not cause and not same_model(answered, {expected, result.called_name}):
        cause = "another-model"
    result.state = ProofResult.State.RED if cause else ProofResult.State.GREEN
    result.cause, result.http_status, result.error_code = cause, trial.status, trial.error_code
    result.answered_as, result.request_id, result.took_ms = answered[:255], trial.request_id, trial.took_ms
    result.save()


def served_by(request_id: str, called_name: str) -> tuple[str, str]:
    """Who the upstream says answered a call, and the name it was asked for there; "" while the log has not got it."""
    deadline = time.monotonic() + LOG_SECONDS
    row = None
    while row is None and time.monotonic() < deadline:
        row = RequestLog.objects.filter(pk=uuid.UUID(request_id)).values("served_model", "attempts").first()
        if row is None:
            time.sleep(0.05)
    if row is None or not row["attempts"]:
        return "", ""
    served = UpstreamModel.objects.filter(upstream_id=row["attempts"][-1].get("upstream"), model__name=called_name)
    return row["served_model"], served.values_list("upstream_name", flat=True).first() or ""


def same_model(answered: str, expected: Collection[str]) -> bool:
    """Whether a name that answered is one of these, a dated version of it, or it with a vendor in front."""
    if not answered:
        return True
    said = answered.casefold().rpartition("/")[2]
    for name in filter(None, expected):
        wanted = name.casefold().rpartition("/")[2].removesuffix("-latest")
        if said.removesuffix("-latest") == wanted or (said.startswith(wanted) and _DATED.fullmatch(said[len(wanted) :])):
            return True
    return False
