"""Where files are kept in these tests: an empty folder of each test's own, or an empty bucket."""

import pytest

from attachments.tests.object_store import ObjectStore, running_object_store


@pytest.fixture(autouse=True)
def folder_storage(settings, tmp_path):
    """The default, for every test. Answers the folder, which is made with the first file."""
    settings.ATTACHMENTS_STORAGE = ""
    settings.ATTACHMENTS_FOLDER = tmp_path / "files"
    return settings.ATTACHMENTS_FOLDER


@pytest.fixture(scope="session")
def object_store():
    """A server that speaks S3; it takes seconds to start, so it serves every test."""
    with running_object_store() as store:
        yield store


@pytest.fixture
def s3_storage(folder_storage, object_store: ObjectStore, settings) -> str:
    """Files are kept in an empty bucket, whose name this answers."""
    bucket = object_store.new_bucket()
    settings.ATTACHMENTS_STORAGE = object_store.address(bucket)
    return bucket


# The object store in one of the two passes: which database there is makes no difference to it.
@pytest.fixture(params=["folder", pytest.param("s3", marks=pytest.mark.once)])
def each_storage(request, folder_storage):
    """The test runs twice: `pytestmark = pytest.mark.usefixtures("each_storage")`."""
    if request.param == "s3":
        request.getfixturevalue("s3_storage")
    return request.param
