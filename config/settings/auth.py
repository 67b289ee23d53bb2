"""Who may log in and how: allauth with user name or e-mail, TOTP, passkeys, OpenID Connect by setting."""

import json

from django.core.exceptions import ImproperlyConfigured

from config import env

AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = ["allauth.account.auth_backends.AuthenticationBackend"]
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
    # Imported from One API and New API; verified once, then re-hashed with the first hasher.
    "accounts.hashers.ImportedBcryptHasher",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "home"
LOGOUT_REDIRECT_URL = "account_login"

ACCOUNT_ADAPTER = "accounts.adapters.AccountAdapter"
ACCOUNT_LOGIN_METHODS = {"username", "email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "username*", "password1*", "password2*"]
ACCOUNT_EMAIL_VERIFICATION = "optional"
ACCOUNT_UNIQUE_EMAIL = True
ACCOUNT_EMAIL_SUBJECT_PREFIX = ""
ACCOUNT_LOGOUT_ON_GET = False
ACCOUNT_SESSION_REMEMBER = True
ACCOUNT_PREVENT_ENUMERATION = True
# Nobody can make this portal write to an address it does not know.
ACCOUNT_EMAIL_UNKNOWN_ACCOUNTS = False
ACCOUNT_RATE_LIMITS = {"login_failed": "10/m/ip,5/5m/key", "reset_password": "20/m/ip,5/m/key"}

MFA_FORMS = {"add_webauthn": "accounts.forms_mfa.PasskeyForm"}
MFA_SUPPORTED_TYPES = ["totp", "webauthn", "recovery_codes"]
MFA_PASSKEY_LOGIN_ENABLED = True
MFA_TOTP_ISSUER = "Gateway portal"
MFA_WEBAUTHN_ALLOW_INSECURE_ORIGIN = env.flag("DEBUG", False) or env.flag("DEMO", False)

# Staff must have a second factor, unless this is a demo.
STAFF_SECOND_FACTOR = env.flag("STAFF_SECOND_FACTOR", not env.flag("DEMO", False))

# OIDC_PROVIDERS is a JSON list of {"provider_id", "name", "client_id", "secret", "server_url"}.
try:
    _providers = json.loads(env.secret("OIDC_PROVIDERS", "[]"))
except json.JSONDecodeError:
    raise ImproperlyConfigured("OIDC_PROVIDERS must be a JSON list") from None
SOCIALACCOUNT_PROVIDERS = {
    "openid_connect": {
        "APPS": [
            {
                "provider_id": app["provider_id"],
                "name": app["name"],
                "client_id": app["client_id"],
                "secret": app["secret"],
                "settings": {"server_url": app["server_url"]},
            }
            for app in _providers
        ]
    }
}
SOCIALACCOUNT_ONLY = False
# The company's own identity provider is trusted for the addresses it has verified: it logs in the person who has the address.
SOCIALACCOUNT_EMAIL_AUTHENTICATION = True
SOCIALACCOUNT_EMAIL_AUTHENTICATION_AUTO_CONNECT = True
