"""The contract of data planes on the wire (docs/gateway-contract.md). Amounts are whole nano-USD, counts are whole numbers."""

from typing import Any, ClassVar

from rest_framework import serializers

from config.foundation.api_base import InSerializer, OutSerializer
from config.foundation.labels import Label
from gateway.models import DataPlane
from gateway.planes.config import MOST_EVENTS
from gateway.planes.events import COUNTS, MOST, MOST_NANO, OUTCOMES, SOURCES
from keys.models import ApiKey

KEY_STATUSES = [(one, one) for one in ("active", "paused", "disabled", "revoked", "account_disabled")]
EVENT_STATUSES = [(one, one) for one in ("accepted", "duplicate", "rejected")]
EVENT_SOURCES = [(one, one) for one in SOURCES]
EVENT_OUTCOMES = [(one, one) for one in OUTCOMES]


class StrictText(serializers.CharField):
    """Text as it was sent: numbers are no text, and nothing is cut off at the ends."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"trim_whitespace": False, "allow_blank": True, "default": "", **kwargs})

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        return super().to_internal_value(data)


class Count(serializers.IntegerField):
    """A whole number that is not negative; a text or a fraction is refused."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"min_value": 0, "max_value": MOST, "default": 0, **kwargs})

    def to_internal_value(self, data: Any) -> int:
        if isinstance(data, bool) or not isinstance(data, int):
            self.fail("invalid")
        return super().to_internal_value(data)


class PlaneOut(OutSerializer):
    """Answers to data planes. They are the operator's own machines."""

    audience = Label.OPERATOR


class EstimateIn(InSerializer):
    """The most the call may use. ``max_output_tokens`` null: the client set no limit, so the portal's default counts."""

    input_tokens = Count()
    max_output_tokens = Count(allow_null=True, default=None)
    images = Count(max_value=100_000)
    characters = Count()
    media_ms = Count()
    image_size = StrictText(max_length=32)
    image_quality = StrictText(max_length=16)


class AuthorizeIn(InSerializer):
    """``request_id``: a UUIDv7 made by the data plane when the call came. ``key_hash``: as in the key feed, hexadecimal.

    ``params``: request fields (numbers, words, yes and no) that a tiered price may read.
    """

    request_id = serializers.UUIDField()
    key_hash = serializers.RegexField(r"\A[0-9a-f]{64}\Z")
    model = StrictText(max_length=255)
    endpoint = StrictText(max_length=64, default="/v1/chat/completions")
    client_ip = StrictText(max_length=64)
    client = StrictText(max_length=32)
    is_stream = serializers.BooleanField(default=False)
    est = EstimateIn(required=False)
    params = serializers.DictField(child=serializers.JSONField(), default=dict)

    def validate_params(self, value: dict[str, Any]) -> dict[str, Any]:
        fine = all(
            len(name) <= 64 and (isinstance(one, int | float | bool) or (isinstance(one, str) and len(one) <= 64))
            for name, one in value.items()
        )
        if len(value) > 32 or not fine:
            raise serializers.ValidationError("At most 32 fields; each a number, a short word, true or false.")
        return value


class ChannelOut(PlaneOut):
    labels_of = "plane_channel"

    id = serializers.IntegerField()
    protocol = serializers.CharField()
    base_url = serializers.CharField()
    secret_ref = serializers.CharField(allow_null=True)
    upstream_model = serializers.CharField()
    weight = serializers.IntegerField()
    priority = serializers.IntegerField()
    timeout_seconds = serializers.IntegerField()
    groups = serializers.ListField(child=serializers.CharField())


class PlaneModelOut(PlaneOut):
    labels_of = "plane_model"

    public_name = serializers.CharField()
    modality = serializers.CharField()
    max_output_tokens = serializers.IntegerField(allow_null=True)
    created = serializers.IntegerField()
    groups = serializers.ListField(child=serializers.CharField())
    price_id = serializers.IntegerField(allow_null=True)
    channels = ChannelOut(many=True)


