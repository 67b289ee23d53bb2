"""Settings of the test run: the real database and broker, quick hashing, no demo content."""

import os

from config.settings import *  # noqa: F403

SECRET_KEY = "test-secret-key-that-is-long-enough-for-the-check-0123456789"
KEY_PEPPERS = "1:test-pepper-that-is-long-enough-0123456789abcdef"
FIELD_KEYS = ["test-field-key-that-is-long-enough-0123456789"]

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
