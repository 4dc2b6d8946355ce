"""Input fields that take what they say and nothing that merely looks like it.

DRF's own turn 123 into "123" and "yes" into true; a client that sends those has a defect that it
should hear of.
"""

from itertools import islice
from typing import Any

from django.db.models import QuerySet
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from servicedesk.api.text import refuse_control_characters
from servicedesk.errors import DomainError

MAX_ID = 2**63 - 1
# So many unknown members are named; a body may have a hundred thousand.
UNKNOWN_NAMED = 20


class NothingThere(DomainError):
    """A field refers to what is not there, or not for the caller."""

    code = "not_found"
    status = 404
    title = "There is nothing here"

    def __init__(self, field: str) -> None:
        detail = "There is nothing of this id that you may refer to."
        error = {"pointer": f"/{field}", "code": self.code, "detail": detail}
        super().__init__(f"{field}: {detail}", errors=[error])


# No docstring: the document would describe with it every shape that is made of this.
class FromSerializer(serializers.Serializer[Any]):
    # Has a member `from`, which is a keyword of Python: declared as `from_`.

    def get_fields(self) -> dict[str, Any]:
        return {name.removesuffix("_"): field for name, field in super().get_fields().items()}


class StrictSerializer(serializers.Serializer[Any]):
    """Refuses members it does not know: a typo or a forbidden field never passes silently."""

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, dict):
            known = set(self.fields)
            unknown = islice((name for name in data if name not in known), UNKNOWN_NAMED)
            error = serializers.ErrorDetail("There is no such field.", "unknown_field")
            if errors := dict.fromkeys(unknown, error):
                raise serializers.ValidationError(errors)
        return super().to_internal_value(data)


class Bounded(serializers.ListField):
    """A list that is not looked into where it is too long: validating each of half a million
    members, only to refuse them all, takes half a minute."""

    def __init__(self, *, max_length: int, **kwargs: Any) -> None:
        super().__init__(max_length=max_length, **kwargs)
        self.most = max_length

    def to_internal_value(self, data: Any) -> list[Any]:
        if isinstance(data, list) and len(data) > self.most:
            self.fail("max_length", max_length=self.most)
        return super().to_internal_value(data)


class Text(serializers.CharField):
    """Several lines. White space at the ends stays, since Markdown reads it; blank is refused."""

    def __init__(self, *, max_length: int, **kwargs: Any) -> None:
        super().__init__(max_length=max_length, trim_whitespace=False, **kwargs)

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        return super().to_internal_value(data)

    def run_validation(self, data: Any = serializers.empty) -> Any:
        if isinstance(data, str) and data and not data.strip() and not self.allow_blank:
            self.fail("blank")
        return super().run_validation(data)


class Line(serializers.CharField):
    """One line without control characters; trimmed."""

    def __init__(self, *, max_length: int, **kwargs: Any) -> None:
        super().__init__(max_length=max_length, **kwargs)
        self.validators.append(refuse_control_characters)

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        return super().to_internal_value(data)


class Whole(serializers.IntegerField):
    """A whole number, not one in quotes, not a boolean."""

    def to_internal_value(self, data: Any) -> int:
        if not isinstance(data, int) or isinstance(data, bool):
            self.fail("invalid")
        return super().to_internal_value(data)


class Flag(serializers.BooleanField):
    """true or false."""

    def to_internal_value(self, data: Any) -> bool:
        if not isinstance(data, bool):
            self.fail("invalid", input=data)
        return data


@extend_schema_field(OpenApiTypes.INT64)
class Reference(serializers.Field[Any, Any, Any, Any]):
    """The id of something the caller may refer to; anything else answers 404, as in a path."""

    default_error_messages = {"invalid": "An id is a whole number."}

    def __init__(self, queryset: QuerySet[Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.queryset = queryset

    def to_internal_value(self, data: Any) -> Any:
        if not isinstance(data, int) or isinstance(data, bool):
            self.fail("invalid")
        found = self.queryset.all().filter(pk=data).first() if 0 < data <= MAX_ID else None
        if found is None:
            raise NothingThere(str(self.field_name))
        return found

    def to_representation(self, value: Any) -> Any:
        return value.pk


class References(Bounded):
    """Several ids, resolved in one query; doubles collapse, one unknown id answers 404."""

    def __init__(self, queryset: QuerySet[Any], *, max_length: int = 200, **kwargs: Any) -> None:
        child = Whole(min_value=1, max_value=MAX_ID)
        super().__init__(child=child, max_length=max_length, **kwargs)
        self.queryset = queryset

    def to_internal_value(self, data: Any) -> list[Any]:
        ids = set(super().to_internal_value(data))
        found = list(self.queryset.all().filter(pk__in=ids))
        if len(found) != len(ids):
            raise NothingThere(str(self.field_name))
        return found


@extend_schema_field(serializers.ListField(child=serializers.CharField()))
class Names(serializers.Field[Any, Any, Any, Any]):
    """Related rows by their names, out of what was prefetched."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(read_only=True, **kwargs)

    def to_representation(self, value: Any) -> list[str]:
        return [row.name for row in value.all()]
