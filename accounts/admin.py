"""People, groups, invitations, audit events and mails in the admin."""

from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.contrib.admin import display
from django.db.models import Count, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action

from accounts.models import AuditEvent, Group, GroupMembership, Invitation, OutboundMail, User
from accounts.services import invitations, mail, people, teams
from accounts.services.sealed_text import hidden
from config.foundation.admin import PortalAdmin, ReadOnlyAdmin, ReadOnlyInline, json_column


class MembershipInline(ReadOnlyInline):
    model = GroupMembership
    fields = ("user", "team_role", "created_at")
    readonly_fields = fields
    autocomplete_fields = ("user",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[GroupMembership]:
        return super().get_queryset(request).select_related("user", "group")


class TeamsOfPersonInline(MembershipInline):
    fields = ("group", "team_role", "created_at")
    readonly_fields = fields


@admin.register(User)
class UserAdmin(PortalAdmin):
    """A person without password and without money; the role goes through its service."""

    view_right = "people.view"
    change_right = "people.manage"
    add_right = "people.manage"
    act_right = "people.manage"
    list_display = ("username", "email", "display_name", "role", "state", "billing_group", "last_login")
    list_filter = ("role", "state", "language")
    list_select_related = ("billing_group",)
    search_fields = ("username", "email", "display_name")
    ordering = ("username",)
    fields = (
        "username",
        "email",
        "display_name",
        "role",
        "state",
        "billing_group",
        "language",
        "time_zone",
        "date_joined",
        "last_login",
    )
    readonly_fields = ("username", "email", "state", "billing_group", "date_joined", "last_login")
    inlines: ClassVar[list[Any]] = [TeamsOfPersonInline]
    actions = ("enable", "disable")

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return self.fields if obj else ("username", "email", "display_name", "role", "language", "time_zone")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return self.readonly_fields if obj else ()

    def get_inlines(self, request: HttpRequest, obj: Any) -> list[Any]:
        return self.inlines if obj else []

    def write(self, request: Any, instance: User | None, form: forms.ModelForm, change: bool) -> User:
        data = form.cleaned_data
        if instance is None:
            return people.create_person(actor=request.user, **data)
        people.set_role(actor=request.user, person=instance, role=data["role"])
        return people.change_profile(
            actor=request.user,
            person=instance,
            language=data["language"],
            time_zone=data["time_zone"],
            display_name=data["display_name"],
        )

    @action(description=_("Enable"), permissions=["act"])
    def enable(self, request: Any, queryset: QuerySet[User]) -> None:
        self.run_action(request, queryset, lambda person: people.enable_person(actor=request.user, person=person))

    @action(description=_("Disable"), permissions=["act"])
    def disable(self, request: Any, queryset: QuerySet[User]) -> None:
        self.run_action(request, queryset, lambda person: people.disable_person(actor=request.user, person=person))


@admin.register(Group)
class GroupAdmin(PortalAdmin):
    view_right = "people.view"
    change_right = "teams.manage"
    add_right = "teams.manage"
    list_display = ("code", "name", "kind", "is_active", "member_count", "created_at")
    list_filter = ("kind", "is_active")
    search_fields = ("code", "name")
    fields = ("code", "name", "kind", "description", "is_active", "usable_codes", "created_at")
    readonly_fields = ("code", "kind", "description", "is_active", "usable_codes", "created_at")
    inlines: ClassVar[list[Any]] = [MembershipInline]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Group]:
        return super().get_queryset(request).annotate(members=Count("memberships"))

    @display(description=_("members"), ordering="members")
    def member_count(self, group: Any) -> int:
        return int(group.members)

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return self.fields if obj else ("code", "name", "description")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return self.readonly_fields if obj else ()

    def get_inlines(self, request: HttpRequest, obj: Any) -> list[Any]:
        return self.inlines if obj else []

    def write(self, request: Any, instance: Group | None, form: forms.ModelForm, change: bool) -> Group:
        if instance is None:
            return teams.create_team(actor=request.user, **form.cleaned_data)
        return teams.rename_team(actor=request.user, group=instance, name=form.cleaned_data["name"])


