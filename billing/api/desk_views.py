"""Top-ups, corrections, codes and approvals for the programs of finance."""

from typing import Any, ClassVar
from uuid import UUID

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.status import HTTP_200_OK, HTTP_201_CREATED, HTTP_202_ACCEPTED

from billing.api.desk_serializers import (
    ApprovalOut,
    ClearCodesOut,
    CodeBatchIn,
    CodeBatchOut,
    CodeOut,
    CodesChangedOut,
    CodesChangeIn,
    DecisionIn,
    RevaluationOut,
    RevalueIn,
)
from billing.api.serializers import AdjustmentIn, CreditLimitIn, PostingOut, RedeemedOut, RedeemIn, TopUpIn
from billing.models import AdjustmentRequest, CodeBatch
from billing.selectors import approvals as asked
from billing.selectors import codes as found
from billing.selectors import desk
from billing.services import approvals, code_batches, codes
from billing.services.errors import NumbersChanged
from config.foundation.api_base import PortalViewSet, number_in
from config.foundation.errors import InvalidInput

UUIDS = r"[0-9a-fA-F-]{32,36}"
STATE = OpenApiParameter("state", str)


def uuid_in(text: str) -> UUID:
    """An id from an address or a query; raises InvalidInput."""
    try:
        return UUID(text)
    except ValueError:
        raise InvalidInput("An id is a UUID.") from None


def answer_to(request: AdjustmentRequest) -> Response:
    """201 for what is done, 202 for what waits for a second person."""
    is_done = request.state == AdjustmentRequest.State.DONE
    return Response(ApprovalOut(request).data, status=HTTP_201_CREATED if is_done else HTTP_202_ACCEPTED)


class TopUpViewSet(PortalViewSet):
    """Money that came in."""

    serializer_class = PostingOut
    rights: ClassVar = {"create": "ledger.adjust"}

    @extend_schema(request=TopUpIn, responses={200: PostingOut, 201: PostingOut, 202: ApprovalOut})
    def create(self, request: Request) -> Response:
        """Money that came in. 202 with the request when it is so large that a second person has to approve it."""
        given = self.given(TopUpIn)
        user, group = desk.payer_for(self.actor, user_id=given.get("user_id"), group_id=given.get("group_id"))
        posted = approvals.top_up_or_ask(
            actor=self.actor,
            user=user,
            group=group,
            amount_nano=given["amount"],
            reason=given["reason"],
            transaction_id=given.get("transaction_id"),
        )
        if isinstance(posted, AdjustmentRequest):
            return answer_to(posted)
        status = HTTP_201_CREATED if posted.status == "posted" else HTTP_200_OK
        return Response(PostingOut(posted).data, status=status)


class AdjustmentViewSet(PortalViewSet):
    """Corrections of a purse."""

    serializer_class = ApprovalOut
    rights: ClassVar = {"create": "ledger.adjust", "credit_limit": "ledger.adjust"}

    @extend_schema(request=AdjustmentIn, responses={201: ApprovalOut, 202: ApprovalOut})
    def create(self, request: Request) -> Response:
        """Ask for a correction: 202 while it waits for a second person, 201 when it is booked."""
        given = self.given(AdjustmentIn)
        return self._ask("adjustment", given["amount"], given)

    @extend_schema(request=CreditLimitIn, responses={201: ApprovalOut, 202: ApprovalOut})
    @action(methods=["post"], detail=False, url_path="credit-limit")
    def credit_limit(self, request: Request) -> Response:
        """Ask for a credit limit of a purse."""
        given = self.given(CreditLimitIn)
        return self._ask("credit_limit", given["limit"], given)

    def _ask(self, kind: str, amount_nano: int, given: dict[str, Any]) -> Response:
        request = approvals.ask(
            actor=self.actor,
            kind=kind,
            purse=desk.purse_to_adjust(self.actor, given["purse_id"]),
            amount_nano=amount_nano,
            reason=given["reason"],
            evidence_url=given["evidence_url"],
            transaction_id=given.get("transaction_id"),
        )
        return answer_to(request)


