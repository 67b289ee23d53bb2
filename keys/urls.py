"""Pages of this app."""

from django.urls import URLPattern, URLResolver, path

from keys import views, views_policy, views_profiles

urlpatterns: list[URLPattern | URLResolver] = [
    path("keys/", views.key_list, name="key_list"),
    path("keys/new/", views.key_issue, name="key_issue"),
    path("keys/<int:key_id>/", views.key_detail, name="key_detail"),
    path("keys/<int:key_id>/change/", views.key_change, name="key_change"),
    path("keys/<int:key_id>/rotate/", views.key_rotate, name="key_rotate"),
    path("keys/<int:key_id>/disable/", views.key_disable, name="key_disable"),
    path("keys/<int:key_id>/enable/", views.key_enable, name="key_enable"),
    path("keys/<int:key_id>/revoke/", views.key_revoke, name="key_revoke"),
    path("keys/<int:key_id>/secrets/<int:secret_id>/end/", views.key_secret_revoke, name="key_secret_revoke"),
    path("profiles/", views_profiles.profile_list, name="profile_list"),
    path("profiles/new/", views_profiles.profile_new, name="profile_new"),
    path("profiles/<int:profile_id>/change/", views_profiles.profile_change, name="profile_change"),
    path("profiles/<int:profile_id>/remove/", views_profiles.profile_remove, name="profile_remove"),
    path("profiles/<int:profile_id>/bind/", views_profiles.profile_bind, name="profile_bind"),
    path("policy/", views_policy.policy, name="policy"),
    path("policy/change/", views_policy.policy_change, name="policy_change"),
    path("policy/team/", views_policy.policy_team, name="policy_team"),
    path("policy/reviews/new/", views_policy.policy_review, name="policy_review"),
    path("policy/reviews/<int:review_id>/done/", views_policy.policy_review_done, name="policy_review_done"),
    path("policy/reviews/<int:review_id>/end/", views_policy.policy_review_end, name="policy_review_end"),
]
