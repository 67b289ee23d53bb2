"""The floors hold for what imports do not show: foreign keys by name. The list is the one that import-linter reads."""

import tomllib

from django.apps import apps
from django.conf import settings

CONTRACTS = tomllib.loads((settings.BASE_DIR / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
# From the roof down; apps in one line do not know each other.
LAYERS = next(contract["layers"] for contract in CONTRACTS if contract["type"] == "layers")
FLOOR = {app.strip(): -number for number, line in enumerate(LAYERS) for app in line.split("|")}
OURS = [model for model in apps.get_models() if model._meta.app_config.name in FLOOR]


def may_point(source: str, target: str) -> bool:
    return source == target or FLOOR[target] < FLOOR[source]


def test_every_app_of_ours_has_a_floor():
    ours = {config.name for config in apps.get_app_configs() if (settings.BASE_DIR / config.name / "models.py").exists()}
    ours |= {config.name for config in apps.get_app_configs() if (settings.BASE_DIR / config.name / "models").is_dir()}
    assert ours == set(FLOOR) - {"config.foundation"}


def test_foreign_keys_point_down_only():
    seen, wrong = 0, []
    for model in OURS:
        source = model._meta.app_config.name
        for field in model._meta.get_fields():
            related = getattr(field, "related_model", None)
            if field.auto_created or related is None or related._meta.app_config.name not in FLOOR:
                continue
            seen += 1
            if not may_point(source, related._meta.app_config.name):
                wrong.append(f"{model._meta.label}.{field.name} -> {related._meta.label}")
    assert seen > 30
    assert wrong == []


def test_the_walk_would_catch_a_key_that_points_up_or_sideways():
    assert may_point("billing", "keys")
    assert may_point("keys", "keys")
    assert not may_point("keys", "billing")
    assert not may_point("accounts", "models_catalog")
    assert not may_point("models_catalog", "accounts")


def test_every_model_has_a_name_for_people():
    nameless = []
    for model in OURS:
        # Historical copies are made by a library and named after the model.
        if model.__name__.startswith("Historical"):
            continue
        own = model.__dict__["_meta"].original_attrs
        nameless += [f"{model._meta.label}: {name}" for name in ("verbose_name", "verbose_name_plural") if name not in own]
    assert nameless == []
