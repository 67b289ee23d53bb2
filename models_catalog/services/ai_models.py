"""Models that can be called, and which groups may call them."""

from collections.abc import Collection, Iterable
from dataclasses import asdict, dataclass
from typing import Any, TypedDict, Unpack

from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from models_catalog.errors import NameTaken, UnknownModels
from models_catalog.hooks import CatalogChange, announce
from models_catalog.models import AIModel, Modality, ModelAccess
from models_catalog.services._changes import apply_fields, checked


@dataclass(frozen=True, slots=True)
class ModelFigures:
    """What is known of a model; token limits in tokens, None when not known."""

    name: str
    display_name: str = ""
    modality: str = Modality.TEXT.value
    capabilities: tuple[str, ...] = ()
    context_tokens: int | None = None
    max_output_tokens: int | None = None
    is_active: bool = True
    note: str = ""


class ModelFields(TypedDict, total=False):
    display_name: str
    modality: str
    capabilities: Collection[str]
    context_tokens: int | None
    max_output_tokens: int | None
    is_active: bool
    note: str


@transaction.atomic
def create_model(*, actor_name: str, figures: ModelFigures, reason: str = "") -> AIModel:
    """A new callable name; raises NameTaken. Nobody may call it until ``set_access`` says who."""
    model = _from_figures(figures)
    checked(model)
    try:
        with transaction.atomic():
            model.save(force_insert=True)
    except IntegrityError:
        raise NameTaken(_("There is already a model named %(name)s.") % {"name": figures.name}) from None
    announce([_created(model, figures, actor_name, reason)])
    return model


@transaction.atomic
def ensure_models(*, actor_name: str, models: Iterable[ModelFigures], reason: str = "") -> dict[str, AIModel]:
    """All these models by name, the missing ones made; existing ones stay as they are."""
    wanted = {figures.name: figures for figures in models}
    known = set(AIModel.objects.filter(name__in=list(wanted)).values_list("name", flat=True))
    fresh = [_from_figures(figures) for name, figures in wanted.items() if name not in known]
    for model in fresh:
        checked(model)
    AIModel.objects.bulk_create(fresh, ignore_conflicts=True, batch_size=1000)
    found = {model.name: model for model in AIModel.objects.filter(name__in=list(wanted))}
    announce([_created(found[model.name], wanted[model.name], actor_name, reason) for model in fresh])
    return found


@transaction.atomic
def update_model(*, actor_name: str, model: AIModel, reason: str = "", **fields: Unpack[ModelFields]) -> AIModel:
    """Change the named fields. The name itself never changes: the name map is there for that."""
    wanted: dict[str, Any] = dict(fields)
    if "capabilities" in wanted:
        wanted["capabilities"] = list(wanted["capabilities"])
    before, after = apply_fields(model, wanted)
    if after:
        checked(model)
        model.save(update_fields=list(after))
        announce([CatalogChange("model.updated", model, actor_name, before, after, reason)])
    return model


@transaction.atomic
def set_access(*, actor_name: str, model: AIModel, group_codes: Collection[str], reason: str = "") -> None:
    """Exactly these groups may call the model (``*``: every group); all others no longer."""
    was = set(ModelAccess.objects.filter(model=model).values_list("group_code", flat=True))
    wanted = {code.strip() for code in group_codes if code.strip()}
    if was == wanted:
        return
    ModelAccess.objects.filter(model=model, group_code__in=was - wanted).delete()
    ModelAccess.objects.bulk_create(
        [ModelAccess(model=model, group_code=code) for code in sorted(wanted - was)], ignore_conflicts=True
    )
    before, after = {"groups": sorted(was)}, {"groups": sorted(wanted)}
    announce([CatalogChange("model.access", model, actor_name, before, after, reason)])


@transaction.atomic
def add_access(*, actor_name: str, grants: Iterable[tuple[str, str]], reason: str = "") -> int:
    """Let groups call models, as (model name, group code) pairs, and take nothing away; returns how many were new."""
    wanted = set(grants)
    models = {model.name: model for model in AIModel.objects.filter(name__in={name for name, _code in wanted})}
    if missing := sorted({name for name, _code in wanted} - set(models)):
        raise UnknownModels(_("Not in the catalogue: %(names)s.") % {"names": ", ".join(missing)}, models=missing)
    was: dict[str, set[str]] = {name: set() for name in models}
    for name, code in ModelAccess.objects.filter(model__name__in=list(models)).values_list("model__name", "group_code"):
        was[name].add(code)
    fresh = sorted((name, code) for name, code in wanted if code not in was[name])
    ModelAccess.objects.bulk_create(
        [ModelAccess(model=models[name], group_code=code) for name, code in fresh], ignore_conflicts=True, batch_size=5000
    )
    added: dict[str, set[str]] = {}
    for name, code in fresh:
        added.setdefault(name, set()).add(code)
    changes = []
    for name, codes in added.items():
        before, after = {"groups": sorted(was[name])}, {"groups": sorted(was[name] | codes)}
        changes.append(CatalogChange("model.access", models[name], actor_name, before, after, reason))
    announce(changes)
    return len(fresh)


def _from_figures(figures: ModelFigures) -> AIModel:
    return AIModel(**{**asdict(figures), "capabilities": list(figures.capabilities)})


def _created(model: AIModel, figures: ModelFigures, actor_name: str, reason: str) -> CatalogChange:
    after = {**asdict(figures), "capabilities": list(figures.capabilities), "modality": str(figures.modality)}
    return CatalogChange("model.created", model, actor_name, {}, after, reason)
