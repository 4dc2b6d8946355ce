"""Google Cloud Storage and Azure: what goes over HTTP, and what a signed URL says.

No server of theirs runs on one's own machine; these speak as much as is asked of them, so that
what is wrong in the asking shows. Keys are made up here.
"""

import base64
import json
import random
from datetime import UTC, datetime, timedelta
from io import BytesIO
from urllib.parse import parse_qs, quote, unquote, urlsplit

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from attachments import storage
from attachments.refusals import StorageUnavailable
from attachments.storage.providers import SENT_AT_ONCE, WINDOW
from attachments.tests.keeping import stored_keys
from attachments.tests.provider_servers import AzureBlobs, Google, running

pytestmark = pytest.mark.once
KEY = "3f/" + "3f" * 16
AZURE_KEY = base64.b64encode(b"a made-up key of thirty-two bytes").decode()


@pytest.fixture(scope="module")
def service_account(tmp_path_factory):
    """The credentials of a service account that does not exist; answers a function that writes
    them to a file, given where it gets its tokens."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )

    def write(tokens: str) -> str:
        path = tmp_path_factory.mktemp("account") / "key.json"
        facts = {
            "type": "service_account",
            "project_id": "desk",
            "private_key_id": "1",
            "private_key": pem.decode(),
            "client_email": "desk@desk.example",
            "token_uri": tokens,
            # Of Google's own, its client asks one of its hosts where they may be used from.
            "universe_domain": "desk.example",
        }
        path.write_text(json.dumps(facts))
        return quote(str(path), safe="")

    return write


@pytest.fixture
def google(settings, service_account):
    with running(Google) as (url, bucket):
        account = service_account(f"{url}/token")
        settings.ATTACHMENTS_STORAGE = (
            f"gs://desk/files?endpoint_url={quote(url, safe='')}&credentials={account}"
        )
        yield bucket


@pytest.fixture
def azure(settings):
    with running(AzureBlobs) as (url, bucket):
        settings.ATTACHMENTS_STORAGE = (
            f"azure://desk/files?endpoint_url={quote(url + '/me', safe='')}"
            f"&account=me&account_key={quote(AZURE_KEY, safe='')}"
        )
        yield bucket


@pytest.fixture(params=["google", "azure"])
def bucket(request):
    return request.getfixturevalue(request.param)


def saved(content: bytes) -> str:
    key = storage.new_key()
    storage.save(key, BytesIO(content))
    return key


def whole(key: str, *bounds: int) -> bytes:
    return b"".join(storage.read(key, *bounds))


@pytest.mark.parametrize("size", [0, 1, WINDOW, SENT_AT_ONCE, SENT_AT_ONCE + 1, 10 * WINDOW + 7])
def test_bytes_in_are_bytes_out(bucket, size) -> None:
    content = random.Random(size).randbytes(size)

    key = saved(content)

    assert bucket.objects == {f"files/{key}": content}
    assert whole(key) == content
    assert storage.size_of(key) == size


def test_ranges_are_slices_and_ask_for_no_more(bucket) -> None:
    content = random.Random(3).randbytes(2 * WINDOW + 100)
    key = saved(content)
    bucket.asked.clear()

    assert whole(key, 1000, 1010) == content[1000:1010]

    ranges = [line.partition("bytes=")[2] for line in bucket.asked if "bytes=" in line]
    assert ranges == ["1000-1009"]
    for start, stop in [(0, 1), (WINDOW - 1, WINDOW + 1), (5, len(content) + 9)]:
        assert whole(key, start, stop) == content[start:stop]
    assert whole(key, 2 * WINDOW) == content[2 * WINDOW :]
    assert whole(key, len(content)) == b""


def test_what_is_not_there_is_missing(bucket) -> None:
    with pytest.raises(storage.MissingBytes):
        storage.read(KEY)
    assert storage.size_of(KEY) is None
    storage.delete(KEY)


def test_a_key_is_written_once(bucket) -> None:
    key = saved(b"the first")

    with pytest.raises(storage.KeyTaken):
        storage.save(key, BytesIO(b"the second"))

    assert whole(key) == b"the first"


def test_what_is_deleted_is_gone(bucket) -> None:
    key, other = saved(b"x"), saved(b"y")

    storage.delete(key)

    assert bucket.objects == {f"files/{other}": b"y"}


def test_every_page_is_listed_with_size_and_time(bucket) -> None:
    keys = {saved(b"x" * size): size for size in range(1, 6)}
    bucket.objects["somebody-elses"] = b"x"

    listed = list(storage.keys())

    assert {each.key: each.size for each in listed} == keys
    assert {each.modified_at for each in listed} == {datetime(2026, 5, 4, 3, 2, 1, tzinfo=UTC)}


@pytest.mark.parametrize("call", ["save", "read", "size_of", "delete", "keys"])
def test_a_bucket_that_does_not_exist_is_no_missing_file(bucket, call) -> None:
    bucket.name = "another"
    calls = {
        "save": lambda: storage.save(KEY, BytesIO(b"x")),
        "read": lambda: storage.read(KEY),
        "size_of": lambda: storage.size_of(KEY),
        "delete": lambda: storage.delete(KEY),
        "keys": stored_keys,
    }

    with pytest.raises(StorageUnavailable):
        calls[call]()


def test_google_signs_name_type_and_lifetime(google, settings) -> None:
    settings.SIGNED_URL_LIFETIME = timedelta(seconds=45)

    url = storage.signed_url(
        KEY, filename="Übersicht.pdf", content_type="application/pdf", is_inline=False
    )

    query = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
    assert urlsplit(url).path == f"/desk/files/{KEY}"
    assert query["X-Goog-Expires"] == "45"
    assert query["X-Goog-Algorithm"] == "GOOG4-RSA-SHA256"
    assert query["response-content-type"] == "application/pdf"
    assert query["response-content-disposition"] == (
        "attachment; filename*=utf-8''%C3%9Cbersicht.pdf"
    )
    assert len(query["X-Goog-Signature"]) == 512
    assert google.asked == []


def test_azure_signs_name_type_and_lifetime(azure, settings) -> None:
    settings.SIGNED_URL_LIFETIME = timedelta(seconds=45)

    url = storage.signed_url(KEY, filename="a.png", content_type="image/png", is_inline=True)

    query = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
    assert unquote(urlsplit(url).path) == f"/me/desk/files/{KEY}"
    assert (query["rsct"], query["rscd"]) == ("image/png", 'inline; filename="a.png"')
    assert (query["sp"], query["sr"]) == ("r", "b")
    left = datetime.fromisoformat(query["se"]) - datetime.now(UTC)
    assert timedelta(seconds=35) < left <= timedelta(seconds=45)
    assert len(base64.b64decode(query["sig"])) == 32
    assert azure.asked == []
