"""The gRPC side of the fake service: takes what comes in and answers from memory."""

from collections.abc import Iterator

import grpc

from loyalty.nextbest.v1 import (
    common_pb2,
    customer_pb2,
    decision_pb2,
    decision_pb2_grpc,
    explanation_pb2,
    interaction_pb2,
    interaction_pb2_grpc,
    snapshot_pb2,
    snapshot_pb2_grpc,
)
from nextbest_client.fake_memory import FakeFailure, FakeMemory, abort, identifiers_of


class FakeDecisions(decision_pb2_grpc.DecisionServiceServicer):
    """Answers with the decisions that a test has chosen."""

    def __init__(self, memory: FakeMemory) -> None:
        self._memory = memory

    def Decide(  # noqa: N802  (the rpc's name, as all methods here)
        self, request: decision_pb2.DecideRequest, context: grpc.ServicerContext
    ) -> decision_pb2.DecideResponse:
        """Answer a request."""
        self._memory.receive(request, context)
        return self._memory.decide(request)

    def DecideBatch(  # noqa: N802
        self, request: decision_pb2.DecideBatchRequest, context: grpc.ServicerContext
    ) -> decision_pb2.DecideBatchResponse:
        """Answer the requests of a batch, in order."""
        self._memory.receive(request, context)
        self._memory.requests.extend(request.requests)
        items = [decision_pb2.DecideBatchItem(decision=self._memory.decide(r)) for r in request.requests]
        return decision_pb2.DecideBatchResponse(items=items)

    def DecideStream(  # noqa: N802
        self, request_iterator: Iterator[decision_pb2.DecideStreamRequest], context: grpc.ServicerContext
    ) -> Iterator[decision_pb2.DecideStreamResponse]:
        """Answer requests as they come."""
        for streamed in request_iterator:
            self._memory.receive(streamed.request, context)
            decision = self._memory.decide(streamed.request)
            yield decision_pb2.DecideStreamResponse(request_id=streamed.request.request_id, decision=decision)

    def Explain(  # noqa: N802
        self, request: decision_pb2.ExplainRequest, context: grpc.ServicerContext
    ) -> decision_pb2.ExplainResponse:
        """Answer with the explanation that was chosen, or with the decision's results as chosen."""
        self._memory.receive(request, context)
        if self._memory.explanation is not None:
            return self._memory.explanation
        decision = self._decision_of(request, context)
        return decision_pb2.ExplainResponse(
            decision=decision, candidates=[_chosen(result) for result in decision.results]
        )

    def GetHandOff(  # noqa: N802
        self, request: decision_pb2.GetHandOffRequest, context: grpc.ServicerContext
    ) -> decision_pb2.GetHandOffResponse:
        """Hand over the decision named, or that of the latest outcome; nothing else is open."""
        self._memory.receive(request, context)
        with self._memory.lock:
            entries = list(reversed(self._memory.histories[request.customer_id]))
        latest = next((entry.decision_id for entry in entries if entry.decision_id), "")
        decision_id = request.decision_id or latest
        decision = self._memory.decisions.get(decision_id)
        if decision is None and request.decision_id:
            abort(context, _not_found("decision"))
        interactions = [entry for entry in entries if decision_id and entry.decision_id == decision_id]
        return decision_pb2.GetHandOffResponse(decision=decision, interactions=interactions)

    def _decision_of(
        self, request: decision_pb2.ExplainRequest, context: grpc.ServicerContext
    ) -> decision_pb2.DecideResponse:
        if request.WhichOneof("subject") == "request":
            return self._memory.decide(request.request)
        decision = self._memory.decisions.get(request.decision_id)
        if decision is None:
            abort(context, _not_found("decision"))
        return decision or decision_pb2.DecideResponse()


def _chosen(result: decision_pb2.RankedAction) -> explanation_pb2.CandidateExplanation:
    return explanation_pb2.CandidateExplanation(
        action=result.action,
        treatment_id=result.treatment.treatment_id,
        placement=result.treatment.placement,
        code=explanation_pb2.REASON_CODE_CHOSEN,
        sentence=result.staff_reason,
        rank=result.rank,
        breakdown=result.breakdown if result.HasField("breakdown") else None,
    )


