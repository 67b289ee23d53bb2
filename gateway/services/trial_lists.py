"""Trial lists (R009): a project is on trial with test money until calls through the entry have shown its five items."""

import uuid
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import httpx
import orjson
from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Q
from django.utils.translation import gettext as _

from accounts.models import Group, User
from accounts.rights import may, require
from accounts.services import audit
from accounts.services.teams import is_owner
from billing.models import RequestLog
from config.foundation.clock import now
from config.foundation.errors import Conflict, InvalidInput, NotAllowed
from config.foundation.redaction import looks_like_key
from gateway.feature_trials import Trial, code_of, try_feature
from gateway.models import TrialItem, TrialList
from gateway.services.borrowed_keys import borrowed_secret, require_test_key
from gateway.services.proofs import same_model, served_by
from keys.models import AccessPolicy, TeamPolicy
from keys.secrets import generate
from keys.selectors import key_for
from keys.services_policy import set_team_money
from models_catalog.selectors import current_name_map

RIGHT = "teams.manage"
SILENCE = timedelta(minutes=3)
SECONDS = 30.0
Code, Item, Check = TrialItem.Code, TrialItem.State, TrialList.Check
ITEMS: dict[str, tuple[str, ...]] = {
    TrialList.Kind.TEXT: (Code.BASE_URL, Code.KEY, Code.MODEL, Code.STREAMING, Code.ERRORS),
    TrialList.Kind.CREATIVE: (Code.PROMPT, Code.RATIO, Code.RESOLUTION, Code.RECORD, Code.DOWNLOAD),
}
# (passed or the cause, error code, request id)
Finding = tuple[str, str, str]


class TrialExists(Conflict):
    """This project has a trial list already."""

    code = "trial_exists"


class ItemsOpen(Conflict):
    """Items of the trial list are open: the project cannot go to production."""

    code = "trial_items_open"


class CheckRunning(Conflict):
    """The checks run already."""

    code = "trial_check_running"


def may_check(actor: User, trial: TrialList) -> bool:
    """Operators, and owners of the team."""
    return may(actor, RIGHT) or is_owner(actor, trial.team)


@transaction.atomic
def open_trial(*, actor: User, team: Group, kind: str) -> TrialList:
    """Put a project on trial: five open items, and test money only until they are shown. Raises TrialExists, InvalidInput."""
    require(actor, RIGHT)
    if kind not in ITEMS:
        raise InvalidInput(_("There is no such kind of project."), field="kind")
    if team.kind != Group.Kind.TEAM:
        raise InvalidInput(_("Only teams are projects."), field="team")
    before = TeamPolicy.objects.filter(group=team).values_list("money", flat=True).first() or ""
    try:
        with transaction.atomic():
            trial = TrialList.objects.create(team=team, kind=kind, money_before=before)
    except IntegrityError:
        raise TrialExists(_("This project has a trial list already.")) from None
    TrialItem.objects.bulk_create([TrialItem(trial=trial, code=code) for code in ITEMS[kind]])
    set_team_money(actor=None, team=team, money=AccessPolicy.Money.TEST)
    audit.record(actor=actor, action="trial.open", target=trial, after={"kind": kind, "money_before": before})
    return trial


@transaction.atomic
def start_checks(
    *,
    actor: User,
    trial: TrialList,
    key_id: int,
    model: str,
    resolution: str = "1024x1024",
    wide_size: str = "1536x1024",
) -> TrialList:
    """Have a worker make the calls with a test key of the project. Raises NotAllowed, NotFound, InvalidInput, CheckRunning."""
    if not may_check(actor, trial):
        raise NotAllowed
    key = require_test_key(actor, key_for(actor, key_id))
    if key.team_id != trial.team_id:
        raise InvalidInput(_("Choose a test key of this project."), field="key")
    name = model.strip()
    if not name or len(name) > 255 or looks_like_key(name):
        raise InvalidInput(_("Name a model."), field="model")
    for field, size in (("resolution", resolution), ("wide_size", wide_size)):
        if _ratio(size) is None:
            raise InvalidInput(_("Write a size such as 1024x1024."), field=field)
    free = Q(check_state=Check.NONE) | Q(beat_at__lt=now() - SILENCE)
    values = {"key": key, "model_name": name, "resolution": resolution, "wide_size": wide_size, "asked_by": actor}
    waiting = TrialList.objects.filter(free, pk=trial.pk)
    if not waiting.update(check_state=Check.WAITING, beat_at=now(), **values):
        raise CheckRunning(_("The checks run already. Wait for their end."))
    audit.record(actor=actor, action="trial.check", target=trial, after={"key": key.pk, "model": name})

    def hand_over() -> None:
        from gateway.tasks import run_trial_task

        run_trial_task.delay(trial.pk)

    transaction.on_commit(hand_over)
    trial.refresh_from_db()
    return trial


