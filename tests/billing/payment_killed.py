"""A process that stores an event of the provider and is killed before it credits anything (test_payments starts it)."""

import os
import signal
import sys
from pathlib import Path

import django

django.setup()

from django.conf import settings  # noqa: E402
from django.db import connection  # noqa: E402

from billing.services.payments import events  # noqa: E402
from billing.services.payments.stripe_provider import StripeProvider  # noqa: E402

settings.DATABASES["default"]["NAME"] = os.environ["KILLED_DATABASE"]
connection.settings_dict["NAME"] = os.environ["KILLED_DATABASE"]
payload = Path(sys.argv[1]).read_text(encoding="utf-8")
events.store("stripe", StripeProvider().facts_of(payload), payload)
os.kill(os.getpid(), signal.SIGKILL)
