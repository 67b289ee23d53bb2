"""Refunds to payers and unmatched payments for the programs of finance, each through the pages' services."""

from typing import Any, ClassVar

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.status import HTTP_200_OK, HTTP_201_CREATED

from billing.api.desk_serializers import ApprovalOut
from billing.api.desk_views import UUIDS, answer_to, uuid_in
from billing.api.payment_serializers import (
    AssignIn,
    PaymentRefundIn,
    PaymentRefundOut,
    ReturnIn,
    TransferIn,
    UnmatchedPaymentOut,
)
from billing.models import AdjustmentRequest, IncomingPayment, PaymentRefund
from billing.selectors import desk
from billing.selectors import payments as paid
from billing.services.payments import refunds, unmatched
from config.foundation.api_base import PortalViewSet


class PaymentRefundViewSet(PortalViewSet):
    """Money that goes back to payers through the provider."""

    queryset = PaymentRefund.objects.none()
    serializer_class = PaymentRefundOut
    lookup_value_regex = UUIDS
    keyset_ordering: ClassVar[str | tuple[str, ...]] = ("-created_at", "-pk")
    rights: ClassVar = {"list": "ledger.view", "retrieve": "ledger.view", "create": "ledger.adjust"}

    @extend_schema(
        parameters=[
            OpenApiParameter("state", str, enum=PaymentRefund.State.values),
            OpenApiParameter("payment_id", OpenApiTypes.UUID),
        ],
        responses=PaymentRefundOut(many=True),
    )
    def list(self, request: Request) -> Response:
        query = request.query_params
        payment_id = uuid_in(query["payment_id"]) if query.get("payment_id") else None
        return self.page_of(paid.refunds_for(self.actor, query.get("state", ""), payment_id), PaymentRefundOut)

    @extend_schema(responses=PaymentRefundOut)
    def retrieve(self, request: Request, pk: str) -> Response:
        return Response(PaymentRefundOut(paid.refund_for(self.actor, uuid_in(pk))).data)

    @extend_schema(request=PaymentRefundIn, responses={200: PaymentRefundOut, 201: PaymentRefundOut, 202: ApprovalOut})
    def create(self, request: Request) -> Response:
        """Give a payment or a part of it back: 201 when it is booked and on its way, 200 when it was there already. With
        debt it waits for a second person: 202 with the request."""
        given = self.given(PaymentRefundIn)
        payment = paid.payment_for(self.actor, given["payment_id"])
        act = given.get("transaction_id")
        wanted: dict[str, Any] = {
            "actor": self.actor,
            "payment": payment,
            "amount_nano": given["amount"],
            "reason": given["reason"],
        }
        if given["with_debt"]:
            return answer_to(refunds.ask_for_debt(transaction_id=act, **wanted))
        was_there = act is not None and paid.refund_known(self.actor, act) is not None
        refund = refunds.refund_payment(refund_id=act, **wanted)
        answer = PaymentRefundOut(paid.refund_for(self.actor, refund.pk)).data
        return Response(answer, status=HTTP_200_OK if was_there else HTTP_201_CREATED)


class UnmatchedPaymentViewSet(PortalViewSet):
    """Money that came in and belongs to nobody yet."""

    queryset = IncomingPayment.objects.none()
    serializer_class = UnmatchedPaymentOut
    lookup_value_regex = UUIDS
    keyset_ordering: ClassVar[str | tuple[str, ...]] = ("-received_at", "-pk")
    rights: ClassVar = {
        "list": "ledger.view",
        "retrieve": "ledger.view",
        "create": "ledger.adjust",
        "assign": "ledger.adjust",
        "give_back": "ledger.adjust",
    }

    @extend_schema(
        parameters=[OpenApiParameter("state", str, enum=IncomingPayment.State.values)],
        responses=UnmatchedPaymentOut(many=True),
    )
    def list(self, request: Request) -> Response:
        return self.page_of(paid.incoming_for(self.actor, request.query_params.get("state", "")), UnmatchedPaymentOut)

    @extend_schema(responses=UnmatchedPaymentOut)
    def retrieve(self, request: Request, pk: str) -> Response:
        return self._one(pk)

    @extend_schema(request=TransferIn, responses={201: UnmatchedPaymentOut})
    def create(self, request: Request) -> Response:
        """A bank transfer as finance saw it: it lies in suspense until it is assigned or returned. 409 for a known one."""
        row = unmatched.enter_transfer(actor=self.actor, transfer=unmatched.Transfer(**self.given(TransferIn)))
        return self._one(str(row.pk), HTTP_201_CREATED)

    @extend_schema(request=AssignIn, responses={200: UnmatchedPaymentOut, 202: ApprovalOut})
    @action(methods=["post"], detail=True)
    def assign(self, request: Request, pk: str) -> Response:
        """Book it to a person or a team, once; 202 with the request when it is so large that a second person approves it."""
        incoming, given = paid.incoming_one(self.actor, uuid_in(pk)), self.given(AssignIn)
        user, group = desk.payer_for(self.actor, user_id=given.get("user_id"), group_id=given.get("group_id"))
        done = unmatched.assign_or_ask(
            actor=self.actor,
            incoming=incoming,
            reason=given["reason"],
            user=user,
            group=group,
            worth_nano=given["worth"],
            transaction_id=given.get("transaction_id"),
        )
        return answer_to(done) if isinstance(done, AdjustmentRequest) else self._one(pk)

    @extend_schema(request=ReturnIn, responses=UnmatchedPaymentOut)
    @action(methods=["post"], detail=True, url_path="return")
    def give_back(self, request: Request, pk: str) -> Response:
        """Send it back to the payer, once: through the provider it came by, or as a transfer that finance makes."""
        incoming = paid.incoming_one(self.actor, uuid_in(pk))
        unmatched.give_back(actor=self.actor, incoming=incoming, reason=self.given(ReturnIn)["reason"])
        return self._one(pk)

    def _one(self, pk: str, status: int = HTTP_200_OK) -> Response:
        return Response(UnmatchedPaymentOut(paid.incoming_one(self.actor, uuid_in(pk))).data, status=status)
