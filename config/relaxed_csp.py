"""The two places whose packages need more than our own strict policy, and nothing else gets it.

Unfold runs Alpine expressions (``unsafe-eval``) and sets inline styles; Swagger UI sets inline styles. Our own pages use
neither (docs/decisions/0005).
"""

from collections.abc import Callable

from csp.constants import SELF, UNSAFE_EVAL, UNSAFE_INLINE
from django.http import HttpRequest, HttpResponse

RELAXED: tuple[tuple[str, dict[str, list[str]]], ...] = (
    ("/admin/", {"script-src": [SELF, UNSAFE_EVAL], "style-src": [SELF, UNSAFE_INLINE]}),
    ("/api/portal/docs/", {"style-src": [SELF, UNSAFE_INLINE]}),
)


class RelaxedPolicyMiddleware:
    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        for prefix, directives in RELAXED:
            if request.path.startswith(prefix):
                response._csp_replace = directives  # type: ignore[attr-defined]
        return response
