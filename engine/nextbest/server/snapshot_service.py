"""SnapshotService: put and get customer snapshots; stages are advanced on every write."""

from collections.abc import Mapping
from functools import partial

import grpc.aio
import numpy as np
from google.protobuf.timestamp_pb2 import Timestamp

from loyalty.nextbest.v1 import common_pb2, customer_pb2, snapshot_pb2, snapshot_pb2_grpc
from nextbest.assembly import Model
from nextbest.batch.stages import advanced_stages
from nextbest.behaviour.stage import STAGE_STATE_FACTS
from nextbest.clock import Clock
from nextbest.data.keys import id_violations
from nextbest.data.snapshots import SnapshotStore
from nextbest.data.store import Store
from nextbest.errors import InvalidFact, InvalidInput, NotBuilt, Violation
from nextbest.fact_values import FactValue
from nextbest.facts import Catalogue, FactType
from nextbest.id_check import id_check
from nextbest.rows import RowProblem, Snapshot, snapshot_error, time_violations
from nextbest.server.guard import guarded
from nextbest.server.live import LiveServing
from nextbest.server.requests import (
    fact_violations,
    is_time,
    prefixed,
    seconds,
    snapshot_facts,
    unknown_facts,
)
from nextbest.server.responses import timestamp

_MODES = frozenset(snapshot_pb2.WriteMode.values())


class SnapshotService(snapshot_pb2_grpc.SnapshotServiceServicer):
    """Writes and reads what is known of customers."""

    def __init__(self, serving: LiveServing, store: Store, clock: Clock) -> None:
        self._serving = serving
        self._snapshots = store.snapshots
        self._clock = clock

    @guarded
    async def Put(
        self,
        request: snapshot_pb2.PutRequest,
        context: grpc.aio.ServicerContext[snapshot_pb2.PutRequest, snapshot_pb2.PutResponse],
    ) -> snapshot_pb2.PutResponse:
        """Write a snapshot and advance the customer's stage."""
        facts = _checked_facts(request, self._snapshots)
        try:
            row = await self._write(request, facts)
        except InvalidFact as invalid:
            # Merged facts may contradict stored ones, which only shows as they are written.
            raise InvalidFact(prefixed(invalid.violations, "snapshot")) from None
        return self._put_response(request.snapshot.customer_id, row)

    async def _write(self, request: snapshot_pb2.PutRequest, facts: Mapping[str, object]) -> bytes:
        """Write the row with its stage advanced, both in one step."""
        snapshot, model, now = request.snapshot, self._serving().model, self._clock()
        advance = partial(self._advanced, model, snapshot.customer_id, now)
        if request.mode == snapshot_pb2.WRITE_MODE_MERGE:
            as_of = seconds(snapshot.as_of) if snapshot.HasField("as_of") else None
            changed = {**facts, **dict.fromkeys(request.cleared_facts)}
            return await self._snapshots.merge(snapshot.customer_id, changed, as_of=as_of, advance=advance)
        as_of = seconds(snapshot.as_of)
        return await self._snapshots.put(snapshot.customer_id, as_of, facts, advance=advance)

    def _advanced(self, model: Model, customer_id: str, now: float, row: bytes) -> bytes:
        """The row with its stage state evaluated.

        Before the first lifetime-value fit there is no P(alive), so no stage is held yet.
        """
        if model.artifacts.ltv is None:
            return row
        codec = self._snapshots.codec
        rows, _ = codec.decode_one(row, id_check(customer_id.encode()))
        state = advanced_stages(model, rows, np.array([now]))[0].tolist()
        held = zip(STAGE_STATE_FACTS, state, strict=True)
        return codec.with_numbers(row, {name: value for name, value in held if name in codec.catalogue})

    def _put_response(self, customer_id: str, row: bytes) -> snapshot_pb2.PutResponse:
        stored = self._snapshots.codec.decode(customer_id.encode(), row)
        response = snapshot_pb2.PutResponse(as_of=timestamp(stored.as_of))
        stage, since = stored.facts.get("held_stage"), stored.facts.get("stage_since")
        if isinstance(stage, str):
            response.stage = common_pb2.Stage.Value(f"STAGE_{stage.upper()}")
        if isinstance(since, float):
            response.stage_since.CopyFrom(timestamp(since))
        return response

    @guarded
    async def Get(
        self,
        request: snapshot_pb2.GetRequest,
        context: grpc.aio.ServicerContext[snapshot_pb2.GetRequest, snapshot_pb2.GetResponse],
    ) -> snapshot_pb2.GetResponse:
        """Read a snapshot, or some facts of it."""
        catalogue = self._snapshots.codec.catalogue
        found = id_violations(request.customer_id) + unknown_facts(request.facts, "facts", catalogue)
        if found:
            raise InvalidInput(found)
        snapshot = await self._snapshots.get(request.customer_id)
        (row,) = await self._snapshots.rows([request.customer_id])
        written_under = int.from_bytes(row[:8], "little") if row else catalogue.fingerprint
        return snapshot_pb2.GetResponse(
            snapshot=_snapshot(request.customer_id, snapshot, catalogue, set(request.facts)),
            catalogue_fingerprint=f"{written_under:016x}",
        )

    @guarded
    async def Resolve(
        self,
        request: snapshot_pb2.ResolveRequest,
        context: grpc.aio.ServicerContext[snapshot_pb2.ResolveRequest, snapshot_pb2.ResolveResponse],
    ) -> snapshot_pb2.ResolveResponse:
        """Not built yet."""
        raise NotBuilt("resolving identifiers")

    @guarded
    async def Export(
        self,
        request: snapshot_pb2.ExportRequest,
        context: grpc.aio.ServicerContext[snapshot_pb2.ExportRequest, snapshot_pb2.ExportResponse],
    ) -> snapshot_pb2.ExportResponse:
        """Not built yet."""
        raise NotBuilt("exporting a customer")

    @guarded
    async def Erase(
        self,
        request: snapshot_pb2.EraseRequest,
        context: grpc.aio.ServicerContext[snapshot_pb2.EraseRequest, snapshot_pb2.EraseResponse],
    ) -> snapshot_pb2.EraseResponse:
        """Not built yet."""
        raise NotBuilt("erasing a customer")


