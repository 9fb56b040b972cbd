"""Everything that is kept in one deployment's Redis, over one connection."""

import math
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from nextbest.data.artifacts import ArtifactStore
from nextbest.data.catalogues import CatalogueStore
from nextbest.data.connection import RedisConnection
from nextbest.data.decision_log import DecisionLogStore, LogLimits
from nextbest.data.embedded import open_redis
from nextbest.data.erasure import DEFAULT_GUARD_S, ErasureStore
from nextbest.data.evidence import EvidenceStore
from nextbest.data.history import DEFAULT_CAPACITY, HistoryStore
from nextbest.data.identifiers import IdentifierStore
from nextbest.data.keys import Keys
from nextbest.data.lessons import LessonStore
from nextbest.data.reader import CustomerReader
from nextbest.data.registry import NameRegistries
from nextbest.data.requests import DEFAULT_KEPT_S, RequestStore
from nextbest.data.reviving import kept_alive
from nextbest.data.served_models import ServedModels
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
    history_retention_s: float = math.inf
    """Entries so much older than the newest are dropped; at least the rulebook's longest window."""
    snapshot_expiry_s: int = 0
    """A snapshot that is not put anew for so long is dropped; 0 = it stays."""
    erasure_guard_s: int = DEFAULT_GUARD_S
    """After an erasure nothing that was under way is recorded for so long."""


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
    identifiers: IdentifierStore
    erasures: ErasureStore
    lessons: LessonStore
    evidence: EvidenceStore
    models: ServedModels


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
        async with (
            RedisConnection(redis.address, timeout_s=options.timeout_s) as connection,
            kept_alive(redis, connection),
        ):
            names = NameRegistries(connection, keys)
            await names.refresh()
            snapshots = await SnapshotStore.open(
                connection, keys, catalogue, expiry_s=options.snapshot_expiry_s
            )
            requests = RequestStore(connection, keys, kept_s=options.kept_decisions_s)
            identifiers = IdentifierStore(connection, keys)
            decisions = DecisionLogStore(connection, keys, options.log)
            yield Store(
                connection=connection,
                keys=keys,
                reader=CustomerReader(connection, keys),
                snapshots=snapshots,
                histories=HistoryStore(
                    connection,
                    keys,
                    capacity=options.history_entries,
                    retention_s=options.history_retention_s,
                ),
                names=names,
                artifacts=ArtifactStore(connection, keys),
                requests=requests,
                decisions=decisions,
                identifiers=identifiers,
                lessons=LessonStore(connection, keys),
                erasures=ErasureStore(
                    connection,
                    keys,
                    identifiers=identifiers,
                    requests=requests,
                    decisions=decisions,
                    guard_s=max(options.erasure_guard_s, options.kept_decisions_s),
                ),
                evidence=EvidenceStore(connection, keys),
                models=ServedModels(connection, keys),
            )


@dataclass(frozen=True, slots=True)
class Past:
    """What the decision log is read with; nothing of it is written."""

    decisions: DecisionLogStore
    models: ServedModels
    names: NameRegistries
    catalogues: CatalogueStore


def past_of(store: Store) -> Past:
    """The same of a store that is open."""
    return Past(store.decisions, store.models, store.names, CatalogueStore(store.connection, store.keys))


@asynccontextmanager
async def open_past(options: StoreOptions) -> AsyncGenerator[Past]:
    """Connect without a rulebook: which one decided, the log says.

    Raises:
        InvalidInput: the URL or the prefix is none.
        StoreUnavailable: Redis does not answer, or the embedded one does not start.
    """
    keys = Keys(options.prefix)
    with open_redis(options.redis_url, options.data_directory) as redis:
        async with RedisConnection(redis.address, timeout_s=options.timeout_s) as connection:
            yield Past(
                decisions=DecisionLogStore(connection, keys, options.log),
                models=ServedModels(connection, keys),
                names=NameRegistries(connection, keys),
                catalogues=CatalogueStore(connection, keys),
            )
