"""People, the groups they belong to, and invitations."""

from typing import Any, ClassVar

from django.contrib.auth.models import AbstractUser, UserManager
from django.db import models
from django.db.models import Q
from django.db.models.functions import Lower
from django.utils.translation import gettext_lazy as _


class Role(models.TextChoices):
    """What a person may do in the portal; team rights come from ``GroupMembership``."""

    USER = "user", _("User")
    ADMIN = "admin", _("Administrator")
    OPS = "ops", _("Operations")
    DEVELOPER = "developer", _("Developer")
    SUPPORT = "support", _("Support")
    FINANCE = "finance", _("Finance")
    CONTENT_LEAD = "content_lead", _("Content lead")


STAFF_ROLES = (Role.ADMIN, Role.OPS, Role.SUPPORT, Role.FINANCE)


class Group(models.Model):
    """A team with members, or a price class carried over from an old gateway; a person has one billing group."""

    class Kind(models.TextChoices):
        TEAM = "team", _("Team")
        PRICE_CLASS = "price_class", _("Price class")

    # Groups of an old gateway are "<source>/<group>", so that two sources with a "default" never share prices.
    code = models.CharField(_("code"), max_length=191, unique=True)
    name = models.CharField(_("name"), max_length=191)
    kind = models.CharField(_("kind"), max_length=16, choices=Kind.choices, default=Kind.TEAM)
    description = models.TextField(_("description"), blank=True)
    is_active = models.BooleanField(_("active"), default=True)
    # Group codes that members may pick for a key of theirs, in the order an automatic key tries them.
    usable_codes = models.JSONField(_("usable groups"), default=list, blank=True)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)

    class Meta:
        verbose_name = _("group")
        verbose_name_plural = _("groups")
        ordering = ("code",)

    def __str__(self) -> str:
        return self.name or self.code


class PersonManager(UserManager["User"]):
    """Looks people up by user name or e-mail address, whatever the case."""

    def get_by_natural_key(self, username: str | None) -> "User":
        return self.get(username=username)

    def create_superuser(self, username: str, email: str | None = None, password: str | None = None, **extra: Any) -> "User":
        """``manage.py createsuperuser`` makes an administrator: here rights come from the role."""
        return super().create_superuser(username, email, password, **{**extra, "role": Role.ADMIN})


class User(AbstractUser):
    """A person. ``is_staff`` follows the role (a constraint says so); a deleted person keeps the row and can do nothing."""

    class State(models.TextChoices):
        ENABLED = "enabled", _("enabled")
        DISABLED = "disabled", _("disabled")
        DELETED = "deleted", _("deleted")

    username = models.CharField(_("user name"), max_length=191, unique=True)
    email = models.EmailField(_("e-mail address"), blank=True)
    display_name = models.CharField(_("display name"), max_length=191, blank=True)
    role = models.CharField(_("role"), max_length=16, choices=Role.choices, default=Role.USER)
    state = models.CharField(_("state"), max_length=16, choices=State.choices, default=State.ENABLED)
    billing_group = models.ForeignKey(
        Group, verbose_name=_("billing group"), null=True, blank=True, on_delete=models.PROTECT, related_name="people"
    )
    language = models.CharField(
        _("language"), max_length=16, default="en", choices=[("en", "English"), ("zh-hans", "简体中文")]
    )
    time_zone = models.CharField(_("time zone"), max_length=64, default="UTC")
    first_name = None  # type: ignore[assignment]
    last_name = None  # type: ignore[assignment]

    objects: ClassVar[PersonManager] = PersonManager()  # type: ignore[assignment]

    class Meta:
        verbose_name = _("person")
        verbose_name_plural = _("people")
        ordering = ("username",)
        constraints = [
            models.UniqueConstraint(Lower("email"), condition=~Q(email=""), name="user_email_once"),
            models.CheckConstraint(
                condition=Q(is_staff=True, role__in=STAFF_ROLES) | (Q(is_staff=False) & ~Q(role__in=STAFF_ROLES)),
                name="user_staff_follows_role",
            ),
            models.CheckConstraint(
                condition=Q(is_active=True, state="enabled") | (Q(is_active=False) & ~Q(state="enabled")),
                name="user_active_follows_state",
            ),
        ]

    def __str__(self) -> str:
        return self.display_name or self.username

    def get_full_name(self) -> str:
        return self.display_name or self.username

    def get_short_name(self) -> str:
        return self.username


class GroupMembership(models.Model):
    """A person in a team."""

    class TeamRole(models.TextChoices):
        OWNER = "owner", _("Owner")
        MEMBER = "member", _("Member")

    group = models.ForeignKey(Group, on_delete=models.CASCADE, related_name="memberships", verbose_name=_("group"))
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="memberships", verbose_name=_("user"))
    team_role = models.CharField(_("role in the team"), max_length=16, choices=TeamRole.choices, default=TeamRole.MEMBER)
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)

    class Meta:
        verbose_name = _("team membership")
        verbose_name_plural = _("team memberships")
        constraints = [models.UniqueConstraint(fields=["group", "user"], name="group_member_once")]

    def __str__(self) -> str:
        return f"{self.user} / {self.group}"


class Invitation(models.Model):
    """A mailed link that lets a person set up an account; only the digest of its token is kept."""

    email = models.EmailField(_("e-mail address"))
    role = models.CharField(_("role"), max_length=16, choices=Role.choices, default=Role.USER)
    group = models.ForeignKey(
        Group, null=True, blank=True, on_delete=models.CASCADE, related_name="invitations", verbose_name=_("group")
    )
    team_role = models.CharField(
        _("team role"), max_length=16, choices=GroupMembership.TeamRole.choices, default=GroupMembership.TeamRole.MEMBER
    )
    language = models.CharField(_("language"), max_length=16, default="en")
    token_digest = models.BinaryField(max_length=32, unique=True, editable=False)
    invited_by = models.ForeignKey(
        User, on_delete=models.PROTECT, related_name="invitations_sent", verbose_name=_("invited by")
    )
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)
    expires_at = models.DateTimeField(_("expires at"))
    accepted_at = models.DateTimeField(_("accepted at"), null=True, blank=True)
    accepted_by = models.ForeignKey(User, null=True, blank=True, on_delete=models.PROTECT, related_name="invitations_accepted")

    class Meta:
        verbose_name = _("invitation")
        verbose_name_plural = _("invitations")
        ordering = ("-created_at",)

    def __str__(self) -> str:
        return self.email