@transaction.atomic
def set_production(*, actor: User, trial: TrialList, reason: str = "") -> TrialList:
    """Let the project spend production money. Raises ItemsOpen naming every item that is not shown; twice is once."""
    require(actor, RIGHT)
    left = list(trial.items.exclude(state=Item.PASSED))
    if left:
        names = ", ".join(str(item.get_code_display()) for item in left)
        raise ItemsOpen(_("Not shown yet: %(items)s.") % {"items": names}, items=[item.code for item in left])
    at = now()
    if not TrialList.objects.filter(pk=trial.pk, state=TrialList.State.TRIAL).update(
        state=TrialList.State.PRODUCTION, produced_at=at
    ):
        trial.refresh_from_db()
        return trial
    own = trial.money_before if trial.money_before != AccessPolicy.Money.TEST else ""
    set_team_money(actor=None, team=trial.team, money=own or AccessPolicy.Money.ANY)
    audit.record(
        actor=actor,
        action="trial.production",
        target=trial,
        before={"state": "trial"},
        after={"state": "production"},
        reason=reason,
    )
    trial.refresh_from_db()
    return trial


@transaction.atomic
def reopen_trial(*, actor: User, trial: TrialList, reason: str = "") -> TrialList:
    """Back on trial, every item open again: after a change of model, upstream or client that is worth a new look."""
    require(actor, RIGHT)
    before = TeamPolicy.objects.filter(group=trial.team).values_list("money", flat=True).first() or ""
    if TrialList.objects.filter(pk=trial.pk, state=TrialList.State.PRODUCTION).update(
        state=TrialList.State.TRIAL, produced_at=None, money_before=before
    ):
        trial.items.update(state=Item.OPEN, cause="", error_code="", request_id="", checked_at=None)
        set_team_money(actor=None, team=trial.team, money=AccessPolicy.Money.TEST)
        audit.record(actor=actor, action="trial.reopen", target=trial, before={"state": "production"}, reason=reason)
    trial.refresh_from_db()
    return trial


def run_checks(team_id: int) -> TrialList | None:
    """Make the calls and tick what they show; of two workers one does. Gives None to the other."""
    free = Q(check_state=Check.WAITING) | Q(check_state=Check.RUNNING, beat_at__lt=now() - SILENCE)
    if not TrialList.objects.filter(free, pk=team_id).update(check_state=Check.RUNNING, beat_at=now()):
        return None
    trial = TrialList.objects.select_related("key", "asked_by", "team").get(pk=team_id)
    try:
        if trial.key is not None and trial.asked_by is not None:
            with borrowed_secret(trial.asked_by, trial.key, "trial list") as clear:
                found = _text(trial, clear or "") if trial.kind == TrialList.Kind.TEXT else _creative(trial, clear or "")
                for code, finding in found:
                    _tick(trial, code, finding)
    finally:
        TrialList.objects.filter(pk=team_id).update(check_state=Check.NONE)
    trial.refresh_from_db()
    return trial


def _tick(trial: TrialList, code: str, finding: Finding) -> None:
    cause, error_code, request_id = finding
    state = Item.FAILED if cause else Item.PASSED
    trial.items.filter(code=code).update(
        state=state, cause=cause, error_code=error_code, request_id=request_id, checked_at=now()
    )
    TrialList.objects.filter(pk=trial.pk).update(beat_at=now())


def _text(trial: TrialList, clear: str) -> Iterator[tuple[str, Finding]]:
    origin, name = settings.PUBLIC_URL.rstrip("/"), trial.model_name
    yield Code.BASE_URL, _listed(origin, clear, name)
    yield Code.KEY, _key_counts(origin, clear)
    yield Code.MODEL, _answered(try_feature(origin, clear, name, "chat", "plain"), name)
    yield Code.STREAMING, _of(try_feature(origin, clear, name, "chat", "stream"))
    yield Code.ERRORS, _error_is_told(origin, clear)


