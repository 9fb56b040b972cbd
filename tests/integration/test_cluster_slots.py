"""What lies in one slot of a Redis Cluster, and what does not yet: a node in cluster mode refuses that."""

import asyncio
import socket
import tempfile

import pytest
from tests.builders.decisions import record
from tests.builders.redis_process import RedisProcess

from nextbest.data.address import RedisAddress
from nextbest.data.connection import RedisConnection
from nextbest.data.decision_log import DecisionLogStore
from nextbest.data.erasure import ErasureStore
from nextbest.data.evidence import EvidenceStore
from nextbest.data.history import HistoryStore
from nextbest.data.identifier_forms import Identifier
from nextbest.data.identifiers import IdentifierStore
from nextbest.data.keys import Keys
from nextbest.data.lessons import Lesson
from nextbest.data.reader import CustomerReader
from nextbest.data.requests import RequestStore
from nextbest.data.snapshots import SnapshotStore
from nextbest.errors import StoreRefused
from nextbest.facts import Catalogue, Fact, FactGroup, FactType
from nextbest.learning.cases import Observation, Word
from nextbest.rings import new_entries

CATALOGUE = Catalogue((Fact(name="age", type=FactType.INT, group=FactGroup.PROFILE),))
PHONE = Identifier("phone", "+4512345678")


def free_port():
    """One for the node, whose bus takes that plus 10,000."""
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        if port < 55_000:
            return port


@pytest.fixture
async def cluster():
    """A connection to a node in cluster mode that has all slots."""
    with tempfile.TemporaryDirectory(prefix="nextbest-") as directory:
        process = RedisProcess(directory, **{"port": free_port(), "cluster-enabled": "yes"})
        process.start()
        try:
            address = RedisAddress.of_socket(f"{directory}/redis.sock")
            async with RedisConnection(address, timeout_s=20.0) as connection:
                await connection.execute("CLUSTER", "ADDSLOTS", *range(16_384))
                async with asyncio.timeout(60.0):
                    while not await is_ready(connection):  # noqa: ASYNC110  (another process brings it about)
                        await asyncio.sleep(0.05)
                yield connection
        finally:
            process.close()


async def is_ready(connection):
    """Whether the node serves its slots."""
    return b"cluster_state:ok" in await connection.execute("CLUSTER", "INFO")


def outcome():
    """One entry."""
    entries = new_entries(1)
    entries["time"], entries["idempotency_key"] = 5.0, 7
    return entries


async def test_what_is_one_customers(cluster):
    """Snapshot, history, kept answers, identifiers and erasure of a customer each take one slot a step."""
    keys = Keys()
    snapshots = await SnapshotStore.open(cluster, keys, CATALOGUE)
    await snapshots.put("c1", 1.0, {"age": 30})
    await snapshots.merge("c1", {"age": 31})
    assert (await snapshots.get("c1")).facts == {"age": 31}
    histories, requests = HistoryStore(cluster, keys), RequestStore(cluster, keys)
    assert (await histories.append("c1", outcome(), [b"said"])).tolist() == [1]
    assert len((await histories.read("c1")).histories.contacts.entries) == 1
    assert await requests.keep("c1", "r", b"answer") == b"answer"
    assert await requests.kept([("c1", "r")]) == [b"answer"]
    assert (await CustomerReader(cluster, keys).read("c1"))[0] is not None
    (answer,) = (await CustomerReader(cluster, keys).read_asked([("c1", "r")]))[-1:]
    assert answer == b"answer"
    identifiers = IdentifierStore(cluster, keys)
    claims = await identifiers.claim("c1", [PHONE], beside=True, field="")
    await identifiers.settle("c1", claims, beside=True, field="")
    assert await identifiers.resolve(PHONE) == "c1"
    erasures = ErasureStore(
        cluster,
        keys,
        identifiers=identifiers,
        requests=requests,
        decisions=DecisionLogStore(cluster, keys),
    )
    erased = await erasures.erase("c1", now=9.0, reason="")
    assert (erased.snapshot, erased.history_entries, erased.identifiers) == (True, 1, 1)


async def lessons(cluster, keys):
    """A reason code is counted beside all others, in the step that records its outcome."""
    await HistoryStore(cluster, keys).append(
        "c1", outcome(), [], [Lesson("2026-03", "other", "a", "rejected")]
    )


async def evidence(cluster, keys):
    """Evidence of a customer's case is counted beside all other evidence."""
    seen = [Observation(b"case", 1, Word.SUCCESS, 5.0, b"k" * 8)]
    await EvidenceStore(cluster, keys).learn("c1", seen, stage=0, cell=(), now=5.0)


async def all_evidence(cluster, keys):
    """Evidence and its version are read together."""
    await EvidenceStore(cluster, keys).read()


async def log(cluster, keys):
    """A record of a customer, its handle, and the stream of all."""
    await DecisionLogStore(cluster, keys).write([record("c1")])


async def many(cluster, keys):
    """Customers are read together."""
    await CustomerReader(cluster, keys).read_many(["c1", "c2"])


async def load(cluster, keys):
    """Customers are written together."""
    store = await SnapshotStore.open(cluster, keys, CATALOGUE)
    row = await store.put("c1", 1.0, {"age": 30})
    await store.put_rows(["c1", "c2"], [row, row])


@pytest.mark.parametrize("step", [lessons, evidence, all_evidence, log, many, load])
async def test_what_is_not_yet(cluster, step):
    """These take keys of several slots in one step: docs/failures.md lists them until they do not."""
    with pytest.raises(StoreRefused, match="CROSSSLOT"):
        await step(cluster, Keys())