class FakeInteractions(interaction_pb2_grpc.InteractionServiceServicer):
    """Remembers outcomes and events, each once."""

    def __init__(self, memory: FakeMemory) -> None:
        self._memory = memory

    def CaptureOutcomes(  # noqa: N802
        self, request: interaction_pb2.CaptureOutcomesRequest, context: grpc.ServicerContext
    ) -> interaction_pb2.CaptureOutcomesResponse:
        """Remember outcomes."""
        self._memory.receive(request, context)
        entries = [_outcome_entry(outcome) for outcome in request.outcomes]
        return interaction_pb2.CaptureOutcomesResponse(results=self._record(request.customer_id, entries))

    def RecordEvents(  # noqa: N802
        self, request: interaction_pb2.RecordEventsRequest, context: grpc.ServicerContext
    ) -> interaction_pb2.RecordEventsResponse:
        """Remember events."""
        self._memory.receive(request, context)
        entries = [_event_entry(event) for event in request.events]
        return interaction_pb2.RecordEventsResponse(results=self._record(request.customer_id, entries))

    def GetHistory(  # noqa: N802
        self, request: interaction_pb2.GetHistoryRequest, context: grpc.ServicerContext
    ) -> interaction_pb2.GetHistoryResponse:
        """Return what is remembered of a customer, the latest first."""
        self._memory.receive(request, context)
        with self._memory.lock:
            entries = list(reversed(self._memory.histories[request.customer_id]))
        wanted = [entry for entry in entries if not request.kinds or entry.kind in request.kinds]
        return interaction_pb2.GetHistoryResponse(entries=wanted[: request.max_entries or None])

    def _record(
        self, customer_id: str, entries: list[interaction_pb2.HistoryEntry]
    ) -> list[interaction_pb2.RecordResult]:
        with self._memory.lock:
            return [self._record_one(customer_id, entry) for entry in entries]

    def _record_one(
        self, customer_id: str, entry: interaction_pb2.HistoryEntry
    ) -> interaction_pb2.RecordResult:
        history = self._memory.histories[customer_id]
        status = interaction_pb2.RECORD_STATUS_DUPLICATE
        if all(known.idempotency_key != entry.idempotency_key for known in history):
            history.append(entry)
            status = interaction_pb2.RECORD_STATUS_RECORDED
        return interaction_pb2.RecordResult(idempotency_key=entry.idempotency_key, status=status)


def _outcome_entry(outcome: interaction_pb2.CapturedOutcome) -> interaction_pb2.HistoryEntry:
    made_key = f"{outcome.decision_id}:{outcome.treatment_id or outcome.action}:{outcome.outcome}"
    return interaction_pb2.HistoryEntry(
        event_time=outcome.event_time if outcome.HasField("event_time") else None,
        kind=interaction_pb2.HISTORY_KIND_OUTCOME,
        channel=outcome.channel,
        direction=outcome.direction,
        placement=outcome.placement,
        outcome=outcome.outcome,
        action=outcome.action,
        treatment_id=outcome.treatment_id,
        amount=outcome.amount if outcome.HasField("amount") else None,
        cost=outcome.cost if outcome.HasField("cost") else None,
        decision_id=outcome.decision_id,
        idempotency_key=outcome.idempotency_key or made_key,
        is_override=outcome.is_override,
        override_reason=outcome.override_reason,
        comment=outcome.comment,
        reason_code=outcome.reason_code,
    )


def _event_entry(event: interaction_pb2.Event) -> interaction_pb2.HistoryEntry:
    return interaction_pb2.HistoryEntry(
        event_time=event.event_time,
        kind=interaction_pb2.HISTORY_KIND_EVENT,
        channel=event.channel,
        event_type=event.event_type,
        amount=event.amount if event.HasField("amount") else None,
        idempotency_key=event.idempotency_key,
    )


