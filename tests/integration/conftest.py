"""A real redis-server for the integration tests, and a prefix of its own for each."""

import os
import tempfile
from pathlib import Path

import pytest

from nextbest.data.connection import RedisConnection
from nextbest.data.embedded import open_embedded, open_redis
from nextbest.data.keys import Keys


@pytest.fixture(scope="session")
def redis_server():
    """The embedded redis-server for the session, or NEXTBEST_TEST_REDIS_URL's; `.address` says where."""
    if url := os.environ.get("NEXTBEST_TEST_REDIS_URL"):
        with open_redis(url, Path()) as handle:
            yield handle
        return
    with (
        tempfile.TemporaryDirectory(prefix="nextbest-test-") as directory,
        open_embedded(Path(directory)) as handle,
    ):
        yield handle


@pytest.fixture
def redis_url(redis_server):
    """Its URL."""
    return redis_server.address.url


@pytest.fixture
def keys(request):
    """Key names under a prefix that no other test uses."""
    return Keys(f"t{abs(hash(request.node.nodeid)) % 10**12}")


@pytest.fixture
async def connection(redis_server):
    """A connection to it."""
    async with RedisConnection(redis_server.address, timeout_s=10.0) as connection:
        yield connection
