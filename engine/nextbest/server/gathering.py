"""What is asked within a moment is read and decided together.

A decision alone costs several times its share of a batch: turns of the event loop, a command and a reply of
Redis, and the fixed cost of every array. So a question waits while others keep arriving; alone, it waits a
few idle turns, some tens of microseconds. See docs/performance.md for what it brings.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import cast

from nextbest.clock import Clock
from nextbest.data.connection import Reply
from nextbest.data.reader import KEYS_EACH, CustomerReader, Records
from nextbest.errors import DeadlinePassed, SnapshotError, StoreUnavailable
from nextbest.model import Degraded
from nextbest.rows import RowCodec, RowProblem, snapshot_error
from nextbest.server.consents import can_be_judged, may_give_again
from nextbest.server.deciding import Answered, Serving, answers, situation, without_store
from nextbest.server.keeping import BeingKept, Keeping, Note
from nextbest.server.requests import Question

MOST = 64
"""Questions decided together: as many as the kernels take at a time."""
QUIET_TURNS = 16
"""Turns of the loop without a new question that end the wait; a call takes several turns to arrive."""
LONGEST_WAIT_S = 0.002
RESERVE_S = 0.003
"""Kept back from a caller's deadline for answering."""

Learn = Callable[[], Awaitable[RowCodec]]
"""Learns the catalogues that others have registered since; gives what reads all that there are."""


@dataclass(slots=True, eq=False)
class _Asked:
    """A question on its way to its answer."""

    serving: Serving
    question: Question
    answer: "asyncio.Future[bytes]"
    is_theirs: "asyncio.Future[Reply] | None" = None
    """Whether the identifier in the request is the customer's; None = the customer id was given."""
    late: asyncio.TimerHandle | None = None
    """Ends the wait at the caller's deadline."""
    decided: BeingKept | None = None
    """Decided, but not known to be kept for retries yet."""

    def settle(self, reply: bytes) -> bool:
        """Answer, unless the caller has given up; whether it was answered."""
        if self.late:
            self.late.cancel()
        if self.answer.done():
            return False
        self.answer.set_result(reply)
        return True

    def fail(self, error: Exception) -> None:
        """Answer with an error, unless the caller has given up."""
        if self.late:
            self.late.cancel()
        if not self.answer.done():
            self.answer.set_exception(error)


@dataclass(slots=True, eq=False)
class _Gathered:
    """Questions of one moment, about one rulebook."""

    serving: Serving
    since: float
    asked: list[_Asked] = field(default_factory=list[_Asked])
    seen: int = 0
    quiet: int = 0
    is_closed: bool = False


