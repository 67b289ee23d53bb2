"""Models and who may call them."""

import pytest

from accounts.models import AuditEvent, User
from models_catalog.errors import NameTaken, UnknownModels
from models_catalog.models import AIModel, ModelAccess
from models_catalog.selectors import callable_models
from models_catalog.services import ModelFigures, add_access, create_model, ensure_models, set_access, update_model


def access() -> set[tuple[str, str]]:
    return set(ModelAccess.objects.values_list("model__name", "group_code"))


def test_a_model_is_created_once_and_the_trail_has_its_figures(ops: User) -> None:
    figures = ModelFigures("gpt-x", modality="image", capabilities=("vision",), context_tokens=8000)
    model = create_model(actor_name=ops.username, figures=figures)
    event = AuditEvent.objects.get(action="catalog.model.created")
    assert event.object_id == str(model.pk)
    assert (event.after["modality"], event.after["capabilities"], event.after["context_tokens"]) == ("image", ["vision"], 8000)
    with pytest.raises(NameTaken):
        create_model(actor_name=ops.username, figures=ModelFigures("gpt-x"))
    assert AIModel.objects.count() == 1


def test_ensuring_models_makes_the_missing_ones_alone(ops: User) -> None:
    create_model(actor_name="ops-one", figures=ModelFigures("old", note="keep me"))
    found = ensure_models(actor_name="ops-one", models=[ModelFigures("old", note="other"), ModelFigures("new")])
    assert sorted(found) == ["new", "old"]
    assert found["old"].note == "keep me"
    assert AuditEvent.objects.filter(action="catalog.model.created").count() == 2
    ensure_models(actor_name="ops-one", models=[ModelFigures("old"), ModelFigures("new")])
    assert AuditEvent.objects.filter(action="catalog.model.created").count() == 2


def test_an_update_says_what_changed(ops: User) -> None:
    model = create_model(actor_name="ops-one", figures=ModelFigures("m"))
    update_model(actor_name="ops-one", model=model, is_active=False, capabilities=("tools",), reason="withdrawn")
    event = AuditEvent.objects.get(action="catalog.model.updated")
    assert event.before == {"capabilities": [], "is_active": True}
    assert event.after == {"capabilities": ["tools"], "is_active": False}


def test_access_is_replaced_or_added_to(ops: User) -> None:
    models = ensure_models(actor_name="ops-one", models=[ModelFigures("a"), ModelFigures("b")])
    set_access(actor_name="ops-one", model=models["a"], group_codes=["g1", "g2"])
    set_access(actor_name="ops-one", model=models["a"], group_codes=["g2", "g3", " "])
    assert access() == {("a", "g2"), ("a", "g3")}
    event = AuditEvent.objects.filter(action="catalog.model.access").latest("id")
    assert (event.before, event.after) == ({"groups": ["g1", "g2"]}, {"groups": ["g2", "g3"]})
    assert add_access(actor_name="ops-one", grants=[("a", "g3"), ("a", "g4"), ("b", "*")]) == 2
    assert access() == {("a", "g2"), ("a", "g3"), ("a", "g4"), ("b", "*")}
    assert add_access(actor_name="ops-one", grants=[("a", "g4"), ("b", "*")]) == 0
    with pytest.raises(UnknownModels):
        add_access(actor_name="ops-one", grants=[("nope", "g1")])


def test_only_active_models_of_ones_groups_are_callable(ops: User) -> None:
    models = ensure_models(
        actor_name="ops-one",
        models=[ModelFigures("a"), ModelFigures("b"), ModelFigures("off", is_active=False), ModelFigures("none")],
    )
    add_access(actor_name="ops-one", grants=[("a", "g1"), ("b", "*"), ("b", "g1"), ("off", "g1")])
    assert models
    assert [model.name for model in callable_models(["g1"])] == ["a", "b"]
    assert [model.name for model in callable_models(["g2"])] == ["b"]
