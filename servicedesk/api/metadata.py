"""What OPTIONS answers."""

from typing import Any

from rest_framework.metadata import SimpleMetadata
from rest_framework.request import Request


class PlainMetadata(SimpleMetadata):
    """A path's name and media types; `Allow` has its methods. The fields are in the OpenAPI
    document: REST framework's own list of them would look up an object, which our views find
    by other means."""

    def determine_actions(self, request: Request, view: Any) -> dict[str, Any]:
        return {}
