"""What development, production and testing have in common."""

from datetime import timedelta
from typing import Any

import django_stubs_ext
from corsheaders.defaults import default_headers
from django.core.exceptions import ImproperlyConfigured

from .environment import BASE_DIR, DESK_HOME, env

# Lets classes that are generic in the types only (ModelForm[User]) be subscripted at run time.
django_stubs_ext.monkeypatch()

DEBUG = False
ALLOWED_HOSTS: list[str] = env.list("ALLOWED_HOSTS", default=[])
# Browser origins that may open the socket and call the API with the session cookie.
ALLOWED_ORIGINS: list[str] = env.list("ALLOWED_ORIGINS", default=[])
CSRF_TRUSTED_ORIGINS = ALLOWED_ORIGINS
# Addresses (or networks) of proxies whose X-Forwarded-For is believed.
TRUSTED_PROXIES: list[str] = env.list("TRUSTED_PROXIES", default=[])

ROOT_URLCONF = "servicedesk.urls"
ASGI_APPLICATION = "servicedesk.asgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

INSTALLED_APPS = [
    "servicedesk",
    "agents",
    "tickets",
    "attachments",
    "realtime",
    "daphne",
    "channels",
    "rest_framework",
    "corsheaders",
    "django_filters",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "servicedesk.apps.DeskAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
]

MIDDLEWARE = [
    # Outermost, so that an answer made by any middleware below still has its request id
    # and, under /api/, its problem+json.
    "servicedesk.middleware.RequestContextMiddleware",
    "servicedesk.middleware.ProblemMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "corsheaders.middleware.CorsMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "servicedesk.middleware.TrailingSlashMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

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
            ]
        },
    }
]

# --- Database -------------------------------------------------------------------------

DATABASES: dict[str, dict[str, Any]] = {
    "default": env.db_url("DATABASE_URL", default=f"sqlite:///{DESK_HOME / 'desk.sqlite3'}")
}
_database = DATABASES["default"]
# The query of the URL, such as ?sslmode=verify-full; what it says wins.
_from_url: dict[str, Any] = _database.get("OPTIONS", {})
DATABASE_IS_SQLITE = _database["ENGINE"].endswith("sqlite3")
if DATABASE_IS_SQLITE:
    _database["OPTIONS"] = {
        # A transaction that will write takes the lock when it begins: with DEFERRED,
        # read-then-write transactions that meet fail at once instead of waiting.
        "transaction_mode": "IMMEDIATE",
        "timeout": 10,
        "init_command": (
            "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA foreign_keys=ON;"
            "PRAGMA temp_store=MEMORY; PRAGMA cache_size=-32000;"
        ),
        **_from_url,
    }
else:
    # A pool instead of persistent connections: under ASGI each request has a thread of
    # its own, and connections kept per thread are never given back.
    _database["CONN_MAX_AGE"] = 0
    _database["OPTIONS"] = {
        "pool": {"min_size": 1, "max_size": env.int("DATABASE_POOL", default=10), "timeout": 10},
        **_from_url,
        # Of a parameter that is named twice PostgreSQL takes the last. `migrate` lifts the first.
        "options": "-c statement_timeout=30s -c lock_timeout=10s "
        f"-c idle_in_transaction_session_timeout=60s {_from_url.get('options', '')}".rstrip(),
    }

# --- Channels -------------------------------------------------------------------------

REDIS_URL = env.str("REDIS_URL", default="")
# `pubsub` is quick and keeps nothing; `core` keeps messages in Redis for who is late.
_LAYERS = {
    "pubsub": "channels_redis.pubsub.RedisPubSubChannelLayer",
    "core": "channels_redis.core.RedisChannelLayer",
}
_layer = _LAYERS.get(env.str("CHANNEL_LAYER", default="pubsub"))
if _layer is None:
    raise ImproperlyConfigured(f"CHANNEL_LAYER is one of {', '.join(_LAYERS)}.")
CHANNEL_LAYERS: dict[str, dict[str, Any]] = {
    "default": (
        {
            "BACKEND": _layer,
            # Longer than the layers wait for a message, or every idle connection would end.
            "CONFIG": {"hosts": [{"address": REDIS_URL, "socket_timeout": 15}]},
        }
        if REDIS_URL
        else {"BACKEND": "channels.layers.InMemoryChannelLayer"}
    )
}

# --- Who signs in, and how ------------------------------------------------------------

AUTH_USER_MODEL = "agents.User"
# Usernames are unique whatever their case, by a constraint that the check does not see.
SILENCED_SYSTEM_CHECKS = ["auth.W004"]
AUTHENTICATION_BACKENDS = ["agents.backends.RoleBackend"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
LOGIN_URL = "admin:login"
LOGIN_REDIRECT_URL = "admin:index"
SIMPLE_JWT = {
    "ACCESS_TOKEN_LIFETIME": timedelta(minutes=15),
    "REFRESH_TOKEN_LIFETIME": timedelta(days=14),
    "UPDATE_LAST_LOGIN": False,
}
SIGN_IN_FAILURES_ALLOWED = 5
SIGN_IN_LOCK = timedelta(minutes=15)

SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_SAMESITE = "Lax"
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
# What the desk's own pages may load: files of theirs, and pictures from where `DOWNLOADS=redirect`
# sends the browser. No inline script or style, no frame, no other origin.
CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "font-src 'self'",
        "connect-src 'self'",
        " ".join(("img-src 'self' data: blob:", *env.list("CSP_IMAGE_HOSTS", default=[]))),
        "manifest-src 'self'",
        "form-action 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
    )
)

