"""Providers, upstreams, models and the name map on the wire. A credential goes in and never comes out."""

from typing import ClassVar

from rest_framework import serializers

from config.foundation.api_base import InSerializer, OutSerializer
from config.foundation.labels import Label
from models_catalog.models import AIModel, Modality, NameMapEntry, Provider, Upstream


class ModelOut(OutSerializer):
    labels_of = "model"

    id = serializers.IntegerField()
    name = serializers.CharField()
    display_name = serializers.CharField(allow_blank=True)
    modality = serializers.ChoiceField(Modality.choices)
    capabilities = serializers.ListField(child=serializers.CharField())
    context_tokens = serializers.IntegerField(allow_null=True)
    max_output_tokens = serializers.IntegerField(allow_null=True)
    is_active = serializers.BooleanField()


class ModelOperatorOut(ModelOut):
    audience: ClassVar[Label] = Label.OPERATOR

    group_codes = serializers.SerializerMethodField()
    note = serializers.CharField(allow_blank=True)

    def get_group_codes(self, model: AIModel) -> list[str]:
        return sorted(access.group_code for access in model.access.all())


class ModelChangeIn(InSerializer):
    display_name = serializers.CharField(max_length=255, allow_blank=True, required=False)
    modality = serializers.ChoiceField(Modality.choices, required=False)
    capabilities = serializers.ListField(child=serializers.CharField(max_length=32), max_length=50, required=False)
    context_tokens = serializers.IntegerField(min_value=0, max_value=2**31 - 1, allow_null=True, required=False)
    max_output_tokens = serializers.IntegerField(min_value=0, max_value=2**31 - 1, allow_null=True, required=False)
    is_active = serializers.BooleanField(required=False)
    note = serializers.CharField(allow_blank=True, required=False)
    group_codes = serializers.ListField(child=serializers.CharField(max_length=191), max_length=1000, required=False)
    reason = serializers.CharField(max_length=500, allow_blank=True, default="")


class ModelIn(ModelChangeIn):
    name = serializers.CharField(max_length=255)


class ProviderOut(OutSerializer):
    labels_of = "provider"
    audience: ClassVar[Label] = Label.OPERATOR

    id = serializers.IntegerField()
    code = serializers.CharField()
    name = serializers.CharField()
    protocol = serializers.ChoiceField(Provider.Protocol.choices)
    website = serializers.CharField(allow_blank=True)


class ProviderChangeIn(InSerializer):
    name = serializers.CharField(max_length=128, required=False)
    protocol = serializers.ChoiceField(Provider.Protocol.choices, required=False)
    website = serializers.URLField(allow_blank=True, required=False)
    reason = serializers.CharField(max_length=500, allow_blank=True, default="")


class ProviderIn(InSerializer):
    code = serializers.SlugField(max_length=64)
    name = serializers.CharField(max_length=128)
    protocol = serializers.ChoiceField(Provider.Protocol.choices, default=Provider.Protocol.OPENAI)
    website = serializers.URLField(allow_blank=True, default="")
    reason = serializers.CharField(max_length=500, allow_blank=True, default="")


class ServedModelOut(OutSerializer):
    labels_of = "served_model"
    audience: ClassVar[Label] = Label.OPERATOR

    model = serializers.CharField(source="model.name")
    upstream_name = serializers.CharField()


class UpstreamOut(OutSerializer):
    labels_of = "upstream"
    audience: ClassVar[Label] = Label.OPERATOR

    id = serializers.IntegerField()
    name = serializers.CharField()
    provider = serializers.CharField(source="provider.code")
    base_url = serializers.CharField()
    credential_tail = serializers.CharField(allow_blank=True)
    group_codes = serializers.ListField(child=serializers.CharField())
    priority = serializers.IntegerField()
    weight = serializers.IntegerField()
    state = serializers.ChoiceField(Upstream.State.choices)
    timeout_seconds = serializers.IntegerField()
    note = serializers.CharField(allow_blank=True)
    served_models = ServedModelOut(source="served", many=True)


