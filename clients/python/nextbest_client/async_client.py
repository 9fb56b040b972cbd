"""The asynchronous client, for grpc.aio; the twin of `sync_client`, method for method."""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Sequence
from types import TracebackType
from typing import Self

import grpc
import grpc.aio

from loyalty.nextbest.v1 import (
    common_pb2,
    customer_pb2,
    decision_pb2,
    decision_pb2_grpc,
    interaction_pb2,
    interaction_pb2_grpc,
    snapshot_pb2,
    snapshot_pb2_grpc,
)
from nextbest_client.options import ClientOptions
from nextbest_client.shared import (
    batch_fallback_or_raise,
    explain_request,
    fallback_or_raise,
    identified,
    identified_outcome,
    translated_errors,
)


class AsyncNextBestClient:
    """Asks the service what is best for a customer. Belongs to one event loop; connects when first used.

    Every call takes `timeout_ms`, the time for the whole call, retries included; None = that of the options.
    Every call raises `ClientError`, `InvalidRequest` with all that is wrong.
    """

    def __init__(
        self,
        address: str,
        *,
        options: ClientOptions | None = None,
        credentials: grpc.ChannelCredentials | None = None,
    ) -> None:
        """Make a client of the service at an address.

        Args:
            address: gRPC target, such as `localhost:50051` or `dns:///nextbest.shop.internal:443`.
            options: settings.
            credentials: TLS and call credentials; None = no encryption.
        """
        self.options = options or ClientOptions()
        channel_options = self.options.as_channel_options()
        if credentials is None:
            self._channel = grpc.aio.insecure_channel(address, options=channel_options)
        else:
            self._channel = grpc.aio.secure_channel(address, credentials, options=channel_options)
        self._decisions = decision_pb2_grpc.DecisionServiceStub(self._channel)
        self._interactions = interaction_pb2_grpc.InteractionServiceStub(self._channel)
        self._snapshots = snapshot_pb2_grpc.SnapshotServiceStub(self._channel)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connection; calls that are under way are cancelled."""
        await self._channel.close(grace=None)

    async def wait_until_ready(self, *, timeout_ms: float | None = None) -> bool:
        """Connect, so that the first decision does not have to; returns whether that came about in time."""
        try:
            await asyncio.wait_for(self._channel.channel_ready(), self._timeout_s(timeout_ms))
        except TimeoutError:
            return False
        return True

    async def decide(
        self, request: decision_pb2.DecideRequest, *, timeout_ms: float | None = None
    ) -> decision_pb2.DecideResponse:
        """Decide for one customer.

        If the service is late or away, the answer is a fallback decision: do nothing, with the reason.
        With STRICTNESS_STRICT it is an error instead.
        """
        request = identified(request)
        try:
            return await self._decisions.Decide(request, timeout=self._timeout_s(timeout_ms))
        except grpc.RpcError as error:
            return fallback_or_raise(request, error)

    async def decide_batch(
        self, requests: Iterable[decision_pb2.DecideRequest], *, timeout_ms: float | None = None
    ) -> decision_pb2.DecideBatchResponse:
        """Decide for up to 1,000 customers; each item is a decision or says what is wrong with its request.

        If the service is late or away, every item is a fallback decision, unless a request is strict.
        """
        identified_requests = [identified(request) for request in requests]
        batch = decision_pb2.DecideBatchRequest(requests=identified_requests)
        try:
            return await self._decisions.DecideBatch(batch, timeout=self._timeout_s(timeout_ms))
        except grpc.RpcError as error:
            return batch_fallback_or_raise(identified_requests, error)

    async def decide_stream(
        self,
        requests: AsyncIterable[decision_pb2.DecideRequest] | Iterable[decision_pb2.DecideRequest],
        *,
        timeout_ms: float | None = None,
    ) -> AsyncIterator[decision_pb2.DecideStreamResponse]:
        """Decide for customers as they come; match answers by request_id. No timeout unless one is given."""
        timeout_s = None if timeout_ms is None else timeout_ms / 1000
        call = self._decisions.DecideStream(_stream_requests(requests), timeout=timeout_s)
        try:
            with translated_errors():
                async for response in call:
                    yield response
        finally:
            call.cancel()  # the caller may have stopped reading

    async def explain(
        self,
        subject: decision_pb2.DecideRequest | str,
        *,
        customer_id: str = "",
        actions: Iterable[str] = (),
        language: str = "",
        timeout_ms: float | None = None,
    ) -> decision_pb2.ExplainResponse:
        """Explain a situation, or a decision by its id and the customer's; empty `actions` = all."""
        request = explain_request(subject, customer_id=customer_id, actions=actions, language=language)
        with translated_errors():
            return await self._decisions.Explain(request, timeout=self._timeout_s(timeout_ms))

    async def get_hand_off(
        self,
        customer_id: str,
        *,
        decision_id: str = "",
        language: str = "",
        timeout_ms: float | None = None,
    ) -> decision_pb2.GetHandOffResponse:
        """Read what the next desk needs to take over; without a decision that of the latest contact."""
        request = decision_pb2.GetHandOffRequest(
            customer_id=customer_id, decision_id=decision_id, language=language
        )
        with translated_errors():
            return await self._decisions.GetHandOff(request, timeout=self._timeout_s(timeout_ms))

    async def capture_outcomes(
        self,
        customer_id: str,
        outcomes: Iterable[interaction_pb2.CapturedOutcome],
        *,
        timeout_ms: float | None = None,
    ) -> Sequence[interaction_pb2.RecordResult]:
        """Tell the service what became of actions; an outcome that is told twice counts once."""
        request = interaction_pb2.CaptureOutcomesRequest(
            customer_id=customer_id, outcomes=[identified_outcome(outcome) for outcome in outcomes]
        )
        with translated_errors():
            response = await self._interactions.CaptureOutcomes(request, timeout=self._timeout_s(timeout_ms))
        return response.results

    async def record_events(
        self, customer_id: str, events: Iterable[interaction_pb2.Event], *, timeout_ms: float | None = None
    ) -> Sequence[interaction_pb2.RecordResult]:
        """Tell the service what a customer did; an event that is told twice counts once."""
        request = interaction_pb2.RecordEventsRequest(customer_id=customer_id, events=events)
        with translated_errors():
            response = await self._interactions.RecordEvents(request, timeout=self._timeout_s(timeout_ms))
        return response.results

    async def get_history(
        self, request: interaction_pb2.GetHistoryRequest, *, timeout_ms: float | None = None
    ) -> interaction_pb2.GetHistoryResponse:
        """Read a customer's contacts, outcomes and events, the latest first."""
        with translated_errors():
            return await self._interactions.GetHistory(request, timeout=self._timeout_s(timeout_ms))

    async def put_snapshot(
        self,
        snapshot: customer_pb2.Snapshot,
        *,
        mode: snapshot_pb2.WriteMode.ValueType = snapshot_pb2.WRITE_MODE_REPLACE,
        cleared_facts: Iterable[str] = (),
        identifiers: Iterable[common_pb2.Identifier] = (),
        timeout_ms: float | None = None,
    ) -> snapshot_pb2.PutResponse:
        """Write a customer's snapshot; with WRITE_MODE_MERGE facts that it leaves out stay as they are."""
        request = snapshot_pb2.PutRequest(
            snapshot=snapshot, mode=mode, cleared_facts=cleared_facts, identifiers=identifiers
        )
        with translated_errors():
            return await self._snapshots.Put(request, timeout=self._timeout_s(timeout_ms))

    async def get_snapshot(
        self, customer_id: str, *, facts: Iterable[str] = (), timeout_ms: float | None = None
    ) -> snapshot_pb2.GetResponse:
        """Read a customer's snapshot; raises `NotFound` if there is none."""
        request = snapshot_pb2.GetRequest(customer_id=customer_id, facts=facts)
        with translated_errors():
            return await self._snapshots.Get(request, timeout=self._timeout_s(timeout_ms))

    async def resolve(self, identifier: common_pb2.Identifier, *, timeout_ms: float | None = None) -> str:
        """Find the id of the customer behind a phone or card number; raises `NotFound` if there is none."""
        request = snapshot_pb2.ResolveRequest(identifier=identifier)
        with translated_errors():
            response = await self._snapshots.Resolve(request, timeout=self._timeout_s(timeout_ms))
        return response.customer_id

    async def export(
        self, customer_id: str, *, timeout_ms: float | None = None
    ) -> snapshot_pb2.ExportResponse:
        """Read all that is kept about a customer."""
        request = snapshot_pb2.ExportRequest(customer_id=customer_id)
        with translated_errors():
            return await self._snapshots.Export(request, timeout=self._timeout_s(timeout_ms))

    async def erase(
        self, customer_id: str, *, reason: str = "", timeout_ms: float | None = None
    ) -> snapshot_pb2.EraseResponse:
        """Remove all that is kept about a customer, for good."""
        request = snapshot_pb2.EraseRequest(customer_id=customer_id, reason=reason)
        with translated_errors():
            return await self._snapshots.Erase(request, timeout=self._timeout_s(timeout_ms))

    def _timeout_s(self, timeout_ms: float | None) -> float:
        return (self.options.timeout_ms if timeout_ms is None else timeout_ms) / 1000


async def _stream_requests(
    requests: AsyncIterable[decision_pb2.DecideRequest] | Iterable[decision_pb2.DecideRequest],
) -> AsyncIterator[decision_pb2.DecideStreamRequest]:
    if isinstance(requests, AsyncIterable):
        async for request in requests:
            yield decision_pb2.DecideStreamRequest(request=identified(request))
    else:
        for request in requests:
            yield decision_pb2.DecideStreamRequest(request=identified(request))
