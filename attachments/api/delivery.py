"""How the bytes of a file reach whoever may have them: settings.DOWNLOADS."""

from django.conf import settings
from django.http import HttpResponseBase
from rest_framework.request import Request

from attachments import storage
from attachments.api.streaming import accel_response, file_response, redirect_response
from attachments.models import Attachment

# What settings.DOWNLOADS says; the last begins it, and nginx's location follows.
STREAM, REDIRECT, ACCEL = "stream", "redirect", "accel:"


def deliver(request: Request, file: Attachment, *, is_inline: bool) -> HttpResponseBase:
    """The answer to a request whose caller may read the file."""
    assert file.blob is not None
    key, facts = file.blob.key, {"filename": file.filename, "content_type": file.content_type}
    if settings.DOWNLOADS == REDIRECT:
        return redirect_response(storage.signed_url(key, is_inline=is_inline, **facts))
    if settings.DOWNLOADS.startswith(ACCEL):
        path = storage.accel_path(key, settings.DOWNLOADS.removeprefix(ACCEL))
        return accel_response(path, etag=file.sha256, is_inline=is_inline, **facts)
    return file_response(
        request,
        size=file.size,
        etag=file.sha256,
        read=lambda start, stop: storage.read(key, start, stop),
        is_inline=is_inline,
        **facts,
    )
