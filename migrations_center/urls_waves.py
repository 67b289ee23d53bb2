"""Addresses of the pages of plans and waves."""

from django.urls import URLPattern, URLResolver, path

from migrations_center import views_keys
from migrations_center import views_wave_acts as acts
from migrations_center import views_waves as views

urlpatterns: list[URLPattern | URLResolver] = [
    path("migrations/", views.migration_overview, name="migration_overview"),
    path("migrations/plans/new/", views.plan_create, name="plan_create"),
    path("migrations/plans/<int:plan_id>/", views.plan_detail, name="plan_detail"),
    path("migrations/plans/<int:plan_id>/waves/new/", views.wave_create, name="wave_create"),
    path("migrations/still-on-the-old-entry/", views.leftover_list, name="leftover_list"),
    path("migrations/waves/", views.wave_list, name="wave_list"),
    path("migrations/waves/<int:wave_id>/", views.wave_detail, name="wave_detail"),
    path("migrations/waves/<int:wave_id>/progress/", views.wave_progress, name="wave_progress"),
    path("migrations/waves/<int:wave_id>/edit/", views.wave_edit, name="wave_edit"),
    path("migrations/waves/<int:wave_id>/people/", views.wave_members_add, name="wave_members_add"),
    path("migrations/waves/<int:wave_id>/people/<int:person_id>/remove/", views.wave_member_remove, name="wave_member_remove"),
    path("migrations/waves/<int:wave_id>/keys/", views_keys.wave_keys, name="wave_keys"),
    path("migrations/waves/<int:wave_id>/keys/ask/", views_keys.wave_keys_ask, name="wave_keys_ask"),
    path("migrations/waves/<int:wave_id>/ready/", acts.wave_ready, name="wave_ready"),
    path("migrations/waves/<int:wave_id>/notify/", acts.wave_notify, name="wave_notify"),
    path("migrations/waves/<int:wave_id>/switch/", acts.wave_switch, name="wave_switch"),
    path("migrations/waves/<int:wave_id>/go-back/", acts.wave_go_back, name="wave_go_back"),
    path("migrations/waves/<int:wave_id>/settle/", acts.wave_settle, name="wave_settle"),
    path("migrations/waves/<int:wave_id>/reopen/", acts.wave_reopen, name="wave_reopen"),
    path("migrations/waves/<int:wave_id>/delete/", acts.wave_delete, name="wave_delete"),
    path("migrations/waves/<int:wave_id>/again/", views.wave_again, name="wave_again"),
    path("migrations/waves/<int:wave_id>/notices/", views.wave_notices, name="wave_notices"),
    path("migrations/waves/<int:wave_id>/notices/<uuid:mail_id>/", views.wave_notice_resend, name="wave_notice_resend"),
]
