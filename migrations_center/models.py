"""Sources, import runs, what became of every row, plans, waves and their members."""

import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from accounts.models import OutboundMail
from billing.models import LedgerEntry
from gateway.models import OldEntry
from keys.models import ApiKey


class Source(models.Model):
    """An old gateway's database. Its address is kept without the password, a file by its digest."""

    class Product(models.TextChoices):
        ONE_API = "one_api", "One API"
        NEW_API = "new_api", "New API"

    class Kind(models.TextChoices):
        FILE = "file", _("file")
        DATABASE = "database", _("database")

    # Short and stable: part of group codes, account origins and idempotency keys.
    code = models.SlugField(_("code"), max_length=40, unique=True)
    name = models.CharField(_("name"), max_length=128)
    product = models.CharField(_("product"), max_length=16, choices=Product.choices)
    kind = models.CharField(_("kind"), max_length=16, choices=Kind.choices)
    # Tells the same installation again: a digest over stable facts (sources/identity.py), never an address.
    fingerprint = models.CharField(max_length=64, unique=True)
    address = models.CharField(_("address"), max_length=500, blank=True, help_text=_("Without user name and password."))
    old_entry = models.ForeignKey(
        OldEntry, null=True, blank=True, on_delete=models.PROTECT, related_name="sources", verbose_name=_("old entry")
    )
    quota_per_unit = models.CharField(_("units per dollar"), max_length=40, default="500000")
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)

    class Meta:
        verbose_name = _("source")
        verbose_name_plural = _("sources")

    def __str__(self) -> str:
        return self.name


class ImportRun(models.Model):
    """One reading of a source: previewed (writes nothing else), then applied; stoppable and resumable."""

    class State(models.TextChoices):
        READING = "reading", _("reading")
        PREVIEWED = "previewed", _("previewed")
        APPLYING = "applying", _("applying")
        STOPPING = "stopping", _("stopping")
        STOPPED = "stopped", _("stopped")
        APPLIED = "applied", _("applied")
        REFUSED = "refused", _("refused")
        FAILED = "failed", _("failed")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    source = models.ForeignKey(Source, null=True, on_delete=models.PROTECT, related_name="runs", verbose_name=_("source"))
    state = models.CharField(_("state"), max_length=12, choices=State.choices, default=State.READING)
    started_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+", verbose_name=_("started by")
    )
    created_at = models.DateTimeField(_("started"), auto_now_add=True)
    applied_at = models.DateTimeField(_("applied"), null=True, blank=True)
    heartbeat_at = models.DateTimeField(null=True, blank=True)
    # SHA-256 over everything read that is carried; the same snapshot gives the same digest.
    snapshot_digest = models.CharField(_("snapshot digest"), max_length=64, blank=True)
    # Uploaded files, relative to VAR_DIR/imports; removed after the run.
    file_name = models.CharField(max_length=255, blank=True)
    log_file_name = models.CharField(max_length=255, blank=True)
    # Decisions of the operator: {"include_preset_grant": false, "with_upstream_secrets": false, "upstream": "demo"}
    options = models.JSONField(_("options"), default=dict)
    # The report whose shape is fixed (docs/migration-guide.md) plus "decisions", "differences" and "warnings".
    report = models.JSONField(default=dict)
    # {"users": {"done": n, "total": n}, ...}
    progress = models.JSONField(default=dict)
    error = models.TextField(_("error"), blank=True)

    class Meta:
        verbose_name = _("import run")
        verbose_name_plural = _("import runs")
        ordering = ("-created_at",)
        indexes = [models.Index(fields=["-created_at", "-id"], name="import_run_newest")]

    def __str__(self) -> str:
        return f"{self.source or '?'} {self.created_at:%Y-%m-%d %H:%M}"


class ImportedRow(models.Model):
    """Which of our rows a row of the source became. Written in the transaction that writes ours."""

    source = models.ForeignKey(Source, on_delete=models.PROTECT, related_name="rows", verbose_name=_("source"))
    table = models.CharField(max_length=64)
    row_id = models.CharField(max_length=64)
    target_type = models.CharField(max_length=64)
    target_id = models.CharField(max_length=64)
    # SHA-256 of the carried fields, to tell an unchanged row; never holds a secret in clear.
    digest = models.CharField(max_length=64)
    # Figures that later steps need, e.g. {"quota": "1234"}.
    figures = models.JSONField(default=dict)
    first_run = models.ForeignKey(ImportRun, on_delete=models.PROTECT, related_name="rows_created")
    last_run = models.ForeignKey(ImportRun, on_delete=models.PROTECT, related_name="rows_seen")

    class Meta:
        verbose_name = _("imported row")
        verbose_name_plural = _("imported rows")
        constraints = [models.UniqueConstraint(fields=["source", "table", "row_id"], name="imported_row_once")]
        indexes = [models.Index(fields=["target_type", "target_id"], name="imported_row_target")]


