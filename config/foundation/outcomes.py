"""How a call ended: one closed list for the relay, the request log, the pages and the statistics."""

from django.db import models
from django.utils.translation import gettext_lazy as _


class Outcome(models.TextChoices):
    OK = "ok", _("ok")
    CLIENT_ERROR = "client_error", _("client's request was wrong")
    BAD_KEY = "bad_key", _("key not accepted")
    NO_RIGHTS = "no_rights", _("no right to this")
    NO_BALANCE = "no_balance", _("balance short")
    RATE_LIMITED = "rate_limited", _("too many calls")
    UNKNOWN_MODEL = "unknown_model", _("unknown model")
    MODEL_UNAVAILABLE = "model_unavailable", _("model not available")
    UPSTREAM_ERROR = "upstream_error", _("upstream failed")
    TIMEOUT = "timeout", _("timed out")
    CUT_STREAM = "cut_stream", _("stream was cut")
    CANCELLED = "cancelled", _("client went away")
    UNSUPPORTED_INPUT = "unsupported_input", _("input not supported")
