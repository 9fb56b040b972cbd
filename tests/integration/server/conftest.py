"""A real service of the small rulebook in its own process, on a fitted population, and ways to call it."""

import hashlib
import json
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc
import polars as pl
import pytest
import redis
from tests.builders.command_line import nextbest
from tests.builders.redis_process import RedisProcess
from tests.builders.small import DIRECTORY, NOW, population

from loyalty.nextbest.v1 import (
    decision_pb2_grpc,
    interaction_pb2_grpc,
    rulebook_pb2_grpc,
    snapshot_pb2_grpc,
)
from nextbest.rulebook.compile import compile_rulebook
from nextbest_client import ClientOptions, NextBestClient, customer_snapshot

PATIENCE_S = 300.0
"""Longest wait for something that has to happen; a test that passes never waits this long."""
TIMEOUT_MS = 60_000.0
PREFIX = "nextbest"


@dataclass(frozen=True)
class Service:
    """A service process."""

    address: str
    rulebook_address: str
    process: subprocess.Popen
    log: Path

    def events(self):
        """What it has logged so far."""
        return [json.loads(line) for line in self.log.read_text().splitlines()]


@pytest.fixture(scope="session")
def rulebook():
    """The small rulebook, compiled."""
    return compile_rulebook(DIRECTORY)


@pytest.fixture(scope="session")
def data_directory():
    """An embedded Redis with a population, fitted and advanced through the command line."""
    with tempfile.TemporaryDirectory(prefix="nextbest-") as directory:
        yield stocked(Path(directory))


def stocked(directory):
    """The data directory of an embedded Redis with the population, fitted and advanced."""
    data, file = directory / "data", directory / "population.parquet"
    rows = [{"customer_id": i, "as_of": NOW, **facts} for i, facts in population().items()]
    pl.DataFrame(rows, infer_schema_length=None).write_parquet(file)
    where = ("--rulebook", DIRECTORY, "--data-directory", data)
    for command in (
        ("load", file),
        ("fit", "ltv", "--as-of", NOW.isoformat()),
        ("fit", "grid", "--as-of", NOW.isoformat()),
        ("stages", "advance", "--as-of", NOW.isoformat()),
    ):
        said = nextbest(*command, *where)
        assert said.code == 0, said.err
    return data


@contextmanager
def serving(data_directory, log, *options, rulebook=DIRECTORY, **environment):
    """A service process; ended by SIGTERM if it has not ended by then."""
    command = [
        Path(sys.executable).with_name("nextbest"),
        "serve",
        *("--rulebook", rulebook, "--data-directory", data_directory, "--as-of", NOW.isoformat()),
        *("--port", "0", "--rulebook-port", "0", *options),
    ]
    settings = {"NEXTBEST_STORE_TIMEOUT_MS": "20000", "NEXTBEST_LOG_LEVEL": "debug", **environment}
    with log.open("wb") as errors, pytest.MonkeyPatch.context() as patch:
        for name, value in settings.items():
            patch.setenv(name, value)
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=errors)
    try:
        started = awaited(lambda: _event(log, "serving", process))
        yield Service(started["address"], started["rulebook_address"], process, log)
    finally:
        if process.poll() is None:
            process.terminate()
        process.wait(PATIENCE_S)


def _event(log, name, process):
    lines = [line for line in log.read_text().splitlines() if f'"event": "{name}"' in line]
    if not lines and process.poll() is not None:
        raise AssertionError(f"the service ended: {log.read_text()}")
    return json.loads(lines[0]) if lines else None


def awaited(condition):
    """What the condition gives as soon as that is true; polls, for want of anything to wait on."""
    deadline = time.monotonic() + PATIENCE_S
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.02)
    return found


@pytest.fixture
def redis_process():
    """A redis-server of the test's own."""
    with tempfile.TemporaryDirectory(prefix="nextbest-") as directory:
        process = RedisProcess(directory)
        process.start()
        yield process
        process.close()


@pytest.fixture(scope="session")
def service(data_directory, tmp_path_factory):
    """The service, at the population's time, for all tests that leave it as it is."""
    with serving(data_directory, tmp_path_factory.mktemp("service") / "log") as running:
        yield running


@pytest.fixture(scope="session")
def channel(service):
    """A connection to it."""
    with grpc.insecure_channel(service.address) as connection:
        yield connection


@pytest.fixture(scope="session")
def decisions(channel):
    """Stub of the DecisionService."""
    return decision_pb2_grpc.DecisionServiceStub(channel)


@pytest.fixture(scope="session")
def interactions(channel):
    """Stub of the InteractionService."""
    return interaction_pb2_grpc.InteractionServiceStub(channel)


@pytest.fixture(scope="session")
def snapshots(channel):
    """Stub of the SnapshotService."""
    return snapshot_pb2_grpc.SnapshotServiceStub(channel)


@pytest.fixture(scope="session")
def rulebooks(service):
    """Stub of the RulebookService."""
    with grpc.insecure_channel(service.rulebook_address) as connection:
        yield rulebook_pb2_grpc.RulebookServiceStub(connection)


@pytest.fixture(scope="session")
def client(service):
    """The synchronous client; patient, for the machine may be slow."""
    with NextBestClient(service.address, options=ClientOptions(timeout_ms=TIMEOUT_MS)) as connected:
        yield connected


@pytest.fixture(scope="session")
def store(service, data_directory):
    """The service's own Redis, to look into and to spoil."""
    with redis.Redis(unix_socket_path=str(data_directory / "redis.sock")) as connection:
        yield connection


@pytest.fixture
def customer_id(request):
    """A customer that no other test knows."""
    return f"c-{hashlib.blake2b(request.node.nodeid.encode(), digest_size=12).hexdigest()}"


@pytest.fixture
def put(client):
    """Stores a snapshot of a customer at the tests' time; gives what the service says."""

    def put(customer_id, facts, *, as_of=NOW):
        return client.put_snapshot(customer_snapshot(customer_id, as_of=as_of, facts=facts))

    return put
