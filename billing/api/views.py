"""Balance, ledger, usage, calls and prices for programs."""

from datetime import datetime
from typing import Any, ClassVar

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.decorators import action
from rest_framework.fields import DateTimeField
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import ValidationError
from rest_framework.status import HTTP_200_OK, HTTP_201_CREATED

from accounts.models import User
from accounts.rights import may
from billing import selectors
from billing.api.desk_serializers import ApprovalOut
from billing.api.desk_views import answer_to
from billing.api.serializers import (
    BalanceOut,
    CallOperatorOut,
    CallOut,
    CallRowOut,
    CallRowSupportOut,
    CallSupportOut,
    LedgerLineOut,
    OutcomeRuleOut,
    PriceBookOut,
    PriceOut,
    PriceVersionIn,
    PriceVersionOut,
    PriceVersionRowOut,
    RepeatOut,
    RepeatSupportOut,
    ReversalIn,
    UsageOut,
)
from billing.catalogue import models_with_prices
from billing.models import LedgerEntry, PriceBook, PriceVersion, RequestLog
from billing.outcome_rules import EVENTS
from billing.pricing import RuleFigures
from billing.selectors import desk, prices
from billing.selectors.outcomes import outcome_rules_for
from billing.selectors.repeats import alone, fold, repeat_of, repeats_among
from billing.services import approvals
from billing.services.prices import publish_version
from config.foundation.api import SelectorPagination
from config.foundation.api_base import PortalViewSet, number_in
from config.foundation.errors import InvalidInput
from config.foundation.outcomes import Outcome

USER = OpenApiParameter("user_id", int, description="Whose; oneself if left out, others need the right.")
BEFORE = OpenApiParameter("before", str, description="Where the next page begins; taken from `next`.")
LINES = 50


class BillingViewSet(PortalViewSet):
    def person(self, right: str) -> User:
        """The person the request is about: oneself, or another one for those with the right; else not found."""
        return desk.person_whose(self.actor, self.number_of("user_id"), right)

    def moment(self, name: str) -> datetime | None:
        """A time from the query; raises InvalidInput."""
        text = self.request.query_params.get(name, "")
        if not text:
            return None
        try:
            return DateTimeField().to_internal_value(text)
        except ValidationError:
            raise InvalidInput(f"{name} must be a time such as 2026-11-20T16:00:00Z.") from None


class BalanceViewSet(BillingViewSet):
    """What a person has."""

    serializer_class = BalanceOut
    rights: ClassVar = {"retrieve": ""}

    @extend_schema(parameters=[USER], responses=BalanceOut, operation_id="balance_retrieve")
    def retrieve(self, request: Request) -> Response:
        person = self.person("ledger.view")
        balance: Any = selectors.balance_of(person)
        return Response(
            BalanceOut(
                {
                    "user_id": person.pk,
                    "total_nano": balance.total_nano,
                    "available_nano": balance.available_nano,
                    "held_nano": balance.held_nano,
                    "purses": balance.purses,
                }
            ).data
        )


class UsageViewSet(BillingViewSet):
    """Calls, tokens and cost per UTC day."""

    serializer_class = UsageOut
    rights: ClassVar = {"retrieve": ""}

    @extend_schema(
        parameters=[USER, OpenApiParameter("days", int, description="How many days up to today, 1 to 400; 30 if left out.")],
        responses=UsageOut,
        operation_id="usage_retrieve",
    )
    def retrieve(self, request: Request) -> Response:
        person = self.person("calls.search")
        days = self.number_of("days")
        if days is not None and not 1 <= days <= 400:
            raise InvalidInput("days is between 1 and 400.")
        chart = selectors.usage_by_day(self.actor, person, days or 30)
        answer = {"user_id": person.pk, "days": chart.days, "models": chart.models, "total": chart.total}
        return Response(UsageOut(answer).data)