@admin.register(GroupMembership)
class GroupMembershipAdmin(PortalAdmin):
    view_right = "people.view"
    change_right = "teams.manage"
    add_right = "teams.manage"
    act_right = "teams.manage"
    list_display = ("group", "user", "team_role", "created_at")
    list_filter = ("team_role",)
    list_select_related = ("group", "user")
    search_fields = ("group__code", "group__name", "user__username", "user__email")
    fields = ("group", "user", "team_role")
    autocomplete_fields = ("group", "user")
    actions = ("take_out",)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return ("group", "user") if obj else ()

    def write(self, request: Any, instance: GroupMembership | None, form: forms.ModelForm, change: bool) -> GroupMembership:
        data = form.cleaned_data
        if instance is None:
            return teams.add_member(actor=request.user, group=data["group"], person=data["user"], team_role=data["team_role"])
        return teams.set_team_role(actor=request.user, group=instance.group, person=instance.user, team_role=data["team_role"])

    @action(description=_("Take out of the team"), permissions=["act"])
    def take_out(self, request: Any, queryset: QuerySet[GroupMembership]) -> None:
        rows = queryset.select_related("group", "user")
        self.run_action(request, rows, lambda row: teams.remove_member(actor=request.user, group=row.group, person=row.user))


@admin.register(Invitation)
class InvitationAdmin(PortalAdmin):
    """The token is nowhere: it left with the mail, only its digest is kept."""

    view_right = "people.manage"
    add_right = "people.manage"
    act_right = "people.manage"
    list_display = ("email", "role", "group", "invited_by", "created_at", "expires_at", "accepted_at")
    list_filter = ("role",)
    list_select_related = ("group", "invited_by")
    search_fields = ("email",)
    fields = ("email", "role", "group", "team_role", "language")
    autocomplete_fields = ("group",)
    actions = ("withdraw",)

    def write(self, request: Any, instance: Invitation | None, form: forms.ModelForm, change: bool) -> Invitation:
        return invitations.invite(actor=request.user, **form.cleaned_data)

    @action(description=_("Withdraw"), permissions=["act"])
    def withdraw(self, request: Any, queryset: QuerySet[Invitation]) -> None:
        rows = queryset.select_related("group")
        self.run_action(request, rows, lambda row: invitations.withdraw(actor=request.user, invitation=row))


@admin.register(AuditEvent)
class AuditEventAdmin(ReadOnlyAdmin):
    view_right = "audit.view"
    list_display = ("at", "actor_name", "action", "object_type", "object_label", "reason")
    # Filters by action or object would list all distinct values of the whole trail: they are searched for instead.
    list_filter = ("at",)
    search_fields = ("actor_name__exact", "action__exact", "object_type__exact", "object_id__exact", "request_id__exact")
    search_help_text = _("Exact user name, action, kind of object, object id or request id.")
    fields = (
        "at",
        "actor_name",
        "action",
        "object_type",
        "object_id",
        "object_label",
        json_column("before", _("before")),
        json_column("after", _("after")),
        "reason",
        "request_id",
    )


@admin.register(OutboundMail)
class OutboundMailAdmin(ReadOnlyAdmin):
    view_right = "mail.view"
    act_right = "mail.manage"
    list_display = ("created_at", "kind", "to_address", "language", "subject", "state", "attempts", "sent_at")
    list_filter = ("state", "created_at")
    search_fields = ("to_address", "kind__exact", "dedupe_key__exact")
    fields = (
        "to_address",
        "kind",
        "language",
        "subject",
        "text_without_links",
        "state",
        "attempts",
        "created_at",
        "next_attempt_at",
        "sent_at",
        "last_error",
    )
    actions = ("send_again",)

    @display(description=_("text"))
    def text_without_links(self, row: OutboundMail) -> str:
        """The text as it was sent; a link that opens something (an invitation, a reset) stays sealed."""
        return hidden(row.text, "***")

    @action(description=_("Send again"), permissions=["act"])
    def send_again(self, request: Any, queryset: QuerySet[OutboundMail]) -> None:
        self.run_action(request, queryset, lambda row: mail.resend_mail(actor=request.user, mail=row))
