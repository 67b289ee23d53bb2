"""One call from its admission to its one line in the request log."""

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from billing.outcome_rules import Ending, settle
from billing.services.ledger import CallEvent, ReserveRequest
from config.foundation.outcomes import Outcome
from gateway.contract.estimate import Body, counted_input
from gateway.contract.resolve import clean_name
from gateway.contract.types import Decision, Denial
from gateway.contract.usage import ESTIMATED, NO_TOKENS, Tokens, estimated
from gateway.relay.client import family_of, network_of
from gateway.relay.options import options
from gateway.relay.pricing import usage_of_call

# The relay itself was stopped, and cut the call off.
RELAY_STOPPED = "relay_stopped"


@dataclass(slots=True)
class Call:
    """What is known of a call while it runs. ``body`` and texts stay here: nothing of them reaches the log."""

    request_id: UUID
    endpoint: str
    decision: Decision
    address: str
    user_agent: bytes
    started: float = field(default_factory=time.perf_counter)
    body: Body = field(default_factory=dict, repr=False)
    size: int = 0
    is_stream: bool = False
    held_nano: int | None = None
    served_model: str = ""
    first_token_ms: int | None = None
    attempts: list[dict[str, Any]] = field(default_factory=list)
    is_settled: bool = False
    # Tokens of the answer, once it is known: what the call counts for against a limit of tokens.
    used_tokens: int = 0

    def elapsed_ms(self) -> int:
        return int((time.perf_counter() - self.started) * 1000)

    def mark_first_token(self) -> None:
        if self.first_token_ms is None:
            self.first_token_ms = self.elapsed_ms()

    def note_attempt(self, upstream_id: int, status: int, since: float, error: str = "") -> None:
        took = int((time.perf_counter() - since) * 1000)
        self.attempts.append({"upstream": upstream_id, "status": status, "ms": took, "error": error})

    def reserve_request(self, amount: int) -> ReserveRequest:
        key = self.decision.key
        assert key is not None
        return ReserveRequest(
            request_id=self.request_id,
            user_id=None if key.team_id is not None else key.owner_id,
            group_id=key.team_id,
            key_id=key.id,
            amount_nano=amount,
            expires_at=datetime.now(UTC) + timedelta(seconds=options().hold_seconds),
            context=self._columns(),
        )

    def counted(self, output_tokens: int) -> Tokens:
        """Tokens counted by us, flagged as such, for a call whose upstream reported none."""
        return estimated(counted_input(self.body), output_tokens)

    def refused(self, denial: Denial) -> CallEvent:
        """The end of a call that never reached an upstream."""
        return self._event(denial.outcome, denial.http_status, denial.code, NO_TOKENS, 0, {})

    def failed(self, outcome: Outcome, http_status: int, code: str) -> CallEvent:
        """The end of a call that gave no result: whatever was held goes back, nothing is charged."""
        ending = Ending(outcome.value, has_output=False, by_client=False)
        settled = settle(rules=self.decision.outcome_rules, ending=ending, usage=None, price=None)
        return self._event(outcome, http_status, code, NO_TOKENS, settled.cost_nano, settled.detail)

    def charged(self, tokens: Tokens, outcome: Outcome = Outcome.OK, http_status: int = 200, code: str = "") -> CallEvent:
        """The end of a call that was sent on and used something: charged as the billing rule for such an end says, at the
        price of its admission."""
        self.used_tokens = tokens.input + tokens.output
        ending = Ending(
            outcome.value,
            has_output=outcome is Outcome.OK or tokens.output > 0,
            by_client=code != RELAY_STOPPED,
            is_counted=tokens.source == ESTIMATED,
        )
        settled = settle(
            rules=self.decision.outcome_rules,
            ending=ending,
            usage=usage_of_call(self.decision, tokens, self.body),
            price=self.decision.price,
            held_nano=self.held_nano,
        )
        return self._event(outcome, http_status, code, tokens, settled.cost_nano, settled.detail)

    def _columns(self) -> dict[str, Any]:
        return {
            **self.decision.log_columns(),
            "endpoint": self.endpoint,
            "is_stream": self.is_stream,
            "client_family": family_of(self.user_agent),
            "client_network": network_of(self.address),
        }

    def _event(
        self, outcome: Outcome, http_status: int, code: str, tokens: Tokens, cost: int, price_detail: dict[str, Any]
    ) -> CallEvent:
        log = {
            **self._columns(),
            "duration_ms": self.elapsed_ms(),
            "first_token_ms": self.first_token_ms,
            "served_model": clean_name(self.served_model),
            "outcome": outcome.value,
            "http_status": http_status,
            "error_code": code,
            **tokens.log_columns(),
            "price_detail": price_detail,
            "attempts": self.attempts,
        }
        return CallEvent(self.request_id, cost, self.held_nano is not None, outcome.value, log)