class PlaneNameOut(PlaneOut):
    labels_of = "plane_name"

    name = serializers.CharField()
    model = serializers.CharField(allow_null=True)
    successor = serializers.CharField(allow_blank=True)


class PlaneGroupOut(PlaneOut):
    labels_of = "plane_group"

    code = serializers.CharField()
    is_active = serializers.BooleanField()
    usable = serializers.ListField(child=serializers.CharField())


class PlaneSettingsOut(PlaneOut):
    labels_of = "plane_settings"

    hold_seconds = serializers.IntegerField()
    late_event_days = serializers.IntegerField()
    max_events = serializers.IntegerField()
    max_stale_seconds = serializers.IntegerField()


class ConfigOut(PlaneOut):
    """``version`` changes when anything else but ``signed_at`` does."""

    labels_of = "plane_config"

    version = serializers.CharField()
    signed_at = serializers.DateTimeField()
    models = PlaneModelOut(many=True)
    names = PlaneNameOut(many=True)
    groups = PlaneGroupOut(many=True)
    settings = PlaneSettingsOut()


class AccountOut(PlaneOut):
    labels_of = "plane_account"

    kind = serializers.ChoiceField(("user", "team"))
    id = serializers.IntegerField(allow_null=True)


class PlaneKeyOut(PlaneOut):
    labels_of = "plane_key"

    key_hash = serializers.CharField()
    hash_number = serializers.IntegerField()
    key_id = serializers.IntegerField()
    tail = serializers.CharField()
    account = AccountOut()
    group = serializers.CharField(allow_blank=True)
    groups = serializers.ListField(child=serializers.CharField())
    status = serializers.ChoiceField(KEY_STATUSES)
    route = serializers.ChoiceField(ApiKey.Route.choices)
    expires_at = serializers.DateTimeField(allow_null=True)
    models = serializers.ListField(child=serializers.CharField(), allow_null=True)
    networks = serializers.ListField(child=serializers.CharField())
    rpm = serializers.IntegerField(allow_null=True)
    tpm = serializers.IntegerField(allow_null=True)
    parallel = serializers.IntegerField(allow_null=True)


class KeysOut(PlaneOut):
    """``gone``: ids of keys that are no more. ``is_reset``: the first page of everything; what it and its successors do not
    name is no more. ``has_more``: ask with ``cursor`` again at once."""

    labels_of = "plane_keys"

    rows = PlaneKeyOut(many=True)
    gone = serializers.ListField(child=serializers.IntegerField())
    is_reset = serializers.BooleanField()
    has_more = serializers.BooleanField()
    cursor = serializers.CharField()


class ResolvedChannelOut(PlaneOut):
    labels_of = "plane_channel"

    id = serializers.IntegerField()
    upstream_model = serializers.CharField()


class ResolvedOut(PlaneOut):
    labels_of = "plane_resolved"

    public_name = serializers.CharField()
    billed_name = serializers.CharField()
    channels = ResolvedChannelOut(many=True)


class DecisionOut(PlaneOut):
    """``decision`` "allow": the money is held until ``expires_at``. "deny": the client gets ``http_status`` and ``body``."""

    labels_of = "plane_decision"

    decision = serializers.CharField(help_text="allow or deny")
    request_id = serializers.UUIDField()
    key_id = serializers.IntegerField(required=False)
    account = AccountOut(required=False)
    resolved = ResolvedOut(required=False)
    price_id = serializers.IntegerField(required=False)
    reservation_id = serializers.UUIDField(required=False)
    reserved_nano = serializers.IntegerField(required=False)
    expires_at = serializers.DateTimeField(required=False)
    ttl = serializers.IntegerField(required=False)
    http_status = serializers.IntegerField(required=False)
    code = serializers.CharField(required=False)
    body = serializers.JSONField(required=False)
    retry_after_seconds = serializers.IntegerField(required=False)


class DeliveredIn(InSerializer):
    bytes = Count(max_value=2**40)
    chunks = Count(max_value=2**40)


