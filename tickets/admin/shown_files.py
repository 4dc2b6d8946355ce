"""How the files of a ticket stand on its page."""

from collections.abc import Iterable
from dataclasses import dataclass

from tickets import files
from tickets.files import File


@dataclass(frozen=True)
class ShownFile:
    """`refusal` says why it cannot be opened; `thumbnail` is the path of a small picture, if there
    is one to be had."""

    file: File
    refusal: str
    thumbnail: str | None


def shown(found: Iterable[File]) -> list[ShownFile]:
    return [_shown(file) for file in found]


def _shown(file: File) -> ShownFile:
    refusal = files.kept().refusal_of(file)
    has_picture = file.preview_status == "ready" and not refusal
    return ShownFile(file, refusal, file.links["thumbnail"] if has_picture else None)
