"""What a client gets that calls the unified entry without /v1: the mistake by its name, in the shape its library reads."""

from django.conf import settings
from django.http import HttpRequest, JsonResponse
from django.urls import re_path
from django.utils.translation import gettext as _
from django.views.decorators.csrf import csrf_exempt

# Addresses of OpenAI's and Anthropic's protocols that no page of the portal has.
LACKING_V1 = (
    r"^(?:chat/completions|completions|responses|messages|embeddings|moderations|rerank"
    r"|images/(?:generations|edits|variations)|audio/(?:speech|transcriptions|translations))/?$"
)


@csrf_exempt
def base_url_without_v1(request: HttpRequest) -> JsonResponse:
    """The body is not read: it is nobody's call yet, and nothing of it is kept."""
    base = settings.PUBLIC_URL.rstrip("/")
    message = _(
        "The base URL of your client lacks /v1. Set it to %(base)s/v1 (for Anthropic's libraries: %(base)s, they add /v1 "
        "themselves). Not charged."
    )
    error = {"message": message % {"base": base}, "type": "invalid_request_error", "param": None, "code": "base_url_without_v1"}
    return JsonResponse({"error": error}, status=404)


urlpatterns = [re_path(LACKING_V1, base_url_without_v1, name="base_url_without_v1")]
