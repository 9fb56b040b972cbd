"""DecisionService: check, read, decide, answer."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Protocol

import grpc.aio

from loyalty.nextbest.v1 import decision_pb2
from nextbest.clock import Clock
from nextbest.data.reader import Records
from nextbest.data.store import Store
from nextbest.errors import InvalidInput, Violation
from nextbest.server.batches import Batches
from nextbest.server.deciding import explained, situation
from nextbest.server.decision_log import DecisionLog
from nextbest.server.gathering import Gathering
from nextbest.server.guard import guarded
from nextbest.server.hand_off import HandingOver
from nextbest.server.handlers import add_service, streaming, unary
from nextbest.server.identifying import ByIdentifier, unknown_identifier
from nextbest.server.keeping import Keeping
from nextbest.server.live import LiveServing
from nextbest.server.made_decisions import EXPLAINED_IN, MadeDecisions
from nextbest.server.requests import choose_language, parse_question
from nextbest.server.streaming import answer_stream

MAX_BATCH = 1000
Context = grpc.aio.ServicerContext


class _Timed(Protocol):
    def time_remaining(self) -> float: ...


class DecisionService:
    """Ranks actions for customers and explains rankings. Decisions are answered as bytes, see `encoding`."""

    def __init__(self, serving: LiveServing, store: Store, clock: Clock, log: DecisionLog) -> None:
        self._serving = serving
        self._reader = store.reader
        self._clock = clock
        self._log = log
        self._made = MadeDecisions(store, log)
        self._handing_over = HandingOver(serving, store, self._made)
        self._keeping = Keeping(store.requests, log.add)
        self._gathering = Gathering(store.reader, self._keeping, clock, serving.learn_catalogues, log.add)
        self._batches = Batches(serving, store, clock, self._keeping, log.add)
        self._by_identifier = ByIdentifier(store.identifiers, self._gathering, clock)

    def add_to(self, server: grpc.aio.Server) -> None:
        """Serve the methods on a server."""
        add_service(
            server,
            decision_pb2.DESCRIPTOR.services_by_name["DecisionService"].full_name,
            {
                "Decide": unary(self.Decide, decision_pb2.DecideRequest.FromString),
                "DecideBatch": unary(self.DecideBatch, decision_pb2.DecideBatchRequest.FromString),
                "DecideStream": streaming(
                    self.DecideStream,
                    decision_pb2.DecideStreamRequest.FromString,
                ),
                "GetHandOff": unary(
                    self.GetHandOff,
                    decision_pb2.GetHandOffRequest.FromString,
                    decision_pb2.GetHandOffResponse.SerializeToString,
                ),
                "Explain": unary(
                    self.Explain,
                    decision_pb2.ExplainRequest.FromString,
                    decision_pb2.ExplainResponse.SerializeToString,
                ),
            },
        )

    @guarded
    async def Decide(
        self, request: decision_pb2.DecideRequest, context: Context[decision_pb2.DecideRequest, bytes]
    ) -> bytes:
        """Rank one customer's actions."""
        if self._log.may_hold_up:
            return await self._asked_with_room(request, context)
        return await self._asked(request, context.time_remaining())

    @guarded
    async def DecideBatch(
        self,
        request: decision_pb2.DecideBatchRequest,
        context: Context[decision_pb2.DecideBatchRequest, bytes],
    ) -> bytes:
        """Rank many customers' actions; what is wrong with one request stays with it."""
        if not 1 <= len(request.requests) <= MAX_BATCH:
            problem = f"{len(request.requests)} are given, 1 to {MAX_BATCH} are allowed"
            raise InvalidInput([Violation("requests", problem)])
        async with self._log.room(len(request.requests), context.time_remaining()):
            return await self._batches.answer(request.requests, context.time_remaining())

    async def settled(self, within_s: float) -> None:
        """Return when every decision that was given is with the log, or after so long: at the end."""
        await self._keeping.settled(within_s)

    @guarded
    async def Explain(
        self,
        request: decision_pb2.ExplainRequest,
        context: Context[decision_pb2.ExplainRequest, decision_pb2.ExplainResponse],
    ) -> decision_pb2.ExplainResponse:
        """Say why each action was and was not chosen; nothing is stored or learnt from it."""
        match request.WhichOneof("subject"):
            case "decision_id":
                return await self._made.explain(request, self._serving())
            case None:
                raise InvalidInput([Violation("subject", "is required: a request or a decision_id")])
            case _:
                subject = request.request
        serving = self._serving()
        question = parse_question(subject, serving.model.rulebook, serving.rows)
        question = await self._batches.resolved(serving, subject, question)
        if question.identifier is not None:
            raise unknown_identifier(question.identifier)
        if request.customer_id not in ("", question.customer_id):
            raise InvalidInput([Violation("customer_id", "is not the customer of the request")])
        began = self._clock()
        stored = Records.of(await self._reader.read(question.customer_id))
        if stored.rows[0] is not None and not serving.rows.reads(stored.rows[0]):
            serving = replace(serving, rows=await self._serving.learn_catalogues())
        language = choose_language(request.language or subject.language, EXPLAINED_IN)
        return explained(situation(serving, [question], stored, began), request.actions, language)

    @guarded
    async def GetHandOff(
        self,
        request: decision_pb2.GetHandOffRequest,
        context: Context[decision_pb2.GetHandOffRequest, decision_pb2.GetHandOffResponse],
    ) -> decision_pb2.GetHandOffResponse:
        """Say what the next desk needs to take over; nothing is stored or learnt from it."""
        return await self._handing_over.hand_off(request, self._clock())

    async def DecideStream(
        self,
        request_iterator: AsyncIterator[decision_pb2.DecideStreamRequest],
        context: Context[decision_pb2.DecideStreamRequest, bytes],
    ) -> None:
        """Rank customers' actions as they come; answers may overtake each other."""

        def decide(request: decision_pb2.DecideRequest) -> "asyncio.Future[bytes]":
            if not request.request_id:
                raise InvalidInput([Violation("request.request_id", "is required on a stream")])
            if self._log.may_hold_up:
                return asyncio.ensure_future(self._asked_with_room(request, context))
            return self._asked(request, context.time_remaining())

        await answer_stream(request_iterator, decide, context.write)

    async def _asked_with_room(self, request: decision_pb2.DecideRequest, context: _Timed) -> bytes:
        """As `_asked`, once the decision log has room for the answer.

        Raises:
            LogFull: it has none, and is set to refuse.
        """
        async with self._log.room(1, context.time_remaining()):
            return await self._asked(request, context.time_remaining())

    def _asked(
        self, request: decision_pb2.DecideRequest, time_left_s: float | None
    ) -> "asyncio.Future[bytes]":
        """Check a request and start deciding it.

        Raises:
            InvalidInput: at once; what the future may raise, `Gathering.ask` says.
        """
        serving = self._serving()
        question = parse_question(request, serving.model.rulebook, serving.rows)
        identifier = question.identifier
        if identifier is None:
            return self._gathering.ask(serving, question, time_left_s)
        asked = self._by_identifier.ask(serving, request, question, identifier, time_left_s)
        return asyncio.ensure_future(asked)
