"""DecideBatch: many questions read and decided together; what is wrong with one stays with it."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TypeGuard

from loyalty.nextbest.v1 import decision_pb2
from nextbest.clock import Clock
from nextbest.data.reader import Records
from nextbest.data.store import Store
from nextbest.errors import (
    AnswerTooLarge,
    DeadlinePassed,
    NextBestError,
    StoredWrongly,
    StoreUnavailable,
)
from nextbest.model import Degraded
from nextbest.server.consents import can_be_judged, may_give_again
from nextbest.server.deciding import Answered, Serving, answers, situation, without_store
from nextbest.server.gathering import RESERVE_S
from nextbest.server.guard import log_fault
from nextbest.server.identifying import nobody, of_customer, unknown_identifier
from nextbest.server.keeping import Keeping, Note
from nextbest.server.live import LiveServing
from nextbest.server.requests import Question, parse_question
from nextbest.server.streaming import status_of
from nextbest.server.wire import bytes_tag, sized

MAX_ANSWER_BYTES = 3_900_000
"""gRPC clients take answers of 4 MiB unless told otherwise, and a larger one fails as a whole."""
_ITEM_OVERHEAD = 8

_ITEM = decision_pb2.DecideBatchItem.DESCRIPTOR.fields_by_name
_ITEMS = bytes_tag(decision_pb2.DecideBatchResponse.DESCRIPTOR.fields_by_name, "items")
_DECISION, _STATUS = bytes_tag(_ITEM, "decision"), bytes_tag(_ITEM, "status")

Asked = tuple[int, Question]
"""Place in a batch, and what is asked there."""


class Batches:
    """Answers batches of questions."""

    def __init__(self, live: LiveServing, store: Store, clock: Clock, keeping: Keeping, note: Note) -> None:
        self._live = live
        self._reader = store.reader
        self._kept = store.requests
        self._identifiers = store.identifiers
        self._clock = clock
        self._keeping = keeping
        self._note = note

    async def answer(
        self, requests: Sequence[decision_pb2.DecideRequest], time_left_s: float | None
    ) -> bytes:
        """A DecideBatchResponse: one item a request, in their order."""
        batch = _Batch(self._live(), requests)
        batch.parse()
        try:
            async with asyncio.timeout(_time_to_decide(time_left_s)):
                await self._fill_unknown(batch)
                await self._fill_kept(batch)
                await self._fill(batch, batch.open())
        except StoreUnavailable as error:
            self._fill_fallbacks(batch, error)
        except TimeoutError:
            self._fill_fallbacks(batch, DeadlinePassed("the deadline left no time to decide"))
        return b"".join(within_bounds([batch.items[place] for place in range(len(requests))]))

    async def resolved(
        self, serving: Serving, request: decision_pb2.DecideRequest, question: Question
    ) -> Question:
        """The question with its customer; as it is if nobody has the identifier.

        Raises:
            InvalidInput: the inline snapshot is another customer's.
            StoreUnavailable: Redis does not answer.
        """
        if question.identifier is None:
            return question
        customer_id = await self._identifiers.resolve(question.identifier)
        return question if customer_id is None else of_customer(serving, request, customer_id)

    async def _fill_unknown(self, batch: "_Batch") -> None:
        """Find the customers behind identifiers, and answer for those who are nobody's."""
        asked = [(place, one) for place, one in batch.open() if one.identifier is not None]
        calls = (self._resolved_in(batch, place, one) for place, one in asked)
        found = await asyncio.gather(*calls, return_exceptions=True)
        for (place, question), resolved in zip(asked, found, strict=True):
            if _is_of_all(resolved):
                raise resolved
            if isinstance(resolved, BaseException):
                batch.fail(place, resolved)
            elif resolved.identifier is None:
                batch.questions[place] = resolved
            elif question.strict:
                batch.fail(place, unknown_identifier(resolved.identifier))
            else:
                batch.items[place] = sized(_DECISION, nobody(batch.serving, question, self._clock))

    async def _resolved_in(self, batch: "_Batch", place: int, question: Question) -> Question:
        """As `resolved`; whose list of identifiers is none has no identifier, as in Decide."""
        try:
            return await self.resolved(batch.serving, batch.requests[place], question)
        except StoredWrongly:
            if question.strict:
                raise
            return question

    async def _fill_kept(self, batch: "_Batch") -> None:
        """Answer the retries among a batch with the decisions kept for them."""
        retried = [(place, one) for place, one in batch.open() if one.request_id]
        kept = await self._kept.kept([(one.customer_id, one.request_id) for _, one in retried])
        found = zip(retried, kept, strict=True)
        again = [(place, one, reply) for (place, one), reply in found if reply is not None]
        if not again:
            return
        rows = (await self._reader.read_many([one.customer_id for _, one, _ in again])).rows
        if not all(
            can_be_judged(batch.serving, one, row) for (_, one, _), row in zip(again, rows, strict=True)
        ):
            await self._learn_for(batch)
        for (place, _, reply), row in zip(again, rows, strict=True):
            batch.give_again(place, reply, row)

    async def _learn_for(self, batch: "_Batch") -> None:
        """Decide with what reads rows of every catalogue that others registered meanwhile."""
        batch.serving = replace(batch.serving, rows=await self._live.learn_catalogues())

    async def _fill(self, batch: "_Batch", asked: Sequence[Asked]) -> None:
        """Decide together: one read, one pass of the kernels."""
        if not asked:
            return
        questions, began = [question for _, question in asked], self._clock()
        stored = await self._reader.read_many([question.customer_id for question in questions])
        rows = batch.serving.rows
        if not all(row is None or rows.reads(row) for row in stored.rows):
            await self._learn_for(batch)
        to_keep: list[tuple[int, Answered]] = []
        for (place, question), one in zip(
            asked, decided(batch.serving, questions, stored, began), strict=True
        ):
            if isinstance(one, Exception):
                batch.fail(place, one)
            elif question.request_id:
                to_keep.append((place, one))
            else:
                batch.items[place] = sized(_DECISION, one.reply)
                self._note(one)
        await self._fill_to_keep(batch, to_keep)

    async def _fill_to_keep(self, batch: "_Batch", to_keep: Sequence[tuple[int, Answered]]) -> None:
        """Keep answers for retries; those that cannot wait for that are given as they are."""
        if not to_keep:
            return
        kept = [self._keeping.keep(one) for _, one in to_keep]
        try:
            await asyncio.wait([being.reply for being in kept])
        except asyncio.CancelledError:
            for (place, _), being in zip(to_keep, kept, strict=True):
                batch.items[place] = sized(_DECISION, being.give())
            raise
        for (place, one), being in zip(to_keep, kept, strict=True):
            if (error := being.reply.exception()) is not None:
                batch.fail(place, error)
            elif (reply := being.reply.result()) is one.reply:
                batch.items[place] = sized(_DECISION, reply)
            else:
                batch.give_again(place, reply, one.stored[0])
        await self._fill(batch, batch.open())

    def _fill_fallbacks(self, batch: "_Batch", error: StoreUnavailable | DeadlinePassed) -> None:
        """Answer what could not be decided."""
        is_late = isinstance(error, DeadlinePassed)
        reason = Degraded.DEADLINE if is_late else Degraded.SNAPSHOT_STORE_UNAVAILABLE
        for place, question in batch.open():
            if question.strict:
                batch.fail(place, error)
                continue
            answered = without_store(batch.serving, question, reason, self._clock(), cause=str(error))
            batch.items[place] = sized(_DECISION, answered.reply)
            if question.customer_id:
                self._note(answered)


