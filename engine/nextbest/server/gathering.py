"""What is asked within a moment is read and decided together.

A decision alone costs several times its share of a batch: turns of the event loop, a command and a reply of
Redis, and the fixed cost of every array. So a question waits while others keep arriving; alone, it waits a
few idle turns, some tens of microseconds. See docs/performance.md for what it brings.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import cast

from nextbest.clock import Clock
from nextbest.data.connection import Reply
from nextbest.data.reader import CustomerReader, Records
from nextbest.data.requests import RequestStore
from nextbest.errors import DeadlinePassed, SnapshotError, StoreUnavailable
from nextbest.model import Degraded
from nextbest.rows import RowProblem, snapshot_error
from nextbest.server.consents import may_give_again
from nextbest.server.deciding import Answered, Serving, answers, situation, without_store
from nextbest.server.requests import Question
from nextbest.telemetry import logger, pseudonym

MOST = 64
"""Questions decided together: as many as the kernels take at a time."""
QUIET_TURNS = 16
"""Turns of the loop without a new question that end the wait; a call takes several turns to arrive."""
LONGEST_WAIT_S = 0.002
RESERVE_S = 0.003
"""Kept back from a caller's deadline for answering."""

Learn = Callable[[], Awaitable[Serving | None]]
Note = Callable[[Answered], None]
"""Takes every answer that was given, or kept to be given to a retry."""


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
    decided: Answered | None = None
    """Decided, but not kept for retries yet."""
    noted: Answered | None = None
    """What was noted last, so that nothing is noted twice."""

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
        self, reader: CustomerReader, kept: RequestStore, clock: Clock, learn: Learn, note: Note
    ) -> None:
        """Prepare.

        Args:
            reader: Reads customers.
            kept: Decisions kept for retries.
            clock: The service's time.
            learn: Learns catalogues that others have registered since; None if there are none.
            note: Takes every answer that was given or kept, once, for the decision log.
        """
        self._reader = reader
        self._kept = kept
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
            for one in asked:
                one.fail(error)
        else:
            try:
                self._decide_new(asked, began, cast("list[bytes | None]", reply.result()))
            except Exception as fault:
                # in a callback nobody else would hear of it, and all would wait for ever
                for one in asked:
                    one.fail(fault)

    def _decide_new(self, asked: Sequence[_Asked], began: float, values: list[bytes | None]) -> None:
        n = len(asked)
        rows, contacts, events = values[0 : 3 * n : 3], values[1 : 3 * n : 3], values[2 : 3 * n : 3]
        kept = iter(values[3 * n :])
        new: list[int] = []
        for place, one in enumerate(asked):
            reply = next(kept) if one.question.request_id else None
            if one.is_theirs is not None and not _is_yes(one.is_theirs):
                self._answer_unknown(one)
            elif one.answer.done():
                continue
            elif reply is not None and may_give_again(one.serving, one.question, reply, rows[place]):
                one.settle(reply)
            else:
                if reply is not None:
                    one.question = one.question._replace(instead_of=reply)
                new.append(place)
        if new:
            stored = Records([rows[i] for i in new], [contacts[i] for i in new], [events[i] for i in new])
            self._decide([asked[i] for i in new], stored, began)

    def _decide(
        self, asked: Sequence[_Asked], stored: Records, began: float, learnt: Serving | None = None
    ) -> None:
        """Decide, and keep the decisions that may be asked for again.

        Args:
            asked: questions of one serving.
            stored: what was read for them.
            began: when reading began.
            learnt: reads every catalogue that there is; None = that of the questions may do.
        """
        try:
            found = situation(learnt or asked[0].serving, [one.question for one in asked], stored, began)
            if learnt is None and RowProblem.FOREIGN in found.decoded.problems.tolist():
                self._start(self._decide_once_learnt(asked, stored, began))
                return
            replies = answers(found)
        except Exception as error:
            if len(asked) == 1:
                asked[0].fail(error)
            else:
                self._decide_one_by_one(asked, stored, began, learnt)
            return
        self._answer(asked, replies)

    def _decide_one_by_one(
        self, asked: Sequence[_Asked], stored: Records, began: float, learnt: Serving | None
    ) -> None:
        """One that cannot be decided does not take the others with it."""
        for i, one in enumerate(asked):
            alone = Records(stored.rows[i : i + 1], stored.contacts[i : i + 1], stored.events[i : i + 1])
            self._decide([one], alone, began, learnt)

    async def _decide_once_learnt(self, asked: Sequence[_Asked], stored: Records, began: float) -> None:
        """Rows of a catalogue that others registered meanwhile are read as well."""
        try:
            learnt = await self._learn() or asked[0].serving
        except StoreUnavailable as error:
            self._answer_without_store(asked, error)
        except Exception as error:
            for one in asked:
                one.fail(error)
        else:
            self._decide(asked, stored, began, learnt)

    def _answer(self, asked: Sequence[_Asked], answered: Sequence[Answered | SnapshotError]) -> None:
        for one, decided in zip(asked, answered, strict=True):
            if isinstance(decided, SnapshotError):
                one.fail(decided)
            elif one.question.request_id:
                self._keep(one, decided)
            else:
                self._give(one, decided)

    def _give(self, one: _Asked, decided: Answered) -> None:
        if one.settle(decided.reply):
            self._note_once(one, decided)

    def _note_once(self, one: _Asked, decided: Answered) -> None:
        if one.noted is not decided:
            one.noted = decided
            self._note(decided)

    def _keep(self, one: _Asked, decided: Answered) -> None:
        """Keep an answer for retries; whoever was first with a request_id is answered to all."""
        one.decided = decided
        self._start(self._answer_kept(one, decided))

    async def _answer_kept(self, one: _Asked, decided: Answered) -> None:
        """Answer with what is kept. It is noted also if the caller has hung up: a retry will be given it."""
        try:
            reply = await keep(self._kept, decided)
        except StoreUnavailable:  # it may be kept nevertheless
            note_not_kept(one.question)
            reply = decided.reply
        except Exception as error:
            one.fail(error)
            return
        one.settle(reply)
        if reply is decided.reply:
            self._note_once(one, decided)

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
            note_not_kept(one.question)
            self._give(one, one.decided)
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

    def _start(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def keep(kept: RequestStore, one: Answered) -> bytes:
    """Keep an answer for retries; gives the one that counts."""
    question = one.question
    return await kept.keep(
        question.customer_id,
        question.request_id,
        one.reply,
        began=one.began,
        instead_of=question.instead_of,
    )


def note_not_kept(question: Question) -> None:
    """Say that a retry of a request may be decided anew."""
    logger().warning(
        "decision_not_kept", customer=pseudonym(question.customer_id), request_id=question.request_id
    )


def _is_yes(reply: "asyncio.Future[Reply]") -> bool:
    return reply.done() and reply.exception() is None and reply.result() == 1
