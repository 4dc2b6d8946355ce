"""For the test suite: fast hashes, mails kept in memory, everything else as it ships."""

from .base import *  # noqa: F403
from .base import DATABASE_IS_SQLITE, DATABASES, LOGGING
from .environment import DESK_HOME

SECRET_KEY = "only-for-tests-" + "0123456789abcdef" * 4
ALLOWED_HOSTS = ["testserver", "localhost", "127.0.0.1"]
ALLOWED_ORIGINS = ["http://testserver"]
CSRF_TRUSTED_ORIGINS = CORS_ALLOWED_ORIGINS = ALLOWED_ORIGINS
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
LOGGING = {**LOGGING, "level": "WARNING", "format": "console"}

if DATABASE_IS_SQLITE:
    # A file, as in real life: threads of one test must meet in WAL mode, which a database
    # in memory does not have.
    DATABASES["default"]["TEST"] = {"NAME": str(DESK_HOME / "test.sqlite3")}
else:
    # Race tests run many threads, each with a connection of its own.
    DATABASES["default"]["OPTIONS"]["pool"] = {"min_size": 0, "max_size": 40, "timeout": 30}
    # Nothing here outlives a crash of the database server, so no commit waits for the disk.
    DATABASES["default"]["OPTIONS"]["options"] += " -c synchronous_commit=off"

# Otherwise every test client reads all static files anew.
WHITENOISE_AUTOREFRESH = True
