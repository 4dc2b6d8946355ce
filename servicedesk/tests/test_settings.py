"""What production refuses to start with; each by a process of its own, as it would start."""

import ast
import os
import re
import secrets
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from servicedesk.checks import production_problems

pytestmark = pytest.mark.once

CHECKOUT = Path(__file__).parent.parent.parent
SAFE = {
    "DJANGO_SETTINGS_MODULE": "servicedesk.settings.production",
    "SECRET_KEY": secrets.token_urlsafe(48),
    "ALLOWED_HOSTS": "desk.example",
    "ALLOWED_ORIGINS": "https://desk.example",
    "DATABASE_URL": "postgres://desk:database-canary@127.0.0.1:1/desk",
    "REDIS_URL": "redis://127.0.0.1:1/0",
    "DEBUG": "false",
    "DESK_PROCESSES": "2",
}
REFUSED = {
    "an empty key": ({"SECRET_KEY": ""}, "SECRET_KEY is empty"),
    "a short key": ({"SECRET_KEY": secrets.token_urlsafe(36)[:49]}, "SECRET_KEY is a default"),
    "a generated default": ({"SECRET_KEY": "django-insecure-" + "x9" * 40}, "SECRET_KEY"),
    "the key of the tests": ({"SECRET_KEY": "only-for-tests-" + "ab12" * 20}, "SECRET_KEY"),
    "a key of one letter": ({"SECRET_KEY": "a" * 60}, "SECRET_KEY"),
    "debugging": ({"DEBUG": "true"}, "DEBUG is on"),
    "no hosts": ({"ALLOWED_HOSTS": ""}, "ALLOWED_HOSTS is empty"),
    "any host": ({"ALLOWED_HOSTS": "*"}, "ALLOWED_HOSTS lets every host in"),
    "any host beside one": ({"ALLOWED_HOSTS": "desk.example,*"}, "lets every host in"),
    "any origin": ({"ALLOWED_ORIGINS": "*"}, "ALLOWED_ORIGINS"),
    "a layer in memory": ({"REDIS_URL": ""}, "Several processes need REDIS_URL"),
}


def start(changes, *command):
    """`python -m django …` with nothing of our own environment that could help it."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "DESK_HOME") if name in os.environ}
    return subprocess.run(
        [sys.executable, "-m", "django", *(command or ("check",))],
        env={**kept, **SAFE, **changes},
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_production_starts_with_safe_settings_and_refuses_all_others():
    """All in one, since each start takes a while and they can run side by side."""
    safe = {"safe": {}, "one process": {"REDIS_URL": "", "DESK_PROCESSES": "1"}}
    wanted = {**{name: changes for name, (changes, _) in REFUSED.items()}, **safe}
    with ThreadPoolExecutor(2) as pool:
        starts = dict(zip(wanted, pool.map(start, wanted.values()), strict=True))
    for name in safe:
        assert starts[name].returncode == 0, starts[name].stderr
    for name, (changes, sentence) in REFUSED.items():
        done = starts[name]
        assert done.returncode != 0, name
        assert "ImproperlyConfigured" in done.stderr
        assert sentence in done.stderr
        key = changes.get("SECRET_KEY")
        assert not key or key not in done.stderr
        assert "database-canary" not in done.stderr


def test_everything_that_is_wrong_is_named_at_once():
    settings = {
        "SECRET_KEY": "",
        "DEBUG": True,
        "ALLOWED_HOSTS": [],
        "ALLOWED_ORIGINS": ["*"],
        "CHANNEL_LAYERS": {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}},
        "DESK_PROCESSES": 3,
    }
    assert len(production_problems(settings)) == 5


def test_development_makes_a_key_of_its_own_once(tmp_path):
    changes = {
        "DJANGO_SETTINGS_MODULE": "servicedesk.settings.development",
        "SECRET_KEY": "",
        "DESK_HOME": str(tmp_path / "home"),
        "DATABASE_URL": "sqlite://:memory:",
        "REDIS_URL": "",
    }
    keys = []
    for _ in range(2):
        done = start(changes)
        assert done.returncode == 0, done.stderr
        keys.append((tmp_path / "home" / "secret_key").read_text())
    assert keys[0] == keys[1]
    assert len(keys[0].strip()) >= 50
    assert (tmp_path / "home" / "secret_key").stat().st_mode & 0o077 == 0


def test_production_answers_only_over_https_and_never_with_a_page_for_machines(tmp_path):
    code = """
