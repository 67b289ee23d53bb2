"""What a reservation would be answered, without making one."""

from django.db import transaction

from billing.services.ledger import ReserveRequest, ReserveResult, reserve


def would_reserve(request: ReserveRequest) -> ReserveResult:
    """The ledger's own answer to this reservation now. The hold is taken back before anybody can see it: purses and limits
    are locked for the moment that takes, and stand as they were."""
    with transaction.atomic():
        (result,) = reserve([request])
        transaction.set_rollback(True)
    return result
