"""What the page of a call shows of the picture or video that it made."""

from typing import Any

from accounts.models import User
from billing.models import RequestLog
from config.foundation import panels
from gateway.models_tasks import MediaTask

TEMPLATE = "gateway/_task_panel.html"


def install() -> None:
    panels.register("call", TEMPLATE, on_call)


def on_call(_viewer: User, call: RequestLog) -> dict[str, Any] | None:
    """The task of a call; whether the viewer may see the call was looked at before, and so the task."""
    if call.modality not in MediaTask.Kind.values:
        return None
    task = MediaTask.objects.filter(pk=call.pk).first()
    return {"task": task} if task else None
