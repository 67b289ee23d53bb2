"""What every test shares. The servers are real: ``make test`` starts them and sets DATABASE_URL and REDIS_URL."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.core.cache import cache
from django.core.management.commands import flush
from django.db.backends.postgresql.operations import DatabaseOperations
from hypothesis import HealthCheck, settings

# A busy machine is no finding.
settings.register_profile("portal", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("portal")


# Truncating every table and making what migrations make anew costs more than most tests do, and few tests write to more
# than a few tables. The lock makes the flush wait for what a test's relay or worker still writes; as a replica no trigger
# and no foreign key has a say.
MADE_BY_MIGRATE = {"auth_permission", "django_content_type", "django_site"}
FLUSH = """
SET LOCAL session_replication_role = replica;
LOCK TABLE {tables} IN SHARE ROW EXCLUSIVE MODE;
DO $$
DECLARE
    name text;
    has_rows boolean;
BEGIN
    FOREACH name IN ARRAY '{{{tables}}}'::text[] LOOP
        EXECUTE format('SELECT EXISTS (SELECT 1 FROM %I)', name) INTO has_rows;
        IF has_rows THEN
            EXECUTE format('DELETE FROM %I', name);
        END IF;
    END LOOP;
END $$
"""


@pytest.fixture(autouse=True, scope="session")
def only_tables_with_rows_are_flushed() -> Iterator[None]:
    """Transactional tests empty every table afterwards, also those whose triggers refuse that to everybody else."""
    original = DatabaseOperations.sql_flush

    def sql_flush(self: DatabaseOperations, style: Any, tables: list[str], **options: Any) -> list[str]:
        assert not options.get("reset_sequences"), "no test relies on the numbers of rows"
        return [FLUSH.format(tables=", ".join(f'"{table}"' for table in sorted(set(tables) - MADE_BY_MIGRATE)))]

    DatabaseOperations.sql_flush = sql_flush  # type: ignore[assignment]
    signal, flush.emit_post_migrate_signal = flush.emit_post_migrate_signal, lambda *_, **__: None
    yield
    DatabaseOperations.sql_flush = original  # type: ignore[method-assign]
    flush.emit_post_migrate_signal = signal


@pytest.fixture
def clean_cache() -> Iterator[Callable[[], None]]:
    cache.clear()
    yield cache.clear
    cache.clear()
