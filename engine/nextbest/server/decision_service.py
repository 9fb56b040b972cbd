"""DecisionService: check, read, decide, answer."""

import asyncio
from collections.abc import AsyncIterator, Sequence

import grpc.aio

from loyalty.nextbest.v1 import common_pb2, decision_pb2, decision_pb2_grpc
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
    Response,
    Serving,
    Situation,
    answers,
    explained,
    read_in_time,
    situation,
    time_to_read,
    without_store,
)
from nextbest.server.guard import guarded
from nextbest.server.live import LiveServing
from nextbest.server.requests import Question, choose_language, parse_question
from nextbest.server.status import abort, to_status
from nextbest.telemetry import logger, pseudonym

MAX_BATCH = 1000
EXPLAINED_IN = ("en", "da")
"""Languages of explanations; the first is the default."""

Context = grpc.aio.ServicerContext
Asked = tuple[decision_pb2.DecideBatchItem, Question]


class DecisionService(decision_pb2_grpc.DecisionServiceServicer):
    """Ranks actions for customers and explains rankings."""

    def __init__(self, serving: LiveServing, store: Store, clock: Clock) -> None:
        self._serving = serving
        self._reader = store.reader
        self._kept = store.requests
        self._clock = clock

    @guarded
    async def Decide(
        self,
        request: decision_pb2.DecideRequest,
        context: Context[decision_pb2.DecideRequest, decision_pb2.DecideResponse],
    ) -> decision_pb2.DecideResponse:
        """Rank one customer's actions."""
        serving = self._serving()
        question = parse_question(request, serving.model.rulebook, serving.rows)
        stored = await read_in_time(self._reader, question, context.time_remaining())
        if isinstance(stored, Degraded):
            return without_store(serving, question, stored, self._clock)
        if question.request_id and stored[3] is not None:
            return decision_pb2.DecideResponse.FromString(stored[3])
        response = answers(await self._situation(serving, [question], _records(stored)))[0]
        if isinstance(response, SnapshotError):
            raise response
        return await self._keep(question, response, context.time_remaining())

    @guarded
    async def DecideBatch(
        self,
        request: decision_pb2.DecideBatchRequest,
        context: Context[decision_pb2.DecideBatchRequest, decision_pb2.DecideBatchResponse],
    ) -> decision_pb2.DecideBatchResponse:
        """Rank many customers' actions; what is wrong with one request stays with it."""
        if not 1 <= len(request.requests) <= MAX_BATCH:
            problem = f"{len(request.requests)} are given, 1 to {MAX_BATCH} are allowed"
            raise InvalidInput([Violation("requests", problem)])
        serving = self._serving()
        response = decision_pb2.DecideBatchResponse()
        asked: list[Asked] = []
        for one in request.requests:
            item = response.items.add()
            try:
                asked.append((item, parse_question(one, serving.model.rulebook, serving.rows)))
            except (InvalidInput, NotBuilt) as error:
                item.status.CopyFrom(_item_status(error))
        try:
            await self._fill(serving, await self._not_kept(asked))
        except StoreUnavailable as error:
            self._fill_without_store(serving, asked, error)
        return response

    async def _not_kept(self, asked: Sequence[Asked]) -> list[Asked]:
        """Answer the retries among a batch with the decisions kept for them; gives the others."""
        retried = [(item, question) for item, question in asked if question.request_id]
        kept = await asyncio.gather(*(self._kept.kept(q.customer_id, q.request_id) for _, q in retried))
        done: set[int] = set()
        for (item, _), reply in zip(retried, kept, strict=True):
            if reply is not None:
                item.decision.ParseFromString(reply)
                done.add(id(item))
        return [one for one in asked if id(one[0]) not in done]

    async def _fill(self, serving: Serving, asked: Sequence[Asked]) -> None:
        """Decide a batch together: one read, one pass of the kernels."""
        if not asked:
            return
        questions = [question for _, question in asked]
        stored = await self._reader.read_many([question.customer_id for question in questions])
        outcomes = answers(await self._situation(serving, questions, stored))
        await asyncio.gather(
            *(self._finish(*one, outcome) for one, outcome in zip(asked, outcomes, strict=True))
        )

    async def _finish(
        self, item: decision_pb2.DecideBatchItem, question: Question, outcome: Response | SnapshotError
    ) -> None:
        if isinstance(outcome, SnapshotError):
            item.status.CopyFrom(_item_status(outcome))
        else:
            item.decision.CopyFrom(await self._keep(question, outcome))

    def _fill_without_store(self, serving: Serving, asked: Sequence[Asked], error: StoreUnavailable) -> None:
        for item, question in asked:
            if item.WhichOneof("result") == "decision":
                continue
            if question.strict:
                item.status.CopyFrom(_item_status(error))
            else:
                reason = Degraded.SNAPSHOT_STORE_UNAVAILABLE
                item.decision.CopyFrom(without_store(serving, question, reason, self._clock))

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
        context: Context[decision_pb2.DecideStreamRequest, decision_pb2.DecideStreamResponse],
    ) -> AsyncIterator[decision_pb2.DecideStreamResponse]:
        """Not built yet."""
        await abort(context, NotBuilt("deciding over a stream"))
        yield decision_pb2.DecideStreamResponse()

    async def _situation(self, serving: Serving, questions: Sequence[Question], stored: Records) -> Situation:
        """Decode what is stored; rows of a catalogue that others registered meanwhile are read as well."""
        found = situation(serving, questions, stored, self._clock)
        if (found.decoded.problems == RowProblem.FOREIGN).any():
            learnt = await self._serving.learn_catalogues()
            if learnt is not None:
                return situation(learnt, questions, stored, self._clock)
        return found

    async def _keep(
        self, question: Question, response: Response, time_left_s: float | None = None
    ) -> Response:
        """Keep the answer for retries; whoever was first with a request_id is answered to all."""
        if not question.request_id:
            return response
        try:
            async with asyncio.timeout(time_to_read(time_left_s)):
                kept = await self._kept.keep(
                    question.customer_id, question.request_id, response.SerializeToString()
                )
        except (StoreUnavailable, TimeoutError):
            logger().warning("decision_not_kept", customer=pseudonym(question.customer_id))
            return response
        return decision_pb2.DecideResponse.FromString(kept)


def _records(values: list[bytes | None]) -> Records:
    return Records(values[0:1], values[1:2], values[2:3])


def _item_status(error: NextBestError) -> common_pb2.Status:
    status = to_status(error)
    violations = error.violations if isinstance(error, InvalidInput) else ()
    return common_pb2.Status(
        code=status.code,
        message=status.message,
        violations=[common_pb2.Violation(field=v.field, description=v.description) for v in violations],
    )
