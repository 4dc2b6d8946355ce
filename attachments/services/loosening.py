"""Letting bytes go: noted first, in the transaction in which their row goes, and deleted after."""

from collections.abc import Iterable
from datetime import datetime

from attachments.models import LooseBytes, Preview


def loosen(keys: Iterable[str], at: datetime) -> None:
    """Note that these bytes may be deleted from now on."""
    LooseBytes.objects.bulk_create([LooseBytes(key=key, due_at=at) for key in keys])


def part_keys(previews: Iterable[Preview]) -> list[str]:
    """What was drawn for these."""
    return [part["key"] for preview in previews for part in preview.parts.values()]