# Front ends on another origin than the desk's: only those listed.
CORS_ALLOWED_ORIGINS = ALLOWED_ORIGINS
CORS_ALLOW_CREDENTIALS = True
CORS_URLS_REGEX = r"^/api/"
CORS_ALLOW_HEADERS = [
    *default_headers,
    "if-match",
    "if-range",
    "range",
    "idempotency-key",
    "x-request-id",
]
CORS_EXPOSE_HEADERS = [
    "ETag",
    "X-Request-ID",
    "Idempotency-Replayed",
    "Retry-After",
    "Accept-Ranges",
    "Content-Disposition",
    "Content-Range",
]

# --- The API --------------------------------------------------------------------------

JSON_BODY_MAX_BYTES = 1024 * 1024
DATA_UPLOAD_MAX_MEMORY_SIZE = JSON_BODY_MAX_BYTES
UPLOAD_BODY_MAX_BYTES = env.int("UPLOAD_BODY_MB", default=256) * 1024 * 1024
# Bytes that the server reads of a body, by the longest prefix of the path. Beyond that it
# answers 413 while the body is still being sent.
BODY_LIMITS = {
    "": JSON_BODY_MAX_BYTES,
    "/api/files/upload": UPLOAD_BODY_MAX_BYTES,
    # The forms on a ticket's page of the console; one of them takes files.
    "/admin/tickets/ticket/": UPLOAD_BODY_MAX_BYTES,
}
# Of files in forms; the API has its own (attachments.api.parsing).
FILE_UPLOAD_HANDLERS = ["servicedesk.uploads.NamelessUploads"]
IDEMPOTENCY_KEY_LIFETIME = timedelta(hours=48)

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "agents.api.authentication.SessionTokenAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_PARSER_CLASSES": ["servicedesk.api.parsers.StrictJSONParser"],
    "DEFAULT_RENDERER_CLASSES": ["servicedesk.api.renderers.JSONRenderer"],
    "DEFAULT_SCHEMA_CLASS": "servicedesk.api.schema.DeskSchema",
    "DEFAULT_METADATA_CLASS": "servicedesk.api.metadata.PlainMetadata",
    "DEFAULT_PAGINATION_CLASS": "servicedesk.api.pagination.KeysetPagination",
    "EXCEPTION_HANDLER": "servicedesk.api.errors.exception_handler",
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
    "URL_FORMAT_OVERRIDE": None,
}

SPECTACULAR_SETTINGS = {
    "TITLE": "Service desk",
    "DESCRIPTION": "Tickets, conversations, agents and assignment. Errors are RFC 9457 problems.",
    "VERSION": "1.0.0",
    "OAS_VERSION": "3.1.0",
    "DEFAULT_GENERATOR_CLASS": "servicedesk.api.schema.DeskGenerator",
    "SERVE_INCLUDE_SCHEMA": False,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
    "COMPONENT_SPLIT_REQUEST": True,
    "ENUM_NAME_OVERRIDES": {
        "Status": "tickets.lifecycle.Status",
        "Priority": "tickets.models.ticket.PRIORITY_NAMES",
        "Role": "agents.models.Role",
        "Availability": "agents.models.Availability",
        "Presence": "agents.presence.STATES",
        "SlaState": "tickets.sla.standing.SlaState",
        "ClockState": "tickets.models.sla.SlaClock.State",
    },
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "servicedesk.api.schema.add_problem_answers",
        "servicedesk.api.schema.close_objects",
        "servicedesk.api.schema.add_health",
    ],
}

# --- The desk -------------------------------------------------------------------------

# What each part of the assignment's score counts for; parts are in 0..1. Tried on a real log:
# docs/simulation.md says what other weights came to.
ASSIGNMENT_WEIGHTS = {
    "skill": 0.15,
    "headroom": 0.50,
    "sla_fit": 0.25,
    "rest": 0.05,
    "affinity": 0.05,
}
# Since when an agent counts as fully rested after an assignment.
ASSIGNMENT_FULL_REST = timedelta(hours=1)
# How long an agent works on a ticket whose category does not say.
ASSIGNMENT_HANDLING = timedelta(hours=1)
# Out of the queue an agent gets at most so many tickets in so much time: whoever comes online
# first must not be flooded with all that has waited.
ASSIGNMENT_QUEUE_BURST = 5
ASSIGNMENT_QUEUE_WINDOW = timedelta(minutes=1)
# What rebalancing takes for a reason to move a ticket (points of the score, 0 to 1), and how many
# one agent gives away, or takes, at a time.
REBALANCE_MIN_GAIN = 0.05
REBALANCE_MOVES_PER_AGENT = 3
# The share of a service level's time after which a ticket is at risk.
SLA_WARNING_AT = 0.75
# How long after closing a customer may reopen a ticket.
REOPEN_WINDOW = timedelta(days=14)
# How long a resolved ticket waits for the customer's word before the desk closes it.
AUTO_CLOSE_AFTER = timedelta(days=5)

