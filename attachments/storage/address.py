"""`settings.ATTACHMENTS_STORAGE`: where the bytes are, in one line.

""                                          the folder `settings.ATTACHMENTS_FOLDER`
s3://bucket/prefix?endpoint_url=…&region=…  S3, and what speaks its protocol
gs://bucket/prefix?project=…                Google Cloud Storage
azure://container/prefix?account=…          Azure Blob Storage

Credentials are best left to where each provider's client looks for them by itself (environment,
profile, the machine's role); of Azure they are in AZURE_STORAGE_KEY.
"""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

from attachments.storage.folder import Folder
from attachments.storage.store import Store


@dataclass(frozen=True)
class _Provider:
    """`options`: what they are called in an address, and by the class."""

    backend: str
    bucket: str
    options: dict[str, str]


_PROVIDERS = {
    "s3": _Provider(
        "attachments.storage.providers.s3.S3",
        "bucket_name",
        {
            "endpoint_url": "endpoint_url",
            "region": "region_name",
            "access_key": "access_key",
            "secret_key": "secret_key",
            "addressing_style": "addressing_style",
        },
    ),
    "gs": _Provider(
        "attachments.storage.providers.gcs.GoogleCloud",
        "bucket_name",
        {
            "endpoint_url": "endpoint_url",
            "project": "project_id",
            "credentials": "credentials_file",
        },
    ),
    "azure": _Provider(
        "attachments.storage.providers.azure.Azure",
        "azure_container",
        {
            "endpoint_url": "endpoint_url",
            "account": "account_name",
            "account_key": "account_key",
            "sas_token": "sas_token",
        },
    ),
}


@lru_cache(maxsize=8)
def resolve(address: str, folder: Path) -> Store:
    """What the address names, which is not contacted. Raises ImproperlyConfigured."""
    if not address:
        return Folder(folder)
    backend, options = entry(address)
    store: Store = import_string(backend)(**options)
    return store


def entry(address: str) -> tuple[str, dict[str, Any]]:
    """The class that the address names, as a dotted path, and what to make it with. Raises
    ImproperlyConfigured, with a sentence that repeats nothing secret."""
    parts = urlsplit(address)
    provider = _PROVIDERS.get(parts.scheme)
    if provider is None or parts.fragment:
        known = ", ".join(f"{scheme}://" for scheme in _PROVIDERS)
        raise ImproperlyConfigured(
            f"ATTACHMENTS_STORAGE is empty (a folder) or begins with one of {known}."
        )
    if not parts.netloc or "@" in parts.netloc:
        raise ImproperlyConfigured(
            f"ATTACHMENTS_STORAGE needs a bucket: {parts.scheme}://bucket/prefix."
        )
    options = {provider.bucket: parts.netloc, "location": parts.path.strip("/")}
    for name, value in parse_qsl(parts.query, keep_blank_values=True):
        if name not in provider.options:
            known = ", ".join(provider.options)
            raise ImproperlyConfigured(
                f"ATTACHMENTS_STORAGE has an unknown option {name!r}; "
                f"{parts.scheme}:// knows {known}."
            )
        options[provider.options[name]] = value
    if parts.scheme == "azure" and not {"account_name", "endpoint_url"} & set(options):
        raise ImproperlyConfigured("ATTACHMENTS_STORAGE needs its account: azure://…?account=name.")
    return provider.backend, options
