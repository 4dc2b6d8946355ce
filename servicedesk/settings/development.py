"""One laptop, one command: SQLite, an in-memory channel layer, mails as files in DESK_HOME."""

from .base import *  # noqa: F403
from .base import ALLOWED_HOSTS, ALLOWED_ORIGINS, LOGGING
from .environment import env, private_file

DEBUG = env.bool("DEBUG", default=True)
ALLOWED_HOSTS = ALLOWED_HOSTS or ["localhost", "127.0.0.1", "[::1]", ".localhost"]
# The desk's own pages, and the ports that development servers of front ends like best.
ALLOWED_ORIGINS = ALLOWED_ORIGINS or [
    f"http://{host}:{port}"
    for host in ("localhost", "127.0.0.1")
    for port in (env.int("PORT", default=8000), 3000, 5173)
]
CSRF_TRUSTED_ORIGINS = CORS_ALLOWED_ORIGINS = ALLOWED_ORIGINS
LOGGING = {**LOGGING, "format": env.str("LOG_FORMAT", default="console")}


def _generated_key() -> str:
    from django.core.management.utils import get_random_secret_key

    return private_file("secret_key", get_random_secret_key() + get_random_secret_key())


SECRET_KEY = env.str("SECRET_KEY", default="") or _generated_key()