class LedgerEntryViewSet(BillingViewSet):
    """Movements of a person's purses, newest first."""

    queryset = LedgerEntry.objects.none()
    pagination_class = SelectorPagination
    serializer_class = LedgerLineOut
    lookup_value_regex = r"\d+"
    rights: ClassVar = {"list": "", "reverse": "ledger.adjust"}

    @extend_schema(
        parameters=[USER, BEFORE, OpenApiParameter("without_calls", bool, description="Leave out what calls cost.")],
        responses=LedgerLineOut(many=True),
    )
    def list(self, request: Request) -> Response:
        without_calls = request.query_params.get("without_calls", "").lower() in ("1", "true")
        lines = selectors.ledger_lines(
            self.actor, self.person("ledger.view"), self.number_of("before"), LINES + 1, without_calls=without_calls
        )
        more = lines[LINES - 1].entry_id if len(lines) > LINES else None
        return self.keyset_of(lines[:LINES], LedgerLineOut, more)

    @extend_schema(request=ReversalIn, responses={201: ApprovalOut, 202: ApprovalOut})
    @action(methods=["post"], detail=True)
    def reverse(self, request: Request, pk: str) -> Response:
        """Ask for the opposite of an entry, once: 202 while it waits for a second person, 201 when it is booked."""
        entry, given = desk.entry_to_reverse(self.actor, number_in(pk)), self.given(ReversalIn)
        asked = approvals.ask(
            actor=self.actor,
            kind="reversal",
            entry=entry,
            amount_nano=entry.amount_nano,
            reason=given["reason"],
            evidence_url=given["evidence_url"],
            details={"allow_debt": given["allow_debt"]},
            transaction_id=given.get("transaction_id"),
        )
        return answer_to(asked)


class CallViewSet(BillingViewSet):
    """One's own calls; those with the right to search find everybody's. Without ``since``: the last seven days."""

    queryset = RequestLog.objects.none()
    pagination_class = SelectorPagination
    serializer_class = CallRowOut
    lookup_value_regex = r"[0-9a-fA-F-]{32,36}"
    rights: ClassVar = {"list": "", "retrieve": "", "repeats": ""}

    @extend_schema(
        parameters=[
            OpenApiParameter("fold", str, enum=["repeats"], description="One line for calls that are the same again."),
            OpenApiParameter("request_id", str),
            OpenApiParameter("since", OpenApiTypes.DATETIME),
            OpenApiParameter("until", OpenApiTypes.DATETIME),
            OpenApiParameter("key_tail", str, description="Last four characters of the key."),
            OpenApiParameter("key_id", int),
            OpenApiParameter("model", str, description="The model that was asked for."),
            OpenApiParameter("outcome", str, enum=[*Outcome.values, "failed"]),
            OpenApiParameter("http_status", int),
            OpenApiParameter("group_code", str),
            OpenApiParameter("user_id", int),
            BEFORE,
        ],
        responses=CallRowSupportOut(many=True),
    )
    def list(self, request: Request) -> Response:
        query = request.query_params
        outcome = query.get("outcome", "")
        if outcome and outcome not in (*Outcome.values, "failed"):
            raise InvalidInput("There is no such outcome.")
        folded = query.get("fold", "")
        if folded not in ("", "repeats"):
            raise InvalidInput("A list of calls is folded by repeats, or not at all.")
        filters = selectors.CallFilters(
            request_id=query.get("request_id", ""),
            since=self.moment("since"),
            until=self.moment("until"),
            key_tail=query.get("key_tail", ""),
            key_id=self.number_of("key_id"),
            model=query.get("model", ""),
            outcome=outcome,
            http_status=self.number_of("http_status"),
            group_code=query.get("group_code", ""),
            user_id=self.number_of("user_id"),
        )
        page = selectors.calls_for(self.actor, filters, query.get("before") or None)
        out = CallRowSupportOut if may(self.actor, "calls.search") else CallRowOut
        return self.keyset_of(fold(page.rows) if folded else page.rows, out, page.next_before)

    @extend_schema(responses=CallOperatorOut)
    def retrieve(self, request: Request, pk: str) -> Response:
        """One call with the arithmetic of its price; the inner route for operators alone."""
        call = selectors.call_detail(self.actor, pk)
        out: type[CallRowOut] = CallOut
        if may(self.actor, "calls.inner_route"):
            out = CallOperatorOut
        elif may(self.actor, "calls.search"):
            out = CallSupportOut
        call.repeat = repeats_among([call]).get(call.id)  # type: ignore[attr-defined]
        return Response(out(call).data)

    @extend_schema(responses=RepeatSupportOut)
    @action(detail=True, methods=["get"])
    def repeats(self, request: Request, pk: str) -> Response:
        """The case a call belongs to: made again, by hand or by a client's retry; a case of one when it stands alone."""
        case, calls = repeat_of(self.actor, pk) or alone(selectors.call_detail(self.actor, pk))
        out = CallRowSupportOut if may(self.actor, "calls.search") else CallRowOut
        return Response({**RepeatOut(case).data, "calls": out(calls, many=True).data})


