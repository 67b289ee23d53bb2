"""Pages of this app."""

from django.urls import URLPattern, URLResolver, path

from accounts.views import invitations, people, profile, records, teams

urlpatterns: list[URLPattern | URLResolver] = [
    path("profile/", profile.profile, name="profile"),
    path("teams/", teams.team_list, name="team_list"),
    path("teams/new/", teams.team_create, name="team_create"),
    path("teams/<int:team_id>/", teams.team_detail, name="team_detail"),
    path("teams/<int:team_id>/invite/", teams.team_invite, name="team_invite"),
    path("teams/<int:team_id>/people/<int:person_id>/role/", teams.team_member_role, name="team_member_role"),
    path("teams/<int:team_id>/people/<int:person_id>/remove/", teams.team_member_remove, name="team_member_remove"),
    path("people/", people.person_list, name="person_list"),
    path("people/<int:person_id>/", people.person_detail, name="person_detail"),
    path("people/<int:person_id>/role/", people.person_role, name="person_role"),
    path("people/<int:person_id>/disable/", people.person_disable, name="person_disable"),
    path("people/<int:person_id>/enable/", people.person_enable, name="person_enable"),
    path("invitations/", invitations.invitation_list, name="invitation_list"),
    path("invitations/new/", people.invitation_create, name="invitation_create"),
    path("invitations/accept/", invitations.invitation_accept, name="invitation_accept"),
    path("invitations/<int:invitation_id>/withdraw/", invitations.invitation_withdraw, name="invitation_withdraw"),
    path("invitations/open/<str:token>/", invitations.invitation_open, name="invitation_open"),
    path("mails/", records.mail_list, name="mail_list"),
    path("mails/<uuid:mail_id>/", records.mail_detail, name="mail_detail"),
    path("mails/<uuid:mail_id>/send-again/", records.mail_resend, name="mail_resend"),
    path("audit/", records.audit_list, name="audit_list"),
]
