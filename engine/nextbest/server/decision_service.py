"""DecisionService: check, read, decide, answer."""

import asyncio
from collections.abc import AsyncIterator, Sequence

import grpc.aio

from loyalty.nextbest.v1 import decision_pb2
from nextbest.clock import Clock
from nextbest.data.reader import Records
from nextbest.data.store import Store
from nextbest.errors import (
    InvalidInput,
    NextBestError,
    NotBuilt,
    SnapshotError,
    StoreUnavailable,
    Violation,
)
from nextbest.model import Degraded
from nextbest.rows import RowProblem
from nextbest.server.deciding import (
    Serving,
    Situation,
    answers,
    explained,
    situation,
    without_store,
)
from nextbest.server.gathering import Gathering
from nextbest.server.guard import guarded
from nextbest.server.handlers import add_service, streaming, unary
from nextbest.server.live import LiveServing
from nextbest.server.requests import Question, choose_language, parse_question
from nextbest.server.streaming import answer_stream, status_of
from nextbest.server.wire import bytes_tag, sized
from nextbest.telemetry import logger, pseudonym

MAX_BATCH = 1000
EXPLAINED_IN = ("en", "da")
"""Languages of explanations; the first is the default."""

Context = grpc.aio.ServicerContext
Asked = tuple[int, Question]
"""Place in a batch, and what is asked there."""

_ITEM = decision_pb2.DecideBatchItem.DESCRIPTOR.fields_by_name
_ITEMS = bytes_tag(decision_pb2.DecideBatchResponse.DESCRIPTOR.fields_by_name, "items")
_DECISION, _STATUS = bytes_tag(_ITEM, "decision"), bytes_tag(_ITEM, "status")


class DecisionService:
    """Ranks actions for customers and explains rankings. Decisions are answered as bytes, see `encoding`."""

    def __init__(self, serving: LiveServing, store: Store, clock: Clock) -> None:
        self._serving = serving
        self._reader = store.reader
        self._kept = store.requests
        self._clock = clock
        self._gathering = Gathering(store.reader, store.requests, clock, serving.learn_catalogues)

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
        serving = self._serving()
        items: dict[int, bytes] = {}
        asked: list[Asked] = []
        for place, one in enumerate(request.requests):
            try:
                asked.append((place, parse_question(one, serving.model.rulebook, serving.rows)))
            except (InvalidInput, NotBuilt) as error:
                items[place] = _failed(error)
        try:
            await self._fill_kept(asked, items)
            await self._fill(serving, [one for one in asked if one[0] not in items], items)
        except StoreUnavailable as error:
            self._fill_without_store(serving, asked, items, error)
        return b"".join([sized(_ITEMS, items[place]) for place in range(len(request.requests))])

    async def _fill_kept(self, asked: Sequence[Asked], items: dict[int, bytes]) -> None:
        """Answer the retries among a batch with the decisions kept for them."""
        retried = [(place, question) for place, question in asked if question.request_id]
        kept = await asyncio.gather(*(self._kept.kept(q.customer_id, q.request_id) for _, q in retried))
        for (place, _), reply in zip(retried, kept, strict=True):
            if reply is not None:
                items[place] = sized(_DECISION, reply)

    async def _fill(self, serving: Serving, asked: Sequence[Asked], items: dict[int, bytes]) -> None:
        """Decide a batch together: one read, one pass of the kernels."""
        if not asked:
            return
        questions = [question for _, question in asked]
        stored = await self._reader.read_many([question.customer_id for question in questions])
        replies = answers(await self._situation(serving, questions, stored))
        to_keep: list[tuple[int, Question, bytes]] = []
        for (place, question), reply in zip(asked, replies, strict=True):
            if isinstance(reply, SnapshotError):
                items[place] = _failed(reply)
            elif question.request_id:
                to_keep.append((place, question, reply))
            else:
                items[place] = sized(_DECISION, reply)
        kept = await asyncio.gather(*(self._keep(question, reply) for _, question, reply in to_keep))
        for (place, _, _), reply in zip(to_keep, kept, strict=True):
            items[place] = sized(_DECISION, reply)

    def _fill_without_store(
        self, serving: Serving, asked: Sequence[Asked], items: dict[int, bytes], error: StoreUnavailable
    ) -> None:
        for place, question in asked:
            if place in items:
                continue
            if question.strict:
                items[place] = _failed(error)
            else:
                reason = Degraded.SNAPSHOT_STORE_UNAVAILABLE
                items[place] = sized(_DECISION, without_store(serving, question, reason, self._clock))

    @guarded
    async def Explain(
        self,
        request: decision_pb2.ExplainRequest,
        context: Context[decision_pb2.ExplainRequest, decision_pb2.ExplainResponse],
    ) -> decision_pb2.ExplainResponse:
        """Say why each action was and was not chosen; nothing is stored or learnt from it."""
        match request.WhichOneof("subject"):
            case "decision_id":
                raise NotBuilt("explaining by decision_id")
            case None:
                raise InvalidInput([Violation("subject", "is required: a request or a decision_id")])
            case _:
                subject = request.request
        if request.customer_id not in ("", subject.customer_id):
            raise InvalidInput([Violation("customer_id", "is not the customer of the request")])
        serving = self._serving()
        question = parse_question(subject, serving.model.rulebook, serving.rows)
        stored = _records(await self._reader.read(question.customer_id))
        language = choose_language(request.language or subject.language, EXPLAINED_IN)
        return explained(await self._situation(serving, [question], stored), request.actions, language)

    async def DecideStream(
        self,
        request_iterator: AsyncIterator[decision_pb2.DecideStreamRequest],
        context: Context[decision_pb2.DecideStreamRequest, bytes],
    ) -> None:
        """Rank customers' actions as they come; answers may overtake each other."""

        def decide(request: decision_pb2.DecideRequest) -> "asyncio.Future[bytes]":
            if not request.request_id:
                raise InvalidInput([Violation("request.request_id", "is required on a stream")])
            return self._asked(request, context.time_remaining())

        await answer_stream(request_iterator, decide, context.write)

    def _asked(
        self, request: decision_pb2.DecideRequest, time_left_s: float | None
    ) -> "asyncio.Future[bytes]":
        """Check a request and start deciding it.

        Raises:
            InvalidInput, NotBuilt: at once; what the future may raise, `Gathering.ask` says.
        """
        serving = self._serving()
        question = parse_question(request, serving.model.rulebook, serving.rows)
        return self._gathering.ask(serving, question, time_left_s)

    async def _situation(self, serving: Serving, questions: Sequence[Question], stored: Records) -> Situation:
        """Decode what is stored; rows of a catalogue that others registered meanwhile are read as well."""
        found = situation(serving, questions, stored, self._clock)
        if RowProblem.FOREIGN in found.decoded.problems.tolist():
            learnt = await self._serving.learn_catalogues()
            if learnt is not None:
                return situation(learnt, questions, stored, self._clock)
        return found

    async def _keep(self, question: Question, reply: bytes) -> bytes:
        """Keep the answer for retries; whoever was first with a request_id is answered to all."""
        try:
            return await self._kept.keep(question.customer_id, question.request_id, reply)
        except StoreUnavailable:
            logger().warning("decision_not_kept", customer=pseudonym(question.customer_id))
            return reply


def _records(values: list[bytes | None]) -> Records:
    return Records(values[0:1], values[1:2], values[2:3])


def _failed(error: NextBestError) -> bytes:
    """A batch item that says what is wrong with its request."""
    return sized(_STATUS, status_of(error))