import django; django.setup()
from django.test import Client
client = Client()
def show(path, **extra):
    r = client.get(path, **extra)
    print(path, r.status_code, r.headers.get("Content-Type", ""), r.headers.get("Location", ""),
          r.headers.get("X-Content-Type-Options"), r.headers.get("X-Frame-Options"),
          r.headers.get("Strict-Transport-Security", ""), sep="|")
show("/api/auth/me", HTTP_HOST="desk.example")
show("/api/auth/me", HTTP_HOST="evil.example")
show("/api/auth/me", HTTP_HOST="desk.example", HTTP_X_FORWARDED_PROTO="https")
show("/health/live", HTTP_HOST="desk.example")
"""
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    done = subprocess.run(
        [sys.executable, "-c", code], env={**kept, **SAFE, "DESK_HOME": str(tmp_path)},
        cwd=CHECKOUT, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    lines = [line.split("|") for line in done.stdout.splitlines() if line.startswith("/")]
    assert len(lines) == 4, done.stderr
    plain, evil, secure, live = lines
    assert plain[1] == "301"
    assert plain[3] == "https://desk.example/api/auth/me"
    assert evil[1:3] == ["400", "application/problem+json"]
    assert secure[1:3] == ["401", "application/problem+json"]
    assert "max-age=31536000" in secure[6]
    assert live[1] == "200"
    for line in lines:
        assert line[4:6] == ["nosniff", "DENY"]


# --- The environment ------------------------------------------------------------------


def database_options(url):
    code = "from django.conf import settings; print(settings.DATABASES['default']['OPTIONS'])"
    done = start(
        {"DATABASE_URL": url, "REDIS_URL": "", "DESK_PROCESSES": "1"}, "shell", "-v0", "-c", code
    )
    assert done.returncode == 0, done.stderr
    return ast.literal_eval(done.stdout.strip().splitlines()[-1])


def test_the_query_of_the_database_url_is_heard_and_the_limits_stay():
    query = "sslmode=verify-full&sslrootcert=/etc/ca.pem&options=-c%20lock_timeout%3D3s"
    options = database_options(f"postgres://desk:x@127.0.0.1:1/desk?{query}")
    assert (options["sslmode"], options["sslrootcert"]) == ("verify-full", "/etc/ca.pem")
    assert options["pool"]["max_size"] == 10
    assert "-c statement_timeout=30s" in options["options"]
    assert options["options"].endswith("-c lock_timeout=3s")


def test_the_query_of_an_sqlite_url_is_heard_too(tmp_path):
    options = database_options(f"sqlite:///{tmp_path}/desk.sqlite3?timeout=3")
    assert options["timeout"] == 3
    assert options["transaction_mode"] == "IMMEDIATE"


def sources():
    """Our modules, without those of the tests, as {path in the checkout: text}."""
    apps = ("servicedesk", "agents", "tickets", "realtime")
    paths = [
        CHECKOUT / "manage.py",
        *(path for app in apps for path in (CHECKOUT / app).rglob("*.py")),
    ]
    names = [path.relative_to(CHECKOUT) for path in paths if "tests" not in path.parts]
    return {name: (CHECKOUT / name).read_text() for name in names}


def test_the_example_of_the_environment_lists_what_is_read_and_nothing_else():
    read = {
        name
        for text in sources().values()
        for name in re.findall(r"\benv\.\w+\(\s*[\"'](\w+)", text)
    }
    listed = re.findall(r"^#?([A-Z_]+)=", (CHECKOUT / ".env.example").read_text(), re.MULTILINE)
    assert len(read) > 15
    assert sorted(listed) == sorted({*read, "DJANGO_SETTINGS_MODULE"})


def test_only_settings_read_the_environment():
    """Which settings is decided before there are any."""
    choice = 'os.environ.setdefault("DJANGO_SETTINGS_MODULE"'
    found = {
        str(name): [
            line.strip() for line in text.splitlines() if re.search("environ\\b|getenv", line)
        ]
        for name, text in sources().items()
        if name.parent.name != "settings"
    }
    readers = {name: lines for name, lines in found.items() if lines}
    assert set(readers) == {"manage.py", "servicedesk/asgi.py"}
    assert all(line.startswith(choice) for lines in readers.values() for line in lines), readers


def test_mails_become_files_unless_the_environment_says_how_they_leave(tmp_path):
    code = "from django.conf import settings as s; print(s.EMAIL_BACKEND, s.EMAIL_FILE_PATH)"
    done = start({"DESK_HOME": str(tmp_path)}, "shell", "-v0", "-c", code)
    backend = "django.core.mail.backends.filebased.EmailBackend"
    assert done.stdout.split() == [backend, str(tmp_path / "mail")], done.stderr
