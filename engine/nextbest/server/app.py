"""The service process: wiring, warm-up, health, reflection and a graceful end."""

import asyncio
import gc
import signal
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import grpc.aio
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection

from loyalty.nextbest.v1 import (
    decision_pb2,
    interaction_pb2,
    interaction_pb2_grpc,
    rulebook_pb2,
    rulebook_pb2_grpc,
    snapshot_pb2,
    snapshot_pb2_grpc,
)
from nextbest.action.memory import require_memory
from nextbest.batch.operations import load_model, translation
from nextbest.clock import Clock, system_clock
from nextbest.data.connection import RedisConnection
from nextbest.data.decision_log import DecisionLogStore
from nextbest.data.evidence import Evidence
from nextbest.data.learnt_state import read_state
from nextbest.data.store import Store, StoreOptions, open_store
from nextbest.decision_record import DecisionRecord
from nextbest.errors import InvalidInput, Violation
from nextbest.learning.until_fitted import how_to_fit
from nextbest.rings import HistoryCodec
from nextbest.rulebook.rulebook import Rulebook
from nextbest.server.deciding import Answered, Serving
from nextbest.server.decision_log import SEND_BUFFER, DecisionLog, LogOptions
from nextbest.server.decision_service import DecisionService
from nextbest.server.health import Health
from nextbest.server.interaction_service import InteractionService
from nextbest.server.learner import Learner
from nextbest.server.live import LiveServing
from nextbest.server.logged import build_name, is_left_to_chance, records_of
from nextbest.server.masking import Masking
from nextbest.server.rulebook_service import RulebookService
from nextbest.server.snapshot_service import SnapshotService
from nextbest.server.tally import FALLBACKS, LOGGED, calls_by_method
from nextbest.server.warmup import warm_up
from nextbest.telemetry import logger

SERVED = (
    decision_pb2.DESCRIPTOR.services_by_name["DecisionService"].full_name,
    interaction_pb2.DESCRIPTOR.services_by_name["InteractionService"].full_name,
    snapshot_pb2.DESCRIPTOR.services_by_name["SnapshotService"].full_name,
)
RULEBOOK_SERVED = (rulebook_pb2.DESCRIPTOR.services_by_name["RulebookService"].full_name,)
_TAKEN = "another program listens there, or it is no address of this machine"
_OPTIONS = (("grpc.so_reuseport", 0), ("grpc.max_receive_message_length", 16 * 1024 * 1024))
"""Two services on one port would answer by turns with other rules, and nobody would be told."""


@dataclass(frozen=True, slots=True)
class ServiceOptions:
    """How a service is run."""

    host: str = "127.0.0.1"
    port: int = 0
    """0 = any free one."""
    rulebook_port: int = 0
    drain_s: float = 10.0
    """Grace for requests in flight at the end, and again for decisions that are not logged yet."""
    log: LogOptions = field(default_factory=LogOptions)
    """How decisions are logged."""


@dataclass(frozen=True, slots=True)
class RunningService:
    """A service that answers."""

    address: str
    """`host:port` of decisions, interactions and snapshots."""
    rulebook_address: str
    store: Store
    serving: LiveServing
    log: DecisionLog


@asynccontextmanager
async def running_service(
    options: ServiceOptions, store_options: StoreOptions, rulebook: Rulebook, clock: Clock = system_clock
) -> AsyncGenerator[RunningService]:
    """Run a service: ready when entered, drained when left.

    Raises:
        ArtifactError, CatalogueError: rulebook, artifacts and stored rows do not fit together.
        InvalidInput: a port cannot be listened on, or history is kept too short for the rulebook.
        StoreUnavailable: Redis does not answer at the start; later outages only degrade answers.
    """
    require_memory(rulebook, store_options.history_retention_s)
    async with (
        open_store(store_options, rulebook.catalogue) as store,
        _decision_log(options, store_options, store, rulebook) as log,
    ):
        serving, evidence = await assemble_serving(store, rulebook)
        live = LiveServing(serving, store.snapshots)
        learner = Learner(live, store, clock, evidence)
        log.keep_up(lambda: store.models.keep(live().model, kept_s=store_options.log.retention_s))
        health = Health((*SERVED, *RULEBOOK_SERVED))
        await health.starting()
        main, rules = _new_server(), _new_server()
        decisions = DecisionService(live, store, clock, log)
        _register(main, rules, health, live, store, clock, decisions, learner)
        address = _listen(main, options.host, options.port, "port")
        rulebook_address = _listen(rules, options.host, options.rulebook_port, "rulebook_port")
        await asyncio.gather(main.start(), rules.start())
        try:
            # In a thread, so that health checks are answered, with "not yet", while kernels compile.
            await asyncio.to_thread(warm_up, live(), clock())
            async with learner.following():
                await health.ready()
                yield RunningService(address, rulebook_address, store, live, log)
        finally:
            await health.draining()
            await asyncio.gather(main.stop(options.drain_s), rules.stop(options.drain_s))
            await decisions.settled(options.drain_s)