class ApprovalViewSet(PortalViewSet):
    """Requests that wait for a second person. Nobody approves what they asked for."""

    queryset = AdjustmentRequest.objects.none()
    serializer_class = ApprovalOut
    lookup_value_regex = r"\d+"
    rights: ClassVar = {
        "list": "ledger.view",
        "retrieve": "ledger.view",
        "approve": "ledger.approve",
        "refuse": "ledger.approve",
        "withdraw": "ledger.adjust",
    }

    @extend_schema(parameters=[STATE], responses=ApprovalOut(many=True))
    def list(self, request: Request) -> Response:
        return self.page_of(asked.requests_for(self.actor, request.query_params.get("state", "")), ApprovalOut)

    @extend_schema(responses=ApprovalOut)
    def retrieve(self, request: Request, pk: str) -> Response:
        return Response(ApprovalOut(asked.request_for(self.actor, number_in(pk))).data)

    @extend_schema(request=DecisionIn, responses=ApprovalOut)
    @action(methods=["post"], detail=True)
    def approve(self, request: Request, pk: str) -> Response:
        """Say yes to what somebody else asked for, and do it."""
        one = asked.request_for(self.actor, number_in(pk))
        return self._answer(approvals.approve(actor=self.actor, request=one, note=self.given(DecisionIn)["note"]))

    @extend_schema(request=DecisionIn, responses=ApprovalOut)
    @action(methods=["post"], detail=True)
    def refuse(self, request: Request, pk: str) -> Response:
        """Say no, with a note."""
        one = asked.request_for(self.actor, number_in(pk))
        return self._answer(approvals.refuse(actor=self.actor, request=one, note=self.given(DecisionIn)["note"]))

    @extend_schema(request=None, responses=ApprovalOut)
    @action(methods=["post"], detail=True)
    def withdraw(self, request: Request, pk: str) -> Response:
        """Take one's own request back."""
        return self._answer(approvals.withdraw(actor=self.actor, request=asked.request_for(self.actor, number_in(pk))))

    def _answer(self, request: AdjustmentRequest) -> Response:
        return Response(ApprovalOut(asked.request_for(self.actor, request.pk)).data)


class CodeViewSet(PortalViewSet):
    """Redemption codes."""

    serializer_class = RedeemedOut
    rights: ClassVar = {"redeem": ""}

    @extend_schema(request=RedeemIn, responses=RedeemedOut)
    @action(methods=["post"], detail=False)
    def redeem(self, request: Request) -> Response:
        """Add a code's money to one's own balance."""
        return Response(RedeemedOut(codes.redeem_code(actor=self.actor, presented=self.given(RedeemIn)["code"])).data)