class UpstreamChangeIn(InSerializer):
    name = serializers.CharField(max_length=191, required=False)
    provider = serializers.SlugRelatedField(slug_field="code", queryset=Provider.objects.all(), required=False)
    base_url = serializers.CharField(max_length=500, required=False)
    group_codes = serializers.ListField(child=serializers.CharField(max_length=191), max_length=1000, required=False)
    priority = serializers.IntegerField(min_value=-(2**31), max_value=2**31 - 1, required=False)
    weight = serializers.IntegerField(min_value=0, max_value=2**31 - 1, required=False)
    timeout_seconds = serializers.IntegerField(min_value=1, max_value=86_400, required=False)
    note = serializers.CharField(allow_blank=True, required=False)
    reason = serializers.CharField(max_length=500, allow_blank=True, default="")


class UpstreamIn(InSerializer):
    """``credential`` may be left out; ``needs_credential`` false says that the place wants none."""

    name = serializers.CharField(max_length=191)
    provider = serializers.SlugRelatedField(slug_field="code", queryset=Provider.objects.all())
    base_url = serializers.CharField(max_length=500)
    credential = serializers.CharField(max_length=4000, allow_blank=True, default="", write_only=True)
    needs_credential = serializers.BooleanField(default=True)
    group_codes = serializers.ListField(child=serializers.CharField(max_length=191), max_length=1000, default=list)
    priority = serializers.IntegerField(min_value=-(2**31), max_value=2**31 - 1, default=0)
    weight = serializers.IntegerField(min_value=0, max_value=2**31 - 1, default=1)
    timeout_seconds = serializers.IntegerField(min_value=1, max_value=86_400, default=600)
    note = serializers.CharField(allow_blank=True, default="")
    reason = serializers.CharField(max_length=500, allow_blank=True, default="")


class CredentialIn(InSerializer):
    credential = serializers.CharField(max_length=4000, write_only=True)
    reason = serializers.CharField(max_length=500, allow_blank=True, default="")


class CatalogReasonIn(InSerializer):
    reason = serializers.CharField(max_length=500, allow_blank=True, default="")


class ServedModelsIn(InSerializer):
    """All models the upstream serves from now on: our name to its name, "" for the same."""

    models = serializers.DictField(child=serializers.CharField(max_length=255, allow_blank=True))
    reason = serializers.CharField(max_length=500, allow_blank=True, default="")


class NameMapEntryOut(OutSerializer):
    labels_of = "name_map_entry"

    old_name = serializers.CharField()
    kind = serializers.ChoiceField(NameMapEntry.Kind.choices)
    callable_name = serializers.CharField(source="callable_model.name", default=None, allow_null=True)
    bill_as_called = serializers.BooleanField()
    since_version = serializers.IntegerField(source="from_version_id")


class NameMapEntryOperatorOut(NameMapEntryOut):
    audience: ClassVar[Label] = Label.OPERATOR

    reason = serializers.CharField(allow_blank=True)
    approved_by = serializers.CharField(allow_blank=True)


class NameMapVersionOut(OutSerializer):
    labels_of = "name_map_version"
    audience: ClassVar[Label] = Label.OPERATOR

    number = serializers.IntegerField()
    created_at = serializers.DateTimeField()
    created_by = serializers.CharField()
    reason = serializers.CharField(allow_blank=True)


class NameChangeIn(InSerializer):
    old_name = serializers.CharField(max_length=255, trim_whitespace=False)
    kind = serializers.ChoiceField([*NameMapEntry.Kind.choices, ("remove", "taken out of the map")])
    callable_name = serializers.CharField(max_length=255, allow_blank=True, default="", trim_whitespace=False)
    bill_as_called = serializers.BooleanField(default=True)
    reason = serializers.CharField(allow_blank=True, default="")
    approved_by = serializers.CharField(max_length=191, allow_blank=True, default="")


class NameMapIn(InSerializer):
    """Changes that become one version; ``expected_version`` refuses them when somebody else published meanwhile."""

    changes = NameChangeIn(many=True)
    reason = serializers.CharField(max_length=500)
    expected_version = serializers.IntegerField(min_value=0, required=False, allow_null=True, default=None)