class _Batch:
    """What is asked in one call, and the answers so far."""

    def __init__(self, serving: Serving, requests: Sequence[decision_pb2.DecideRequest]) -> None:
        self.serving = serving
        self.requests = requests
        self.questions: dict[int, Question] = {}
        self.items: dict[int, bytes] = {}

    def parse(self) -> None:
        """Check every request by itself."""
        for place, request in enumerate(self.requests):
            try:
                self.questions[place] = parse_question(
                    request, self.serving.model.rulebook, self.serving.rows
                )
            except Exception as error:
                self.fail(place, error)

    def open(self) -> list[Asked]:
        """The questions that are not answered yet."""
        return [asked for asked in self.questions.items() if asked[0] not in self.items]

    def fail(self, place: int, error: BaseException) -> None:
        """Answer one question with an error; one that was not foreseen is in the log then."""
        if not isinstance(error, NextBestError):
            log_fault(error, self.requests[place], place=place)
        self.items[place] = _failed(error)

    def give_again(self, place: int, reply: bytes, row: bytes | None) -> None:
        """Answer with what was kept; if it may not be given any more, the question is to be decided anew."""
        question = self.questions[place]
        try:
            if may_give_again(self.serving, question, reply, row):
                self.items[place] = sized(_DECISION, reply)
            else:
                self.questions[place] = question._replace(instead_of=reply)
        except Exception as error:  # it stays with this one
            self.fail(place, error)


def decided(
    serving: Serving, questions: Sequence[Question], stored: Records, began: float
) -> list[Answered | Exception]:
    """Decide questions together; one that breaks is found by halves, and has its error instead.

    Cost: nothing while none breaks; else about 2 log2(n) passes for each that does.
    """
    try:
        return list(answers(situation(serving, questions, stored, began)))
    except Exception as error:
        if len(questions) == 1:
            return [error]
    half = len(questions) // 2
    return [
        *decided(serving, questions[:half], stored.only(range(half)), began),
        *decided(serving, questions[half:], stored.only(range(half, len(questions))), began),
    ]


def _is_of_all(found: Question | BaseException) -> TypeGuard[BaseException]:
    """Whether what went wrong with one question goes wrong with all."""
    if isinstance(found, StoredWrongly):
        return False
    return isinstance(found, (StoreUnavailable, asyncio.CancelledError))


def _time_to_decide(time_left_s: float | None) -> float | None:
    """Seconds until a batch is answered with what there is."""
    return None if time_left_s is None else max(time_left_s - RESERVE_S, 0.0)


def within_bounds(items: Sequence[bytes]) -> Iterator[bytes]:
    """The items of an answer, each with its tag; those beyond what plain clients take say so instead."""
    size = 0
    for item in items:
        size += len(item) + _ITEM_OVERHEAD
        yield sized(_ITEMS, item if size <= MAX_ANSWER_BYTES else _TOO_LARGE)


def _failed(error: BaseException) -> bytes:
    """A batch item that says what is wrong with its request."""
    return sized(_STATUS, status_of(error))


_TOO_LARGE = _failed(
    AnswerTooLarge(
        "no room is left for this answer: ask again in a smaller batch, with VIEW_BASIC or fewer max_results"
    )
)
