"""Statements, payments, refunds, conversions and the desk for the programs of finance, each through the pages' services."""

from typing import Any, ClassVar

from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.status import HTTP_200_OK, HTTP_201_CREATED

from accounts.rights import require
from billing.api.desk_serializers import ApprovalOut
from billing.api.desk_views import UUIDS, answer_to, uuid_in
from billing.api.finance_serializers import (
    CallRefundIn,
    CallRefundOut,
    ConversionIn,
    ConversionOut,
    DeskActIn,
    DeskItemOut,
    DisputeOut,
    PaymentOut,
    StatementDetailOut,
    StatementIssuedOut,
    StatementIssueIn,
    StatementOut,
)
from billing.exports import XLSX
from billing.models import CallRefund, CurrencyConversion, DeskItem, Payment, PaymentDispute, Statement
from billing.selectors import desk as lookups
from billing.selectors import payments as paid
from billing.selectors import reconcile as desks
from billing.selectors import refunds as given_back
from billing.selectors import statements as stated
from billing.services import conversions, desk, refunds
from billing.services.errors import InsufficientBalance
from billing.services.statements import issue_statement
from billing.statements.months import parse_month
from config.foundation.api import SelectorPagination
from config.foundation.api_base import PortalViewSet, number_in
from config.foundation.errors import InvalidInput

STATE = OpenApiParameter("state", str)
ALL = OpenApiParameter("all", bool, description="Everybody's, for those with the right.")
CONTENT = {"csv": "text/csv; charset=utf-8", "pdf": "application/pdf", "xlsx": XLSX}


def _wants_all(request: Request) -> bool:
    return request.query_params.get("all", "").lower() in ("1", "true")


class StatementViewSet(PortalViewSet):
    """Statements as they were issued: one's own and those of teams one owns; everybody's with the right."""

    queryset = Statement.objects.none()
    pagination_class = SelectorPagination
    serializer_class = StatementOut
    lookup_value_regex = r"\d+"
    rights: ClassVar = {"list": "", "retrieve": "", "file": "", "create": "statements.issue"}

    @extend_schema(
        parameters=[
            ALL,
            OpenApiParameter("month", str, description="Such as 2026-08; with `all`."),
            OpenApiParameter("who", str, description="A user name or the code of a team; with `all`."),
            OpenApiParameter("before", int),
        ],
        responses=StatementOut(many=True),
    )
    def list(self, request: Request) -> Response:
        if not _wants_all(request):
            return self.keyset_of(stated.statements_for(self.actor), StatementOut, None)
        text = request.query_params.get("month", "")
        month_on = parse_month(text) if text else None
        if text and month_on is None:
            raise InvalidInput("A month is such as 2026-08.")
        page = stated.issued_statements(self.actor, month_on, request.query_params.get("who", ""), self.number_of("before"))
        return self.keyset_of(page.rows, StatementOut, page.next_before)

    @extend_schema(responses=StatementDetailOut)
    def retrieve(self, request: Request, pk: str) -> Response:
        return Response(StatementDetailOut(stated.statement_for(self.actor, number_in(pk))).data)

    @extend_schema(responses={(200, "application/octet-stream"): OpenApiTypes.BINARY})
    @action(methods=["get"], detail=True, url_path=r"files/(?P<language>[a-z-]{2,16})/(?P<kind>[a-z]{3,4})")
    def file(self, request: Request, pk: str, language: str, kind: str) -> HttpResponse:
        """The bytes of a file as they were issued, with their digest."""
        file = stated.statement_file(self.actor, number_in(pk), kind, language)
        response = HttpResponse(bytes(file.content), content_type=CONTENT[file.format])
        response["Content-Digest"] = f"sha-256={file.sha256}"
        response["Cache-Control"] = "no-store"
        return response

    @extend_schema(request=StatementIssueIn, responses={200: StatementIssuedOut, 201: StatementIssuedOut})
    def create(self, request: Request) -> Response:
        """Issue a month for one person or team; 200 when it was there, or there is nothing to state."""
        given = self.given(StatementIssueIn)
        month_on = parse_month(given["month"])
        if month_on is None:
            raise InvalidInput("A month is such as 2026-08.")
        owner = stated.statement_owner(self.actor, given["who"])
        issued = issue_statement(actor=self.actor, owner=owner, month_on=month_on)
        answer = {"status": issued.status, "id": issued.statement.pk if issued.statement else None}
        is_new = issued.status == "issued"
        return Response(StatementIssuedOut(answer).data, status=HTTP_201_CREATED if is_new else HTTP_200_OK)


class PaymentViewSet(PortalViewSet):
    """Payments through the provider: one's own, or with `all` everybody's."""

    queryset = Payment.objects.none()
    serializer_class = PaymentOut
    lookup_value_regex = UUIDS
    keyset_ordering: ClassVar[str | tuple[str, ...]] = ("-created_at", "-pk")
    rights: ClassVar = {"list": "", "retrieve": ""}

    @extend_schema(parameters=[ALL, STATE], responses=PaymentOut(many=True))
    def list(self, request: Request) -> Response:
        state = request.query_params.get("state", "")
        return self.page_of(paid.payments_for(self.actor, state, everybody=_wants_all(request)), PaymentOut)

    @extend_schema(responses=PaymentOut)
    def retrieve(self, request: Request, pk: str) -> Response:
        return Response(PaymentOut(paid.payment_for(self.actor, uuid_in(pk))).data)


