"""What every API view shares: rights by action, labelled answers, strict input, amounts as strings."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar
from urllib.parse import urlencode

from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers, viewsets
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from config.foundation import labels
from config.foundation.errors import InvalidInput, NotFound
from config.foundation.labels import Label
from config.foundation.money import decimal_usd, parse_usd
from config.foundation.rights import may


def number_in(text: str) -> int:
    """An id from an address; what cannot be one is not found."""
    if not text.isdecimal() or len(text) > 18:
        raise NotFound
    return int(text)


class HasRight(BasePermission):
    """``rights`` of the view names a right per action, "" for everybody who is logged in; an action not named is refused."""

    def has_permission(self, request: Request, view: Any) -> bool:
        if not request.user or not request.user.is_authenticated:
            return False
        # OPTIONS and unknown methods have no action; DRF answers them itself.
        action = getattr(view, "action", None)
        if action is None or action == "metadata":
            return True
        right = view.rights.get(action)
        return right is not None and (right == "" or may(request.user, right))


class PortalViewSet(viewsets.GenericViewSet):
    """Base of all API views: rights by action, answers by labelled serializers."""

    permission_classes = (HasRight,)
    # Views with a filter set name the backend themselves.
    filter_backends: Any = ()
    # Unique columns that a list is paged by, newest first unless said otherwise.
    keyset_ordering: ClassVar[str | tuple[str, ...]] = "-pk"
    rights: ClassVar[Mapping[str, str]] = {}

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        if any("\x00" in value for values in request.query_params.lists() for value in (values[0], *values[1])):
            raise InvalidInput("A query cannot hold a null character.")

    @property
    def actor(self) -> Any:
        """The person who asks, in the terms of the services."""
        return self.request.user

    def page_of(self, queryset: Any, serializer: type[serializers.BaseSerializer]) -> Response:
        """One keyset page of a queryset."""
        rows = self.paginate_queryset(queryset)
        return self.get_paginated_response(serializer(rows, many=True).data)

    def given(self, serializer: type[serializers.Serializer]) -> dict[str, Any]:
        """The checked input of this request."""
        checked = serializer(data=self.request.data)
        checked.is_valid(raise_exception=True)
        return dict(checked.validated_data)

    def keyset_of(self, rows: Sequence[Any], serializer: type[serializers.BaseSerializer], before: Any) -> Response:
        """Rows that a selector paged itself; ``before`` is where the next page begins, empty at the end."""
        following = None
        if before:
            query = {**self.request.query_params.dict(), "before": str(before)}
            following = self.request.build_absolute_uri(f"{self.request.path}?{urlencode(query)}")
        return Response({"next": following, "results": serializer(rows, many=True).data})

    def number_of(self, name: str) -> int | None:
        """A whole number from the query, None when it is not there; raises InvalidInput."""
        text = self.request.query_params.get(name, "")
        if not text:
            return None
        if not text.isdecimal() or len(text) > 18:
            raise InvalidInput(f"{name} must be a whole number.")
        return int(text)


@extend_schema(exclude=True)
class NothingHere(APIView):
    """An address below the API that is none of its own: the same shape of error as everywhere."""

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        raise NotFound


class InSerializer(serializers.Serializer):
    """Input: a field that does not exist is refused instead of ignored, so that no typing error changes money silently."""

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, Mapping):
            writable = {name for name, field in self.fields.items() if not field.read_only}
            unknown = sorted(set(map(str, data)) - writable)
            if unknown:
                raise serializers.ValidationError({name: ["There is no such field."] for name in unknown})
        return super().to_internal_value(data)


class OutSerializer(serializers.Serializer):
    """An answer: every field has a label (config.foundation.labels) that the serializer's audience may see."""

    labels_of: ClassVar[str] = ""
    audience: ClassVar[Label] = Label.CUSTOMER
    # Secrets that this one answer shows, because it is the one that creates them.
    shown_once: ClassVar[frozenset[str]] = frozenset()

    def get_fields(self) -> dict[str, serializers.Field]:
        fields = super().get_fields()
        labels.check(self.labels_of, list(fields), self.audience, self.shown_once)
        return fields


@extend_schema_field({"type": "string", "pattern": r"^-?\d+\.\d{9}$", "example": "12.400000000", "description": "US dollars."})
class UsdOut(serializers.Field):
    """Nano-USD as a decimal string of dollars with nine places."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(read_only=True, **kwargs)

    def to_representation(self, value: int) -> str:
        return decimal_usd(value)


@extend_schema_field({"type": "string", "example": "12.5", "description": "US dollars, at most nine decimal places."})
class UsdIn(serializers.Field):
    """A decimal string of dollars as nano-USD. Numbers are refused: they have lost digits before they arrive."""

    def to_internal_value(self, data: Any) -> int:
        if not isinstance(data, str) or len(data) > 30:
            raise serializers.ValidationError('An amount is a string such as "12.5".')
        try:
            nano = parse_usd(data)
        except ValueError:
            raise serializers.ValidationError('An amount is a string such as "12.5", at most nine decimal places.') from None
        if abs(nano) >= 2**62:
            raise serializers.ValidationError("The amount is too large.")
        return nano
