"""What lists of keys can be narrowed by."""

import django_filters

from keys.models import ApiKey


class KeyFilter(django_filters.FilterSet):
    state = django_filters.ChoiceFilter(choices=ApiKey.State.choices)
    purpose = django_filters.ChoiceFilter(choices=ApiKey.Purpose.choices)
    route = django_filters.ChoiceFilter(choices=ApiKey.Route.choices)
    tail = django_filters.CharFilter(field_name="secrets__tail", distinct=True, label="Last four characters of a secret.")
    owner_id = django_filters.NumberFilter(field_name="owner_id")
    team_id = django_filters.NumberFilter(field_name="team_id")

    class Meta:
        model = ApiKey
        fields = ("state", "purpose", "route", "tail", "owner_id", "team_id")
