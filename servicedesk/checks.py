"""What must not reach production. Called by the production settings before anything starts."""

from collections.abc import Mapping
from typing import Any

from django.core.exceptions import ImproperlyConfigured

SECRET_KEY_MIN_LENGTH = 50
SECRET_KEY_MIN_DIFFERENT = 5
WELL_KNOWN_KEYS = ("django-insecure-", "only-for-tests", "change-me", "changeme", "secret")


def production_problems(settings: Mapping[str, Any]) -> list[str]:
    """Every reason why these settings are unsafe in production, as sentences."""
    key = settings.get("SECRET_KEY") or ""
    layer = settings["CHANNEL_LAYERS"]["default"]["BACKEND"]
    hosts = settings["ALLOWED_HOSTS"]
    rules = [
        (not key, "SECRET_KEY is empty."),
        (
            bool(key)
            and (
                len(key) < SECRET_KEY_MIN_LENGTH
                or len(set(key)) < SECRET_KEY_MIN_DIFFERENT
                or key.lower().startswith(WELL_KNOWN_KEYS)
            ),
            f"SECRET_KEY is a default, shorter than {SECRET_KEY_MIN_LENGTH} characters, or "
            f"made of fewer than {SECRET_KEY_MIN_DIFFERENT} different ones.",
        ),
        (settings["DEBUG"], "DEBUG is on."),
        (not hosts, "ALLOWED_HOSTS is empty."),
        ("*" in hosts or "." in hosts, "ALLOWED_HOSTS lets every host in."),
        ("*" in settings["ALLOWED_ORIGINS"], "ALLOWED_ORIGINS lets every origin in."),
        (
            layer.endswith("InMemoryChannelLayer") and settings["DESK_PROCESSES"] > 1,
            "Several processes need REDIS_URL: a channel layer in memory reaches only one "
            "(set DESK_PROCESSES=1 if there is only one).",
        ),
    ]
    return [sentence for broken, sentence in rules if broken]


def refuse_unsafe_production(settings: Mapping[str, Any]) -> None:
    """Raise ImproperlyConfigured, naming everything that is wrong at once."""
    if problems := production_problems(settings):
        raise ImproperlyConfigured("This is not safe in production:\n- " + "\n- ".join(problems))
