"""The table of what a call costs by how it ended: versions for everybody and for single billing groups, never changed."""

from django.db import models
from django.utils.translation import gettext_lazy as _


class OutcomeRuleSet(models.Model):
    """One version of the table, in force from its creation until the next one of the same group.

    ``group_code`` is the payer's group, "" for everybody. A withdrawn version says that the group has no table of its own
    any more.
    """

    group_code = models.CharField(_("payer's group"), max_length=191, blank=True, default="")
    number = models.PositiveIntegerField(_("version"))
    is_withdrawn = models.BooleanField(_("like everybody again"), default=False)
    created_at = models.DateTimeField(_("valid from"), auto_now_add=True)
    created_by = models.CharField(_("by"), max_length=191, blank=True)
    note = models.TextField(_("note"), blank=True)

    class Meta:
        verbose_name = _("billing rule version")
        verbose_name_plural = _("billing rule versions")
        ordering = ("group_code", "-number")
        constraints = [models.UniqueConstraint(fields=["group_code", "number"], name="outcome_rules_once")]

    def __str__(self) -> str:
        return f"{self.group_code or '*'} v{self.number}"


class OutcomeRule(models.Model):
    """What is charged for one way to end."""

    class Event(models.TextChoices):
        COMPLETE = "complete", _("the answer was complete")
        CUT = "cut_after_output", _("the answer broke off")
        TIMEOUT_AFTER = "timeout_after_output", _("the answer took too long and was cut off")
        GONE_AFTER = "client_gone_after_output", _("the client left during the answer")
        GONE_BEFORE = "client_gone_before_output", _("the client left before the answer began")
        FAILED = "failed_before_output", _("it failed before any answer")
        TIMEOUT_BEFORE = "timeout_before_output", _("no answer came in time")
        REFUSED = "refused", _("it was refused and not sent on")

    class Action(models.TextChoices):
        ALL = "all", _("everything used")
        INPUT = "input", _("the input only")
        NOTHING = "nothing", _("nothing")

    rules = models.ForeignKey(OutcomeRuleSet, on_delete=models.PROTECT, related_name="rows", verbose_name=_("version"))
    event = models.CharField(_("how it ended"), max_length=32, choices=Event.choices)
    reported = models.CharField(_("usage reported by the upstream"), max_length=8, choices=Action.choices)
    counted = models.CharField(_("usage counted by us"), max_length=8, choices=Action.choices)

    class Meta:
        verbose_name = _("billing rule")
        verbose_name_plural = _("billing rules")
        constraints = [
            models.UniqueConstraint(fields=["rules", "event"], name="outcome_rule_once"),
            # No result, no charge; and an answer is paid for.
            models.CheckConstraint(
                name="outcome_rule_promises",
                condition=~models.Q(event__in=["failed_before_output", "timeout_before_output", "refused", "complete"])
                | models.Q(event="complete", reported="all", counted="all")
                | (~models.Q(event="complete") & models.Q(reported="nothing", counted="nothing")),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.rules}: {self.event}"
