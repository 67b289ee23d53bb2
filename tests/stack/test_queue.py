"""One queue, "portal": every task goes there, and a worker of it gets everything, whatever broker a process was told."""

import os
import subprocess
import sys

import orjson
import pytest
import redis
from django.conf import settings

from config.celery import app
from tests.gateway.chaos import TASKS

SEND = """
import django
django.setup()
from config.celery import app
from billing.tasks import expire_holds_task
expire_holds_task.delay()
app.send_task("billing.tasks.fold_usage_task")
print(app.conf.broker_url)
"""


def test_every_task_of_the_portal_goes_to_the_one_queue() -> None:
    app.loader.import_default_modules()
    own = [name for name in app.tasks if not name.startswith("celery.")]
    scheduled = {entry["task"] for entry in settings.CELERY_BEAT_SCHEDULE.values()}
    assert scheduled <= set(own)
    assert set(TASKS) <= set(own)
    assert {app.amqp.router.route({}, name)["queue"].name for name in own} == {"portal"}
    assert list(app.amqp.queues) == ["portal"]


@pytest.mark.parametrize("worker", ["", "gw1"])
def test_a_process_uses_the_broker_it_was_told_also_beside_other_test_workers(worker: str) -> None:
    """A worker started by a test was given a broker of its own and listened at another one under ``pytest -n``."""
    broker = f"{settings.REDIS_URL.rpartition('/')[0]}/14"
    line = redis.from_url(broker)
    line.delete("portal", "celery")
    env = {**os.environ, "CELERY_BROKER_URL": broker, "PYTEST_XDIST_WORKER": worker}
    done = subprocess.run(
        [sys.executable, "-c", SEND], env=env, cwd=settings.BASE_DIR, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == broker
    sent = [orjson.loads(message)["headers"]["task"] for message in line.lrange("portal", 0, -1)]
    assert sorted(sent) == ["billing.tasks.expire_holds_task", "billing.tasks.fold_usage_task"]
    assert not line.exists("celery")
    line.delete("portal")
