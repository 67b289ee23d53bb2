import pytest

from accounts.models import Role, User
from models_catalog.models import Provider, Upstream
from models_catalog.services import create_provider, create_upstream

CREDENTIAL = "upstream-canary-credential-0123456789-wxyz"


@pytest.fixture
def ops(db: None) -> User:
    return User.objects.create(username="ops-one", role=Role.OPS, is_staff=True)


@pytest.fixture
def provider(ops: User) -> Provider:
    return create_provider(actor_name=ops.username, code="acme", name="Acme")


@pytest.fixture
def upstream(ops: User, provider: Provider) -> Upstream:
    return create_upstream(
        actor_name=ops.username, name="acme-1", provider=provider, base_url="http://acme:3000/v1/", credential=CREDENTIAL
    )
