"""S3, and what speaks its protocol (MinIO, Ceph, R2)."""

from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from functools import cached_property
from typing import Any, BinaryIO

from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    HTTPClientError,
    IncompleteReadError,
)
from storages.backends.s3 import S3Storage
from urllib3.exceptions import HTTPError

from attachments.storage.providers import CONTENT_TYPE, ObjectStore
from attachments.storage.store import CONNECT_SECONDS, READ_SECONDS, RETRIES, KeyTaken, Stored

# The answer breaks off in the middle, which the client does not try again by itself.
_BROKEN_OFF = (HTTPClientError, IncompleteReadError, HTTPError)


class S3(ObjectStore, S3Storage):  # type: ignore[misc]
    failures: tuple[type[Exception], ...] = (BotoCoreError, ClientError, HTTPError, OSError)

    def __init__(self, **options: Any) -> None:
        # Servers of one's own seldom have a name for each bucket.
        default = "path" if options.get("endpoint_url") else "auto"
        style = options.setdefault("addressing_style", default)
        options["client_config"] = Config(
            s3={"addressing_style": style},
            signature_version="s3v4",
            connect_timeout=CONNECT_SECONDS,
            read_timeout=READ_SECONDS,
            retries={"total_max_attempts": 1 + RETRIES, "mode": "standard"},
            max_pool_connections=50,
        )
        super().__init__(**options)

    @cached_property
    def connection(self) -> Any:
        """One for all threads, since its client may be shared; they are costly to make."""
        return self._create_session().resource(
            "s3",
            region_name=self.region_name,
            endpoint_url=self.endpoint_url,
            config=self.client_config,
        )

    @property
    def _client(self) -> Any:
        return self.connection.meta.client

    def put(self, key: str, file: BinaryIO) -> None:
        """In one request, whatever the size: of an upload in parts that is killed the parts stay,
        seen by nobody and paid for."""
        try:
            self._client.put_object(
                **self._at(key), Body=file, ContentType=CONTENT_TYPE, IfNoneMatch="*"
            )
        except ClientError as error:
            if _code(error) == "PreconditionFailed":
                raise KeyTaken from None
            raise

    def fetch(self, key: str, start: int, stop: int) -> bytes | None:
        for attempt in range(1 + RETRIES):
            try:
                return self._fetch(key, start, stop)
            except _BROKEN_OFF:
                if attempt == RETRIES:
                    raise
        return None

    def _fetch(self, key: str, start: int, stop: int) -> bytes | None:
        try:
            answer = self._client.get_object(**self._at(key), Range=f"bytes={start}-{stop - 1}")
        except ClientError as error:
            if _code(error) == "InvalidRange":
                return b""
            if _code(error) == "NoSuchKey":
                return None
            raise
        with closing(answer["Body"]) as body:
            content: bytes = body.read()
        return content

    def remove(self, key: str) -> None:
        self._client.delete_object(**self._at(key))

    def length(self, key: str) -> int | None:
        try:
            size: int = self._client.head_object(**self._at(key))["ContentLength"]
        except ClientError as error:
            if _code(error) != "404":
                raise
            # A HEAD does not say whether it is the object that is missing, or the bucket.
            self._client.head_bucket(Bucket=self.bucket_name)
            return None
        return size

    def entries(self) -> Iterator[Stored]:
        pages = self._client.get_paginator("list_objects_v2")
        for page in pages.paginate(Bucket=self.bucket_name, Prefix=self.prefix):
            for each in page.get("Contents", ()):
                yield Stored(self.key_of(each["Key"]), each["Size"], each["LastModified"])

    def sign(self, key: str, *, disposition: str, content_type: str, lifetime: timedelta) -> str:
        headers = {
            "ResponseContentDisposition": disposition,
            "ResponseContentType": content_type,
        }
        url: str = self.url(key, parameters=headers, expire=int(lifetime.total_seconds()))
        return url

    def _at(self, key: str) -> dict[str, str]:
        return {"Bucket": self.bucket_name, "Key": self.full_name(key)}


def _code(error: ClientError) -> str:
    code: str = error.response["Error"]["Code"]
    return code
