"""Use profiles for programs."""

from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.status import HTTP_201_CREATED, HTTP_204_NO_CONTENT

from accounts import selectors as people
from config.foundation.api_base import PortalViewSet, number_in
from config.foundation.errors import NotFound
from keys import selectors_profiles as selectors
from keys import services_profiles as services
from keys.api.serializers import ProfileChangeIn, ProfileIn, ProfileOut
from keys.models import UseProfile


class ProfileViewSet(PortalViewSet):
    """The house's profiles and those of one's teams; owners of a team and operators write them."""

    queryset = UseProfile.objects.none()
    serializer_class = ProfileOut
    lookup_value_regex = r"\d+"
    rights: ClassVar = dict.fromkeys(("list", "retrieve", "create", "partial_update", "destroy"), "")

    @extend_schema(responses=ProfileOut(many=True))
    def list(self, request: Request) -> Response:
        return self.page_of(selectors.profiles_for(self.actor), ProfileOut)

    def retrieve(self, request: Request, pk: str) -> Response:
        return Response(ProfileOut(self._profile(pk)).data)

    @extend_schema(request=ProfileIn, responses={201: ProfileOut})
    def create(self, request: Request) -> Response:
        given = self.given(ProfileIn)
        team_id = given.pop("team_id")
        team = people.teams_for(self.actor).filter(pk=team_id).first() if team_id else None
        if team_id and team is None:
            raise NotFound
        profile = services.create_profile(actor=self.actor, team=team, **given)
        return Response(ProfileOut(self._profile(str(profile.pk))).data, status=HTTP_201_CREATED)

    @extend_schema(request=ProfileChangeIn, responses=ProfileOut)
    def partial_update(self, request: Request, pk: str) -> Response:
        given: dict[str, Any] = self.given(ProfileChangeIn)
        services.change_profile(actor=self.actor, profile=self._profile(pk), **given)
        return Response(ProfileOut(self._profile(pk)).data)

    def destroy(self, request: Request, pk: str) -> Response:
        services.remove_profile(actor=self.actor, profile=self._profile(pk))
        return Response(status=HTTP_204_NO_CONTENT)

    def _profile(self, pk: str) -> UseProfile:
        return selectors.profile_for(self.actor, number_in(pk))
