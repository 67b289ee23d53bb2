"""What did the support person type? One box: a request id, a person, a group, a model or a key's tail."""

import re
from dataclasses import dataclass
from uuid import UUID

from django.utils.translation import gettext as _

from accounts.models import Group, User
from accounts.rights import require
from billing.models import RequestLog
from billing.selectors.calls import parse_request_id
from config.foundation.ids import uuid7_time
from config.foundation.redaction import looks_like_key
from gateway.contract.tasks import task_id_from
from gateway.models_tasks import MediaTask
from keys.models import KeySecret
from models_catalog.models import AIModel, NameMapEntry

_TAIL = re.compile(r"^(?:sk-)?\.{0,3}([A-Za-z0-9]{4})$")
MOST_PEOPLE = 20


@dataclass(frozen=True, slots=True)
class Reading:
    """One way to read what was typed: ``kind`` is the filter's name in the address, ``value`` goes behind it."""

    kind: str
    value: str
    word: str


def is_pasted_key(text: str) -> bool:
    """True when any word of the text could be a whole key."""
    return any(looks_like_key(word.strip("\"'`,;:()[]<>")) for word in [text, *text.split()])


def readings_of(actor: User, text: str) -> list[Reading]:
    """Every way the text makes sense, the likeliest first; needs the right ``calls.search``."""
    require(actor, "calls.search")
    text = text.strip()
    found: list[Reading] = []
    task_id = task_id_from(text)
    if (
        task_id
        and MediaTask.objects.filter(pk=task_id).exists()
        and (text[:6] in ("video_", "image_") or not _is_logged(task_id))
    ):
        return [Reading("task", f"video_{task_id.hex}", _("task"))]
    if request_id := parse_request_id(text):
        return [Reading("id", request_id.hex, _("request id"))]
    person = User.objects.filter(username=text).first()
    if person is None and "@" in text:
        person = User.objects.filter(email__iexact=text).first()
    if person:
        found.append(Reading("person", person.username, _("person")))
    if Group.objects.filter(code=text).exists():
        found.append(Reading("group", text, _("group")))
    if AIModel.objects.filter(name=text).exists() or NameMapEntry.objects.filter(old_name=text).exists():
        found.append(Reading("model", text, _("model")))
    tail = _TAIL.match(text)
    if tail and (KeySecret.objects.filter(tail=tail[1]).exists() or not found):
        found.append(Reading("tail", tail[1], _("key tail")))
    return found


def _is_logged(request_id: UUID) -> bool:
    """A task that runs has no line in the request log yet: its own page knows more."""
    return RequestLog.objects.filter(pk=request_id, started_at=uuid7_time(request_id)).exists()


def people_like(actor: User, text: str) -> list[User]:
    """People whose user name begins like this, for a text that was nothing exactly."""
    require(actor, "calls.search")
    text = text.strip()
    return list(User.objects.filter(username__istartswith=text).order_by("username")[:MOST_PEOPLE]) if text else []
