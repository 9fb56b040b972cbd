"""DecisionService: check, read, decide, answer."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Protocol

import grpc.aio

from loyalty.nextbest.v1 import decision_pb2
from nextbest.clock import Clock
from nextbest.data.reader import Records
from nextbest.data.store import Store
from nextbest.errors import (
    AnswerTooLarge,
    DeadlinePassed,
    InvalidInput,
    NextBestError,
    SnapshotError,
    StoreUnavailable,
    Violation,
)
from nextbest.model import Degraded
from nextbest.rows import RowProblem
from nextbest.server.consents import may_give_again
from nextbest.server.deciding import (
    Answered,
    Serving,
    Situation,
    answers,
    explained,
    situation,
    without_store,
)
from nextbest.server.decision_log import DecisionLog
from nextbest.server.gathering import RESERVE_S, Gathering, keep, note_not_kept
from nextbest.server.guard import guarded
from nextbest.server.handlers import add_service, streaming, unary
from nextbest.server.identifying import ByIdentifier, nobody, of_customer, unknown_identifier
from nextbest.server.live import LiveServing
from nextbest.server.made_decisions import EXPLAINED_IN, MadeDecisions
from nextbest.server.requests import Question, choose_language, parse_question
from nextbest.server.streaming import answer_stream, status_of
from nextbest.server.wire import bytes_tag, sized

MAX_BATCH = 1000
MAX_ANSWER_BYTES = 3_900_000
"""gRPC clients take answers of 4 MiB unless told otherwise, and a larger one fails as a whole."""
_ITEM_OVERHEAD = 8
Context = grpc.aio.ServicerContext


class _Timed(Protocol):
    def time_remaining(self) -> float: ...


Asked = tuple[int, Question]
"""Place in a batch, and what is asked there."""

_ITEM = decision_pb2.DecideBatchItem.DESCRIPTOR.fields_by_name
_ITEMS = bytes_tag(decision_pb2.DecideBatchResponse.DESCRIPTOR.fields_by_name, "items")
_DECISION, _STATUS = bytes_tag(_ITEM, "decision"), bytes_tag(_ITEM, "status")


class DecisionService:
    """Ranks actions for customers and explains rankings. Decisions are answered as bytes, see `encoding`."""

    def __init__(self, serving: LiveServing, store: Store, clock: Clock, log: DecisionLog) -> None:
        self._serving = serving
        self._reader = store.reader
        self._kept = store.requests
        self._clock = clock
        self._log = log
        self._identifiers = store.identifiers
        self._made = MadeDecisions(store, log)
        self._gathering = Gathering(store.reader, store.requests, clock, serving.learn_catalogues, log.add)
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
            return await self._answer_batch(request.requests, context.time_remaining())

    async def _answer_batch(
        self, requests: Sequence[decision_pb2.DecideRequest], time_left_s: float | None
    ) -> bytes:
        serving = self._serving()
        items: dict[int, bytes] = {}
        asked: list[Asked] = []
        for place, one in enumerate(requests):
            try:
                asked.append((place, parse_question(one, serving.model.rulebook, serving.rows)))
            except InvalidInput as error:
                items[place] = _failed(error)
        try:
            async with asyncio.timeout(_time_to_decide(time_left_s)):
                asked = await self._fill_unknown(serving, requests, asked, items)
                asked = await self._fill_kept(serving, asked, items)
                await self._fill(serving, asked, items)
        except StoreUnavailable as error:
            self._fill_fallbacks(serving, asked, items, error)
        except TimeoutError:
            self._fill_fallbacks(serving, asked, items, DeadlinePassed("the deadline left no time to decide"))
        return b"".join(within_bounds([items[place] for place in range(len(requests))]))

    async def _fill_unknown(
        self,
        serving: Serving,
        requests: Sequence[decision_pb2.DecideRequest],
        asked: Sequence[Asked],
        items: dict[int, bytes],
    ) -> list[Asked]:
        """Find the customers behind identifiers, and answer for those who are nobody's; gives the others."""
        found = await asyncio.gather(*(self._resolved(serving, requests[p], q) for p, q in asked))
        known: list[Asked] = []
        for (place, question), resolved in zip(asked, found, strict=True):
            if isinstance(resolved, NextBestError):
                items[place] = _failed(resolved)
            elif resolved.identifier is None:
                known.append((place, resolved))
            elif question.strict:
                items[place] = _failed(unknown_identifier(resolved.identifier))
            else:
                items[place] = sized(_DECISION, nobody(serving, question, self._clock))
        return known

    async def _resolved(
        self, serving: Serving, request: decision_pb2.DecideRequest, question: Question
    ) -> Question | InvalidInput:
        """The question with its customer; as it is if nobody has the identifier."""
        if question.identifier is None:
            return question
        customer_id = await self._identifiers.resolve(question.identifier)
        try:
            return question if customer_id is None else of_customer(serving, request, customer_id)
        except InvalidInput as error:
            return error

    async def _fill_kept(
        self, serving: Serving, asked: Sequence[Asked], items: dict[int, bytes]
    ) -> list[Asked]:
        """Answer the retries among a batch with the decisions kept for them; gives what is to be decided."""
        retried = [question for _, question in asked if question.request_id]
        replies = await asyncio.gather(*(self._kept.kept(q.customer_id, q.request_id) for q in retried))
        kept = {id(q): reply for q, reply in zip(retried, replies, strict=True) if reply is not None}
        again = [question for question in retried if id(question) in kept]
        rows = (await self._reader.read_many([q.customer_id for q in again])).rows if again else []
        row_of = {id(question): row for question, row in zip(again, rows, strict=True)}
        new: list[Asked] = []
        for place, question in asked:
            reply = kept.get(id(question))
            if reply is None:
                new.append((place, question))
            elif may_give_again(serving, question, reply, row_of[id(question)]):
                items[place] = sized(_DECISION, reply)
            else:
                new.append((place, question._replace(instead_of=reply)))
        return new

    async def _fill(self, serving: Serving, asked: Sequence[Asked], items: dict[int, bytes]) -> None:
        """Decide a batch together: one read, one pass of the kernels."""
        if not asked:
            return
        questions, began = [question for _, question in asked], self._clock()
        stored = await self._reader.read_many([question.customer_id for question in questions])
        answered = answers(await self._situation(serving, questions, stored, began))
        to_keep: list[tuple[int, Answered]] = []
        for (place, question), one in zip(asked, answered, strict=True):
            if isinstance(one, SnapshotError):
                items[place] = _failed(one)
            elif question.request_id:
                to_keep.append((place, one))
            else:
                items[place] = sized(_DECISION, one.reply)
                self._log.add(one)
        await self._fill_to_keep(to_keep, items)

    async def _fill_to_keep(self, to_keep: Sequence[tuple[int, Answered]], items: dict[int, bytes]) -> None:
        """Keep answers for retries; if there is no time for that, they are given and logged as they are."""
        items.update({place: sized(_DECISION, one.reply) for place, one in to_keep})
        try:
            kept = await asyncio.gather(*(self._keep(one) for _, one in to_keep))
        except asyncio.CancelledError:
            for _, one in to_keep:  # some may be kept, and will be given to a retry
                note_not_kept(one.question)
                self._log.add(one)
            raise
        for (place, one), reply in zip(to_keep, kept, strict=True):
            items[place] = sized(_DECISION, reply)
            if reply is one.reply:
                self._log.add(one)

    def _fill_fallbacks(
        self,
        serving: Serving,
        asked: Sequence[Asked],
        items: dict[int, bytes],
        error: StoreUnavailable | DeadlinePassed,
    ) -> None:
        """Answer what could not be decided."""
        is_late = isinstance(error, DeadlinePassed)
        reason = Degraded.DEADLINE if is_late else Degraded.SNAPSHOT_STORE_UNAVAILABLE
        for place, question in asked:
            if place in items:
                continue
            if question.strict:
                items[place] = _failed(error)
            else:
                answered = without_store(serving, question, reason, self._clock(), cause=str(error))
                items[place] = sized(_DECISION, answered.reply)
                if question.customer_id:
                    self._log.add(answered)

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
        resolved = await self._resolved(serving, subject, question)
        if isinstance(resolved, InvalidInput):
            raise resolved
        if resolved.identifier is not None:
            raise unknown_identifier(resolved.identifier)
        question = resolved
        if request.customer_id not in ("", question.customer_id):
            raise InvalidInput([Violation("customer_id", "is not the customer of the request")])
        began = self._clock()
        stored = _records(await self._reader.read(question.customer_id))
        language = choose_language(request.language or subject.language, EXPLAINED_IN)
        return explained(await self._situation(serving, [question], stored, began), request.actions, language)

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

    async def _situation(
        self, serving: Serving, questions: Sequence[Question], stored: Records, began: float
    ) -> Situation:
        """Decode what is stored; rows of a catalogue that others registered meanwhile are read as well."""
        found = situation(serving, questions, stored, began)
        if RowProblem.FOREIGN in found.decoded.problems.tolist():
            learnt = await self._serving.learn_catalogues()
            if learnt is not None:
                return situation(learnt, questions, stored, began)
        return found

    async def _keep(self, one: Answered) -> bytes:
        """Keep the answer for retries; whoever was first with a request_id is answered to all."""
        try:
            return await keep(self._kept, one)
        except StoreUnavailable:
            note_not_kept(one.question)
            return one.reply


def _time_to_decide(time_left_s: float | None) -> float | None:
    """Seconds until a batch is answered with what there is."""
    return None if time_left_s is None else max(time_left_s - RESERVE_S, 0.0)


def within_bounds(items: Sequence[bytes]) -> Iterator[bytes]:
    """The items of an answer, each with its tag; those beyond what plain clients take say so instead."""
    size = 0
    for item in items:
        size += len(item) + _ITEM_OVERHEAD
        yield sized(_ITEMS, item if size <= MAX_ANSWER_BYTES else _TOO_LARGE)


def _records(values: list[bytes | None]) -> Records:
    return Records(values[0:1], values[1:2], values[2:3])


def _failed(error: NextBestError) -> bytes:
    """A batch item that says what is wrong with its request."""
    return sized(_STATUS, status_of(error))


_TOO_LARGE = _failed(
    AnswerTooLarge(
        "no room is left for this answer: ask again in a smaller batch, with VIEW_BASIC or fewer max_results"
    )
)
