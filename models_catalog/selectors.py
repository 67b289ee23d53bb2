"""Reads of the catalogue. It holds nothing personal; who may look is decided by the pages and the API above."""

from collections.abc import Collection

from django.db.models import Max, QuerySet

from config.foundation.errors import NotFound
from models_catalog.models import AIModel, NameMapEntry, NameMapVersion, Provider, Upstream

EVERY_GROUP = "*"


def callable_models(group_codes: Collection[str]) -> QuerySet[AIModel]:
    """Active models that at least one of these groups may call."""
    return (
        AIModel.objects.filter(is_active=True, access__group_code__in=[*group_codes, EVERY_GROUP]).distinct().order_by("name")
    )


def all_models() -> QuerySet[AIModel]:
    return AIModel.objects.prefetch_related("access").order_by("name")


def model_named(name: str) -> AIModel:
    """The model of this name, active or not; raises NotFound."""
    model = AIModel.objects.filter(name=name).first()
    if model is None:
        raise NotFound
    return model


def all_providers() -> QuerySet[Provider]:
    return Provider.objects.order_by("name")


def all_upstreams() -> QuerySet[Upstream]:
    """Upstreams without their sealed credential: what is not read cannot leak."""
    return Upstream.objects.defer("credential_sealed").select_related("provider").order_by("-priority", "name")


def current_name_map() -> QuerySet[NameMapEntry]:
    return NameMapEntry.objects.filter(until_version=None).select_related("callable_model", "from_version").order_by("old_name")


def name_map_at(version: int) -> QuerySet[NameMapEntry]:
    """The map as it was published in ``version``."""
    return (
        NameMapEntry.objects.filter(from_version__lte=version)
        .exclude(until_version__lte=version)
        .select_related("callable_model", "from_version")
        .order_by("old_name")
    )


def newest_name_map_version() -> int:
    """Number of the newest version, 0 while nothing is published."""
    return int(NameMapVersion.objects.aggregate(n=Max("number"))["n"] or 0)


def name_map_versions() -> QuerySet[NameMapVersion]:
    """What was published, newest first."""
    return NameMapVersion.objects.order_by("-number")
