"""What every test shares. The servers are real: ``make test`` starts them and sets DATABASE_URL and REDIS_URL."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.core.cache import cache
from django.db.backends.postgresql.operations import DatabaseOperations


@pytest.fixture(autouse=True, scope="session")
def append_only_tables_may_be_flushed() -> Iterator[None]:
    """Transactional tests empty every table afterwards, also those whose triggers refuse that to everybody else."""
    original = DatabaseOperations.execute_sql_flush

    def flush(self: DatabaseOperations, sql_list: list[str]) -> Any:
        return original(self, ["SET LOCAL session_replication_role = replica", *sql_list])

    DatabaseOperations.execute_sql_flush = flush  # type: ignore[method-assign]
    yield
    DatabaseOperations.execute_sql_flush = original  # type: ignore[method-assign]


@pytest.fixture
def clean_cache() -> Iterator[Callable[[], None]]:
    cache.clear()
    yield cache.clear
    cache.clear()
