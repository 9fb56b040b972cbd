"""SnapshotService: put and get customer snapshots; stages and behaviour are advanced on every write."""

from collections.abc import Collection, Mapping

import grpc.aio

from loyalty.nextbest.v1 import common_pb2, snapshot_pb2, snapshot_pb2_grpc
from nextbest.batch.writing import advanced_row
from nextbest.clock import Clock
from nextbest.data.identifier_forms import Identifier, checked, distinct, naming
from nextbest.data.identifiers import MAX_IDENTIFIERS
from nextbest.data.keys import id_violations
from nextbest.data.snapshots import Advance, SnapshotStore
from nextbest.data.store import Store
from nextbest.errors import InvalidFact, InvalidInput, SnapshotError, Violation
from nextbest.rows import time_violations
from nextbest.server.customer_export import exported
from nextbest.server.guard import guarded
from nextbest.server.identifying import unknown_identifier
from nextbest.server.live import LiveServing
from nextbest.server.requests import (
    fact_violations,
    prefixed,
    seconds,
    snapshot_facts,
    too_many,
    unknown_facts,
)
from nextbest.server.responses import timestamp
from nextbest.server.snapshot_view import snapshot_message
from nextbest.telemetry import logger, pseudonym

MAX_REASON_BYTES = 200
_MODES = frozenset(snapshot_pb2.WriteMode.values())


class SnapshotService(snapshot_pb2_grpc.SnapshotServiceServicer):
    """Writes and reads what is known of customers."""

    def __init__(self, serving: LiveServing, store: Store, clock: Clock) -> None:
        self._serving = serving
        self._store = store
        self._snapshots = store.snapshots
        self._clock = clock

    @guarded
    async def Put(
        self,
        request: snapshot_pb2.PutRequest,
        context: grpc.aio.ServicerContext[snapshot_pb2.PutRequest, snapshot_pb2.PutResponse],
    ) -> snapshot_pb2.PutResponse:
        """Write a snapshot, advance the customer's stage and fire triggers of what has changed."""
        facts, identifiers = _checked(request, self._snapshots)
        customer_id, store = request.snapshot.customer_id, self._store.identifiers
        beside = request.mode == snapshot_pb2.WRITE_MODE_MERGE
        claims = await store.claim(customer_id, identifiers, beside=beside, field="identifiers")
        try:
            row = await self._write(request, facts)
        except InvalidFact as invalid:
            await store.give_up(claims)
            # Merged facts may contradict stored ones, which only shows as they are written.
            raise InvalidFact(prefixed(invalid.violations, "snapshot")) from None
        except SnapshotError:
            await store.give_up(claims)
            raise
        await store.settle(customer_id, claims, beside=beside, field="identifiers")
        return self._put_response(customer_id, row)

    async def _write(self, request: snapshot_pb2.PutRequest, facts: Mapping[str, object]) -> bytes:
        """Write the row with its stage evaluated and its triggers fired, all in one step."""
        snapshot = request.snapshot
        if request.mode == snapshot_pb2.WRITE_MODE_MERGE:
            as_of = seconds(snapshot.as_of) if snapshot.HasField("as_of") else None
            changed = {**facts, **dict.fromkeys(request.cleared_facts)}
            advance = self._advance(snapshot.customer_id, changed.keys())
            return await self._snapshots.merge(snapshot.customer_id, changed, as_of=as_of, advance=advance)
        advance = self._advance(snapshot.customer_id, None)
        return await self._snapshots.put(
            snapshot.customer_id, seconds(snapshot.as_of), facts, advance=advance
        )

    def _advance(self, customer_id: str, named: Collection[str] | None) -> Advance:
        """What is written in place of the stored row; `named` are the facts of a merge."""
        model, now = self._serving().model, self._clock()

        def advance(old: bytes | None, new: bytes) -> bytes:
            # The store may have learnt another catalogue to read the stored row.
            codec = self._snapshots.codec
            return advanced_row(model, codec, customer_id, old, new, now=now, named=named)

        return advance

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
            snapshot=snapshot_message(request.customer_id, snapshot, catalogue, set(request.facts)),
            catalogue_fingerprint=f"{written_under:016x}",
        )

    @guarded
    async def Resolve(
        self,
        request: snapshot_pb2.ResolveRequest,
        context: grpc.aio.ServicerContext[snapshot_pb2.ResolveRequest, snapshot_pb2.ResolveResponse],
    ) -> snapshot_pb2.ResolveResponse:
        """Find the customer behind an identifier."""
        found: list[Violation] = []
        identifier = checked(request.identifier.type, request.identifier.value, "identifier", found)
        if found:
            raise InvalidInput(found)
        customer_id = await self._store.identifiers.resolve(identifier)
        if customer_id is None:
            raise unknown_identifier(identifier)
        return snapshot_pb2.ResolveResponse(customer_id=customer_id)

    @guarded
    async def Export(
        self,
        request: snapshot_pb2.ExportRequest,
        context: grpc.aio.ServicerContext[snapshot_pb2.ExportRequest, snapshot_pb2.ExportResponse],
    ) -> snapshot_pb2.ExportResponse:
        """Hand out all that is kept about a customer."""
        _require_id(request.customer_id)
        logger().info("exported", customer=pseudonym(request.customer_id))
        return await exported(self._store, request.customer_id, self._clock())

    @guarded
    async def Erase(
        self,
        request: snapshot_pb2.EraseRequest,
        context: grpc.aio.ServicerContext[snapshot_pb2.EraseRequest, snapshot_pb2.EraseResponse],
    ) -> snapshot_pb2.EraseResponse:
        """Remove all that is kept about a customer, for good."""
        found = id_violations(request.customer_id)
        if len(request.reason.encode()) > MAX_REASON_BYTES:
            found.append(Violation("reason", f"is over {MAX_REASON_BYTES} bytes long"))
        elif request.reason and not found:
            found = await self._named_in_reason(request)
        if found:
            raise InvalidInput(found)
        erased = await self._store.erasures.erase(
            request.customer_id, now=self._clock(), reason=request.reason
        )
        logger().info("erased", customer=pseudonym(request.customer_id), history=erased.history_entries)
        return snapshot_pb2.EraseResponse(
            snapshot_erased=erased.snapshot,
            identifiers_erased=erased.identifiers,
            history_entries_erased=erased.history_entries,
            decisions_erased=erased.decisions,
        )

    async def _named_in_reason(self, request: snapshot_pb2.EraseRequest) -> list[Violation]:
        """The reason outlives the customer, so it must not name them."""
        known = await self._store.identifiers.remembered(request.customer_id)
        return [
            Violation("reason", f"names the customer by their {kind}, and is kept when they are gone")
            for kind in naming(request.reason, request.customer_id, known)
        ]


