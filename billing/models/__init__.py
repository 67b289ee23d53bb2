from billing.models.alerts import AlertChoice, AlertEvent, AlertKind, AlertRule, AlertState, KeySpend
from billing.models.approvals import AdjustmentRequest, BreakGlass
from billing.models.codes import CodeBatch, CodeGuesses, RedemptionCode
from billing.models.conversions import CurrencyConversion
from billing.models.desk import DeskItem
from billing.models.exports import ExportJob, ExportPart
from billing.models.fences import GroupFence, ModelTier, PriceTier
from billing.models.hooks import HookAttempt, HookDelivery, HookEndpoint
from billing.models.ledger import Hold, Lease, LedgerAccount, LedgerEntry
from billing.models.limits import SpendLimit, SpendWindow
from billing.models.outcomes import OutcomeRule, OutcomeRuleSet
from billing.models.payments import IncomingPayment, Payment, PaymentDispute, PaymentEvent, PaymentRefund
from billing.models.pricing import GroupBook, GroupMultiplier, PriceBook, PriceRule, PriceVersion
from billing.models.reconcile import Difference, ReconcileRun
from billing.models.refunds import CallRefund
from billing.models.seals import LedgerSeal, LedgerSealHead
from billing.models.statements import Statement, StatementFile, StatementPurse, StatementRun
from billing.models.usage import RequestLog, UsageAccount, UsageCube, UsageDelta, UsageHouse, UsageKeyDaily

__all__ = [
    "IncomingPayment",
    "Payment",
    "PaymentDispute",
    "PaymentEvent",
    "PaymentRefund",
    "AdjustmentRequest",
    "AlertChoice",
    "AlertEvent",
    "AlertKind",
    "AlertRule",
    "AlertState",
    "BreakGlass",
    "CallRefund",
    "CodeBatch",
    "CodeGuesses",
    "CurrencyConversion",
    "DeskItem",
    "Difference",
    "ExportJob",
    "ExportPart",
    "GroupBook",
    "GroupFence",
    "GroupMultiplier",
    "Hold",
    "HookAttempt",
    "HookDelivery",
    "HookEndpoint",
    "KeySpend",
    "Lease",
    "LedgerAccount",
    "LedgerEntry",
    "LedgerSeal",
    "LedgerSealHead",
    "ModelTier",
    "OutcomeRule",
    "OutcomeRuleSet",
    "PriceBook",
    "PriceRule",
    "PriceTier",
    "PriceVersion",
    "ReconcileRun",
    "RedemptionCode",
    "RequestLog",
    "SpendLimit",
    "SpendWindow",
    "Statement",
    "StatementFile",
    "StatementPurse",
    "StatementRun",
    "UsageAccount",
    "UsageCube",
    "UsageDelta",
    "UsageHouse",
    "UsageKeyDaily",
]