class PriceViewSet(PortalViewSet):
    """What the person who asks pays for each model they may call."""

    pagination_class = SelectorPagination
    serializer_class = PriceOut
    rights: ClassVar = {"list": ""}

    @extend_schema(responses=PriceOut(many=True))
    def list(self, request: Request) -> Response:
        return Response({"next": None, "results": PriceOut(models_with_prices(self.actor), many=True).data})


class OutcomeRuleViewSet(PortalViewSet):
    """What a call costs the person who asks, by how it ended."""

    pagination_class = SelectorPagination
    serializer_class = OutcomeRuleOut
    rights: ClassVar = {"list": ""}

    @extend_schema(responses=OutcomeRuleOut(many=True))
    def list(self, request: Request) -> Response:
        rules = outcome_rules_for(self.actor)
        rows = [
            {
                "event": event,
                "reported": rules.action(event, is_counted=False),
                "counted": rules.action(event, is_counted=True),
            }
            for event in EVENTS
        ]
        return Response({"next": None, "results": OutcomeRuleOut(rows, many=True).data})


class PriceBookViewSet(PortalViewSet):
    """Price books."""

    queryset = PriceBook.objects.none()
    serializer_class = PriceBookOut
    rights: ClassVar = {"list": "prices.view"}

    @extend_schema(responses=PriceBookOut(many=True))
    def list(self, request: Request) -> Response:
        return self.page_of(prices.price_books(self.actor), PriceBookOut)


class PriceVersionViewSet(PortalViewSet):
    """Versions of price books. A published one never changes; a new one takes its place."""

    queryset = PriceVersion.objects.none()
    serializer_class = PriceVersionRowOut
    lookup_value_regex = r"\d+"
    rights: ClassVar = {"list": "prices.view", "retrieve": "prices.view", "create": "prices.manage"}

    @extend_schema(
        parameters=[OpenApiParameter("book", str, description="Code of a price book.")],
        responses=PriceVersionRowOut(many=True),
    )
    def list(self, request: Request) -> Response:
        versions = prices.price_versions(self.actor, request.query_params.get("book", ""))
        return self.page_of(versions, PriceVersionRowOut)

    @extend_schema(responses=PriceVersionOut)
    def retrieve(self, request: Request, pk: str) -> Response:
        return self._answer(number_in(pk))

    @extend_schema(request=PriceVersionIn, responses={201: PriceVersionOut})
    def create(self, request: Request) -> Response:
        """Publish a version. One that says the same as the newest is not made anew."""
        given = self.given(PriceVersionIn)
        rules = {line["model_name"]: _figures(line) for line in given["rules"]}
        multipliers = {(row["group_code"], row["payer_group_code"]): row["multiplier"] for row in given["multipliers"]}
        if len(rules) != len(given["rules"]) or len(multipliers) != len(given["multipliers"]):
            raise InvalidInput("A model or a pair of groups is named twice.")
        version = publish_version(
            actor=self.actor,
            book=given["book"],
            rules=rules,
            multipliers=multipliers,
            note=given["note"],
            valid_from=given.get("valid_from"),
        )
        return self._answer(version.pk, HTTP_201_CREATED)

    def _answer(self, version_id: int, status: int = HTTP_200_OK) -> Response:
        return Response(PriceVersionOut(prices.price_version_for(self.actor, version_id)).data, status=status)


def _figures(line: dict[str, Any]) -> RuleFigures:
    return RuleFigures(
        basis=line["basis"],
        input_nano=line["input"],
        cached_nano=line["cached_input"],
        cache_write_nano=line["cache_write"],
        output_nano=line["output"],
        call_nano=line["per_call"],
        item_nano=line["per_item"],
        minimum_nano=line["minimum"],
        reasoning_nano=line["reasoning"],
        audio_input_nano=line["audio_input"],
        audio_output_nano=line["audio_output"],
        character_nano=line["characters"],
        unit_prices=line["units"],
        rounding=line["rounding"],
        rounding_step_nano=line["rounded_to"],
        source_figures=line["source_figures"],
    )
