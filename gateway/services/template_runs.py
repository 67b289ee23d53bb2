"""A template run from its page: one call of the unified entry with a key of the person, as a program would make it.

Nothing of prompt or result is kept; a picture is shown in the one answer. The key gets a secret for some minutes, as an access
check does, because nobody has its own in clear.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import httpx
from django.conf import settings
from django.utils.translation import gettext as _

from accounts.models import User
from config.foundation.clock import now
from config.foundation.errors import Conflict, InvalidInput
from gateway.models_tasks import MediaTask, TaskTemplateVersion
from keys.models import ApiKey
from keys.selectors import key_for
from keys.services import add_secret, require_manage, revoke_secret

SECRET_LIFE = timedelta(minutes=5)
SECONDS = 180
PATHS = {"image": "/v1/images/generations", "video": "/v1/videos"}
MOST_PROMPT = 8_000


@dataclass(frozen=True, slots=True)
class Run:
    """What the entry answered: the task, or the error's words; pictures as base64 PNG, for showing once."""

    task_id: str = ""
    error: str = ""
    pictures: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()


def run_template(*, actor: User, version: TaskTemplateVersion, key_id: int, prompt: str) -> Run:
    """Raises NotFound, NotAllowed, InvalidInput or Conflict; what the entry refuses is in the answer."""
    key = key_for(actor, key_id)
    require_manage(actor, key)
    if not prompt.strip() or len(prompt) > MOST_PROMPT:
        raise InvalidInput(_("Write what the picture or video shall show."))
    if key.state != ApiKey.State.ACTIVE or key.route != ApiKey.Route.NEW:
        raise InvalidInput(_("Choose an active key that is served here."))
    template = version.template
    body = {"template": f"{template.team.code}/{template.name}@{version.number}", "prompt": prompt.strip()}
    clear = add_secret(actor=actor, key=key, valid_until=now() + SECRET_LIFE)
    try:
        answer = httpx.post(
            settings.PUBLIC_URL.rstrip("/") + PATHS[template.kind],
            json=body,
            headers={"Authorization": f"Bearer {clear}", "User-Agent": "portal-template"},
            timeout=httpx.Timeout(SECONDS, connect=10),
        )
    except httpx.HTTPError:
        raise Conflict(_("The entry did not answer. Look into the task list before you run it again.")) from None
    finally:
        secret = key.secrets.filter(tail=clear[-4:], revoked_at=None).order_by("-pk").first()
        if secret is not None:
            revoke_secret(actor=actor, secret=secret, reason="template run")
    return _read(answer, template.kind)


def _read(answer: httpx.Response, kind: str) -> Run:
    try:
        found: Any = answer.json()
    except ValueError:
        found = None
    if answer.status_code != 200 or not isinstance(found, dict):
        error = found.get("error") if isinstance(found, dict) else None
        said = error.get("message") if isinstance(error, dict) else None
        return Run(error=str(said or _("The entry refused the request.")))
    if kind == MediaTask.Kind.VIDEO:
        return Run(task_id=str(found.get("id", "")))
    data = [one for one in found.get("data") or [] if isinstance(one, dict)]
    return Run(
        task_id=answer.headers.get("x-request-id", ""),
        pictures=tuple(one["b64_json"] for one in data if isinstance(one.get("b64_json"), str)),
        addresses=tuple(one["url"] for one in data if str(one.get("url", "")).startswith("https://")),
    )
