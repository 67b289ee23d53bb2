"""One call from its admission to its one line in the request log."""

import time
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import orjson

from billing.outcome_rules import Ending, Settled, settle
from billing.pricing import Price, Usage
from billing.services.ledger import CallEvent, ReserveRequest
from config.foundation.outcomes import Outcome
from gateway.contract.endpoints import CHAT, Endpoint
from gateway.contract.estimate import Body, counted_input, sound_ms
from gateway.contract.fallbacks import Fallback
from gateway.contract.resolve import clean_name
from gateway.contract.types import Candidate, Decision, Denial
from gateway.contract.usage import ESTIMATED, NO_TOKENS, REPORTED, Tokens, estimated
from gateway.relay.answers import Answer
from gateway.relay.client import Headers, family_of, network_of
from gateway.relay.forms import Form
from gateway.relay.health import Health
from gateway.relay.loan import Loan
from gateway.relay.options import options
from gateway.relay.used import usage_of_call

# The relay itself was stopped, and cut the call off.
RELAY_STOPPED = "relay_stopped"

CLIENT_GONE = 499
# Priced by what was made or heard; tokens count where the upstream reports them.
UNITS = frozenset({"images", "speech", "transcript"})
MOST_WORD = 64


@dataclass(slots=True)
class Call:
    """What is known of a call while it runs. ``body`` and texts stay here: nothing of them reaches the log."""

    request_id: UUID
    endpoint: str
    decision: Decision
    address: str
    headers: Headers = field(repr=False)
    started: float = field(default_factory=time.perf_counter)
    spec: Endpoint = CHAT
    body: Body = field(default_factory=dict, repr=False)
    form: Form | None = field(default=None, repr=False)
    size: int = 0
    is_stream: bool = False
    held_nano: int | None = None
    # The lease the call draws on; None: the call has a hold of its own, or needs none.
    loan: Loan | None = field(default=None, repr=False)
    served_model: str = ""
    # gateway.relay.repeats: tells the same call again.
    body_digest: int | None = None
    first_token_ms: int | None = None
    attempts: list[dict[str, Any]] = field(default_factory=list)
    is_settled: bool = False
    health: Health | None = field(default=None, repr=False)
    # The model that may answer instead, and, once it was asked to, the same as ``fallback``.
    possible_fallback: Fallback | None = None
    fallback: Fallback | None = None
    # Tokens of the answer, once it is known: what the call counts for against a limit of tokens.
    used_tokens: int = 0
    billed_by_fallback: bool = False
    # Of a creative task: (template, version) it was made from, and where its end is told.
    template: tuple[int, int] | None = None
    callback_url: str = field(default="", repr=False)
    # Log columns that stand once the call is decided, and by which decision.
    _told: dict[str, Any] = field(default_factory=dict, repr=False)
    _told_of: Decision | None = field(default=None, repr=False)

    def elapsed_ms(self) -> int:
        return int((time.perf_counter() - self.started) * 1000)

    def mark_first_token(self) -> None:
        if self.first_token_ms is None:
            self.first_token_ms = self.elapsed_ms()

    def note_attempt(self, upstream_id: int, status: int, since: float, error: str = "") -> None:
        took = int((time.perf_counter() - since) * 1000)
        self.attempts.append({"upstream": upstream_id, "status": status, "ms": took, "error": error})

    def note(self, candidate: Candidate, status: int, since: float, error: str = "") -> None:
        """Note an attempt, for the log and for the health of the upstream."""
        self.note_attempt(candidate.upstream.id, status, since, error)
        if self.health is not None:
            self.health.note(candidate, error)

    def reserve_request(self, amount: int, life: timedelta | None = None) -> ReserveRequest:
        key = self.decision.key
        assert key is not None
        return ReserveRequest(
            request_id=self.request_id,
            user_id=None if key.team_id is not None else key.owner_id,
            group_id=key.team_id,
            key_id=key.id,
            amount_nano=amount,
            expires_at=datetime.now(UTC) + (life or timedelta(seconds=options().hold_seconds)),
            context=self._columns(),
        )

    def open_line(self, loan: Loan, amount: int) -> bytes:
        """What is written to the spool when the call begins on a lease, so that it is known if the relay dies with it."""
        value = {
            "request_id": self.request_id,
            "lease_id": loan.id,
            "promised_nano": amount,
            "log": {**self._columns(), "held_nano": amount},
        }
        return orjson.dumps(value)

    def counted(self, output_tokens: int) -> Tokens:
        """Tokens counted by us, flagged as such, for a call whose upstream reported none."""
        return estimated(counted_input(self.body), output_tokens)

    @property
    def text_size(self) -> int:
        """Bytes of the request without its files."""
        return self.size if self.form is None else self.size - self.form.files_bytes

    @property
    def counts_units(self) -> bool:
        return self.spec.kind in UNITS

    def with_units(self, tokens: Tokens | None, answer: Answer) -> Tokens:
        """``tokens`` with what is not counted in tokens: pictures, sound, text read aloud."""
        kind = self.spec.kind
        if kind == "images":
            return replace(
                tokens or Tokens(source=REPORTED),
                images=answer.images,
                size=plain_word(answer.size or self._word("size")),
                quality=plain_word(answer.quality or self._word("quality")),
            )
        if kind == "speech":
            text = self._word("input")
            return replace(tokens or estimated(counted_input({"input": text}), 0), characters=len(text))
        if kind == "transcript":
            heard = answer.audio_ms
            if heard is None and self.form is not None:
                heard = sound_ms(self.form.file_start, self.form.file_bytes)
            found = tokens or Tokens(source=REPORTED if answer.audio_ms is not None else ESTIMATED)
            return replace(found, audio_ms=heard or 0)
        return tokens or NO_TOKENS

    def _word(self, name: str) -> str:
        value = self.body.get(name)
        return value if isinstance(value, str) else ""

    def refused(self, denial: Denial, http_status: int) -> CallEvent:
        """The end of a call that never reached an upstream."""
        return self._event(denial.outcome, http_status, denial.code, NO_TOKENS, 0, {})

    def failed(self, outcome: Outcome, http_status: int, code: str) -> CallEvent:
        """The end of a call that gave no result: whatever was held goes back, nothing is charged."""
        ending = Ending(outcome.value, has_output=False, by_client=False)
        settled = settle(rules=self.decision.outcome_rules, ending=ending, usage=None, price=None)
        return self._event(outcome, http_status, code, NO_TOKENS, settled.cost_nano, settled.detail)

    def served_free(self) -> CallEvent:
        """The end of a call that costs nothing."""
        return self._event(Outcome.OK, 200, "", NO_TOKENS, 0, {})

    def charged(self, tokens: Tokens, outcome: Outcome = Outcome.OK, http_status: int = 200, code: str = "") -> CallEvent:
        """The end of a call that was sent on and used something: charged as the billing rule for such an end says, at the
        price of its admission."""
        self.used_tokens = tokens.input + tokens.output
        usage = usage_of_call(self.decision, tokens, self.body)
        ending = Ending(
            outcome.value,
            has_output=outcome is Outcome.OK or tokens.output > 0 or self.first_token_ms is not None,
            by_client=code != RELAY_STOPPED,
            is_counted=tokens.source == ESTIMATED,
        )
        settled = self._settled(usage, ending, self.decision.price)
        cost, detail = settled.cost_nano, settled.detail
        if self.fallback is not None:
            cost, detail = self._settled_by_fallback(self.fallback, usage, ending, settled)
        if not cost and self.counts_units and tokens.is_empty and ending.has_output:
            # A price for tokens, and none were reported: a work that was made is never free.
            cost, detail = self.held_nano or 0, {**detail, "formula": "estimate", "cost_nano": self.held_nano or 0}
        return self._event(outcome, http_status, code, tokens, cost, detail)

    def _settled(self, usage: Usage, ending: Ending, price: Price | None) -> Settled:
        rules = self.decision.outcome_rules
        return settle(rules=rules, ending=ending, usage=usage, price=price, held_nano=self.held_nano)

    def _settled_by_fallback(self, used: Fallback, usage: Usage, ending: Ending, asked: Settled) -> tuple[int, dict[str, Any]]:
        """The charge when another model answered: by its own price, but with protection never above the asked one's."""
        own = self._settled(usage, ending, used.price)
        is_by_asked = used.is_protected and own.cost_nano > asked.cost_nano
        taken = asked if is_by_asked else own
        self.billed_by_fallback = not is_by_asked
        told = {
            "rule": used.rule_id,
            "model": used.model_name,
            "protected": used.is_protected,
            "asked_cost_nano": asked.cost_nano,
            "own_cost_nano": own.cost_nano,
        }
        return taken.cost_nano, {**taken.detail, "fallback": told}

    def _columns(self) -> dict[str, Any]:
        if self._told_of is not self.decision:
            self._told_of = self.decision
            self._told = {
                **self.decision.log_columns(),
                "endpoint": self.endpoint,
                "client_family": family_of(self.headers.get(b"user-agent", b"")),
                "client_network": network_of(self.address),
            }
        columns = {**self._told, "is_stream": self.is_stream}
        if self.fallback is not None:
            columns["fallback_rule_id"] = self.fallback.rule_id
            if self.billed_by_fallback:
                columns |= {"billed_model": self.fallback.model_name, "price_version_id": self.fallback.price.version_id}
        if self.spec.kind == "videos":
            columns["modality"] = self.spec.modality
        return columns

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
            "body_digest": self.body_digest,
        }
        if self.spec.modality != "text" or tokens.audio_input or tokens.audio_output:
            log |= tokens.unit_columns(self.spec.modality)
        if self.loan is not None:
            log["held_nano"] = self.held_nano
            return CallEvent(self.request_id, cost, True, outcome.value, log, self.loan.id, self.held_nano or 0)
        return CallEvent(self.request_id, cost, self.held_nano is not None, outcome.value, log)


def plain_word(word: str) -> str:
    """A size or quality as it may stand in a price's lines: an end that cannot be written would never be charged."""
    return word.replace("\0", "")[:MOST_WORD]