def _creative(trial: TrialList, clear: str) -> Iterator[tuple[str, Finding]]:
    origin, name = settings.PUBLIC_URL.rstrip("/"), trial.model_name
    plain = try_feature(origin, clear, name, "images", "plain")
    yield Code.PROMPT, _of(plain)
    wide = try_feature(origin, clear, name, "images", "size", size=trial.wide_size)
    came, wanted = _ratio(wide.size), _ratio(trial.wide_size)
    is_other = bool(wide.size) and came is not None and wanted is not None and abs(came - wanted) > 0.02
    yield Code.RATIO, ("wrong-ratio", "", wide.request_id) if is_other else _of(wide, but="wrong-size")
    yield Code.RESOLUTION, _of(try_feature(origin, clear, name, "images", "size", size=trial.resolution))
    yield Code.RECORD, _recorded(trial, plain.request_id)
    yield Code.DOWNLOAD, ("" if plain.has_file else plain.cause or "no-picture", plain.error_code, plain.request_id)


def _of(trial: Trial, but: str = "") -> Finding:
    return ("" if but and trial.cause == but else trial.cause, trial.error_code, trial.request_id)


def _answered(trial: Trial, name: str) -> Finding:
    """The model's answer, and that no other one gave it."""
    if trial.cause or not trial.request_id:
        return _of(trial)
    mapped = current_name_map().filter(old_name=name, callable_model__isnull=False)
    called = mapped.values_list("callable_model__name", flat=True).first() or name
    answered, expected = served_by(trial.request_id, called)
    is_same = same_model(answered or trial.answered_as, {expected, called})
    return ("" if is_same else "another-model", "", trial.request_id)


def _listed(origin: str, clear: str, name: str) -> Finding:
    try:
        answer = httpx.get(f"{origin}/v1/models", headers={"Authorization": f"Bearer {clear}"}, timeout=SECONDS)
    except httpx.HTTPError:
        return ("unreachable", "", "")
    request_id = answer.headers.get("x-request-id", "")[:64]
    found = _json(answer)
    if answer.status_code != 200:
        return ("refused", code_of(found), request_id)
    names = {one.get("id") for one in (found or {}).get("data") or [] if isinstance(one, dict)}
    return ("" if name in names else "not-listed" if found else "not-json", "", request_id)


def _key_counts(origin: str, clear: str) -> Finding:
    """The key opens the door, and one that nobody was given does not."""
    answers = []
    for key in (clear, generate()):
        try:
            answers.append(httpx.get(f"{origin}/v1/models", headers={"Authorization": f"Bearer {key}"}, timeout=SECONDS))
        except httpx.HTTPError:
            return ("unreachable", "", "")
    own, stranger = answers
    if own.status_code != 200:
        return ("refused", code_of(_json(own)), own.headers.get("x-request-id", "")[:64])
    return ("" if stranger.status_code == 401 else "stranger-let-in", "", own.headers.get("x-request-id", "")[:64])


def _error_is_told(origin: str, clear: str) -> Finding:
    """A wrong call gets a 4xx with a stable code, words and a request id, which is what a program needs to handle it."""
    wrong = try_feature(origin, clear, f"no-such-model-{uuid.uuid4().hex[:8]}", "chat", "plain")
    if wrong.cause in ("unreachable", "timeout"):
        return _of(wrong)
    told = 400 <= wrong.status < 500 and wrong.error_code and wrong.request_id
    return ("" if told else "no-error-code", wrong.error_code, wrong.request_id)


def _recorded(trial: TrialList, request_id: str) -> Finding:
    """The picture has its row in the log of calls: whose, how many, at what cost."""
    if not request_id:
        return ("no-record", "", "")
    served_by(request_id, trial.model_name)  # waits for the row
    row = RequestLog.objects.filter(pk=uuid.UUID(request_id), key_id=trial.key_id).first()
    is_there = row is not None and row.modality == "image" and row.image_count > 0
    return ("" if is_there else "no-record", "", request_id)


def _ratio(size: str) -> float | None:
    width, cross, height = size.partition("x")
    if not (cross and width.isascii() and height.isascii() and width.isdigit() and height.isdigit()) or len(size) > 16:
        return None
    return int(width) / int(height) if int(width) and int(height) else None


def _json(answer: httpx.Response) -> dict[str, Any] | None:
    try:
        found = orjson.loads(answer.content)
    except orjson.JSONDecodeError:
        return None
    return found if isinstance(found, dict) else None
