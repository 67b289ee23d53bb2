"""The ledger: accounts, append-only entries and holds. Amounts are nano-USD.

Every entry moves one positive amount from one account to another, so the ledger sums to zero by construction. Writes go
through the SQL functions of ``billing/sql`` (called by ``billing.services.ledger`` and by the relay), nothing else.
"""

from typing import Any

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import ExpressionWrapper, F, Q
from django.db.models.functions import Coalesce
from django.db.models.lookups import Exact
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from accounts.models import Group
from keys.models import ApiKey

# For columns written with every call: no index and no constraint of their own, each for the reason given beside it.
BARE: dict[str, Any] = {"on_delete": models.PROTECT, "db_index": False, "db_constraint": False}


class LedgerAccount(models.Model):
    """A purse of a person or team (guarded balance row), or an account of the house (balance is a sum of entries)."""

    class Kind(models.TextChoices):
        TEST = "test", pgettext_lazy("purse", "test")
        BONUS = "bonus", _("bonus")
        SUBSCRIPTION = "subscription", _("subscription")
        PREPAID = "prepaid", _("prepaid")
        POSTPAID = "postpaid", _("postpaid")
        REVENUE = "revenue", _("revenue")
        CASH = "cash", _("cash")
        OPENING_EQUITY = "opening_equity", _("opening balances")
        CODE_LIABILITY = "code_liability", _("unspent codes")
        MOVED_BACK = "moved_back", _("moved back to the old entry")
        PROMOTION_COST = "promotion_cost", _("promotion cost")
        ADJUSTMENT = "adjustment", _("adjustments")
        OPERATOR_LOSS = "operator_loss", _("operator's loss")
        SUSPENSE = "suspense", _("suspense")
        UPSTREAM_COST = "upstream_cost", _("owed to upstreams")
        EXCHANGE = "exchange", _("currency exchange")
        ROUNDING = "rounding", _("rounding")
        CODES_FOR_SALE = "codes_for_sale", _("codes for sale")
        BREAKAGE = "breakage", _("codes that ran out")

    # In the order they are drawn. The test purse is drawn by keys of purpose "test" alone, and they draw no other.
    PURSES = (Kind.TEST, Kind.BONUS, Kind.SUBSCRIPTION, Kind.PREPAID, Kind.POSTPAID)

    kind = models.CharField(_("kind"), max_length=20, choices=Kind.choices)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("person"),
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="purses",
    )
    group = models.ForeignKey(
        Group, verbose_name=_("team"), null=True, blank=True, on_delete=models.PROTECT, related_name="purses"
    )
    currency = models.CharField(_("currency"), max_length=3, default="USD")
    # "" for what was paid here; "import:<source>" for what came from an old gateway, one purse each.
    origin = models.CharField(_("origin"), max_length=64, blank=True, default="")
    # A purse is a guarded balance row. House accounts keep no balance here: every call would queue on their row.
    is_purse = models.BooleanField(_("is a purse"), default=False)
    # False while the owner is served by the old entry: the money may be seen, not spent.
    is_spendable = models.BooleanField(_("can be spent here"), default=True)
    balance_nano = models.BigIntegerField(_("balance"), default=0)
    held_nano = models.BigIntegerField(_("held"), default=0)
    # Lowest balance the row may have: 0, or the debt that entries explain. Holds never draw below -credit_limit.
    floor_nano = models.BigIntegerField(default=0)
    credit_limit_nano = models.BigIntegerField(_("credit limit"), default=0)
    # Purses are drawn in this order, smallest first.
    priority = models.SmallIntegerField(_("order"), default=50)
    # True while a spend limit may concern calls that this purse pays; kept by set_spend_limit and by a trigger on new purses.
    has_limits = models.BooleanField(db_default=False, editable=False)
    seq = models.BigIntegerField(_("entries"), default=0)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)

    class Meta:
        verbose_name = _("ledger account")
        verbose_name_plural = _("ledger accounts")
        constraints = [
            models.UniqueConstraint(
                fields=["user", "group", "kind", "currency", "origin"], name="account_once", nulls_distinct=False
            ),
            # Which kinds, owners and currencies go together is checked when they are set, by a trigger of
            # billing/sql/lean_rows.sql: a check here is read anew for each call that changes the row.
            models.CheckConstraint(condition=Q(is_purse=True) | Q(balance_nano=0, held_nano=0), name="account_house_is_empty"),
            models.CheckConstraint(condition=Q(held_nano__gte=0), name="account_held_not_negative"),
            models.CheckConstraint(condition=Q(credit_limit_nano__gte=0), name="account_credit_not_negative"),
            models.CheckConstraint(
                condition=Q(balance_nano__gte=F("floor_nano") + F("held_nano")) | Q(is_purse=False), name="account_above_floor"
            ),
        ]
        indexes = [
            # The purses of a payer, a team by its negative number: billing/sql/reserve_plain.sql finds those of a batch by it.
            models.Index(Coalesce("user_id", F("group_id") * -1), name="account_payer", condition=Q(is_purse=True)),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} {self.user or self.group or ''}".strip()


