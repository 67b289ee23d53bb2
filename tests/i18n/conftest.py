"""The catalogue as it is in the tree, compiled and loaded, whatever was compiled before."""

import pytest
from django.core.management import call_command
from django.utils.translation import trans_real


@pytest.fixture(scope="session")
def fresh_catalogue() -> None:
    call_command("compile_messages", verbosity=0)
    trans_real._translations.clear()
    trans_real._default = None