def _require_id(customer_id: str) -> None:
    found = id_violations(customer_id)
    if found:
        raise InvalidInput(found)


def _checked(
    request: snapshot_pb2.PutRequest, snapshots: SnapshotStore
) -> tuple[dict[str, object], list[Identifier]]:
    """The facts and identifiers of a snapshot to write.

    Raises:
        InvalidInput: with everything that is wrong with the request.
    """
    snapshot, codec = request.snapshot, snapshots.codec
    found = id_violations(snapshot.customer_id, field="snapshot.customer_id")
    found += _mode_violations(request)
    found += unknown_facts(request.cleared_facts, "cleared_facts", codec.catalogue)
    facts = snapshot_facts(snapshot, codec.catalogue, "snapshot", found)
    found += fact_violations(codec, facts, "snapshot")
    if snapshot.HasField("as_of"):
        found += prefixed(time_violations(seconds(snapshot.as_of)), "snapshot")
    identifiers = _identifiers(request, found)
    if found:
        raise InvalidInput(found)
    return facts, identifiers


def _identifiers(request: snapshot_pb2.PutRequest, found: list[Violation]) -> list[Identifier]:
    """The identifiers, each once; spellings of the same are the same."""
    excess = too_many(request.identifiers, MAX_IDENTIFIERS, "identifiers")
    if excess:
        found += excess
        return []
    return distinct(
        checked(one.type, one.value, f"identifiers[{i}]", found) for i, one in enumerate(request.identifiers)
    )


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
