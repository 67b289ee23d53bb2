from billing.models.alerts import AlertFire, BalanceAlert
from billing.models.approvals import AdjustmentRequest, BreakGlass
from billing.models.codes import CodeBatch, CodeGuesses, RedemptionCode
from billing.models.conversions import CurrencyConversion
from billing.models.desk import DeskItem
from billing.models.fences import GroupFence, ModelTier, PriceTier
from billing.models.ledger import Hold, LedgerAccount, LedgerEntry
from billing.models.limits import SpendLimit, SpendWindow
from billing.models.outcomes import OutcomeRule, OutcomeRuleSet
from billing.models.pricing import GroupBook, GroupMultiplier, PriceBook, PriceRule, PriceVersion
from billing.models.refunds import CallRefund
from billing.models.seals import LedgerSeal, LedgerSealHead
from billing.models.statements import Statement, StatementFile, StatementPurse, StatementRun
from billing.models.usage import RequestLog, UsageCube, UsageDaily, UsageDelta, UsageHourly, UsageKeyDaily, UsagePart

__all__ = [
    "AdjustmentRequest",
    "AlertFire",
    "BalanceAlert",
    "CallRefund",
    "CurrencyConversion",
    "DeskItem",
    "BreakGlass",
    "CodeBatch",
    "CodeGuesses",
    "GroupBook",
    "GroupFence",
    "GroupMultiplier",
    "Hold",
    "LedgerAccount",
    "LedgerEntry",
    "LedgerSeal",
    "LedgerSealHead",
    "OutcomeRule",
    "OutcomeRuleSet",
    "ModelTier",
    "PriceBook",
    "PriceRule",
    "PriceTier",
    "PriceVersion",
    "RedemptionCode",
    "RequestLog",
    "SpendLimit",
    "SpendWindow",
    "Statement",
    "StatementFile",
    "StatementPurse",
    "StatementRun",
    "UsageCube",
    "UsageDaily",
    "UsageDelta",
    "UsageHourly",
    "UsageKeyDaily",
    "UsagePart",
]
