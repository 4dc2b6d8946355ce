"""Chaos: some seconds of it in the suite, a minute in `make chaos`."""

import os
import random

import pytest

from realtime.tests.chaos import run_chaos
from realtime.tests.cluster import Cluster, running_cluster

pytestmark = pytest.mark.postgres


@pytest.fixture
def desks(db, tmp_path):
    """Three processes of this test alone."""
    with running_cluster(tmp_path, count=3) as cluster:
        yield cluster


async def test_whatever_dies_everybody_sees_each_event_once_and_in_order(desks: Cluster):
    seed = int(os.environ.get("CHAOS_SEED") or random.randrange(1_000_000))
    print(f"CHAOS_SEED={seed}")  # noqa: T201
    counted = await run_chaos(desks, float(os.environ.get("CHAOS_SECONDS", "5")), seed)
    print(counted)  # noqa: T201
