"""What every start needs: applications, database, pages, languages."""

from pathlib import Path

from config import env

BASE_DIR = Path(__file__).resolve().parent.parent.parent
VAR_DIR = BASE_DIR / ".portal"

DEBUG = env.flag("DEBUG", False)
DEMO = env.flag("DEMO", False)
SECRET_KEY = env.secret("SECRET_KEY", "")
ALLOWED_HOSTS = env.words("ALLOWED_HOSTS", "localhost,127.0.0.1,[::1]")
CSRF_TRUSTED_ORIGINS = env.words("CSRF_TRUSTED_ORIGINS")
PUBLIC_URL = env.text("PUBLIC_URL", "http://localhost:8000")

INSTALLED_APPS = [
    "config.apps.ConfigConfig",
    "accounts.apps.AccountsConfig",
    "models_catalog.apps.ModelsCatalogConfig",
    "keys.apps.KeysConfig",
    "billing.apps.BillingConfig",
    "gateway.apps.GatewayConfig",
    "migrations_center.apps.MigrationsCenterConfig",
    "unfold",
    "unfold.contrib.filters",
    "unfold.contrib.forms",
    "unfold.contrib.simple_history",
    # The admin pages are found with the addresses (config/urls.py): relays and workers have no use for them.
    "django.contrib.admin.apps.SimpleAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "allauth.usersessions",
    "allauth.socialaccount",
    "allauth.socialaccount.providers.openid_connect",
    "csp",
    "django_filters",
    "django_htmx",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "simple_history",
]

MIDDLEWARE = [
    "config.pages.health.ProbeMiddleware",
    "config.middleware.RequestIdMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "config.relaxed_csp.RelaxedPolicyMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "accounts.middleware.PersonMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "allauth.usersessions.middleware.UserSessionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "config.middleware.PortalErrorMiddleware",
]

ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"
ASGI_APPLICATION = "config.asgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "config.context.shell",
            ],
            "builtins": ["config.templatetags.portal"],
        },
    }
]

DATABASES = {"default": env.database(env.secret("DATABASE_URL", "postgresql:///portal"))}
DATABASES["default"]["CONN_MAX_AGE"] = env.number("CONN_MAX_AGE", 60)
DATABASES["default"]["CONN_HEALTH_CHECKS"] = True
if env.flag("DATABASE_POOL", False):
    # Set by config.asgi. A page waits at most so many seconds for a connection, then says that the database is not there.
    DATABASES["default"]["CONN_MAX_AGE"] = 0
    DATABASES["default"]["OPTIONS"]["pool"] = {"min_size": 2, "max_size": env.number("DATABASE_POOL_SIZE", 20), "timeout": 5}

REDIS_URL = env.secret("REDIS_URL", "redis://127.0.0.1:6379/0")
CACHES = {"default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": REDIS_URL}}

LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English"), ("zh-hans", "简体中文")]
LOCALE_PATHS = [BASE_DIR / "locale"]
USE_I18N = True
TIME_ZONE = "UTC"
USE_TZ = True

STATIC_URL = "/static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
STATIC_ROOT = BASE_DIR / "staticfiles"
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}
if not env.flag("STATIC_COMPRESSION", True):
    # `make up`: compressing takes most of a minute, and on one's own machine nothing travels far.
    STORAGES["staticfiles"] = {"BACKEND": "django.contrib.staticfiles.storage.ManifestStaticFilesStorage"}

MEDIA_ROOT = VAR_DIR / "media"
DATA_UPLOAD_MAX_MEMORY_SIZE = 10 * 1024 * 1024
FILE_UPLOAD_MAX_MEMORY_SIZE = 2 * 1024 * 1024

EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
EMAIL_HOST = env.text("EMAIL_HOST", "localhost")
EMAIL_PORT = env.number("EMAIL_PORT", 25)
EMAIL_HOST_USER = env.text("EMAIL_HOST_USER", "")
EMAIL_HOST_PASSWORD = env.secret("EMAIL_HOST_PASSWORD", "")
EMAIL_USE_TLS = env.flag("EMAIL_USE_TLS", False)
EMAIL_USE_SSL = env.flag("EMAIL_USE_SSL", False)
EMAIL_TIMEOUT = 20
# Mails the outbox hands to the server in any minute, over all workers.
MAIL_PER_MINUTE = env.number("MAIL_PER_MINUTE", 120)
# Whether web hooks may call addresses of private networks, over plain HTTP too.
HOOK_ALLOW_PRIVATE = env.flag("HOOK_ALLOW_PRIVATE", False)
DEFAULT_FROM_EMAIL = env.text("DEFAULT_FROM_EMAIL", "portal@example.org")

