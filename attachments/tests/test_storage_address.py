"""What ATTACHMENTS_STORAGE may say."""

import pytest
from django.core.exceptions import ImproperlyConfigured

from attachments import storage
from attachments.storage.address import entry

pytestmark = pytest.mark.once


@pytest.mark.parametrize(
    ("address", "backend", "options"),
    [
        ("s3://desk", "S3", {"bucket_name": "desk", "location": ""}),
        (
            "s3://desk/a/b/?endpoint_url=http%3A%2F%2F127.0.0.1%3A9000&region=eu-west-1",
            "S3",
            {
                "bucket_name": "desk",
                "location": "a/b",
                "endpoint_url": "http://127.0.0.1:9000",
                "region_name": "eu-west-1",
            },
        ),
        (
            "gs://desk/files?project=p&credentials=/etc/key.json",
            "GoogleCloud",
            {
                "bucket_name": "desk",
                "location": "files",
                "project_id": "p",
                "credentials_file": "/etc/key.json",
            },
        ),
        (
            "azure://desk/files?account=me",
            "Azure",
            {"azure_container": "desk", "location": "files", "account_name": "me"},
        ),
    ],
)
def test_an_address_names_a_bucket_a_prefix_and_options(address, backend, options) -> None:
    found, given = entry(address)

    assert (found.rpartition(".")[2], given) == (backend, options)


@pytest.mark.parametrize(
    ("address", "sentence"),
    [
        ("ftp://desk/files", "begins with one of s3://, gs://, azure://"),
        ("/var/lib/files", "begins with one of s3://, gs://, azure://"),
        ("s3:///files", "needs a bucket: s3://bucket/prefix"),
        ("s3://key:hush@desk/files", "needs a bucket"),
        ("s3://desk/files?acess_key=hidden", "unknown option 'acess_key'"),
        ("gs://desk/files?region=eu", "gs:// knows endpoint_url, project, credentials"),
        ("azure://desk/files", "needs its account"),
    ],
)
def test_an_address_that_means_nothing_is_refused_with_a_sentence(
    settings, address, sentence
) -> None:
    settings.ATTACHMENTS_STORAGE = address

    with pytest.raises(ImproperlyConfigured) as refused:
        storage.size_of(storage.new_key())

    assert sentence in str(refused.value)
    assert "hidden" not in str(refused.value)
    assert "hush" not in str(refused.value)


def test_the_address_counts_when_it_is_read(settings, tmp_path) -> None:
    assert storage.is_folder()

    settings.ATTACHMENTS_STORAGE = "s3://desk?region=us-east-1"

    assert not storage.is_folder()
    with pytest.raises(storage.NotAFolder):
        storage.accel_path(storage.new_key(), "/protected/")