class LedgerEntry(models.Model):
    """Money moved. Append-only: a trigger refuses UPDATE, DELETE and TRUNCATE."""

    class Kind(models.TextChoices):
        OPENING = "opening", _("opening balance")
        OPENING_CORRECTION = "opening_correction", _("correction of an opening balance")
        TOP_UP = "top_up", _("top-up")
        CODE = "code", _("redemption code")
        CHARGE = "charge", _("call")
        REFUND = "refund", _("refund")
        ADJUSTMENT = "adjustment", _("adjustment")
        REVERSAL = "reversal", _("reversal")
        MOVED_BACK = "moved_back", _("closed: moved back to the old entry")
        LATE = "late", _("call reported too late")
        DESK = "desk", _("closed at the desk")
        LOSS = "loss", _("upstream cost borne by the operator")
        CONVERSION = "conversion", _("conversion")
        CODE_ISSUED = "code_issued", _("codes issued")
        CODE_ENDED = "code_ended", _("codes withdrawn or run out")
        UNMATCHED = "unmatched", _("unmatched payment")
        PAID_BACK = "paid_back", _("payment given back")
        DISPUTE = "dispute", _("disputed payment")

    class Draw(models.TextChoices):
        """Why a call was paid from this purse."""

        HELD = "held", _("set aside for the call")
        BEYOND = "beyond", _("beyond what was set aside")
        DEBT = "debt", _("no money left: debt")
        LATE = "late", _("reported after the hold had ended")

    # The act this entry belongs to (for a call: its request id). With kind and n it can happen once.
    transaction_id = models.UUIDField(_("transaction id"))
    kind = models.CharField(_("kind"), max_length=20, choices=Kind.choices)
    n = models.PositiveSmallIntegerField(_("number"), default=0)
    # No index of their own: "entry_from" and "entry_to" begin with them. No constraint that looks the account up again for
    # each entry and locks its row (revenue's would be locked by every call at once): the functions of the ledger have read it,
    # and an account never goes (billing/sql/lean_rows.sql).
    from_account = models.ForeignKey(LedgerAccount, related_name="entries_out", verbose_name=_("from"), **BARE)
    to_account = models.ForeignKey(LedgerAccount, related_name="entries_in", verbose_name=_("to"), **BARE)
    amount_nano = models.BigIntegerField(_("amount"))
    # Running number and balance after, for the sides that are purses.
    from_seq = models.BigIntegerField(_("place, from"), null=True)
    from_balance_nano = models.BigIntegerField(null=True)
    to_seq = models.BigIntegerField(_("place, to"), null=True)
    to_balance_nano = models.BigIntegerField(null=True)
    booked_at = models.DateTimeField(_("booked"), auto_now_add=True)
    effective_at = models.DateTimeField(_("effective"))
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        on_delete=models.PROTECT,
        related_name="+",
        verbose_name=_("by"),
        db_index=False,
    )
    reason = models.CharField(_("reason"), max_length=255, blank=True)
    # For charges: why this purse. With several reasons, the furthest from the plan.
    draw = models.CharField(_("why this purse"), max_length=8, choices=Draw.choices, blank=True, db_default="")
    reverses = models.OneToOneField(
        "self", null=True, on_delete=models.PROTECT, related_name="reversed_by", verbose_name=_("reverses")
    )

    class Meta:
        verbose_name = _("ledger entry")
        verbose_name_plural = _("ledger entries")
        ordering = ("-id",)
        constraints = [
            models.UniqueConstraint(fields=["transaction_id", "kind", "n"], name="entry_once"),
            # A place in a purse's history is taken once.
            models.UniqueConstraint(
                fields=["from_account", "from_seq"], condition=Q(from_seq__isnull=False), name="entry_place_from"
            ),
            models.UniqueConstraint(fields=["to_account", "to_seq"], condition=Q(to_seq__isnull=False), name="entry_place_to"),
            models.CheckConstraint(condition=Q(amount_nano__gt=0), name="entry_positive"),
            models.CheckConstraint(condition=~Q(from_account=F("to_account")), name="entry_two_accounts"),
        ]
        indexes = [
            models.Index(fields=["from_account", "-id"], name="entry_from"),
            models.Index(fields=["to_account", "-id"], name="entry_to"),
            models.Index(fields=["actor", "booked_at"], condition=Q(actor__isnull=False), name="entry_actor"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.amount_nano}"


def _both_or_neither(state: str, column: str, is_null: bool) -> Exact:
    """``(state = x) = (column IS NULL)``: the exclusive or of two Q would be three times as long to read for every call."""
    named = ExpressionWrapper(Q(state=state), models.BooleanField())
    return Exact(named, ExpressionWrapper(Q((f"{column}__isnull", is_null)), models.BooleanField()))


class Hold(models.Model):
    """Money set aside for a call that runs. Closed once; ``account_ids[i]`` holds ``part_amounts[i]``."""

    class State(models.TextChoices):
        OPEN = "open", _("held")
        SETTLED = "settled", _("settled")
        RELEASED = "released", _("released")
        EXPIRED = "expired", _("expired")

    id = models.UUIDField(primary_key=True)
    # No index of their own: those that are open are few, and "hold_open_expiry" finds them. No constraint either: a hold is
    # made with the payer's purse locked, which names the payer, and for a key that was just read.
    user = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, related_name="holds", verbose_name=_("user"), **BARE)
    group = models.ForeignKey(Group, null=True, related_name="holds", verbose_name=_("group"), **BARE)
    key = models.ForeignKey(ApiKey, null=True, related_name="holds", verbose_name=_("key"), **BARE)
    # The member of the team whose key called; their own limits count beside the team's.
    member_id = models.BigIntegerField(null=True, editable=False)
    # A call of a test key: only test purses pay for it.
    is_test = models.BooleanField(db_default=False, editable=False)
    # The lease it was drawn from, for calls of a relay that lends; such a hold is written when its call ends.
    lease_id = models.UUIDField(null=True, editable=False)
    amount_nano = models.BigIntegerField(_("amount"))
    account_ids = ArrayField(models.BigIntegerField(), verbose_name=_("account ids"))
    part_amounts = ArrayField(models.BigIntegerField(), verbose_name=_("part amounts"))
    state = models.CharField(_("state"), max_length=10, choices=State.choices, default=State.OPEN)
    reason = models.CharField(_("reason"), max_length=64, blank=True)
    settled_nano = models.BigIntegerField(_("settled"), null=True)
    # What the sweeper needs to write the request log of a call whose relay died: the log's columns known at admission.
    context = models.JSONField(default=dict)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    expires_at = models.DateTimeField(_("expires"))
    closed_at = models.DateTimeField(_("closed"), null=True)

    class Meta:
        verbose_name = _("hold")
        verbose_name_plural = _("holds")
        constraints = [
            models.CheckConstraint(condition=Q(amount_nano__gte=0), name="hold_not_negative"),
            models.CheckConstraint(condition=_both_or_neither("open", "closed_at", True), name="hold_closed_has_time"),
            models.CheckConstraint(
                condition=_both_or_neither("settled", "settled_nano", False), name="hold_settled_has_amount"
            ),
        ]
        indexes = [models.Index(fields=["expires_at"], condition=Q(state="open"), name="hold_open_expiry")]

    def __str__(self) -> str:
        return f"{self.state} {self.amount_nano}"


