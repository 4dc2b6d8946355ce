"""The same questions to the clamd of this machine; left out where none is installed."""

import tempfile
from pathlib import Path

import pytest

from attachments.models import Blob
from attachments.scanning import ScannerAway, scan
from attachments.tests.clamd_server import EICAR
from attachments.tests.real_clamd import MB, NAME, real_clamd

pytestmark = [pytest.mark.clamd, pytest.mark.once]


@pytest.fixture(scope="module")
def place():
    # Its own, since the path of a socket must be short.
    with tempfile.TemporaryDirectory(prefix="clamd-") as folder:
        yield Path(folder)


@pytest.fixture(scope="module")
def running(place):
    with real_clamd(place) as address:
        yield address


@pytest.fixture(autouse=True)
def settled(settings, running):
    settings.CLAMD, settings.SCAN_MODE, settings.CLAMD_TIMEOUT = running, "closed", 30


def test_it_says_clean_infected_and_too_large():
    assert scan(iter([b"harmless"]), 8).status == Blob.Scan.CLEAN
    bad = [b"." * 1000, EICAR[:20], EICAR[20:], b"." * 1000]
    verdict = scan(iter(bad), sum(map(len, bad)))
    assert verdict.status == Blob.Scan.INFECTED
    assert verdict.note.startswith(NAME)
    assert scan((bytes(MB) for _ in range(4)), 4 * MB).status == Blob.Scan.CLEAN


@pytest.mark.parametrize("megabytes", [5, 60])
def test_what_is_beyond_its_limit_is_skipped_though_it_hangs_up_early(megabytes):
    chunks = (bytes(128 * 1024) for _ in range(8 * megabytes))
    assert scan(chunks, megabytes * MB).status == Blob.Scan.SKIPPED


def test_what_it_says_of_limits_within_a_file_is_skipped_too(settings):
    with tempfile.TemporaryDirectory(prefix="clamd-") as folder:
        options = {"AlertExceedsMax": "yes", "MaxFileSize": "1M"}
        with real_clamd(Path(folder), **options) as settings.CLAMD:
            verdict = scan((bytes(MB) for _ in range(2)), 2 * MB)
    assert verdict.status == Blob.Scan.SKIPPED
    assert "MaxFileSize" in verdict.note


def test_once_it_has_ended_it_is_away_and_then_back(settings):
    with tempfile.TemporaryDirectory(prefix="clamd-") as folder:
        with real_clamd(Path(folder)) as settings.CLAMD:
            assert scan(iter([b"x"]), 1).status == Blob.Scan.CLEAN
        with pytest.raises(ScannerAway):
            scan(iter([b"x"]), 1)
        with real_clamd(Path(folder)) as settings.CLAMD:
            assert scan(iter([b"x"]), 1).status == Blob.Scan.CLEAN