# Which files are taken, by category: file name extensions ("*": any that no other category names
# and that is not on the deny list of attachments.formats), the size of one, and where wanted
# `files_per_ticket` and `daily_mb` of a person. The rest counts for all of them together.
ATTACHMENTS: dict[str, Any] = {
    "categories": {
        "image": {"types": ["png", "jpg", "jpeg", "gif", "webp"], "max_mb": 10},
        "document": {
            "types": ["pdf", "docx", "xlsx", "pptx", "odt", "ods", "odp", "rtf"],
            "max_mb": 25,
        },
        "text": {"types": ["txt", "md", "csv", "log", "json", "yaml", "xml"], "max_mb": 5},
        "archive": {"types": ["zip", "gz", "tar", "7z"], "max_mb": 50},
        "mail": {"types": ["eml"], "max_mb": 25},
        "audio": {"types": ["mp3", "wav", "ogg", "m4a"], "max_mb": 25},
        "video": {"types": ["mp4", "webm", "mov"], "max_mb": 100},
    },
    "files_per_request": 20,
    "files_per_ticket": 50,
    "drafts_per_user": 200,
    "daily_mb": 1024,
    "image_megapixels": 40,
    "image_frames": 200,
    # What an archive, or a document that is one, holds by its own account.
    "archive_entries": 2000,
    "archive_unpacked_mb": 500,
    # Unpacked to packed size, where it unpacks to more than 10 MB.
    "archive_ratio": 200,
}
# A folder in DESK_HOME, or s3://bucket/prefix, gs://bucket/prefix, azure://container/prefix with
# options as a query (attachments.storage.address).
ATTACHMENTS_STORAGE = env.str("ATTACHMENTS_STORAGE", default="")
# Where azure:// finds its key, whose client has no place of its own for it.
AZURE_ACCOUNT_KEY = env.str("AZURE_STORAGE_KEY", default="")
ATTACHMENTS_FOLDER = DESK_HOME / "files"
# How bytes reach whoever may have them: `stream` through this process, `redirect` to a URL signed
# by the object store, or `accel:/prefix/` for nginx to send from the folder.
DOWNLOADS = env.str("DOWNLOADS", default="stream")
SIGNED_URL_LIFETIME = timedelta(seconds=60)
# How long a file may wait for its ticket, and who uploaded one may take it back.
DRAFT_LIFETIME = timedelta(hours=24)
REMOVABLE_BY_UPLOADER = timedelta(minutes=15)
# How long an upload may take until what it has written counts as left behind.
LOOSE_BYTES_GRACE = timedelta(hours=1)

# clamd, as unix:PATH or tcp://HOST:PORT. `closed`: only what is clean is given out; `open`: all
# but what is infected; `off`: nothing is scanned.
CLAMD = env.str("CLAMD", default="")
SCAN_MODE = env.str("SCAN_MODE", default="closed" if CLAMD else "off")
# Seconds that one scan may take, and the bytes that clamd takes (its StreamMaxLength).
CLAMD_TIMEOUT = env.float("CLAMD_TIMEOUT", default=60)
CLAMD_MAX_BYTES = env.int("CLAMD_MAX_MB", default=100) * 1024 * 1024

# Without EMAIL_URL mails become files that anybody at the machine can open.
vars().update(
    env.email_url("EMAIL_URL")
    if env.str("EMAIL_URL", default="")
    else {
        "EMAIL_BACKEND": "django.core.mail.backends.filebased.EmailBackend",
        "EMAIL_FILE_PATH": DESK_HOME / "mail",
    }
)
DEFAULT_FROM_EMAIL = env.str("DEFAULT_FROM_EMAIL", default="Service desk <desk@localhost>")
EMAIL_TIMEOUT = 20
# Where links in mails point to; the desk has no request at hand when it sends them.
PUBLIC_URL = env.str("PUBLIC_URL", default="http://127.0.0.1:8000").rstrip("/")
# Of the accounts that `manage.py demo` makes; empty: one is generated into DESK_HOME.
DEMO_PASSWORD = env.str("DEMO_PASSWORD", default="")

# --- Static files, language, time -----------------------------------------------------

STATIC_URL = "static/"
WHITENOISE_USE_FINDERS = True

LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_I18N = True
USE_TZ = True

# --- Logs -----------------------------------------------------------------------------

LOG_LEVEL = env.str("LOG_LEVEL", default="INFO")
LOG_FORMAT = env.str("LOG_FORMAT", default="json")
LOGGING_CONFIG = "servicedesk.logs.configure"
LOGGING = {"level": LOG_LEVEL, "format": LOG_FORMAT}
