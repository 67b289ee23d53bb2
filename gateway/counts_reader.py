"""What of limits of calls is used just now, read from the relays' shared counts for pages."""

import time
from collections.abc import Sequence

import redis
from django.conf import settings
from redis.exceptions import RedisError

from gateway.relay.shared_counts import PREFIX

ANSWER_SECONDS = 0.25
KINDS = ("calls", "tokens", "slots")


def read(subjects: Sequence[tuple[str, str]]) -> dict[tuple[str, str], dict[str, int]]:
    """Taken by all relays together, shares in their hands included; nothing when Valkey is not there."""
    minute = int(time.time()) // 60
    client = redis.Redis.from_url(settings.REDIS_URL, socket_timeout=ANSWER_SECONDS, socket_connect_timeout=ANSWER_SECONDS)
    try:
        with client, client.pipeline(transaction=False) as pipe:
            for of, subject in subjects:
                for kind in KINDS:
                    name = f"{PREFIX}{of}:{subject}:{kind}"
                    pipe.hvals(name if kind == "slots" else f"{name}:{minute}")
            sums = [sum(map(int, parts)) for parts in pipe.execute()]
    except (RedisError, OSError):
        return {}
    steps = range(0, len(sums), len(KINDS))
    return {
        subject: dict(zip(KINDS, sums[n : n + len(KINDS)], strict=True)) for subject, n in zip(subjects, steps, strict=True)
    }
