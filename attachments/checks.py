"""What is wrong with the settings of files, found when the desk starts."""

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, register
from django.core.exceptions import ImproperlyConfigured

from attachments import policy, storage
from attachments.api.delivery import ACCEL, REDIRECT, STREAM
from attachments.scanning import clamd
from attachments.storage import address

MODES = ("off", "open", "closed")


def _about_storage() -> list[str]:
    try:
        address.resolve(settings.ATTACHMENTS_STORAGE, settings.ATTACHMENTS_FOLDER)
    except ImproperlyConfigured as exc:
        return [str(exc)]
    is_accel = settings.DOWNLOADS.startswith(ACCEL)
    if settings.DOWNLOADS not in (STREAM, REDIRECT) and not is_accel:
        return [f"DOWNLOADS is {STREAM}, {REDIRECT} or {ACCEL}/prefix/."]
    if settings.DOWNLOADS == REDIRECT and storage.is_folder():
        return ["DOWNLOADS=redirect needs an object store: a folder signs no URLs."]
    if is_accel and not storage.is_folder():
        return ["DOWNLOADS=accel: needs the folder: nginx sends no files from an object store."]
    return []


@register()
def check_files(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    sentences = list(policy.problems(settings.ATTACHMENTS))
    if settings.SCAN_MODE not in MODES:
        sentences.append(f"SCAN_MODE is one of {', '.join(MODES)}.")
    elif settings.SCAN_MODE != "off" or settings.CLAMD:
        try:
            clamd.address(settings.CLAMD)
        except ValueError as exc:
            sentences.append(str(exc))
    sentences += _about_storage()
    return [Error(sentence, id="attachments.E001") for sentence in sentences]
