"""Everything that is kept in one deployment's Redis, over one connection."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from nextbest.data.artifacts import ArtifactStore
from nextbest.data.connection import RedisConnection
from nextbest.data.decision_log import DecisionLogStore, LogLimits
from nextbest.data.embedded import open_redis
from nextbest.data.history import DEFAULT_CAPACITY, HistoryStore
from nextbest.data.keys import Keys
from nextbest.data.reader import CustomerReader
from nextbest.data.registry import NameRegistries
from nextbest.data.requests import DEFAULT_KEPT_S, RequestStore
from nextbest.data.snapshots import SnapshotStore
from nextbest.facts import Catalogue


@dataclass(frozen=True, slots=True)
class StoreOptions:
    """Where the data are and how much is kept."""

    redis_url: str = ""
    """Empty = the embedded Redis of `data_directory`."""
    data_directory: Path = Path("var/data")
    prefix: str = "nextbest"
    timeout_s: float = 1.0
    history_entries: int = DEFAULT_CAPACITY
    kept_decisions_s: int = DEFAULT_KEPT_S
    log: LogLimits = field(default_factory=LogLimits)
    """How long logged decisions are kept."""


@dataclass(frozen=True, slots=True)
class Store:
    """The parts of the store."""

    connection: RedisConnection
    keys: Keys
    reader: CustomerReader
    snapshots: SnapshotStore
    histories: HistoryStore
    names: NameRegistries
    artifacts: ArtifactStore
    requests: RequestStore
    decisions: DecisionLogStore


@asynccontextmanager
async def open_store(options: StoreOptions, catalogue: Catalogue) -> AsyncGenerator[Store]:
    """Connect, register the catalogue, and close everything in the end.

    Raises:
        InvalidInput: the URL or the prefix is none.
        CatalogueError: the catalogue does not extend the one that stored rows were written under.
        StoreUnavailable: Redis does not answer, or the embedded one does not start.
    """
    keys = Keys(options.prefix)
    with open_redis(options.redis_url, options.data_directory) as redis:
        async with RedisConnection(redis.address, timeout_s=options.timeout_s) as connection:
            names = NameRegistries(connection, keys)
            await names.refresh()
            yield Store(
                connection=connection,
                keys=keys,
                reader=CustomerReader(connection, keys),
                snapshots=await SnapshotStore.open(connection, keys, catalogue),
                histories=HistoryStore(connection, keys, capacity=options.history_entries),
                names=names,
                artifacts=ArtifactStore(connection, keys),
                requests=RequestStore(connection, keys, kept_s=options.kept_decisions_s),
                decisions=DecisionLogStore(connection, keys, options.log),
            )