def _checked_facts(request: snapshot_pb2.PutRequest, snapshots: SnapshotStore) -> dict[str, object]:
    """The facts of a snapshot to write.

    Raises:
        InvalidInput: with everything that is wrong with the request.
        NotBuilt: it names identifiers.
    """
    if request.identifiers:
        raise NotBuilt("resolving identifiers")
    snapshot, codec = request.snapshot, snapshots.codec
    found = id_violations(snapshot.customer_id, field="snapshot.customer_id")
    found += _mode_violations(request)
    found += unknown_facts(request.cleared_facts, "cleared_facts", codec.catalogue)
    facts = snapshot_facts(snapshot, codec.catalogue, "snapshot", found)
    found += fact_violations(codec, facts, "snapshot")
    if snapshot.HasField("as_of"):
        found += prefixed(time_violations(seconds(snapshot.as_of)), "snapshot")
    if found:
        raise InvalidInput(found)
    return facts


def _mode_violations(request: snapshot_pb2.PutRequest) -> list[Violation]:
    found: list[Violation] = []
    if request.mode not in _MODES:
        found.append(Violation("mode", f"`{request.mode}` is not a value of this contract"))
    merging = request.mode == snapshot_pb2.WRITE_MODE_MERGE
    if not merging and not request.snapshot.HasField("as_of"):
        found.append(Violation("snapshot.as_of", "is required"))
    if not merging and request.cleared_facts:
        found.append(Violation("cleared_facts", "is for merging: a replaced snapshot has no other facts"))
    given = {fact.name for fact in request.snapshot.facts}
    found += [
        Violation(f"cleared_facts[{i}]", f"`{name}` is given a value as well")
        for i, name in enumerate(request.cleared_facts)
        if name in given
    ]
    return found


def _snapshot(
    customer_id: str, snapshot: Snapshot, catalogue: Catalogue, wanted: set[str]
) -> customer_pb2.Snapshot:
    facts: Mapping[str, FactValue] = snapshot.facts
    return customer_pb2.Snapshot(
        customer_id=customer_id,
        as_of=_time(snapshot.as_of),
        facts=[
            _fact(catalogue, name, value) for name, value in facts.items() if not wanted or name in wanted
        ],
    )


def _fact(catalogue: Catalogue, name: str, value: FactValue) -> customer_pb2.Fact:
    match value:
        case bool():
            return customer_pb2.Fact(name=name, flag=value)
        case str():
            return customer_pb2.Fact(name=name, text=value)
        case tuple():
            return customer_pb2.Fact(name=name, members=common_pb2.StringSet(values=value))
        case _ if catalogue[name].type is FactType.TIMESTAMP:
            return customer_pb2.Fact(name=name, time=_time(value))
        case _:
            return customer_pb2.Fact(name=name, number=value)


def _time(seconds: float) -> Timestamp:
    """A stored time.

    Raises:
        SnapshotUnreadable: it is none, so the row is damaged.
    """
    if not is_time(seconds):
        raise snapshot_error(RowProblem.DAMAGED)
    return timestamp(seconds)
