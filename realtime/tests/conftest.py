"""Real processes, for the tests that need several."""

import pytest

from realtime import broadcast
from realtime.tests.cluster import Cluster, running_cluster


@pytest.fixture(scope="package")
def processes(django_db_setup, tmp_path_factory):
    """Two desks and their Redis; they cost seconds to start, so they serve every test."""
    with running_cluster(tmp_path_factory.mktemp("cluster"), count=2) as cluster:
        yield cluster


@pytest.fixture
def cluster(processes: Cluster, db, settings, monkeypatch) -> Cluster:
    """The two desks, all well; the test's own process tells them what it writes."""
    processes.heal()
    settings.CHANNEL_LAYERS = processes.channel_layers
    monkeypatch.setattr(broadcast, "_paused_until", 0.0)
    return processes