class UsageCountsIn(InSerializer):
    """What the call used. ``input`` contains ``cached`` and ``cache_write``, ``output`` contains ``reasoning``."""

    image_size = StrictText(max_length=32)
    image_quality = StrictText(max_length=16)

    def get_fields(self) -> dict[str, serializers.Field]:
        return {**super().get_fields(), **{name: Count() for name in COUNTS}}


class UsageEventIn(InSerializer):
    """One attempt of a call, or its end. Read by ``gateway.planes.events``, event by event; this is its description.

    ``event_id`` is made once and sent again unchanged. ``is_final`` false: an attempt that did not serve, others followed.
    """

    event_id = StrictText(max_length=128)
    request_id = serializers.UUIDField()
    attempt = Count(max_value=1000, default=1)
    is_final = serializers.BooleanField(default=True)
    reservation_id = serializers.UUIDField(required=False, allow_null=True)
    lease_id = serializers.UUIDField(required=False, allow_null=True)
    promised_nano = Count(max_value=MOST_NANO)
    key_id = Count(required=False, allow_null=True, max_value=2**62)
    endpoint = StrictText(max_length=64)
    model_requested = StrictText(max_length=255)
    model_served = StrictText(max_length=255)
    channel_id = Count(required=False, max_value=2**62)
    started_at = serializers.DateTimeField(required=False)
    first_token_at = serializers.DateTimeField(required=False)
    ended_at = serializers.DateTimeField(required=False)
    outcome = serializers.ChoiceField(EVENT_OUTCOMES)
    http_status = Count(max_value=999)
    error_class = StrictText(max_length=64)
    usage = UsageCountsIn(required=False, allow_null=True)
    usage_source = serializers.ChoiceField(EVENT_SOURCES, default="none")
    delivered = DeliveredIn(required=False, allow_null=True)
    price_id = Count(required=False, allow_null=True, max_value=2**62)
    dp_cost_nano = Count(max_value=MOST_NANO)
    upstream_request_id = StrictText(max_length=128)


class UsageBatchIn(InSerializer):
    """``source``: the process that sends; ``seq``: a number that rises with each batch."""

    source = StrictText(max_length=128, min_length=1, default=serializers.empty, allow_blank=False)  # type: ignore[assignment]
    seq = Count(default=serializers.empty, max_value=2**62)
    # Each event is looked at by itself: one that is wrong must not keep the others out.
    events = serializers.ListField(child=serializers.JSONField(allow_null=True), max_length=MOST_EVENTS)


class UsageBatchDocIn(UsageBatchIn):
    """A batch as it is documented."""

    events = UsageEventIn(many=True)  # type: ignore[assignment]


class EventAnswerOut(PlaneOut):
    labels_of = "plane_event_answer"

    event_id = serializers.CharField(allow_blank=True)
    status = serializers.ChoiceField(EVENT_STATUSES)
    reason = serializers.CharField(required=False)
    retryable = serializers.BooleanField(required=False)


class UsageBatchOut(PlaneOut):
    """One answer for each event, in their order. ``ack_seq`` below ``seq``: send the retryable ones again."""

    labels_of = "plane_usage"

    results = EventAnswerOut(many=True)
    ack_seq = serializers.IntegerField()


class HeartbeatIn(InSerializer):
    instance = StrictText(max_length=128, min_length=1, default=serializers.empty, allow_blank=False)
    version = StrictText(max_length=64)
    config_version = StrictText(max_length=64)
    key_cursor = StrictText(max_length=64)
    spool_depth = Count(max_value=2**62)
    oldest_unacked_s = Count(max_value=2**62)
    inflight = Count()
    leases = Count()
    sent_at = serializers.DateTimeField(required=False, default=None, allow_null=True)


