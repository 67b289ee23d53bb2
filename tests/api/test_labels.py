"""R098: every field of every answer has a label, and no answer goes beyond its audience."""

from collections.abc import Iterator
from importlib import import_module
from pkgutil import iter_modules

import pytest
from rest_framework import serializers

from config.foundation.api_base import OutSerializer
from config.foundation.labels import LABELS, Label, LabelError, check

APPS = ("accounts", "models_catalog", "keys", "billing", "gateway", "migrations_center")
for app in APPS:
    # Serializers may stand in any module of an app's API.
    for module in iter_modules(import_module(f"{app}.api").__path__):
        import_module(f"{app}.api.{module.name}")
import_module("gateway.planes.api.serializers")


def all_out(parent: type[OutSerializer] = OutSerializer) -> Iterator[type[OutSerializer]]:
    for child in parent.__subclasses__():
        # One that others are made from says nothing by itself.
        is_base = bool(child.__subclasses__()) and not child.labels_of
        if child.__module__.split(".")[0] in APPS and not is_base:
            yield child
        yield from all_out(child)


OUT = sorted(set(all_out()), key=lambda serializer: serializer.__name__)


@pytest.mark.parametrize("serializer", OUT, ids=lambda serializer: serializer.__name__)
def test_an_answer_names_labelled_fields_of_its_audience(serializer: type[OutSerializer]) -> None:
    fields = serializer().fields
    assert fields
    for name, field in fields.items():
        label = LABELS[serializer.labels_of][name]
        assert label.why
        assert label.label <= serializer.audience or name in serializer.shown_once
        nested = field.child if isinstance(field, serializers.ListSerializer) else field
        if isinstance(nested, OutSerializer):
            assert nested.audience <= serializer.audience
        # A plain serializer inside an answer would go round the labels.
        assert not isinstance(nested, serializers.Serializer) or isinstance(nested, OutSerializer)


def test_there_are_answers_to_walk() -> None:
    assert len(OUT) >= 35
    assert {serializer.__module__.split(".")[0] for serializer in OUT} == set(APPS)


def test_the_answers_that_show_a_secret_are_the_ones_that_make_or_take_it() -> None:
    shown = {serializer.__name__: set(serializer.shown_once) for serializer in OUT if serializer.shown_once}
    assert shown == {
        "KeyIssuedOut": {"clear"},
        "ClearCodesOut": {"codes"},
        "UpstreamSecretOut": {"value"},
        "HookMadeOut": {"clear"},
    }


def test_every_label_is_used_or_a_secret() -> None:
    """A label that no answer carries would be a leftover."""
    carried = {(serializer.labels_of, name) for serializer in OUT for name in serializer().fields}
    unused = {
        (thing, name)
        for thing, fields in LABELS.items()
        for name, label in fields.items()
        if (thing, name) not in carried and label.label != Label.SECRET
    }
    assert unused == {("source", "address")}


def test_a_field_without_a_label_cannot_be_serialised() -> None:
    class Unlabelled(OutSerializer):
        labels_of = "key"
        favourite_colour = serializers.CharField()

    with pytest.raises(LabelError, match=r"key\.favourite_colour has no label"):
        _ = Unlabelled({"favourite_colour": "green"}).data


def test_a_field_beyond_the_audience_cannot_be_serialised() -> None:
    class Telling(OutSerializer):
        labels_of = "call"
        audience = Label.SUPPORT
        attempts = serializers.JSONField()

    with pytest.raises(LabelError, match=r"call\.attempts is OPERATOR, not for SUPPORT"):
        _ = Telling({"attempts": []}).data


def test_a_secret_is_for_no_audience() -> None:
    with pytest.raises(LabelError):
        check("upstream", ["credential"], Label.OPERATOR)
    with pytest.raises(LabelError):
        check("nothing", ["x"], Label.OPERATOR)
