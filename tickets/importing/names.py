"""Teams, categories, skills and tags of an export, found again by name or made."""

from collections.abc import Iterable
from typing import TypeVar

from django.db.models import Value
from django.db.models.functions import Lower

from agents.models import Skill, Team
from tickets.importing.mapping import line_of
from tickets.models import Category, Tag

Named = TypeVar("Named", Team, Category, Skill)
NAME_LENGTH = 100
TAG_LENGTH = 50


def find_or_make(model: type[Named], names: Iterable[str]) -> tuple[dict[str, int], int]:
    """Ids by name, and how many rows were made. Names are cut to fit; their case is no matter."""
    cut = {name: line_of(name, NAME_LENGTH) for name in names}
    ids: dict[str, int] = dict(
        model.objects.filter(name__in=set(cut.values())).values_list("name", "pk")
    )
    made = 0
    for name in sorted(set(cut.values()) - ids.keys()):
        # The database folds the case, as its unique constraint does: Python's rules differ.
        same = model.objects.annotate(lowered=Lower("name")).filter(lowered=Lower(Value(name)))
        pk = same.values_list("pk", flat=True).first()
        if pk is None:
            pk = model.objects.create(name=name).pk
            made += 1
        ids[name] = pk
    return {name: ids[short] for name, short in cut.items()}, made


def find_or_make_tags(names: Iterable[str]) -> tuple[dict[str, int], int]:
    """Ids by name, and how many tags were made; in lower case, as tags are kept."""
    cut = {name: line_of(name.lower(), TAG_LENGTH) for name in names}
    there = set(Tag.objects.filter(name__in=cut.values()).values_list("name", flat=True))
    missing = sorted(set(cut.values()) - there)
    Tag.objects.bulk_create([Tag(name=name) for name in missing], ignore_conflicts=True)
    ids = dict(Tag.objects.filter(name__in=cut.values()).values_list("name", "pk"))
    return {name: ids[short] for name, short in cut.items()}, len(missing)