class FakeSnapshots(snapshot_pb2_grpc.SnapshotServiceServicer):
    """Remembers snapshots and identifiers."""

    def __init__(self, memory: FakeMemory) -> None:
        self._memory = memory

    def Put(  # noqa: N802
        self, request: snapshot_pb2.PutRequest, context: grpc.ServicerContext
    ) -> snapshot_pb2.PutResponse:
        """Remember a snapshot and identifiers, as the only ones or merged into those before."""
        self._memory.receive(request, context)
        customer_id = request.snapshot.customer_id
        with self._memory.lock:
            given = [(identifier.type, identifier.value) for identifier in request.identifiers]
            if any(self._memory.identifiers.get(one, customer_id) != customer_id for one in given):
                abort(context, FakeFailure(grpc.StatusCode.ALREADY_EXISTS, "another customer has it", ()))
            self._memory.snapshots[customer_id] = self._merged(request)
            if request.mode != snapshot_pb2.WRITE_MODE_MERGE:
                for known in identifiers_of(self._memory, customer_id):
                    del self._memory.identifiers[known.type, known.value]
            self._memory.identifiers |= dict.fromkeys(given, customer_id)
        return snapshot_pb2.PutResponse(as_of=request.snapshot.as_of)

    def _merged(self, request: snapshot_pb2.PutRequest) -> customer_pb2.Snapshot:
        before = self._memory.snapshots.get(request.snapshot.customer_id)
        if request.mode != snapshot_pb2.WRITE_MODE_MERGE or before is None:
            return request.snapshot
        facts = {fact.name: fact for fact in (*before.facts, *request.snapshot.facts)}
        for name in request.cleared_facts:
            facts.pop(name, None)
        merged = customer_pb2.Snapshot()
        merged.CopyFrom(request.snapshot)
        merged.ClearField("facts")
        merged.facts.extend(facts.values())
        return merged

    def Get(  # noqa: N802
        self, request: snapshot_pb2.GetRequest, context: grpc.ServicerContext
    ) -> snapshot_pb2.GetResponse:
        """Return a snapshot, all facts whatever was asked for."""
        self._memory.receive(request, context)
        snapshot = self._memory.snapshots.get(request.customer_id)
        if snapshot is None:
            abort(context, _not_found("customer"))
        return snapshot_pb2.GetResponse(snapshot=snapshot)

    def Resolve(  # noqa: N802
        self, request: snapshot_pb2.ResolveRequest, context: grpc.ServicerContext
    ) -> snapshot_pb2.ResolveResponse:
        """Find the customer behind an identifier."""
        self._memory.receive(request, context)
        key = (request.identifier.type, request.identifier.value)
        customer_id = self._memory.identifiers.get(key, "")
        if not customer_id:
            abort(context, _not_found("identifier"))
        return snapshot_pb2.ResolveResponse(customer_id=customer_id)

    def Export(  # noqa: N802
        self, request: snapshot_pb2.ExportRequest, context: grpc.ServicerContext
    ) -> snapshot_pb2.ExportResponse:
        """Return all that is remembered of a customer but the decisions."""
        self._memory.receive(request, context)
        with self._memory.lock:
            return snapshot_pb2.ExportResponse(
                snapshot=self._memory.snapshots.get(request.customer_id),
                identifiers=identifiers_of(self._memory, request.customer_id),
                history=reversed(self._memory.histories[request.customer_id]),
            )

    def Erase(  # noqa: N802
        self, request: snapshot_pb2.EraseRequest, context: grpc.ServicerContext
    ) -> snapshot_pb2.EraseResponse:
        """Forget a customer."""
        self._memory.receive(request, context)
        with self._memory.lock:
            identifiers: list[common_pb2.Identifier] = identifiers_of(self._memory, request.customer_id)
            for identifier in identifiers:
                del self._memory.identifiers[identifier.type, identifier.value]
            return snapshot_pb2.EraseResponse(
                snapshot_erased=self._memory.snapshots.pop(request.customer_id, None) is not None,
                identifiers_erased=len(identifiers),
                history_entries_erased=len(self._memory.histories.pop(request.customer_id, [])),
            )


def _not_found(what: str) -> FakeFailure:
    return FakeFailure(grpc.StatusCode.NOT_FOUND, f"no such {what}", ())
