"""DecisionService: check, read, decide, answer."""

from collections.abc import AsyncIterator, Callable, Sequence

import grpc.aio

from loyalty.nextbest.v1 import common_pb2, decision_pb2, decision_pb2_grpc
from nextbest.clock import Clock
from nextbest.data.reader import CustomerReader, Records
from nextbest.data.requests import RequestStore
from nextbest.errors import InvalidInput, NextBestError, SnapshotError, StoreUnavailable, Violation
from nextbest.model import Degraded
from nextbest.server.deciding import (
    Serving,
    answers,
    explained,
    read_in_time,
    situation,
)
from nextbest.server.guard import guarded, not_built
from nextbest.server.requests import Question, choose_language, parse_question
from nextbest.server.responses import degraded
from nextbest.server.status import to_status
from nextbest.telemetry import logger, pseudonym

MAX_BATCH = 1000

Context = grpc.aio.ServicerContext


class DecisionService(decision_pb2_grpc.DecisionServiceServicer):
    """Ranks actions for customers and explains rankings."""

    def __init__(
        self, serving: Callable[[], Serving], reader: CustomerReader, kept: RequestStore, clock: Clock
    ) -> None:
        self._serving = serving
        self._reader = reader
        self._kept = kept
        self._clock = clock

    @guarded
    async def Decide(
        self,
        request: decision_pb2.DecideRequest,
        context: Context[decision_pb2.DecideRequest, decision_pb2.DecideResponse],
    ) -> decision_pb2.DecideResponse:
        """Rank one customer's actions."""
        if request.WhichOneof("customer") == "identifier":
            await context.abort(
                grpc.StatusCode.UNIMPLEMENTED, "deciding by identifier is not built yet: use customer_id"
            )
        serving = self._serving()
        question = parse_question(request, serving.model.rulebook, serving.rows)
        stored = await read_in_time(self._reader, question, context.time_remaining())
        if isinstance(stored, Degraded):
            return self._without_store(serving, question, stored)
        if question.request_id and stored[3] is not None:
            return decision_pb2.DecideResponse.FromString(stored[3])
        response = answers(situation(serving, [question], _records(stored), self._clock))[0]
        if isinstance(response, SnapshotError):
            raise response
        return await self._keep(question, response) if question.request_id else response

    @guarded
    async def DecideBatch(
        self,
        request: decision_pb2.DecideBatchRequest,
        context: Context[decision_pb2.DecideBatchRequest, decision_pb2.DecideBatchResponse],
    ) -> decision_pb2.DecideBatchResponse:
        """Rank many customers' actions; what is wrong with one request stays with it."""
        if not 1 <= len(request.requests) <= MAX_BATCH:
            problem = f"{len(request.requests)} requests are given, 1 to {MAX_BATCH} are allowed"
            raise InvalidInput([Violation("requests", problem)])
        serving = self._serving()
        items = [decision_pb2.DecideBatchItem() for _ in request.requests]
        asked: list[tuple[decision_pb2.DecideBatchItem, Question]] = []
        for item, one in zip(items, request.requests, strict=True):
            try:
                asked.append((item, parse_question(one, serving.model.rulebook, serving.rows)))
            except InvalidInput as error:
                item.status.CopyFrom(_item_status(error))
        if asked:
            await self._fill(serving, asked)
        return decision_pb2.DecideBatchResponse(items=items)

    async def _fill(
        self, serving: Serving, asked: Sequence[tuple[decision_pb2.DecideBatchItem, Question]]
    ) -> None:
        """Decide a batch together: one read, one pass of the kernels."""
        questions = [question for _, question in asked]
        try:
            stored = await self._reader.read_many([question.customer_id for question in questions])
        except StoreUnavailable as error:
            for item, question in asked:
                if question.strict:
                    item.status.CopyFrom(_item_status(error))
                else:
                    reason = Degraded.SNAPSHOT_STORE_UNAVAILABLE
                    item.decision.CopyFrom(self._without_store(serving, question, reason))
            return
        found = situation(serving, questions, stored, self._clock)
        for (item, _), outcome in zip(asked, answers(found), strict=True):
            if isinstance(outcome, SnapshotError):
                item.status.CopyFrom(_item_status(outcome))
            else:
                item.decision.CopyFrom(outcome)

    @guarded
    async def Explain(
        self,
        request: decision_pb2.ExplainRequest,
        context: Context[decision_pb2.ExplainRequest, decision_pb2.ExplainResponse],
    ) -> decision_pb2.ExplainResponse:
        """Say why each action was and was not chosen; nothing is stored or learnt from it."""
        if request.WhichOneof("subject") == "decision_id":
            await context.abort(
                grpc.StatusCode.UNIMPLEMENTED, "explaining by decision_id is not built yet: give the request"
            )
        subject = request.request
        if request.customer_id not in ("", subject.customer_id):
            raise InvalidInput([Violation("customer_id", "is not the customer of the request")])
        serving = self._serving()
        question = parse_question(subject, serving.model.rulebook, serving.rows)
        stored = _records(await self._reader.read(question.customer_id))
        language = choose_language(request.language or subject.language, EXPLAINED_IN)
        return explained(situation(serving, [question], stored, self._clock), request.actions, language)

    async def DecideStream(
        self,
        request_iterator: AsyncIterator[decision_pb2.DecideStreamRequest],
        context: Context[decision_pb2.DecideStreamRequest, decision_pb2.DecideStreamResponse],
    ) -> AsyncIterator[decision_pb2.DecideStreamResponse]:
        """Not built yet."""
        yield await not_built(context, "deciding over a stream")

    def _without_store(
        self, serving: Serving, question: Question, reason: Degraded
    ) -> decision_pb2.DecideResponse:
        logger().warning("degraded", reason=reason.name.lower(), customer=pseudonym(question.customer_id))
        now = self._clock() if question.evaluation_time is None else question.evaluation_time
        return degraded(question, serving.model, now, "", reason)

    async def _keep(
        self, question: Question, response: decision_pb2.DecideResponse
    ) -> decision_pb2.DecideResponse:
        """Keep the answer for retries; whoever was first with a request_id is answered to all."""
        try:
            kept = await self._kept.keep(
                question.customer_id, question.request_id, response.SerializeToString()
            )
        except StoreUnavailable:
            logger().warning("decision_not_kept", customer=pseudonym(question.customer_id))
            return response
        return decision_pb2.DecideResponse.FromString(kept)


EXPLAINED_IN = ("en", "da")
"""Languages of explanations; the first is the default."""


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
