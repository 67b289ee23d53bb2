"""What the tests of payments share: a double of the provider, a person and finance."""

from collections.abc import Iterator
from typing import Any

import pytest

from accounts.models import Role, User
from tests.billing.helpers import person
from tests.billing.stripe_double import SECRET, StripeDouble


@pytest.fixture
def stripe_api(settings: Any) -> Iterator[StripeDouble]:
    """The provider is switched on, and is this double; an older secret of the web hook is still accepted."""
    double = StripeDouble()
    settings.PAYMENT_PROVIDER = "stripe"
    settings.STRIPE_API_KEY = "sk_test_" + "x" * 24
    settings.STRIPE_WEBHOOK_SECRET = f"whsec_old,{SECRET}"
    settings.STRIPE_API_BASE = double.address
    yield double
    double.stop()


@pytest.fixture
def ada(db: Any) -> User:
    return person("ada", email="ada@example.org")


@pytest.fixture
def finance(db: Any) -> User:
    return person("fin", Role.FINANCE)
