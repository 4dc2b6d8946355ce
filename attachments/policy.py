"""Which files are taken, by category: types, size, count, and how much a person may send.

Pure but for `current`, which reads `settings.ATTACHMENTS`; a megabyte is 1024 * 1024 bytes.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from django.conf import settings as django_settings

from attachments import names
from attachments.formats import ADVICE, CONTENT_TYPES, DENIED, DENIED_AT_THE_END, UNKNOWN
from attachments.refusals import (
    FileEmpty,
    FileRefused,
    FileTooLarge,
    FileTypeNotAllowed,
)

MB = 1024 * 1024
ANY = "*"


@dataclass(frozen=True)
class Category:
    """Files of a kind. `extensions` may hold ANY; None is no limit."""

    name: str
    extensions: frozenset[str]
    max_bytes: int
    files_per_ticket: int | None = None
    daily_bytes: int | None = None


@dataclass(frozen=True)
class Policy:
    """Limits that a desk sets. Sizes in bytes; days are those of UTC."""

    categories: tuple[Category, ...]
    files_per_request: int
    files_per_ticket: int
    drafts_per_user: int
    daily_bytes: int
    image_pixels: int
    image_frames: int
    archive_entries: int
    archive_bytes: int
    archive_ratio: int

    def category(self, name: str) -> Category:
        return next(category for category in self.categories if category.name == name)

    def category_of(self, extension: str) -> Category | None:
        """The one that names the extension; else the first that takes any."""
        named = (each for each in self.categories if extension in each.extensions)
        anything = (each for each in self.categories if ANY in each.extensions)
        return next(named, None) or next(anything, None)

    def admit(self, name: str, size: int) -> Category:
        """The category of a file of this (cleaned) name and size; raises FileRefused."""
        refusals = self.refusals(name, size)
        for refusal in refusals:
            raise refusal
        category = self.category_of(names.extensions(name)[-1])
        assert category is not None
        return category

    def refusals(self, name: str, size: int) -> list[FileRefused]:
        """Everything that speaks against the file before a byte of it is read."""
        found: list[FileRefused] = []
        parts = names.extensions(name)
        last = parts[-1] if parts else ""
        category = self.category_of(last) if last else None
        if denied := self._denied(parts):
            found.append(_not_allowed(denied, f"Files named .{denied} are never taken."))
        elif category is None:
            found.append(_not_allowed(last, self._taken()))
        if size <= 0:
            found.append(FileEmpty("There is nothing in the file."))
        elif category is not None and size > category.max_bytes:
            most = megabytes(category.max_bytes)
            found.append(FileTooLarge(f"A file of this type ({category.name}) may have {most}."))
        return found

    def _denied(self, parts: list[str]) -> str | None:
        if parts and parts[-1] in DENIED_AT_THE_END:
            return parts[-1]
        return next((part for part in parts if part in DENIED), None)

    def _taken(self) -> str:
        kinds = sorted({each for category in self.categories for each in category.extensions})
        return f"Taken are: {', '.join(kinds)}."


def _not_allowed(extension: str, otherwise: str) -> FileTypeNotAllowed:
    return FileTypeNotAllowed(ADVICE.get(extension, otherwise))


def content_type_of(name: str) -> str:
    parts = names.extensions(name)
    return CONTENT_TYPES.get(parts[-1], UNKNOWN) if parts else UNKNOWN


def megabytes(size: int) -> str:
    return f"{size / MB:g} MB"


def problems(settings: Mapping[str, Any]) -> Iterable[str]:
    """What is wrong with settings.ATTACHMENTS, as sentences."""
    seen: dict[str, str] = {}
    for name, limits in settings["categories"].items():
        for extension in limits["types"]:
            if extension in DENIED_AT_THE_END:
                yield f"{name}: .{extension} cannot be allowed by a setting."
            elif extension != ANY and extension not in CONTENT_TYPES:
                yield f"{name}: .{extension} is not a format that the desk can check."
            elif extension in seen:
                yield f"{name}: .{extension} is in {seen[extension]} already."
            seen[extension] = name
        if limits["max_mb"] <= 0:
            yield f"{name}: max_mb must be above 0."


def from_settings(settings: Mapping[str, Any]) -> Policy:
    categories = tuple(
        Category(
            name,
            frozenset(limits["types"]),
            int(limits["max_mb"] * MB),
            limits.get("files_per_ticket"),
            int(limits["daily_mb"] * MB) if limits.get("daily_mb") else None,
        )
        for name, limits in settings["categories"].items()
    )
    return Policy(
        categories,
        files_per_request=settings["files_per_request"],
        files_per_ticket=settings["files_per_ticket"],
        drafts_per_user=settings["drafts_per_user"],
        daily_bytes=int(settings["daily_mb"] * MB),
        image_pixels=int(settings["image_megapixels"] * 1_000_000),
        image_frames=settings["image_frames"],
        archive_entries=settings["archive_entries"],
        archive_bytes=int(settings["archive_unpacked_mb"] * MB),
        archive_ratio=settings["archive_ratio"],
    )


def current() -> Policy:
    """The policy of this desk."""
    return from_settings(django_settings.ATTACHMENTS)