class HeartbeatOut(PlaneOut):
    """``wanted``: "drain" (take no new calls), "resync" (read configuration and keys anew, once for each ``wanted_at``), ""."""

    labels_of = "plane_heartbeat"

    wanted = serializers.ChoiceField(DataPlane.Wanted.choices)
    wanted_at = serializers.DateTimeField(allow_null=True)
    server_time = serializers.DateTimeField()
    clock_ms = serializers.IntegerField()


class TallyIn(InSerializer):
    hour_at = serializers.DateTimeField()
    channel_id = Count(max_value=2**62)
    calls = Count(max_value=2**62)
    input_tokens = Count(max_value=2**62)
    output_tokens = Count(max_value=2**62)


class ReconcileIn(InSerializer):
    """What the process ``source`` served from ``begin_at`` until before ``end_at``, by the hour of admission."""

    source = StrictText(max_length=128, min_length=1, default=serializers.empty, allow_blank=False)  # type: ignore[assignment]
    begin_at = serializers.DateTimeField()
    end_at = serializers.DateTimeField()
    rows = TallyIn(many=True)


class LeaseWishIn(InSerializer):
    lease_id = serializers.UUIDField()
    key_id = Count(default=serializers.empty, max_value=2**62)
    wanted_nano = Count(default=serializers.empty, max_value=MOST_NANO)
    least_nano = Count(default=serializers.empty, max_value=MOST_NANO)


class LeaseRenewalIn(InSerializer):
    lease_id = serializers.UUIDField()
    granted_nano = Count(default=serializers.empty, max_value=MOST_NANO)


class LeasesIn(InSerializer):
    """Any of the three, at most 100 each. ``granted_nano`` is what a lease is to have in all, the spent part included."""

    open = LeaseWishIn(many=True, required=False, max_length=100)  # type: ignore[call-arg]
    renew = LeaseRenewalIn(many=True, required=False, max_length=100)  # type: ignore[call-arg]
    close = serializers.ListField(child=serializers.UUIDField(), required=False, max_length=100)


class RateOut(PlaneOut):
    """The most a call costs: so much a call, and so much for a million tokens in and out."""

    labels_of = "plane_rate"

    name = serializers.CharField()
    call_nano = serializers.IntegerField()
    input_nano = serializers.IntegerField()
    output_nano = serializers.IntegerField()


class LeaseOut(PlaneOut):
    """``status``: open, repeated, per_call (ask for each call), no_balance, mismatch, refused; of a renewal renewed, stopped
    (draw no more from it), closed, unknown."""

    labels_of = "plane_lease"

    lease_id = serializers.UUIDField()
    status = serializers.CharField()
    granted_nano = serializers.IntegerField()
    draw_until = serializers.DateTimeField(allow_null=True, required=False)
    expires_at = serializers.DateTimeField(allow_null=True, required=False)
    rates = RateOut(many=True)


class LeaseClosedOut(PlaneOut):
    labels_of = "plane_lease_closed"

    lease_id = serializers.UUIDField()
    status = serializers.CharField()
    returned_nano = serializers.IntegerField()


class LeasesOut(PlaneOut):
    """Answers in the order of what was asked."""

    labels_of = "plane_leases"

    open = LeaseOut(many=True)
    renew = LeaseOut(many=True)
    close = LeaseClosedOut(many=True)


class FiguresOut(PlaneOut):
    labels_of = "plane_figures"

    calls = serializers.IntegerField()
    input_tokens = serializers.IntegerField()
    output_tokens = serializers.IntegerField()


class DifferenceOut(PlaneOut):
    labels_of = "plane_difference"

    hour_at = serializers.DateTimeField()
    channel_id = serializers.IntegerField()
    told = FiguresOut()
    ours = FiguresOut()


class ReconcileOut(PlaneOut):
    labels_of = "plane_reconcile"

    compared = serializers.IntegerField()
    differences = DifferenceOut(many=True)


class UpstreamSecretOut(PlaneOut):
    """The credential of one upstream, for a data plane that was given the right to read it."""

    labels_of = "plane_secret"
    shown_once: ClassVar[frozenset[str]] = frozenset({"value"})

    value = serializers.CharField()