class LateSpend(models.Model):
    """Spend of the old side that came to light after a person was switched, taken over by one ledger entry.

    ``number`` counts a person's take-overs; from the second on they are flagged: the old side was still in use.
    """

    source = models.ForeignKey(Source, on_delete=models.PROTECT, related_name="late_spends", verbose_name=_("source"))
    run = models.ForeignKey(ImportRun, on_delete=models.PROTECT, related_name="late_spends", verbose_name=_("import run"))
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="late_spends", verbose_name=_("user")
    )
    number = models.PositiveIntegerField(_("number"))
    is_flagged = models.BooleanField(_("flagged"), default=False)
    amount_nano = models.BigIntegerField(_("amount"))
    # Numbers of the rows in the old gateway's log.
    log_ids = models.JSONField(_("old log rows"), default=list)
    entry = models.ForeignKey(LedgerEntry, on_delete=models.PROTECT, related_name="+", verbose_name=_("ledger entry"))
    created_at = models.DateTimeField(_("taken over"), auto_now_add=True)

    class Meta:
        verbose_name = _("late spend")
        verbose_name_plural = _("late spend")
        ordering = ("-created_at", "-pk")
        constraints = [models.UniqueConstraint(fields=["source", "user", "number"], name="late_spend_once")]

    def __str__(self) -> str:
        return f"{self.user} #{self.number}: {self.amount_nano}"


class LateLog(models.Model):
    """An old log row that arrived for a person who is on the new side; written in the transaction that writes the call."""

    source = models.ForeignKey(Source, on_delete=models.PROTECT, related_name="late_logs")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    # The call it became; a row that is read again is the same call.
    call_id = models.UUIDField(unique=True)
    row_id = models.BigIntegerField()
    units = models.BigIntegerField()
    amount_nano = models.BigIntegerField()
    spend = models.ForeignKey(LateSpend, null=True, on_delete=models.PROTECT, related_name="logs")

    class Meta:
        verbose_name = _("late log row")
        verbose_name_plural = _("late log rows")
        indexes = [models.Index(fields=["source", "user"], condition=Q(spend=None), name="late_log_waiting")]

    def __str__(self) -> str:
        return f"{self.row_id}: {self.amount_nano}"


class ImportIssue(models.Model):
    """A row that was left out or refused, or a right that differs, with the reason shown to people."""

    class Kind(models.TextChoices):
        LEFT_OUT = "left_out", _("left out")
        REFUSED = "refused", _("refused")
        DIFFERENCE = "difference", _("difference")
        DECISION = "decision", _("needs a decision")

    run = models.ForeignKey(ImportRun, on_delete=models.CASCADE, related_name="issues")
    kind = models.CharField(max_length=12, choices=Kind.choices)
    table = models.CharField(max_length=64)
    row_id = models.CharField(max_length=64, blank=True)
    label = models.CharField(max_length=191, blank=True)
    # A stable reason code; pages translate it (migrations_center/reasons.py).
    reason = models.CharField(_("reason"), max_length=64)
    detail = models.JSONField(default=dict)

    class Meta:
        verbose_name = _("import issue")
        verbose_name_plural = _("import issues")
        indexes = [models.Index(fields=["run", "kind", "table"], name="import_issue_list")]


class Plan(models.Model):
    """How the people of one source move, in waves."""

    name = models.CharField(_("name"), max_length=128)
    source = models.ForeignKey(Source, on_delete=models.PROTECT, related_name="plans", verbose_name=_("source"))
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+", verbose_name=_("created by")
    )
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)

    class Meta:
        verbose_name = _("plan")
        verbose_name_plural = _("plans")

    def __str__(self) -> str:
        return self.name


class Wave(models.Model):
    """A group of people that is switched, observed and, if need be, taken back as one."""

    class State(models.TextChoices):
        DRAFT = "draft", _("draft")
        READY = "ready", _("ready")
        NOTIFIED = "notified", _("notified")
        SWITCHING = "switching", _("switching")
        SWITCHED = "switched", _("switched")
        OBSERVING = "observing", _("observing")
        SETTLED = "settled", pgettext_lazy("wave", "settled")
        GOING_BACK = "going_back", _("going back")
        GONE_BACK = "gone_back", _("gone back")

    plan = models.ForeignKey(Plan, on_delete=models.PROTECT, related_name="waves", verbose_name=_("plan"))
    number = models.PositiveIntegerField(_("number"))
    name = models.CharField(_("name"), max_length=128)
    state = models.CharField(_("state"), max_length=12, choices=State.choices, default=State.DRAFT)
    planned_at = models.DateTimeField(_("planned for"), null=True, blank=True)
    # How long going back stays open after the switch.
    window_hours = models.PositiveIntegerField(_("rollback window, hours"), default=168)
    observation_hours = models.PositiveIntegerField(_("observation, hours"), default=24)
    switched_at = models.DateTimeField(_("switched"), null=True, blank=True)
    gone_back_at = models.DateTimeField(_("gone back"), null=True, blank=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+", verbose_name=_("created by")
    )
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)

    class Meta:
        verbose_name = _("wave")
        verbose_name_plural = _("waves")
        ordering = ("plan", "number")
        constraints = [models.UniqueConstraint(fields=["plan", "number"], name="wave_number_once")]

    def __str__(self) -> str:
        return self.name


