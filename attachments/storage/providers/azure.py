"""Azure Blob Storage."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any, BinaryIO

from azure.core.exceptions import AzureError, HttpResponseError, ResourceExistsError
from azure.storage.blob import BlobClient, BlobServiceClient, ContentSettings, StorageErrorCode
from storages.backends.azure_storage import AzureStorage

from attachments.storage.providers import CONTENT_TYPE, SENT_AT_ONCE, WINDOW, ObjectStore
from attachments.storage.store import CONNECT_SECONDS, READ_SECONDS, RETRIES, KeyTaken, Stored

_LIMITS: dict[str, Any] = {
    "connection_timeout": CONNECT_SECONDS,
    "read_timeout": READ_SECONDS,
    "retry_total": RETRIES,
    # Seconds before the further attempts: 0.5, then 2.5, each give or take half a second.
    "initial_backoff": 0.5,
    "increment_base": 2,
    "random_jitter_range": 0.5,
    "max_single_put_size": SENT_AT_ONCE,
    "max_block_size": SENT_AT_ONCE,
    "max_single_get_size": WINDOW,
    "max_chunk_get_size": WINDOW,
}


class Azure(ObjectStore, AzureStorage):  # type: ignore[misc]
    failures: tuple[type[Exception], ...] = (AzureError, OSError)

    def __init__(self, *, endpoint_url: str = "", **options: Any) -> None:
        self._endpoint_url = endpoint_url
        super().__init__(client_options=_LIMITS, **options)

    def _get_service_client(self) -> BlobServiceClient:
        domain = f"{self.account_name}.blob.{self.endpoint_suffix}"
        credential: Any = self.sas_token
        if self.account_key:
            credential = {"account_name": self.account_name, "account_key": self.account_key}
        return BlobServiceClient(
            self._endpoint_url or f"https://{domain}", credential=credential, **_LIMITS
        )

    def put(self, key: str, file: BinaryIO) -> None:
        """In parts of SENT_AT_ONCE where it is large; it is there once they are put together."""
        try:
            self._blob(key).upload_blob(
                file,
                overwrite=False,
                max_concurrency=1,
                content_settings=ContentSettings(content_type=CONTENT_TYPE),
            )
        except ResourceExistsError:
            raise KeyTaken from None

    def fetch(self, key: str, start: int, stop: int) -> bytes | None:
        try:
            return self._blob(key).download_blob(offset=start, length=stop - start).readall()
        except HttpResponseError as error:
            if _code(error) == StorageErrorCode.INVALID_RANGE:
                return b""
            if _is_absent(error):
                return None
            raise

    def remove(self, key: str) -> None:
        try:
            self._blob(key).delete_blob()
        except HttpResponseError as error:
            if not _is_absent(error):
                raise

    def length(self, key: str) -> int | None:
        try:
            return self._blob(key).get_blob_properties().size
        except HttpResponseError as error:
            if _is_absent(error):
                return None
            raise

    def entries(self) -> Iterator[Stored]:
        for blob in self.client.list_blobs(name_starts_with=self.prefix):
            yield Stored(self.key_of(blob.name), blob.size, blob.last_modified)

    def sign(self, key: str, *, disposition: str, content_type: str, lifetime: timedelta) -> str:
        headers = {"content_disposition": disposition, "content_type": content_type}
        seconds = int(lifetime.total_seconds())
        url: str = self.url(key, expire=seconds, parameters=headers)
        return url

    def _blob(self, key: str) -> BlobClient:
        client: BlobClient = self.client.get_blob_client(self.full_name(key))
        return client


def _is_absent(error: HttpResponseError) -> bool:
    """The object, not what it should be in."""
    return bool(_code(error) == StorageErrorCode.BLOB_NOT_FOUND)


def _code(error: HttpResponseError) -> Any:
    """The client's own errors have one, those that the network makes have none."""
    return getattr(error, "error_code", None)
