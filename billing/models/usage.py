"""The request log (one row a call, partitioned by month) and its roll-ups.

``RequestLog`` is created by SQL: ``PRIMARY KEY (id, started_at)`` with ``started_at`` equal to the time inside the UUIDv7
id, so that an id is unique in effect and a look-up by id touches one partition.
"""

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from config.foundation.outcomes import Outcome
from keys.models import ApiKey


class RequestLog(models.Model):
    """One call: who, what, how it ended, what it cost and how that was calculated. Never a prompt or an answer."""

    class Origin(models.TextChoices):
        RELAY = "relay", _("here")
        IMPORTED = "imported", _("history of an old gateway")

    class UsageSource(models.TextChoices):
        UPSTREAM = "upstream", _("reported by the upstream")
        ESTIMATED = "estimated", _("estimated")
        NONE = "none", _("none")

    id = models.UUIDField(primary_key=True)
    started_at = models.DateTimeField(_("time"))
    duration_ms = models.IntegerField(_("duration, ms"), default=0)
    first_token_ms = models.IntegerField(_("first token, ms"), null=True)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        related_name="+",
        verbose_name=_("user"),
    )
    key = models.ForeignKey(
        ApiKey, null=True, on_delete=models.DO_NOTHING, db_constraint=False, related_name="+", verbose_name=_("key")
    )
    key_name = models.CharField(_("key"), max_length=191, blank=True)
    key_tail = models.CharField(_("key tail"), max_length=4, blank=True)
    group_code = models.CharField(_("group"), max_length=191, blank=True)
    endpoint = models.CharField(_("endpoint"), max_length=64, blank=True)
    is_stream = models.BooleanField(_("stream"), default=False)
    # "new": served and charged here. "old": forwarded to the old entry, nothing charged here.
    route = models.CharField(_("route"), max_length=8, default="new")
    asked_model = models.CharField(_("asked"), max_length=255, blank=True)
    billed_model = models.CharField(_("billed"), max_length=255, blank=True)
    served_model = models.CharField(_("served"), max_length=255, blank=True)
    outcome = models.CharField(_("outcome"), max_length=24, choices=Outcome.choices)
    http_status = models.SmallIntegerField(_("status"), default=0)
    error_code = models.CharField(_("error code"), max_length=64, blank=True)
    input_tokens = models.IntegerField(_("input tokens"), default=0)
    cached_tokens = models.IntegerField(_("cached tokens"), default=0)
    cache_write_tokens = models.IntegerField(_("cache write tokens"), default=0)
    output_tokens = models.IntegerField(_("output tokens"), default=0)
    reasoning_tokens = models.IntegerField(_("reasoning tokens"), default=0)
    # What was not counted in tokens, and the kinds of token that have prices of their own. Defaults of the database too:
    # whoever writes rows without these columns gets them.
    modality = models.CharField(_("modality"), max_length=16, default="text", db_default="text")
    audio_input_tokens = models.IntegerField(_("audio input tokens"), default=0, db_default=0)
    audio_output_tokens = models.IntegerField(_("audio output tokens"), default=0, db_default=0)
    image_count = models.IntegerField(_("images"), default=0, db_default=0)
    # The length of video (modality video) or sound in milliseconds.
    media_ms = models.BigIntegerField(_("length, ms"), default=0, db_default=0)
    character_count = models.IntegerField(_("characters"), default=0, db_default=0)
    # Size of the images or resolution of the video.
    media_size = models.CharField(_("size"), max_length=32, default="", blank=True, db_default="")
    media_quality = models.CharField(_("quality"), max_length=16, default="", blank=True, db_default="")
    # The written rule by which another model answered (gateway.FallbackRule); set means flagged.
    fallback_rule_id = models.BigIntegerField(_("fallback rule"), null=True, blank=True)
    usage_source = models.CharField(_("usage source"), max_length=10, choices=UsageSource.choices, default=UsageSource.NONE)
    held_nano = models.BigIntegerField(_("held"), default=0)
    cost_nano = models.BigIntegerField(_("cost"), default=0)
    price_version_id = models.BigIntegerField(_("price version id"), null=True)
    # The arithmetic of the charge as figures: see billing.pricing.Quote.explain().
    price_detail = models.JSONField(default=dict)
    # Tells the same call of one key again (gateway.relay.repeats); empty for imported rows. No text can be read from it.
    body_digest = models.BigIntegerField(null=True, blank=True, editable=False)
    # Inner route: operators only. [{"upstream": id, "status": n, "ms": n, "error": class}]
    attempts = models.JSONField(default=list)
    client_family = models.CharField(_("client"), max_length=32, blank=True)
    # Network with the last part cut off (203.0.113.x); the full address is not kept.
    client_network = models.CharField(_("network"), max_length=48, blank=True)
    origin = models.CharField(_("origin"), max_length=10, choices=Origin.choices, default=Origin.RELAY)
    # For imported rows: "<source id>:<log row id>"
    source_ref = models.CharField(_("row in the source"), max_length=64, blank=True)

    class Meta:
        verbose_name = _("call")
        verbose_name_plural = _("calls")
        ordering = ("-started_at", "-id")

    def __str__(self) -> str:
        return self.id.hex