@asynccontextmanager
async def _decision_log(
    options: ServiceOptions, store_options: StoreOptions, store: Store, rulebook: Rulebook
) -> AsyncGenerator[DecisionLog]:
    """The decision log over a connection of its own: large writes must not hold up a till's reads."""
    masking, build = Masking(options.log.masked, rulebook), build_name()

    def pack(answered: Sequence[Answered]) -> list[DecisionRecord]:
        records = zip(records_of(answered, build), answered, strict=True)
        return [masking.masked(record, one.serving.rows) for record, one in records]

    address, timeout_s = store.connection.address, options.log.timeout_s
    async with RedisConnection(address, timeout_s=timeout_s, send_buffer=SEND_BUFFER) as connection:
        records = DecisionLogStore(connection, store.keys, store_options.log)
        log = DecisionLog(records, connection, pack, options.log, is_slow=is_left_to_chance)
        async with log.running(options.drain_s):
            yield log


def _new_server() -> grpc.aio.Server:
    return grpc.aio.server(options=_OPTIONS)  # pyright: ignore[reportUnknownMemberType]  (grpc-stubs)


def _listen(server: grpc.aio.Server, host: str, port: int, field: str) -> str:
    try:
        return f"{host}:{server.add_insecure_port(f'{host}:{port}')}"
    except RuntimeError:
        raise InvalidInput([Violation(field, f"cannot listen on `{host}:{port}`: {_TAKEN}")]) from None


async def assemble_serving(store: Store, rulebook: Rulebook) -> tuple[Serving, Evidence]:
    """Put together what answers are made with: rulebook, artifacts in use, and what was learnt so far."""
    model = await load_model(store, rulebook)
    codes = await translation(store.names, rulebook)
    state, evidence = await read_state(store, model)
    return Serving(model, store.snapshots.codec, HistoryCodec(codes), state), evidence


def _register(
    main: grpc.aio.Server,
    rules: grpc.aio.Server,
    health: Health,
    live: LiveServing,
    store: Store,
    clock: Clock,
    decisions: DecisionService,
    learner: Learner,
) -> None:
    decisions.add_to(main)
    interaction_pb2_grpc.add_InteractionServiceServicer_to_server(
        InteractionService(live, store, clock, learner), main
    )
    snapshot_pb2_grpc.add_SnapshotServiceServicer_to_server(SnapshotService(live, store, clock), main)
    rulebook_pb2_grpc.add_RulebookServiceServicer_to_server(RulebookService(live), rules)
    for server, names in ((main, SERVED), (rules, RULEBOOK_SERVED)):
        health.add_to(server)
        reflection.enable_server_reflection(
            (*names, health_pb2.DESCRIPTOR.services_by_name["Health"].full_name, reflection.SERVICE_NAME),
            server,
        )


def _settle_memory() -> None:
    """Spare the garbage collector what stays for ever: rulebook, model and modules, a million objects.

    Otherwise it walks over them again and again, some 100 ms each time, while a customer waits. Requests
    leave no cycles behind, so that young objects need not be looked at often either.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 50, 100)


async def serve_until_stopped(
    options: ServiceOptions, store_options: StoreOptions, rulebook: Rulebook, clock: Clock = system_clock
) -> None:
    """Run a service until SIGTERM or SIGINT, then let requests in flight finish."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with running_service(options, store_options, rulebook, clock) as service:
        if names := service.serving().model.unfitted:
            logger().warning("priors stand in for propensity models", remedy=how_to_fit(names))
        logger().info(
            "serving",
            address=service.address,
            rulebook_address=service.rulebook_address,
            rulebook=rulebook.revision,
            model_digest=service.serving().model.digest,
            time=round(clock(), 3),
        )
        _settle_memory()
        await stop.wait()
        logger().info("draining", grace_s=options.drain_s)
    fates = {str(fate): count for fate, count in LOGGED.items()}
    logger().info("stopped", calls=calls_by_method(), fallbacks=dict(FALLBACKS), decision_log=fates)
