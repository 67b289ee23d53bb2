"""What lists of the catalogue can be narrowed by."""

import django_filters

from models_catalog.models import AIModel, Modality


class ModelFilter(django_filters.FilterSet):
    search = django_filters.CharFilter(field_name="name", lookup_expr="icontains", label="Part of the name.")
    modality = django_filters.ChoiceFilter(choices=Modality.choices)
    is_active = django_filters.BooleanFilter()

    class Meta:
        model = AIModel
        fields = ("search", "modality", "is_active")
