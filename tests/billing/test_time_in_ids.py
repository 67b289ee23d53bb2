"""The database and Python read the same time out of an id, to the microsecond: the request log's key depends on it."""

from uuid import UUID

import pytest
from django.db import connection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from config.foundation.ids import uuid7, uuid7_time

pytestmark = pytest.mark.django_db


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.integers(0, 4_102_444_800_000), min_size=20, max_size=200))
def test_both_read_the_same_time(milliseconds: list[int]) -> None:
    ids: list[UUID] = [uuid7(stamp) for stamp in milliseconds]
    with connection.cursor() as cursor:
        cursor.execute("SELECT x, uuid7_time(x) FROM unnest(%s::uuid[]) x", [ids])
        found = dict(cursor.fetchall())
    assert found == {value: uuid7_time(value) for value in ids}
    assert {moment.microsecond % 1000 for moment in found.values()} <= {0}
