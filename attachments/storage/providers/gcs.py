"""Google Cloud Storage."""

from collections.abc import Iterator
from datetime import timedelta
from functools import cached_property
from typing import Any, BinaryIO

import google.auth
from google.api_core.exceptions import (
    GoogleAPIError,
    NotFound,
    PreconditionFailed,
    RequestRangeNotSatisfiable,
)
from google.auth.exceptions import GoogleAuthError
from google.cloud.storage import Blob, Client
from google.cloud.storage.exceptions import DataCorruption, InvalidResponse
from google.cloud.storage.retry import DEFAULT_RETRY
from google.oauth2.service_account import Credentials
from requests import RequestException
from storages.backends.gcloud import GoogleCloudStorage

from attachments.storage.providers import CONTENT_TYPE, SENT_AT_ONCE, ObjectStore
from attachments.storage.store import CONNECT_SECONDS, READ_SECONDS, KeyTaken, Stored

_SCOPES = ["https://www.googleapis.com/auth/devstorage.read_write"]
# Of each request: no attempt begins later than this after the first.
_LIMITS = {
    "timeout": (CONNECT_SECONDS, READ_SECONDS),
    "retry": DEFAULT_RETRY.with_timeout(READ_SECONDS).with_delay(initial=0.5, maximum=4),
}


class GoogleCloud(ObjectStore, GoogleCloudStorage):  # type: ignore[misc]
    credentials: Any
    failures: tuple[type[Exception], ...] = (
        GoogleAPIError,
        GoogleAuthError,
        DataCorruption,
        InvalidResponse,
        RequestException,
        OSError,
    )

    def __init__(
        self, *, endpoint_url: str = "", credentials_file: str = "", **options: Any
    ) -> None:
        self._endpoint_url = endpoint_url
        if credentials_file:
            options["credentials"] = Credentials.from_service_account_file(  # type: ignore[no-untyped-call]
                credentials_file, scopes=_SCOPES
            )
        super().__init__(**options)

    @cached_property
    def client(self) -> Client:
        project = self.project_id
        if self.credentials is None:
            self.credentials, project = google.auth.default(scopes=_SCOPES)
        options = {"universe_domain": self.credentials.universe_domain}
        if self._endpoint_url:
            options["api_endpoint"] = self._endpoint_url
        return Client(
            project=self.project_id or project or "-",
            credentials=self.credentials,
            client_options=options,
        )

    def put(self, key: str, file: BinaryIO) -> None:
        """In parts of SENT_AT_ONCE where it is large; it is there once the last one is."""
        blob = self._blob(key)
        blob.chunk_size = SENT_AT_ONCE
        try:
            blob.upload_from_file(file, content_type=CONTENT_TYPE, if_generation_match=0, **_LIMITS)
        except PreconditionFailed:
            raise KeyTaken from None

    def fetch(self, key: str, start: int, stop: int) -> bytes | None:
        try:
            content: bytes = self._blob(key).download_as_bytes(
                start=start, end=stop - 1, raw_download=True, **_LIMITS
            )
        except RequestRangeNotSatisfiable:
            return b""
        except NotFound:
            self._require_bucket()
            return None
        return content

    def remove(self, key: str) -> None:
        try:
            self.bucket.delete_blob(self.full_name(key), **_LIMITS)
        except NotFound:
            self._require_bucket()

    def length(self, key: str) -> int | None:
        blob = self.bucket.get_blob(self.full_name(key), **_LIMITS)
        if blob is None:
            self._require_bucket()
            return None
        size: int = blob.size
        return size

    def entries(self) -> Iterator[Stored]:
        fields = "items(name,size,updated),nextPageToken"
        for blob in self.bucket.list_blobs(prefix=self.prefix, fields=fields, **_LIMITS):
            yield Stored(self.key_of(blob.name), blob.size, blob.updated)

    def sign(self, key: str, *, disposition: str, content_type: str, lifetime: timedelta) -> str:
        headers = {
            "expiration": lifetime,
            "response_disposition": disposition,
            "response_type": content_type,
        }
        url: str = self.url(key, parameters=headers)
        return url

    def _blob(self, key: str) -> Blob:
        return self.bucket.blob(self.full_name(key))

    def _require_bucket(self) -> None:
        """A 404 does not say whether it is the object that is missing, or the bucket: the first
        one is no failure."""
        next(iter(self.bucket.list_blobs(max_results=1, **_LIMITS)), None)