class WaveMember(models.Model):
    """A person in a wave. Opening = spent here + closed, to the nano-dollar, once gone back."""

    class State(models.TextChoices):
        WAITING = "waiting", _("on the old entry")
        SWITCHED = "switched", _("on the new entry")
        BACK = "back", _("back on the old entry")

    wave = models.ForeignKey(Wave, on_delete=models.CASCADE, related_name="members")
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="wave_memberships", verbose_name=_("user")
    )
    state = models.CharField(_("state"), max_length=10, choices=State.choices, default=State.WAITING)
    opening_nano = models.BigIntegerField(_("opening"), null=True, blank=True)
    spent_nano = models.BigIntegerField(_("spent here"), null=True, blank=True)
    closed_nano = models.BigIntegerField(_("closed"), null=True, blank=True)
    switched_at = models.DateTimeField(null=True, blank=True)
    back_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = _("wave member")
        verbose_name_plural = _("wave members")
        constraints = [
            models.UniqueConstraint(fields=["wave", "user"], name="wave_member_once"),
            # A person is in one live wave at most; those who went back may join another.
            models.UniqueConstraint(fields=["user"], condition=~Q(state="back"), name="wave_member_in_one_live_wave"),
            models.CheckConstraint(
                condition=Q(closed_nano=None) | Q(opening_nano=models.F("spent_nano") + models.F("closed_nano")),
                name="wave_member_adds_up",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.user} in {self.wave}"


class KeyChoice(models.Model):
    """What becomes of one key when its owner is switched; a key without a row is kept as it is."""

    class Choice(models.TextChoices):
        KEEP = "keep", _("keep the value")
        REISSUE = "reissue", _("reissue")
        RETIRE = "retire", _("retire")

    key = models.OneToOneField(
        ApiKey, primary_key=True, on_delete=models.CASCADE, related_name="move_choice", verbose_name=_("key")
    )
    choice = models.CharField(_("choice"), max_length=8, choices=Choice.choices, default=Choice.KEEP)
    # For reissue: how long the old value works beside the new one after the switch.
    overlap_hours = models.PositiveIntegerField(_("overlap, hours"), default=72)
    reason = models.CharField(_("reason"), max_length=191, blank=True)
    decided_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+", verbose_name=_("decided by")
    )
    decided_at = models.DateTimeField(_("decided"), auto_now=True)
    applied_at = models.DateTimeField(_("applied"), null=True, blank=True)
    # What going back restores: {"secrets": {id: end or null}} for reissue, {"state": "active"} for retire.
    undo = models.JSONField(default=dict)

    class Meta:
        verbose_name = _("choice for a key")
        verbose_name_plural = _("choices for keys")

    def __str__(self) -> str:
        return f"{self.key}: {self.get_choice_display()}"


class WaveEvent(models.Model):
    """A change of state of a wave: who, when, why. Append-only."""

    wave = models.ForeignKey(Wave, on_delete=models.CASCADE, related_name="events")
    from_state = models.CharField(_("from state"), max_length=12)
    to_state = models.CharField(_("to state"), max_length=12)
    actor = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    actor_name = models.CharField(_("actor name"), max_length=191)
    reason = models.TextField(_("reason"), blank=True)
    at = models.DateTimeField(_("time"), auto_now_add=True)

    class Meta:
        verbose_name = _("wave event")
        verbose_name_plural = _("wave events")
        ordering = ("at", "id")

    def __str__(self) -> str:
        return str(dict(Wave.State.choices).get(self.to_state, self.to_state))


class WaveNotice(models.Model):
    """The mail a member got for an occasion of the wave; one per member and occasion."""

    class Occasion(models.TextChoices):
        BEFORE = "before", _("before the switch")
        DONE = "done", _("after the switch")
        GOING_BACK = "going_back", _("going back")

    member = models.ForeignKey(WaveMember, on_delete=models.CASCADE, related_name="notices")
    occasion = models.CharField(max_length=12, choices=Occasion.choices)
    mail = models.OneToOneField(OutboundMail, null=True, blank=True, on_delete=models.PROTECT, related_name="wave_notice")
    # Why there is no mail, e.g. "no_address".
    skipped_reason = models.CharField(max_length=64, blank=True)
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)

    class Meta:
        verbose_name = _("wave notice")
        verbose_name_plural = _("wave notices")
        constraints = [models.UniqueConstraint(fields=["member", "occasion"], name="wave_notice_once")]
