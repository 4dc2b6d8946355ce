"""Multipart in: each file goes to the disk as it comes, hashed on the way, under the name that it
was sent with."""

from typing import Any

from django.conf import settings
from django.core.files.uploadhandler import FileUploadHandler
from django.http.multipartparser import MultiPartParser, MultiPartParserError
from rest_framework.exceptions import ParseError
from rest_framework.parsers import BaseParser

from attachments import policy
from attachments.received import Received
from attachments.refusals import TooManyFiles
from servicedesk.api.parsers import BAD_TEXT

# Of a parser's context: the files that came in, also those of a body that is refused.
RECEIVED = "received"


class ReceivingHandler(FileUploadHandler):
    """Django's parser tells it of each file."""

    chunk_size = 256 * 1024

    def __init__(self) -> None:
        super().__init__()
        rules = policy.current()
        self._most_files = rules.files_per_request
        self._most_bytes = max(category.max_bytes for category in rules.categories)
        self.received: list[Received] = []
        self.completed = 0

    @property
    def is_whole(self) -> bool:
        """Whether every file that began has ended."""
        return self.completed == len(self.received)

    def new_file(self, *args: Any, **kwargs: Any) -> None:
        super().new_file(*args, **kwargs)
        if len(self.received) >= self._most_files:
            raise TooManyFiles(f"At most {self._most_files} files at a time; send the rest after.")
        self.received.append(Received(self.file_name or ""))

    def receive_data_chunk(self, raw_data: bytes, start: int) -> None:
        self.received[-1].write(raw_data, self._most_bytes)

    def file_complete(self, file_size: int) -> Any:
        self.completed += 1
        return self.received[-1]


class _Counting:
    """The body, and how often `delimiter` stands in what was read of it."""

    def __init__(self, stream: Any, delimiter: bytes) -> None:
        self._stream, self._delimiter, self._tail = stream, delimiter, b""
        self.count = 0

    def read(self, size: int) -> bytes:
        piece: bytes = self._stream.read(size)
        seen = self._tail + piece
        self.count += seen.count(self._delimiter)
        # Too short to hold one, and so to be counted twice.
        self._tail = seen[1 - len(self._delimiter) :]
        return piece


class _Parser(MultiPartParser):
    _boundary: bytes
    _input_data: Any

    def count_delimiters(self) -> _Counting:
        """From now on; Django's parser keeps its boundary to itself."""
        counting = _Counting(self._input_data, b"--" + self._boundary)
        self._input_data = counting
        return counting

    def sanitize_file_name(self, file_name: str) -> str:
        """Our own rules decide: Django's would silently drop a file that is named `..`."""
        return file_name


class UploadParser(BaseParser):
    """`{"file": [Received…], "ticket": 42, "internal": true}`: what is not sent is absent."""

    media_type = "multipart/form-data"

    def parse(self, stream: Any, media_type: Any = None, parser_context: Any = None) -> Any:
        context = parser_context or {}
        request = context["request"]
        handler = ReceivingHandler()
        # Whoever answers closes them, whatever comes of the request.
        context[RECEIVED] = handler.received
        try:
            parser = _Parser(request.META, stream, [handler], settings.DEFAULT_CHARSET)
            delimiters = parser.count_delimiters()
            fields, files = parser.parse()
        except MultiPartParserError as exc:
            raise ParseError(f"The body is not multipart/form-data: {exc}") from exc
        # A delimiter before each part, and one at the end. Django passes over what it does not
        # understand; a file must not get lost without a word.
        understood = handler.completed + sum(len(values) for _, values in fields.lists())
        if not handler.is_whole or delimiters.count not in (0, understood + 1):
            raise ParseError("Some part of the body is not understood, or it ends too early.")
        found: dict[str, Any] = {name: _typed(name, values) for name, values in fields.lists()}
        for name, received in files.lists():
            found[name] = [*_list(found.get(name)), *received]
        return found


def _list(value: Any) -> list[Any]:
    return [] if value is None else [value]


def _typed(name: str, values: list[str]) -> Any:
    """Forms know texts only: a number or a flag where one is meant, the text where it is none."""
    if any(BAD_TEXT.search(value) for value in (name, *values)):
        raise ParseError("The body holds a NUL or half a surrogate pair.")
    if len(values) > 1:
        return values
    (text,) = values
    if name == "internal":
        return {"true": True, "1": True, "on": True, "false": False, "0": False}.get(text, text)
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 18 else text