class Lease(models.Model):
    """Money of one payer lent to a relay, from one purse: it serves calls from it without asking for each. What is left of it
    (granted - spent) is part of the purse's ``held_nano``. Calls may draw on it until ``draw_until``; their ends are taken from
    it until ``expires_at``, when the sweeper gives the rest back."""

    class State(models.TextChoices):
        OPEN = "open", _("lent")
        CLOSED = "closed", _("given back")
        EXPIRED = "expired", _("expired")

    id = models.UUIDField(primary_key=True)
    # The relay or data plane that lends; one that starts anew has another name.
    source = models.CharField(_("relay"), max_length=100)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+", verbose_name=_("user")
    )
    group = models.ForeignKey(Group, null=True, on_delete=models.PROTECT, related_name="+", verbose_name=_("group"))
    is_test = models.BooleanField(_("test"), db_default=False, editable=False)
    account = models.ForeignKey(LedgerAccount, on_delete=models.PROTECT, related_name="leases", verbose_name=_("purse"))
    granted_nano = models.BigIntegerField(_("granted"))
    spent_nano = models.BigIntegerField(_("spent"), default=0)
    state = models.CharField(_("state"), max_length=10, choices=State.choices, default=State.OPEN)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    draw_until = models.DateTimeField(_("calls until"))
    expires_at = models.DateTimeField(_("expires"))
    closed_at = models.DateTimeField(_("closed"), null=True)

    class Meta:
        verbose_name = _("lease")
        verbose_name_plural = _("leases")
        constraints = [
            models.CheckConstraint(condition=Q(user=None) ^ Q(group=None), name="lease_one_payer"),
            models.CheckConstraint(
                condition=Q(spent_nano__gte=0) & Q(granted_nano__gte=F("spent_nano")), name="lease_within_grant"
            ),
            models.CheckConstraint(condition=Q(state="open") ^ Q(closed_at__isnull=False), name="lease_closed_has_time"),
            models.CheckConstraint(condition=Q(expires_at__gte=F("draw_until")), name="lease_expires_last"),
        ]
        indexes = [
            models.Index(fields=["expires_at"], condition=Q(state="open"), name="lease_open_expiry"),
            models.Index(fields=["source"], condition=Q(state="open"), name="lease_open_source"),
        ]

    def __str__(self) -> str:
        return f"{self.state} {self.granted_nano}"
