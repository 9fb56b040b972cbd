"""SnapshotService: put and get customer snapshots; stages are advanced on every write."""

from collections.abc import Callable, Mapping

import grpc.aio
import numpy as np

from loyalty.nextbest.v1 import common_pb2, customer_pb2, snapshot_pb2, snapshot_pb2_grpc
from nextbest.batch.stages import advanced_stages
from nextbest.behaviour.stage import STAGE_STATE_FACTS
from nextbest.clock import Clock
from nextbest.data.keys import id_violations
from nextbest.data.snapshots import SnapshotStore
from nextbest.errors import InvalidInput, Violation
from nextbest.fact_values import FactValue
from nextbest.facts import Catalogue, FactType
from nextbest.rows import Snapshot
from nextbest.rulebook.suggest import did_you_mean
from nextbest.server.deciding import Serving
from nextbest.server.guard import guarded, not_built
from nextbest.server.requests import seconds, snapshot_facts
from nextbest.server.responses import timestamp


class SnapshotService(snapshot_pb2_grpc.SnapshotServiceServicer):
    """Writes and reads what is known of customers."""

    def __init__(self, serving: Callable[[], Serving], snapshots: SnapshotStore, clock: Clock) -> None:
        self._serving = serving
        self._snapshots = snapshots
        self._clock = clock

    @guarded
    async def Put(
        self,
        request: snapshot_pb2.PutRequest,
        context: grpc.aio.ServicerContext[snapshot_pb2.PutRequest, snapshot_pb2.PutResponse],
    ) -> snapshot_pb2.PutResponse:
        """Write a snapshot and advance the customer's stage."""
        if request.identifiers:
            await context.abort(grpc.StatusCode.UNIMPLEMENTED, "identifiers are not built yet")
        found = _write_violations(request)
        customer_id = request.snapshot.customer_id
        facts = snapshot_facts(request.snapshot, "snapshot", found)
        if found:
            raise InvalidInput(found)
        if request.mode == snapshot_pb2.WRITE_MODE_MERGE:
            as_of = seconds(request.snapshot.as_of) if request.snapshot.HasField("as_of") else None
            cleared = dict.fromkeys(request.cleared_facts)
            await self._snapshots.merge(customer_id, {**facts, **cleared}, as_of=as_of)
        else:
            await self._snapshots.put(customer_id, seconds(request.snapshot.as_of), facts)
        return await self._advance(customer_id)

    async def _advance(self, customer_id: str) -> snapshot_pb2.PutResponse:
        """Advance the stage state of a snapshot just written, and say what it is now.

        Before the first lifetime-value fit there is no P(alive), so no stage is held yet.
        """
        decoded = await self._snapshots.get_many([customer_id])
        model = self._serving().model
        as_of = timestamp(float(decoded.rows.as_of[0]))
        if model.artifacts.ltv is None:
            return snapshot_pb2.PutResponse(as_of=as_of)
        state = advanced_stages(model, decoded.rows, np.array([self._clock()]))
        catalogue = self._snapshots.codec.catalogue
        columns = {name: state[:, i] for i, name in enumerate(STAGE_STATE_FACTS) if name in catalogue}
        await self._snapshots.write_numbers([customer_id], columns)
        response = snapshot_pb2.PutResponse(
            as_of=as_of,
            stage=common_pb2.Stage.ValueType(int(state[0, 0]) + 1),
        )
        if not np.isnan(state[0, 1]):
            response.stage_since.CopyFrom(timestamp(float(state[0, 1])))
        return response

    @guarded
    async def Get(
        self,
        request: snapshot_pb2.GetRequest,
        context: grpc.aio.ServicerContext[snapshot_pb2.GetRequest, snapshot_pb2.GetResponse],
    ) -> snapshot_pb2.GetResponse:
        """Read a snapshot, or some facts of it."""
        catalogue = self._snapshots.codec.catalogue
        found = id_violations(request.customer_id)
        found += [
            Violation(f"facts[{i}]", f"`{name}` is no fact of the catalogue; {did_you_mean(name, names)}")
            for names in [[fact.name for fact in catalogue.facts]]
            for i, name in enumerate(request.facts)
            if name not in catalogue
        ]
        if found:
            raise InvalidInput(found)
        snapshot = await self._snapshots.get(request.customer_id)
        return snapshot_pb2.GetResponse(
            snapshot=_snapshot(request.customer_id, snapshot, catalogue, set(request.facts)),
            catalogue_fingerprint=f"{catalogue.fingerprint:016x}",
        )

    async def Resolve(
        self,
        request: snapshot_pb2.ResolveRequest,
        context: grpc.aio.ServicerContext[snapshot_pb2.ResolveRequest, snapshot_pb2.ResolveResponse],
    ) -> snapshot_pb2.ResolveResponse:
        """Not built yet."""
        return await not_built(context, "resolving identifiers")

    async def Export(
        self,
        request: snapshot_pb2.ExportRequest,
        context: grpc.aio.ServicerContext[snapshot_pb2.ExportRequest, snapshot_pb2.ExportResponse],
    ) -> snapshot_pb2.ExportResponse:
        """Not built yet."""
        return await not_built(context, "exporting a customer")

    async def Erase(
        self,
        request: snapshot_pb2.EraseRequest,
        context: grpc.aio.ServicerContext[snapshot_pb2.EraseRequest, snapshot_pb2.EraseResponse],
    ) -> snapshot_pb2.EraseResponse:
        """Not built yet."""
        return await not_built(context, "erasing a customer")


def _write_violations(request: snapshot_pb2.PutRequest) -> list[Violation]:
    found = id_violations(request.snapshot.customer_id, field="snapshot.customer_id")
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
        as_of=timestamp(snapshot.as_of),
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
            return customer_pb2.Fact(name=name, time=timestamp(value))
        case _:
            return customer_pb2.Fact(name=name, number=value)
