"""What would become of a file that has not been sent yet."""

from dataclasses import dataclass
from datetime import datetime
from io import BytesIO

from agents.models import User
from attachments import names, policy
from attachments.inspection import glance, inspect
from attachments.refusals import FileRefused, InvalidFilename
from attachments.services import quota


@dataclass(frozen=True)
class Judgement:
    """`reasons` speak against it; `max_size` is in bytes."""

    category: str | None
    max_size: int | None
    reasons: list[FileRefused]

    @property
    def allowed(self) -> bool:
        return not self.reasons


def judge(*, filename: str, size: int, head: bytes, user: User, at: datetime) -> Judgement:
    """By the rules that an upload meets; `head` are the file's first bytes, or nothing."""
    rules = policy.current()
    try:
        name = names.clean(filename)
    except InvalidFilename as refused:
        return Judgement(None, None, [refused])
    category = rules.category_of(names.extensions(name)[-1]) if names.extensions(name) else None
    reasons = rules.refusals(name, size)
    if not reasons and category is not None:
        reasons += quota.refusals(user, category, size, at)
    if not reasons and head:
        reasons += _seen_in(head, name, size)
    return Judgement(
        category.name if category else None, category.max_bytes if category else None, reasons
    )


def _seen_in(head: bytes, name: str, size: int) -> list[FileRefused]:
    """What the first bytes give away: all there is to know, where these are all the bytes."""
    try:
        if len(head) == size:
            inspect(BytesIO(head), name, size, policy.current())
        else:
            glance(head, name)
    except FileRefused as refused:
        return [refused]
    return []
