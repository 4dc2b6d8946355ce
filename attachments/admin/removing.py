"""Removing files from the console: asked first, then one service call for each, with its result."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.contrib.admin import helpers
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone

from agents.models import User
from attachments import services
from attachments.admin.base import ReadOnlyAdmin, caller_of, number_of
from attachments.models import Attachment
from servicedesk.errors import DomainError

# At a time: each is a transaction of its own, on the ticket that it is on.
MOST = 200
# What the page that asks sends back.
CONFIRMED = "confirmed"


@dataclass(frozen=True)
class Result:
    """What became of one file; `refusal` is empty where it is removed."""

    file: Attachment
    ticket: str
    refusal: str = ""


def remove_each(files: Iterable[Attachment], actor: User) -> list[Result]:
    return [Result(file, number_of(file), _refusal(file, actor)) for file in files]


def _refusal(file: Attachment, actor: User) -> str:
    try:
        services.remove(file=file, actor=actor, at=timezone.now())
    except Http404:
        return "Somebody else has just removed it."
    except DomainError as refused:
        return refused.detail
    return ""


def ask_or_remove(
    admin: ReadOnlyAdmin, request: HttpRequest, files: list[Attachment], *, context: dict[str, Any]
) -> HttpResponse:
    """The page that asks, or once that has been answered, what became of each file.

    `context` has the `title`, and `chosen`, the rows of the list that the action was started on.
    """
    is_confirmed = CONFIRMED in request.POST
    shown: dict[str, Any] = (
        {"results": remove_each(files, caller_of(request))} if is_confirmed else {"files": files}
    )
    page = {
        **admin.admin_site.each_context(request),
        "opts": admin.opts,
        "action": request.POST["action"],
        "checkbox": helpers.ACTION_CHECKBOX_NAME,
        "confirmed": CONFIRMED,
        **context,
        **shown,
    }
    return TemplateResponse(request, "admin/attachments/removing.html", page)
