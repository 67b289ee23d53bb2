"""Templates of parameters: written by owners and content leads of a team, used by everybody in it. An edit is a new version."""

from collections.abc import Mapping
from typing import Any

import orjson
from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from accounts.models import Group, User
from accounts.services import audit
from config.foundation.errors import Conflict, InvalidInput, NotAllowed
from config.foundation.redaction import mask
from gateway.models_tasks import TaskTemplate, TaskTemplateVersion
from gateway.selectors_tasks import leads
from models_catalog.models import AIModel
from models_catalog.parameters import MOST_NAME, REFERENCES, TEXTS

MOST_PARAMETERS = 60
MOST_BYTES = 4_000
MOST_TEMPLATES = 200


class TemplateTaken(Conflict):
    """The team has a template of this name already."""

    code = "template_taken"


@transaction.atomic
def create_template(
    *, actor: User, team: Group, name: str, model_name: str, parameters: Mapping[str, Any], note: str = ""
) -> TaskTemplate:
    """A new template with its first version. Raises NotAllowed, InvalidInput or TemplateTaken."""
    _may_write(actor, team)
    name = name.strip()
    if not name or len(name) > MOST_NAME or not all(one.isascii() and (one.isalnum() or one in "-_") for one in name):
        raise InvalidInput(
            _("A name has letters, digits, - and _ only."), fields={"name": [_("Letters, digits, - and _ only.")]}
        )
    if TaskTemplate.objects.filter(team=team).count() >= MOST_TEMPLATES:
        raise InvalidInput(_("A team has at most 200 templates."))
    model = _model(model_name)
    values = _clean(parameters)
    try:
        with transaction.atomic():
            template = TaskTemplate.objects.create(team=team, name=name, kind=model.modality)
    except IntegrityError:
        raise TemplateTaken(_("The team has a template of this name already.")) from None
    version = _write(actor, template, 1, model, values, note)
    audit.record(actor=actor, action="template.created", target=template, after=_told(version))
    return template


@transaction.atomic
def edit_template(
    *, actor: User, template: TaskTemplate, model_name: str, parameters: Mapping[str, Any], note: str = ""
) -> TaskTemplateVersion:
    """The next version; those before stay and can still be run. Saving what is there already makes none."""
    _may_write(actor, template.team)
    model, values = _model(model_name), _clean(parameters)
    if model.modality != template.kind:
        raise InvalidInput(_("A template stays with images or with videos."))
    newest = template.versions.order_by("-number").first()
    if newest is not None and (newest.model_name, newest.parameters) == (model.name, values):
        return newest
    try:
        with transaction.atomic():
            version = _write(actor, template, (newest.number if newest else 0) + 1, model, values, note)
    except IntegrityError:
        raise Conflict(_("Somebody else made a version at the same moment. Look at it first.")) from None
    audit.record(
        actor=actor,
        action="template.edited",
        target=template,
        before=_told(newest) if newest else {},
        after=_told(version),
    )
    return version


@transaction.atomic
def switch_template(*, actor: User, template: TaskTemplate, is_active: bool) -> bool:
    """Take a template out of use, or back. False when it was so already."""
    _may_write(actor, template.team)
    done = TaskTemplate.objects.filter(pk=template.pk).exclude(is_active=is_active).update(is_active=is_active)
    if done:
        audit.record(actor=actor, action="template.switched", target=template, after={"is_active": is_active})
    return bool(done)


def _may_write(actor: User, team: Group) -> None:
    if not leads(actor, team):
        raise NotAllowed


def _model(name: str) -> AIModel:
    model = AIModel.objects.filter(name=name.strip(), is_active=True, modality__in=("image", "video")).first()
    if model is None:
        raise InvalidInput(
            _("Name a model that makes images or videos."), fields={"model_name": [_("There is no such model.")]}
        )
    return model


def _clean(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Values as JSON has them; a prompt, a picture or a secret is no part of a template."""
    if not isinstance(parameters, Mapping) or len(parameters) > MOST_PARAMETERS:
        raise InvalidInput(_("Parameters are a JSON object with at most 60 names."))
    for name, value in parameters.items():
        if not isinstance(name, str) or not 0 < len(name) <= MOST_NAME or not all(one.isalnum() or one in "-_" for one in name):
            raise InvalidInput(_("A parameter's name has letters, digits, - and _ only."))
        if name in TEXTS | REFERENCES | {"callback_url"}:
            raise InvalidInput(_("“%(name)s” belongs to the request, not to a template.") % {"name": name})
        if value is not None and not isinstance(value, str | int | float | bool | list | dict):
            raise InvalidInput(_("“%(name)s” has no value that JSON knows.") % {"name": name})
    text = orjson.dumps(dict(parameters)).decode()
    if len(text) > MOST_BYTES:
        raise InvalidInput(_("These parameters are too long."))
    if mask(text) != text:
        raise InvalidInput(_("This looks like a key. Keys do not belong into a template."))
    return dict(parameters)


def _write(
    actor: User, template: TaskTemplate, number: int, model: AIModel, values: dict[str, Any], note: str
) -> TaskTemplateVersion:
    return TaskTemplateVersion.objects.create(
        template=template, number=number, model_name=model.name, parameters=values, note=note.strip()[:255], created_by=actor
    )


def _told(version: TaskTemplateVersion) -> dict[str, Any]:
    return {"number": version.number, "model": version.model_name, "parameters": version.parameters}
