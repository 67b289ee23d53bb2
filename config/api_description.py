"""The description of the API as a file: made once in a process, as it is the same for everybody and half a second's work."""

from typing import Any

from django.http import HttpResponse
from django.utils.translation import get_language
from drf_spectacular.views import SpectacularAPIView
from rest_framework.request import Request

# By language and format: labels of fields are translated. Code and texts change with a new process only.
_kept: dict[tuple[str | None, str], bytes] = {}


class DescriptionView(SpectacularAPIView):
    def _get_schema_response(self, request: Request) -> HttpResponse:
        renderer: Any = request.accepted_renderer
        key = (get_language(), renderer.media_type)
        if key not in _kept:
            made = super()._get_schema_response(request)
            body = renderer.render(made.data, renderer.media_type, {"response": made, "request": request, "view": self})
            _kept[key] = body if isinstance(body, bytes) else str(body).encode()
        name = self._get_filename(request, None)
        headers = {"Content-Disposition": f'inline; filename="{name}"', "Vary": "Accept, Accept-Language"}
        return HttpResponse(_kept[key], content_type=f"{renderer.media_type}; charset=utf-8", headers=headers)
