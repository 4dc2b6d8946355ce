"""What the API takes and gives of files; their own shape is that of tickets.api.serializers."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from attachments.received import Received
from servicedesk.api.fields import MAX_ID, Bounded, Flag, Line, StrictSerializer, Whole
from tickets.api.serializers import FileSerializer, ReasonSerializer

# Of a file whose beginning is sent along to be looked at.
MAX_HEAD = 64 * 1024


@extend_schema_field({"type": "string", "format": "binary"})
class ReceivedField(serializers.Field[Any, Any, Any, Any]):
    """A file, and not a text of that name."""

    default_error_messages = {"invalid": "Send a file, with a file name."}

    def to_internal_value(self, data: Any) -> Received:
        if not isinstance(data, Received):
            self.fail("invalid")
        return data


class UploadSerializer(StrictSerializer):
    """multipart/form-data. Without `ticket` the files are drafts of the caller."""

    file = serializers.ListField(child=ReceivedField(), allow_empty=False)
    ticket = Whole(min_value=1, max_value=MAX_ID, required=False)
    internal = Flag(default=False)


class RefusedFileSerializer(serializers.Serializer[Any]):
    position = serializers.IntegerField(
        help_text="Which of the files, from 0: names need not differ, as pasted ones do not."
    )
    filename = serializers.CharField(help_text="As it was sent.")
    code = serializers.CharField()
    detail = serializers.CharField()


class UploadedSerializer(serializers.Serializer[Any]):
    """What became of each file; `errors` names those that are not taken, and why."""

    files = FileSerializer(many=True)
    errors = RefusedFileSerializer(many=True)  # type: ignore[assignment]


class CandidateSerializer(StrictSerializer):
    """A file that somebody has chosen and not sent yet."""

    filename = Line(max_length=1000)
    size = Whole(min_value=0, max_value=2**53)
    content_type = Line(max_length=200, required=False, help_text="Has no influence.")
    head_base64 = serializers.CharField(
        max_length=MAX_HEAD * 2, required=False, help_text="The file's first bytes."
    )


class JudgedSerializer(serializers.Serializer[Any]):
    """Whether a file would be taken, as far as can be told without it."""

    allowed = serializers.BooleanField()
    category = serializers.CharField(allow_null=True)
    max_size = serializers.IntegerField(allow_null=True, help_text="In bytes.")
    reasons = ReasonSerializer(many=True)


class EntrySerializer(serializers.Serializer[Any]):
    name = serializers.CharField()
    size = serializers.IntegerField()


class PreviewSerializer(serializers.Serializer[Any]):
    """What can be shown of a file that is no picture, by its kind."""

    kind = serializers.ChoiceField(choices=["text", "table", "html", "listing"])
    text = serializers.CharField(required=False)
    rows = Bounded(
        child=serializers.ListField(child=serializers.CharField()), max_length=1000, required=False
    )
    html = serializers.CharField(required=False, help_text="Sanitised.")
    entries = EntrySerializer(many=True, required=False)
    truncated = serializers.BooleanField()