# How long a call may hold money before the sweeper gives it back, in seconds.
HOLD_SECONDS = env.number("HOLD_SECONDS", 900)
# How long a video may hold money; prolonged while it is being made or nobody knows how it stands, in hours.
TASK_HOLD_HOURS = env.number("TASK_HOLD_HOURS", 168)
# Money lent to relays (RELAY_MONEY=leases): for how long calls draw on a lease without asking again, how much of what a payer
# has free one lease takes at most, and how much in all, in US cents.
LEASE_SECONDS = env.number("LEASE_SECONDS", 120)
LEASE_SHARE_PERCENT = env.number("LEASE_SHARE_PERCENT", 10)
LEASE_MOST_NANO = env.number("LEASE_MOST_CENTS", 100) * 10_000_000
# How many days after its hold ran out the end of a call is still charged; later it goes to the desk. The ledger's functions
# read it from the connection. Compiling a plan takes longer than any query of a page runs.
LATE_EVENT_DAYS = env.number("LATE_EVENT_DAYS", 7)
DATABASES["default"]["OPTIONS"]["options"] = f"-c portal.late_event_days={LATE_EVENT_DAYS} -c jit=off"
UPSTREAM_TIMEOUT_SECONDS = env.number("UPSTREAM_TIMEOUT_SECONDS", 600)
# Paying by card: "" is off, "stripe" is Stripe Checkout. The web hook is <PUBLIC_URL>/payments/webhooks/stripe/.
PAYMENT_PROVIDER = env.text("PAYMENT_PROVIDER", "")
STRIPE_API_KEY = env.secret("STRIPE_API_KEY", "")
# Secrets of the web hook, separated by commas while one replaces another.
STRIPE_WEBHOOK_SECRET = env.secret("STRIPE_WEBHOOK_SECRET", "")
STRIPE_API_BASE = env.text("STRIPE_API_BASE", "https://api.stripe.com")
STRIPE_CHECKOUT_ORIGIN = env.text("STRIPE_CHECKOUT_ORIGIN", "https://checkout.stripe.com")
TOP_UP_MIN_USD = env.number("TOP_UP_MIN_USD", 5)
TOP_UP_MAX_USD = env.number("TOP_UP_MAX_USD", 1000)
# Wrong redemption codes a person may type in ten minutes.
CODE_GUESSES = env.number("CODE_GUESSES", 10)
# Up to how many US dollars one person may correct, or book as money that came in (in any 24 hours), without a second person.
ADJUST_ALONE_USD = env.number("ADJUST_ALONE_USD", 0)
TOP_UP_ALONE_USD = env.number("TOP_UP_ALONE_USD", 1000)
# Whether people see which name served their call, on pages and in answers; operators always do.
SHOW_SERVED_MODEL = env.flag("SHOW_SERVED_MODEL", True)
# After so many failures in a row an upstream is left alone for so long, then tried by one call.
RELAY_BREAKER_FAILURES = env.number("RELAY_BREAKER_FAILURES", 5)
RELAY_BREAKER_SECONDS = env.number("RELAY_BREAKER_SECONDS", 10)
# The largest request the unified entry takes; a form with files goes through a temporary file, everything else is in memory.
# A wave starts only when every live relay and data plane has confirmed each of its keys; off to start without.
WAVE_KEY_CONFIRMATION = env.flag("WAVE_KEY_CONFIRMATION", True)
RELAY_BODY_MEGABYTES = env.number("RELAY_BODY_MEGABYTES", 64)
# Processes of a relay that runs beside the portal (make relay, and the relay of make up).
RELAY_PROCESSES = env.number("RELAY_PROCESSES", 1)
# How a relay gets the money of a call: "leases" serves it from money lent to the relay, "holds" asks PostgreSQL for each.
RELAY_MONEY = env.text("RELAY_MONEY", "holds")
# Where a relay keeps what must outlive it: ends of calls that PostgreSQL does not have yet, and its last configuration. On a
# local disk; all relays of one installation on this machine share it, two installations do not.
RELAY_STATE_DIR = Path(env.text("RELAY_STATE_DIR") or BASE_DIR / ".portal" / "relay")
# Every so many milliseconds the disk is told to keep what was written: a power cut may lose that much, a crash nothing.
RELAY_SPOOL_SYNC_MS = env.number("RELAY_SPOOL_SYNC_MS", 500)
# For how long a relay goes on with the configuration and keys it read last while PostgreSQL is away; then it refuses.
RELAY_MAX_STALE_SECONDS = env.number("RELAY_MAX_STALE_SECONDS", 900)
# Peppers for key digests: "1:secret,2:secret"; the highest number digests new keys.
KEY_PEPPERS = env.secret("KEY_PEPPERS", "")
# Keys that seal upstream credentials, newest first.
FIELD_KEYS = env.secret("FIELD_KEYS", "").split(",") if env.secret("FIELD_KEYS", "") else []
