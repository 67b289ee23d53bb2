"""Every address of the portal; the unified entry (/v1, /api/v1) is answered by the relay, not by Django."""

from django.contrib import admin
from django.contrib.auth.decorators import login_required
from django.urls import include, path
from drf_spectacular.views import SpectacularSwaggerSplitView

from config import admin_site
from config.api_description import DescriptionView
from config.foundation.api_base import NothingHere

admin.autodiscover()
admin_site.set_up()
# A page, so somebody who is not signed in is led to the entrance instead of being refused.
_docs = SpectacularSwaggerSplitView.as_view(url_name="api_schema", template_name="api_docs.html", title="Gateway portal API")

urlpatterns = [
    path("accounts/", include("allauth.urls")),
    path("admin/", admin.site.urls),
    path("api/portal/schema/", DescriptionView.as_view(), name="api_schema"),
    path("api/portal/docs/", login_required(_docs), name="api_docs"),
    path("api/portal/", include("accounts.api.urls")),
    path("api/portal/", include("models_catalog.api.urls")),
    path("api/portal/", include("keys.api.urls")),
    path("api/portal/", include("billing.api.urls")),
    path("api/portal/", include("gateway.api.urls")),
    path("api/portal/", include("migrations_center.api.urls")),
    path("api/portal/<path:rest>", NothingHere.as_view()),
    path("dp/v1/", include("gateway.planes.api.urls")),
    path("", include("config.pages.urls")),
    path("", include("config.pages.base_url")),
    path("", include("accounts.urls")),
    path("", include("models_catalog.urls")),
    path("", include("keys.urls")),
    path("", include("billing.urls")),
    path("", include("gateway.urls")),
    path("", include("migrations_center.urls")),
]
