"""API keys and their secrets. A clear secret is never stored; ``secrets.py`` is the only file that touches one."""

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from accounts.models import Group


class ApiKey(models.Model):
    """The right to call: who pays, for what purpose, which models, from where, until when."""

    class Purpose(models.TextChoices):
        PRODUCTION = "production", _("production")
        TEST = "test", _("test")
        SCRIPT = "script", _("script")
        PERSONAL = "personal", _("personal")

    class State(models.TextChoices):
        ACTIVE = "active", _("active")
        DISABLED = "disabled", _("disabled")
        # Stopped by a watch over its spend; whoever manages the key resumes it.
        PAUSED = "paused", _("paused")
        REVOKED = "revoked", _("revoked")

    class Route(models.TextChoices):
        """Where the unified entry sends a call with this key."""

        NEW = "new", _("new entry")
        OLD = "old", _("old entry")
        CLOSED = "closed", _("closed")

    name = models.CharField(_("name"), max_length=191)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("owner"),
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="api_keys",
    )
    team = models.ForeignKey(
        Group, verbose_name=_("team"), null=True, blank=True, on_delete=models.PROTECT, related_name="api_keys"
    )
    # The member who uses a key of the team: the team pays, and the member's own limits in the team count too.
    member = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("member"),
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="team_keys",
    )
    purpose = models.CharField(_("purpose"), max_length=16, choices=Purpose.choices, default=Purpose.PRODUCTION)
    state = models.CharField(_("state"), max_length=16, choices=State.choices, default=State.ACTIVE)
    state_reason = models.CharField(_("why"), max_length=191, blank=True)
    route = models.CharField(_("route"), max_length=8, choices=Route.choices, default=Route.NEW)
    # NULL: every model of the group. An empty list allows none, as New API reads it.
    model_names = ArrayField(models.CharField(max_length=255), verbose_name=_("models"), null=True, blank=True)
    # A key bound to a use profile calls the profile's models, has no list of its own, and follows the profile when it changes.
    profile = models.ForeignKey(
        "UseProfile",
        verbose_name=_("use profile"),
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="keys",
    )
    # Empty: from anywhere. Otherwise CIDR blocks.
    networks = ArrayField(models.CharField(max_length=64), verbose_name=_("networks"), default=list, blank=True)
    # The group whose prices and models apply instead of the owner's; automatic keys try several in order.
    group = models.ForeignKey(
        Group, verbose_name=_("group"), null=True, blank=True, on_delete=models.PROTECT, related_name="keys_pinned"
    )
    auto_group_codes = ArrayField(models.CharField(max_length=191), verbose_name=_("groups tried"), default=list, blank=True)
    # Old products let administrators append "-<channel>" to a key; such a suffix is ignored, for others refused.
    ignores_channel_pin = models.BooleanField(default=False, editable=False)
    expires_at = models.DateTimeField(_("expires"), null=True, blank=True)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    last_used_at = models.DateTimeField(_("last used"), null=True, blank=True)

    class Meta:
        verbose_name = _("API key")
        verbose_name_plural = _("API keys")
        ordering = ("-created_at", "-id")
        constraints = [
            models.CheckConstraint(condition=Q(owner=None) | Q(team=None), name="key_owner_or_team"),
            models.CheckConstraint(condition=Q(member=None) | Q(team__isnull=False), name="key_member_of_team"),
            models.CheckConstraint(condition=Q(profile=None) | Q(model_names=None), name="key_profile_or_own_models"),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def allowed_models(self) -> list[str] | None:
        """What the key is limited to by its profile or its own list; None: every model of its group."""
        return self.profile.model_names if self.profile else self.model_names


class UseProfile(models.Model):
    """What one kind of work calls, written down once: clients send ``alias`` as the model, and the profile says which model
    that is. Keys bound to it call only ``model_names``; ``parameters`` fill in what a request leaves out.

    Without a team it is the house's, open to every key.
    """

    class Use(models.TextChoices):
        WRITING = "writing", _("writing")
        CODING = "coding", _("coding")
        IMAGE = "image", pgettext_lazy("modality", "image")
        VIDEO = "video", _("video")
        BATCH = "batch", _("batch work")

    team = models.ForeignKey(
        Group, verbose_name=_("team"), null=True, blank=True, on_delete=models.PROTECT, related_name="use_profiles"
    )
    use = models.CharField(_("use"), max_length=16, choices=Use.choices)
    name = models.CharField(_("name"), max_length=128)
    alias = models.CharField(_("name that clients call"), max_length=64)
    default_model = models.CharField(_("model it stands for"), max_length=255)
    model_names = ArrayField(models.CharField(max_length=255), verbose_name=_("models"))
    # Names of keys.profile_parameters.PARAMETERS and their values.
    parameters = models.JSONField(_("defaults"), default=dict, blank=True)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    changed_at = models.DateTimeField(_("changed"), auto_now=True)

    class Meta:
        verbose_name = _("use profile")
        verbose_name_plural = _("use profiles")
        ordering = ("name", "pk")
        constraints = [
            models.UniqueConstraint(fields=["team", "alias"], name="use_profile_alias_once", nulls_distinct=False),
            models.CheckConstraint(
                condition=Q(model_names__contains=[models.F("default_model")]), name="use_profile_default_is_allowed"
            ),
        ]

    def __str__(self) -> str:
        return self.name


class KeySecret(models.Model):
    """One accepted secret of a key, as HMAC-SHA256 with a numbered pepper; several overlap during a rotation."""

    class Origin(models.TextChoices):
        ISSUED = "issued", _("issued here")
        IMPORTED = "imported", _("imported")

    key = models.ForeignKey(ApiKey, on_delete=models.CASCADE, related_name="secrets", verbose_name=_("key"))
    digest = models.BinaryField(max_length=32, unique=True, editable=False)
    pepper_number = models.PositiveSmallIntegerField(editable=False)
    tail = models.CharField(_("tail"), max_length=4, db_index=True)
    origin = models.CharField(_("origin"), max_length=16, choices=Origin.choices, default=Origin.ISSUED)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    valid_until = models.DateTimeField(_("valid until"), null=True, blank=True)
    revoked_at = models.DateTimeField(_("revoked"), null=True, blank=True)

    class Meta:
        verbose_name = _("key secret")
        verbose_name_plural = _("key secrets")
        ordering = ("-created_at",)

    def __str__(self) -> str:
        return f"sk-...{self.tail}"


class CallLimit(models.Model):
    """How many calls and tokens a minute, and how many calls at once; each is a stop. Money has limits of its own (billing).

    Whose it is: a key; a use profile (all keys bound to it, together); a person (all keys of their own); a group (everything
    it pays, and the keys of the people who belong to it, together); or, with person and group, one member of a team (the
    team's keys that are this member's).
    """

    key = models.ForeignKey(
        ApiKey, verbose_name=_("key"), null=True, blank=True, on_delete=models.CASCADE, related_name="call_limits"
    )
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("person"),
        null=True,
        blank=True,
        on_delete=models.CASCADE,
        related_name="call_limits",
    )
    group = models.ForeignKey(
        Group, verbose_name=_("group"), null=True, blank=True, on_delete=models.CASCADE, related_name="call_limits"
    )
    profile = models.OneToOneField(
        UseProfile, verbose_name=_("use profile"), null=True, blank=True, on_delete=models.CASCADE, related_name="call_limit"
    )
    requests_per_minute = models.PositiveIntegerField(_("calls a minute"), null=True, blank=True)
    tokens_per_minute = models.PositiveIntegerField(_("tokens a minute"), null=True, blank=True)
    parallel_calls = models.PositiveIntegerField(_("calls at once"), null=True, blank=True)
    changed_at = models.DateTimeField(_("changed"), auto_now=True)

    class Meta:
        verbose_name = _("call limit")
        verbose_name_plural = _("call limits")
        constraints = [
            models.UniqueConstraint(fields=["key", "user", "group", "profile"], name="call_limit_once", nulls_distinct=False),
            models.CheckConstraint(
                condition=Q(key__isnull=False, user=None, group=None, profile=None)
                | Q(key=None, user=None, group=None, profile__isnull=False)
                | (Q(key=None, profile=None) & (Q(user__isnull=False) | Q(group__isnull=False))),
                name="call_limit_of_one",
            ),
            models.CheckConstraint(
                condition=Q(requests_per_minute__gte=1) | Q(tokens_per_minute__gte=1) | Q(parallel_calls__gte=1),
                name="call_limit_says_something",
            ),
            models.CheckConstraint(
                condition=(Q(requests_per_minute=None) | Q(requests_per_minute__gte=1))
                & (Q(tokens_per_minute=None) | Q(tokens_per_minute__gte=1))
                & (Q(parallel_calls=None) | Q(parallel_calls__gte=1)),
                name="call_limit_positive",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.key or ''}{self.user or ''}{self.group or ''}{self.profile or ''}"


class AccessPolicy(models.Model):
    """The one policy in force: who may create keys, and what teams without a line of their own may spend. Row number 1."""

    class Issuers(models.TextChoices):
        EVERYBODY = "everybody", _("everybody, for themselves and for teams they own")
        TEAM_OWNERS = "team_owners", _("owners of a team and operators")
        OPERATORS = "operators", _("operators, and the people named below")

    class Money(models.TextChoices):
        """Which money calls of a team may spend; test money is what keys of purpose test spend."""

        ANY = "any", _("production and test balance")
        PRODUCTION = "production", _("production balance only")
        TEST = "test", _("test balance only")

    issuers = models.CharField(_("who may create keys"), max_length=16, choices=Issuers.choices, default=Issuers.EVERYBODY)
    named_issuers = models.ManyToManyField(
        settings.AUTH_USER_MODEL, verbose_name=_("also these people"), blank=True, related_name="+"
    )
    team_money = models.CharField(_("teams not listed may spend"), max_length=16, choices=Money.choices, default=Money.ANY)
    text = models.TextField(_("the policy in words"), blank=True)
    changed_at = models.DateTimeField(_("changed"), auto_now=True)

    class Meta:
        verbose_name = _("access policy")
        verbose_name_plural = _("access policy")
        constraints = [models.CheckConstraint(condition=Q(pk=1), name="access_policy_one")]

    def __str__(self) -> str:
        return str(self.get_issuers_display())


class TeamPolicy(models.Model):
    """What one team may spend, whatever the policy says for teams that are not listed."""

    group = models.OneToOneField(
        Group, primary_key=True, on_delete=models.CASCADE, related_name="money_policy", verbose_name=_("team")
    )
    money = models.CharField(_("may spend"), max_length=16, choices=AccessPolicy.Money.choices)

    class Meta:
        verbose_name = _("policy of a team")
        verbose_name_plural = _("policies of teams")

    def __str__(self) -> str:
        return f"{self.group}: {self.get_money_display()}"


class QuotaReview(models.Model):
    """Somebody who looks at the quota of a group, or of everybody, and when next. A date that passed makes a notice, once."""

    group = models.ForeignKey(
        Group, verbose_name=_("group"), null=True, blank=True, on_delete=models.CASCADE, related_name="quota_reviews"
    )
    reviewer = models.ForeignKey(
        settings.AUTH_USER_MODEL, verbose_name=_("reviewer"), on_delete=models.PROTECT, related_name="quota_reviews"
    )
    every_days = models.PositiveSmallIntegerField(_("every so many days"), default=90)
    next_on = models.DateField(_("next on"))
    noticed_on = models.DateField(_("notice sent"), null=True, blank=True)
    last_done_at = models.DateTimeField(_("last done"), null=True, blank=True)
    last_note = models.TextField(_("what was found"), blank=True)

    class Meta:
        verbose_name = _("quota review")
        verbose_name_plural = _("quota reviews")
        ordering = ("next_on", "pk")
        constraints = [
            models.UniqueConstraint(fields=["group"], name="quota_review_once", nulls_distinct=False),
            models.CheckConstraint(condition=Q(every_days__gte=1), name="quota_review_comes_again"),
        ]

    def __str__(self) -> str:
        return f"{self.group or '*'}: {self.next_on}"