class CodeBatchViewSet(PortalViewSet):
    """Batches of codes: made in one act, downloaded once."""

    queryset = CodeBatch.objects.none()
    serializer_class = CodeBatchOut
    lookup_value_regex = UUIDS
    keyset_ordering: ClassVar[str | tuple[str, ...]] = ("-created_at", "-pk")
    rights: ClassVar = {
        "list": "ledger.view",
        "retrieve": "ledger.view",
        "codes": "ledger.view",
        "create": "ledger.adjust",
        "take": "ledger.adjust",
        "pause": "ledger.adjust",
        "resume": "ledger.adjust",
        "void": "ledger.adjust",
        "revalue": "ledger.adjust",
    }

    @extend_schema(responses=CodeBatchOut(many=True))
    def list(self, request: Request) -> Response:
        rows = self.paginate_queryset(found.batches(self.actor))
        return self.get_paginated_response(CodeBatchOut(found.batch_lines(self.actor, list(rows or [])), many=True).data)

    @extend_schema(responses=CodeBatchOut)
    def retrieve(self, request: Request, pk: str) -> Response:
        return self._one(self._batch(pk), HTTP_200_OK)

    @extend_schema(request=CodeBatchIn, responses={201: CodeBatchOut, 202: ApprovalOut})
    def create(self, request: Request) -> Response:
        """Make the codes and book what is owed; 202 with the request when a second person has to approve so much."""
        given = self.given(CodeBatchIn)
        act = given.pop("transaction_id", None)
        new = code_batches.NewBatch(amount_nano=given.pop("amount"), **given)
        request_made = approvals.ask_for_batch(actor=self.actor, new=new, transaction_id=act)
        if request_made.batch is None:
            return answer_to(request_made)
        return self._one(request_made.batch, HTTP_201_CREATED)

    @extend_schema(request=None, responses=ClearCodesOut)
    @action(methods=["post"], detail=True)
    def take(self, request: Request, pk: str) -> Response:
        """The clear codes, once; afterwards they are known by their last four characters."""
        batch = self._batch(pk)
        clear = code_batches.take_codes(actor=self.actor, batch=batch)
        response = Response(ClearCodesOut({"id": batch.pk, "codes": clear}).data)
        response["Cache-Control"] = "no-store"
        return response

    @extend_schema(parameters=[STATE], responses=CodeOut(many=True))
    @action(methods=["get"], detail=True)
    def codes(self, request: Request, pk: str) -> Response:
        """The codes of a batch."""
        rows = found.codes_of(self.actor, self._batch(pk), request.query_params.get("state", ""))
        self.keyset_ordering = "-pk"  # type: ignore[misc]
        return self.page_of(rows, CodeOut)

    @extend_schema(request=CodesChangeIn, responses=CodesChangedOut)
    @action(methods=["post"], detail=True)
    def pause(self, request: Request, pk: str) -> Response:
        """Let codes not be redeemed for now; what was owed on them is released."""
        return self._change(pk, "disabled")

    @extend_schema(request=CodesChangeIn, responses=CodesChangedOut)
    @action(methods=["post"], detail=True)
    def resume(self, request: Request, pk: str) -> Response:
        """Let paused codes be redeemed again."""
        return self._change(pk, "unused")

    @extend_schema(request=CodesChangeIn, responses=CodesChangedOut)
    @action(methods=["post"], detail=True)
    def void(self, request: Request, pk: str) -> Response:
        """End codes for good; what was owed on them is released."""
        return self._change(pk, "void")

    @extend_schema(request=RevalueIn, responses={200: RevaluationOut, 202: RevaluationOut})
    @action(methods=["post"], detail=True)
    def revalue(self, request: Request, pk: str) -> Response:
        """Give open codes another value: first a dry run, then with its numbers the act."""
        batch, given = self._batch(pk), self.given(RevalueIn)
        plan = code_batches.plan_revaluation(actor=self.actor, batch=batch, amount_nano=given["amount"])
        asked_for = None
        if not given["dry_run"]:
            if (plan.count, plan.difference_nano) != (given["expected_count"], given["expected_difference"]):
                raise NumbersChanged
            asked_for = approvals.ask_for_revaluation(
                actor=self.actor, batch=batch, amount_nano=given["amount"], expected=plan, reason=given["reason"]
            )
        is_done = asked_for is not None and asked_for.state == AdjustmentRequest.State.DONE
        names = ("count", "paused_count", "old_nano", "new_nano", "difference_nano")
        numbers = {name: getattr(plan, name) for name in names}
        answer = RevaluationOut({**numbers, "is_done": is_done, "request_id": asked_for.pk if asked_for else None})
        return Response(answer.data, status=HTTP_202_ACCEPTED if asked_for and not is_done else HTTP_200_OK)

    def _batch(self, pk: str) -> CodeBatch:
        return found.batch_for(self.actor, uuid_in(pk))

    def _one(self, batch: CodeBatch, status: int) -> Response:
        (line,) = found.batch_lines(self.actor, [found.batch_for(self.actor, batch.pk)])
        return Response(CodeBatchOut(line).data, status=status)

    def _change(self, pk: str, state: str) -> Response:
        batch, given = self._batch(pk), self.given(CodesChangeIn)
        rows = found.codes_of(self.actor, batch).select_related(None)
        if "code_ids" in given:
            rows = rows.filter(pk__in=given["code_ids"])
        count = code_batches.set_codes_state(actor=self.actor, codes=rows, to=state, reason=given["reason"])
        return Response(CodesChangedOut({"count": count}).data)