class Gathering:
    """Answers questions of one event loop, those of a moment together."""

    def __init__(
        self, reader: CustomerReader, keeping: Keeping, clock: Clock, learn: Learn, note: Note
    ) -> None:
        """Prepare.

        Args:
            reader: Reads customers.
            keeping: Keeps decisions for retries, and notes them.
            clock: The service's time.
            learn: Learns catalogues that others have registered since.
            note: Takes every answer that was given and is not kept, once, for the decision log.
        """
        self._reader = reader
        self._keeping = keeping
        self._clock = clock
        self._learn = learn
        self._note = note
        self._open: _Gathered | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def ask(
        self,
        serving: Serving,
        question: Question,
        time_left_s: float | None,
        *,
        is_theirs: "asyncio.Future[Reply] | None" = None,
    ) -> "asyncio.Future[bytes]":
        """Decide a question; the future holds a DecideResponse as bytes.

        Args:
            serving: what answers are made with.
            question: what is asked.
            time_left_s: until the caller's deadline; None = there is none.
            is_theirs: a reply on its way that says whether the customer has the identifier in the request;
                it comes before the customer's row, for it was asked for on the same connection before.

        Raises (in the future):
            SnapshotError, StoreUnavailable, DeadlinePassed: it cannot be decided, and it is strict.
        """
        loop = asyncio.get_running_loop()
        asked = _Asked(serving, question, loop.create_future(), is_theirs)
        if time_left_s is not None:
            left_s = time_left_s - RESERVE_S
            if left_s <= 0.0:
                self._be_late(asked)
                return asked.answer
            asked.late = loop.call_later(left_s, self._be_late, asked)
        gathered = self._open
        if gathered is None or gathered.serving is not serving:
            gathered = self._open = _Gathered(serving, loop.time())
            loop.call_soon(self._turn, gathered)
        gathered.asked.append(asked)
        if len(gathered.asked) == MOST:
            self._close(gathered)
        return asked.answer

    def _turn(self, gathered: _Gathered) -> None:
        """Wait on while questions keep coming."""
        if gathered.is_closed:
            return
        loop, count = asyncio.get_running_loop(), len(gathered.asked)
        gathered.quiet = gathered.quiet + 1 if count == gathered.seen else 0
        gathered.seen = count
        if gathered.quiet < QUIET_TURNS and loop.time() - gathered.since < LONGEST_WAIT_S:
            loop.call_soon(self._turn, gathered)
        else:
            self._close(gathered)

    def _close(self, gathered: _Gathered) -> None:
        """Take no more questions; read what is stored about their customers."""
        gathered.is_closed = True
        if self._open is gathered:
            self._open = None
        asked, began = gathered.asked, self._clock()
        reply = self._reader.read_asked([(a.question.customer_id, a.question.request_id) for a in asked])
        reply.add_done_callback(partial(self._take, asked, began))

    def _take(self, asked: Sequence[_Asked], began: float, reply: "asyncio.Future[Reply]") -> None:
        """Answer retries with what was kept for them, and decide the rest."""
        error = reply.exception()
        if isinstance(error, StoreUnavailable):
            self._answer_without_store(asked, error)
        elif isinstance(error, Exception):
            _fail_all(asked, error)
        else:
            self._take_values(asked, began, cast("list[bytes | None]", reply.result()))

    def _take_values(self, asked: Sequence[_Asked], began: float, values: list[bytes | None]) -> None:
        end = KEYS_EACH * len(asked)
        stored, found = Records.read(values[:end]), iter(values[end:])
        kept = [next(found) if one.question.request_id else None for one in asked]
        readable, foreign = _sorted_out(asked, stored, kept)
        try:
            self._decide_new(readable, asked, stored, kept, began)
        except Exception as fault:
            # in a callback nobody else would hear of it, and all would wait for ever
            _fail_all([asked[i] for i in readable], fault)
        if foreign:
            mine = [asked[i] for i in foreign]
            self._start(self._take_once_learnt(foreign, asked, stored, kept, began), mine)

    async def _take_once_learnt(
        self,
        places: Sequence[int],
        asked: Sequence[_Asked],
        stored: Records,
        kept: Sequence[bytes | None],
        began: float,
    ) -> None:
        """Judge retries by consents that are stored under a catalogue that others registered meanwhile."""
        if await self._learn_for([asked[i] for i in places]):
            self._decide_new(places, asked, stored, kept, began, has_learnt=True)

    async def _learn_for(self, asked: Sequence[_Asked]) -> bool:
        """Have questions decided with what reads every row there is; False = they are answered without."""
        try:
            codec = await self._learn()
        except StoreUnavailable as error:
            self._answer_without_store(asked, error)
            return False
        learnt = replace(asked[0].serving, rows=codec)
        for one in asked:
            one.serving = learnt
        return True

    def _decide_new(
        self,
        places: Sequence[int],
        asked: Sequence[_Asked],
        stored: Records,
        kept: Sequence[bytes | None],
        began: float,
        *,
        has_learnt: bool = False,
    ) -> None:
        new = [
            place for place in places if not self._is_settled(asked[place], kept[place], stored.rows[place])
        ]
        if new:
            self._decide([asked[i] for i in new], stored.only(new), began, has_learnt=has_learnt)

    def _is_settled(self, one: _Asked, kept: bytes | None, row: bytes | None) -> bool:
        """Whether a question needs no decision any more, or cannot have one."""
        if one.is_theirs is not None and not _is_yes(one.is_theirs):
            self._answer_unknown(one)
        elif one.answer.done():
            return True
        elif kept is not None:
            return self._gave_again(one, kept, row)
        return one.answer.done()

    def _gave_again(self, one: _Asked, kept: bytes, row: bytes | None) -> bool:
        """Answer a retry with what was kept for it, unless that may not be given any more."""
        try:
            if may_give_again(one.serving, one.question, kept, row):
                one.settle(kept)
                return True
        except Exception as fault:  # it stays with this one
            one.fail(fault)
            return True
        one.question = one.question._replace(instead_of=kept)
        return False

    def _decide(
        self, asked: Sequence[_Asked], stored: Records, began: float, *, has_learnt: bool = False
    ) -> None:
        """Decide, and keep the decisions that may be asked for again.

        Args:
            asked: questions of one serving.
            stored: what was read for them.
            began: when reading began.
            has_learnt: whether the serving reads every catalogue that there is.
        """
        try:
            found = situation(asked[0].serving, [one.question for one in asked], stored, began)
            if not has_learnt and RowProblem.FOREIGN in found.decoded.problems.tolist():
                self._start(self._decide_once_learnt(asked, stored, began), asked)
                return
            replies = answers(found)
        except Exception as error:
            if len(asked) == 1:
                asked[0].fail(error)
            else:
                self._decide_one_by_one(asked, stored, began, has_learnt=has_learnt)
            return
        self._answer(asked, replies)

    def _decide_one_by_one(
        self, asked: Sequence[_Asked], stored: Records, began: float, *, has_learnt: bool
    ) -> None:
        """One that cannot be decided does not take the others with it."""
        for i, one in enumerate(asked):
            self._decide([one], stored.only([i]), began, has_learnt=has_learnt)

    async def _decide_once_learnt(self, asked: Sequence[_Asked], stored: Records, began: float) -> None:
        """Rows of a catalogue that others registered meanwhile are read as well."""
        if await self._learn_for(asked):
            self._decide(asked, stored, began, has_learnt=True)

    def _answer(self, asked: Sequence[_Asked], answered: Sequence[Answered | SnapshotError]) -> None:
        for one, decided in zip(asked, answered, strict=True):
            if isinstance(decided, SnapshotError):
                one.fail(decided)
            elif one.question.request_id:
                one.decided = self._keeping.keep(decided)
                one.decided.reply.add_done_callback(partial(self._answer_kept, one, decided))
            else:
                self._give(one, decided)

    def _give(self, one: _Asked, decided: Answered) -> None:
        if one.settle(decided.reply):
            self._note(decided)

    def _answer_kept(self, one: _Asked, decided: Answered, kept: "asyncio.Future[bytes]") -> None:
        """Answer with what is kept, if this caller may be given it: consent may have gone in between."""
        try:
            reply = kept.result()
            if reply is decided.reply or may_give_again(one.serving, one.question, reply, decided.stored[0]):
                one.settle(reply)
                return
        except Exception as error:
            one.fail(error)
            return
        if not one.answer.done():
            one.decided = None
            one.question = one.question._replace(instead_of=reply)
            stored = Records.of((*decided.stored, decided.tombstone))
            self._decide([one], stored, decided.began, has_learnt=True)

    def _answer_unknown(self, one: _Asked) -> None:
        """The index named a customer whose own list lacks the identifier."""
        if one.question.strict:
            one.fail(snapshot_error(RowProblem.ABSENT))
        else:
            nobody = one.question._replace(customer_id="")
            one.settle(without_store(one.serving, nobody, Degraded.CUSTOMER_UNKNOWN, self._clock()).reply)

    def _be_late(self, one: _Asked) -> None:
        """The caller's deadline is here: give what there is."""
        if one.decided is not None:
            one.settle(one.decided.give())
        elif one.question.strict:
            one.fail(DeadlinePassed("the deadline left no time to decide"))
        else:
            self._give(one, without_store(one.serving, one.question, Degraded.DEADLINE, self._clock()))

    def _answer_without_store(self, asked: Sequence[_Asked], error: StoreUnavailable) -> None:
        for one in asked:
            if one.answer.done():
                continue
            if one.question.strict:
                one.fail(error)
            else:
                reason = Degraded.SNAPSHOT_STORE_UNAVAILABLE
                fallback = without_store(one.serving, one.question, reason, self._clock(), cause=str(error))
                self._give(one, fallback)

    def _start(self, work: Coroutine[None, None, None], asked: Sequence[_Asked]) -> None:
        """Do something in the background; nobody waits for ever for what fails unforeseen."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(partial(self._end, asked))

    def _end(self, asked: Sequence[_Asked], task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and isinstance(fault := task.exception(), Exception):
            _fail_all(asked, fault)


def _sorted_out(
    asked: Sequence[_Asked], stored: Records, kept: Sequence[bytes | None]
) -> tuple[list[int], list[int]]:
    """Places of the questions that can be answered now, and of the retries that cannot be judged yet."""
    foreign = [
        place
        for place, (one, row, reply) in enumerate(zip(asked, stored.rows, kept, strict=True))
        if reply is not None and not can_be_judged(one.serving, one.question, row)
    ]
    return [place for place in range(len(asked)) if place not in foreign], foreign


def _fail_all(asked: Sequence[_Asked], error: Exception) -> None:
    for one in asked:
        one.fail(error)


def _is_yes(reply: "asyncio.Future[Reply]") -> bool:
    return reply.done() and reply.exception() is None and reply.result() == 1