class UsageDelta(models.Model):
    """Counts not yet folded into the roll-ups, by the quarter of an hour; written in the transaction that writes the logs."""

    quarter_at = models.DateTimeField()
    user_id = models.BigIntegerField(default=0)
    key_id = models.BigIntegerField(default=0)
    group_code = models.CharField(max_length=191, blank=True)
    model_name = models.CharField(max_length=255, blank=True)
    modality = models.CharField(max_length=16, default="text", db_default="text")
    origin = models.CharField(_("origin"), max_length=10, default="relay")
    call_count = models.BigIntegerField(default=0)
    failed_count = models.BigIntegerField(default=0)
    input_tokens = models.BigIntegerField(default=0)
    cached_tokens = models.BigIntegerField(default=0)
    output_tokens = models.BigIntegerField(default=0)
    cost_nano = models.BigIntegerField(default=0)

    class Meta:
        verbose_name = _("pending usage")
        verbose_name_plural = _("pending usage")


class _Rollup(models.Model):
    call_count = models.BigIntegerField(_("calls"), default=0)
    failed_count = models.BigIntegerField(_("failed"), default=0)
    input_tokens = models.BigIntegerField(_("input tokens"), default=0)
    cached_tokens = models.BigIntegerField(_("cached tokens"), default=0)
    output_tokens = models.BigIntegerField(_("output tokens"), default=0)
    cost_nano = models.BigIntegerField(_("cost"), default=0)

    class Meta:
        abstract = True


class UsageHouse(_Rollup):
    """Usage of everybody over spans of several lengths (``billing.spans``), cut one way at a time: what the house's totals and
    its days are put together from, in any zone.
    """

    class Cut(models.TextChoices):
        MODEL = "model", _("model")
        GROUP = "group", _("group")
        MODALITY = "modality", _("modality")

    pk = models.CompositePrimaryKey("cut", "minutes", "begins_at", "value", "origin")
    cut = models.CharField(max_length=8, choices=Cut.choices)
    minutes = models.IntegerField(_("minutes"))
    begins_at = models.DateTimeField(_("begins"))
    value = models.CharField(max_length=255, blank=True)
    origin = models.CharField(_("origin"), max_length=10, default="relay")

    class Meta:
        verbose_name = _("usage of everybody")
        verbose_name_plural = _("usage of everybody")


class UsageAccount(_Rollup):
    """Usage of a person and key over spans of several lengths (``billing.spans``), over all models: what everybody's usage by
    key, team and person is put together from. Ids are 0 for calls without a known key or person.
    """

    pk = models.CompositePrimaryKey("minutes", "begins_at", "user_id", "key_id", "origin")
    minutes = models.IntegerField(_("minutes"))
    begins_at = models.DateTimeField(_("begins"))
    user_id = models.BigIntegerField()
    key_id = models.BigIntegerField()
    origin = models.CharField(_("origin"), max_length=10, default="relay")

    class Meta:
        verbose_name = _("usage of a person and key")
        verbose_name_plural = _("usage of people and keys")


class UsageKeyDaily(_Rollup):
    """Usage of a key per UTC day, over all models: what it has spent in all. ``key_id`` 0 stands for calls without a key."""

    pk = models.CompositePrimaryKey("key_id", "day_on", "origin")
    day_on = models.DateField(_("day"))
    key_id = models.BigIntegerField()
    origin = models.CharField(_("origin"), max_length=10, default="relay")

    class Meta:
        verbose_name = _("daily usage of a key")
        verbose_name_plural = _("daily usage of keys")


class UsageCube(_Rollup):
    """Usage of a person, key, group, model and modality per UTC day: what one account's pages are cut from.

    Ids are 0 and texts empty for what a call did not have. A day of another time zone is made of this and of the log at
    its two ends. The day comes first in the key and in the index, so that folding writes into the pages of today only; who
    reads names every day of the span.
    """

    pk = models.CompositePrimaryKey("day_on", "user_id", "key_id", "group_code", "model_name", "modality", "origin")
    day_on = models.DateField(_("day"))
    user_id = models.BigIntegerField()
    key_id = models.BigIntegerField()
    group_code = models.CharField(_("group"), max_length=191, blank=True)
    model_name = models.CharField(_("model"), max_length=255)
    modality = models.CharField(_("modality"), max_length=16)
    origin = models.CharField(_("origin"), max_length=10, default="relay")

    class Meta:
        verbose_name = _("usage by every measure")
        verbose_name_plural = _("usage by every measure")
        indexes = [models.Index(fields=["day_on", "key_id"], name="usage_cube_day_key")]