class DisputeViewSet(PortalViewSet):
    """Payments that are disputed at the bank."""

    queryset = PaymentDispute.objects.none()
    serializer_class = DisputeOut
    keyset_ordering: ClassVar[str | tuple[str, ...]] = ("-opened_at", "-pk")
    rights: ClassVar = {"list": "ledger.view"}

    @extend_schema(parameters=[STATE], responses=DisputeOut(many=True))
    def list(self, request: Request) -> Response:
        return self.page_of(paid.disputes_for(self.actor, request.query_params.get("state", "")), DisputeOut)


class CallRefundViewSet(PortalViewSet):
    """Money given back for calls."""

    queryset = CallRefund.objects.none()
    serializer_class = CallRefundOut
    rights: ClassVar = {"list": "ledger.view", "create": "ledger.adjust"}

    @extend_schema(parameters=[OpenApiParameter("call_id", OpenApiTypes.UUID)], responses=CallRefundOut(many=True))
    def list(self, request: Request) -> Response:
        text = request.query_params.get("call_id", "")
        return self.page_of(given_back.call_refunds(self.actor, request_id=uuid_in(text) if text else None), CallRefundOut)

    @extend_schema(request=CallRefundIn, responses={201: ApprovalOut, 202: ApprovalOut})
    def create(self, request: Request) -> Response:
        """Give a call's charge or a part of it back: 202 while it waits for a second person, 201 when it is booked."""
        given = self.given(CallRefundIn)
        call_id = given.pop("call_id")
        asked = refunds.ask_for_refund(actor=self.actor, request_id=call_id, amount_nano=given.pop("amount"), **given)
        return answer_to(asked)


class ConversionViewSet(PortalViewSet):
    """Money of one currency that became money of another."""

    queryset = CurrencyConversion.objects.none()
    serializer_class = ConversionOut
    keyset_ordering: ClassVar[str | tuple[str, ...]] = ("-created_at", "-pk")
    rights: ClassVar = {"list": "ledger.view", "create": "ledger.adjust"}

    @extend_schema(responses=ConversionOut(many=True))
    def list(self, request: Request) -> Response:
        return self.page_of(given_back.conversions(self.actor), ConversionOut)

    @extend_schema(request=ConversionIn, responses={202: ApprovalOut})
    def create(self, request: Request) -> Response:
        """Ask for a conversion; a second person always approves it."""
        given = self.given(ConversionIn)
        user, group = lookups.payer_for(self.actor, user_id=given.pop("user_id", None), group_id=given.pop("group_id", None))
        if (user is None) == (group is None):
            raise InvalidInput("Say whose money it is: user_id or group_id.")
        owner: Any = user or group
        purse = given_back.prepaid_purse(self.actor, owner, given.pop("from_currency"))
        if purse is None:
            raise InsufficientBalance("There is no money in this currency.")
        asked = conversions.ask_for_conversion(actor=self.actor, purse=purse, amount_nano=given.pop("amount"), **given)
        return answer_to(asked)


class DeskItemViewSet(PortalViewSet):
    """What nothing could book by itself: unbilled, late and unmatched calls."""

    queryset = DeskItem.objects.none()
    pagination_class = SelectorPagination
    serializer_class = DeskItemOut
    lookup_value_regex = r"\d+"
    rights: ClassVar = {"list": "reconcile.view", "retrieve": "reconcile.view", "close": "ledger.adjust"}

    @extend_schema(
        parameters=[
            OpenApiParameter("kind", str, enum=DeskItem.Kind.values),
            OpenApiParameter("state", str, enum=DeskItem.State.values),
            OpenApiParameter("before", int),
        ],
        responses=DeskItemOut(many=True),
    )
    def list(self, request: Request) -> Response:
        query = request.query_params
        rows = list(
            desks.desk_items_for(
                self.actor, kind=query.get("kind", ""), state=query.get("state", ""), before=self.number_of("before")
            )
        )
        more = rows[desks.PAGE - 1].pk if len(rows) > desks.PAGE else None
        return self.keyset_of(rows[: desks.PAGE], DeskItemOut, more)

    @extend_schema(responses=DeskItemOut)
    def retrieve(self, request: Request, pk: str) -> Response:
        return Response(DeskItemOut(desks.desk_item_for(self.actor, number_in(pk))).data)

    @extend_schema(request=DeskActIn, responses=DeskItemOut)
    @action(methods=["post"], detail=True)
    def close(self, request: Request, pk: str) -> Response:
        """Charge it, write it off or set it aside; once."""
        require(self.actor, "ledger.adjust")
        item, given = desks.desk_item_for(self.actor, number_in(pk)), self.given(DeskActIn)
        act: dict[str, Any] = {"actor": self.actor, "item": item, "reason": given["reason"]}
        if given["act"] == "settle":
            user, group = lookups.payer_for(self.actor, user_id=given.get("user_id"), group_id=given.get("group_id"))
            desk.settle_desk_item(amount_nano=given["amount"], user=user, group=group, **act)
        elif given["act"] == "write_off":
            desk.write_off_desk_item(**act)
        else:
            desk.ignore_desk_item(**act)
        return Response(DeskItemOut(desks.desk_item_for(self.actor, item.pk)).data)
