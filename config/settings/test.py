"""Settings of the test run: the real database and broker, quick hashing, no demo content."""

import os

from config import env
from config.settings import *  # noqa: F403

SECRET_KEY = "test-secret-key-that-is-long-enough-for-the-check-0123456789"
KEY_PEPPERS = "1:test-pepper-that-is-long-enough-0123456789abcdef"
FIELD_KEYS = ["test-field-key-that-is-long-enough-0123456789"]

# Each parallel test worker has a Redis database of its own, and so have the processes it starts (pytest -n sets the name).
_worker = os.environ.get("PYTEST_XDIST_WORKER", "")
if _worker:
    REDIS_URL = f"{REDIS_URL.rpartition('/')[0]}/{int(_worker.removeprefix('gw')) + 1}"  # noqa: F405
    CACHES = {"default": {**CACHES["default"], "LOCATION": REDIS_URL}}  # noqa: F405
    # Unless it was named: the chaos test gives its own worker a queue of its own.
    CELERY_BROKER_URL = env.secret("CELERY_BROKER_URL", REDIS_URL)

DATABASES["default"]["TEST"] = {"NAME": os.environ.get("TEST_DATABASE_NAME", "test_portal")}  # noqa: F405
DATABASES["default"]["CONN_MAX_AGE"] = 0  # noqa: F405
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.MD5PasswordHasher",
    "accounts.hashers.ImportedBcryptHasher",
]
STORAGES["staticfiles"] = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}  # noqa: F405
STAFF_SECOND_FACTOR = False
ALLOWED_HOSTS = ["*"]
ACCOUNT_RATE_LIMITS = {}
REST_FRAMEWORK = {**REST_FRAMEWORK, "DEFAULT_THROTTLE_CLASSES": []}  # noqa: F405
WHITENOISE_AUTOREFRESH = True

# Most tests of waves run inside a transaction, which no relay can read: those of the handshake turn it on.
WAVE_KEY_CONFIRMATION = False
