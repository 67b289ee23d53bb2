"""The part about odd spend on the page of a key."""

from typing import Any

from django.urls import reverse

from accounts.models import User
from billing.models import AlertKind
from billing.selectors.alerts import rule_in_force
from config.foundation import panels
from keys.models import ApiKey
from keys.services import may_manage

TEMPLATE = "billing/_odd_spend_panel.html"


def on_key(viewer: User, key: ApiKey) -> dict[str, Any] | None:
    """The rule that watches the key, for those who may change it."""
    if key.state == ApiKey.State.REVOKED or not may_manage(viewer, key):
        return None
    rule = rule_in_force(AlertKind.ODD_SPEND, key=key)
    return {"rule": rule, "factor": rule.thresholds[0], "set_url": f"{reverse('alert_choices')}?key={key.pk}"}


def install() -> None:
    """Called when the apps are ready."""
    panels.register("key", TEMPLATE, on_key)
