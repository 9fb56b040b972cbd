"""Decisions on their way to being kept for retries: of racing calls of one request, one decision counts."""

import asyncio
from collections.abc import Callable

from nextbest.data.requests import RequestStore
from nextbest.errors import StoreUnavailable
from nextbest.server.deciding import Answered
from nextbest.server.requests import Question
from nextbest.telemetry import logger, pseudonym

Note = Callable[[Answered], None]
"""Takes every answer that was given, or kept to be given to a retry."""


class BeingKept:
    """A decision that is being kept; all calls of its request in this process share it."""

    __slots__ = ("decided", "is_given", "reply")

    def __init__(self, decided: Answered) -> None:
        self.decided = decided
        """What whoever cannot wait is given."""
        self.is_given = False
        """Whether it was given before it was known to be kept."""
        self.reply: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        """The reply that counts: this decision's, or that of another process which was first."""

    def give(self) -> bytes:
        """What counts if that is known, else the decision, for a caller whose deadline is here."""
        if self.reply.done() and self.reply.exception() is None:
            return self.reply.result()
        self.is_given = True
        return self.decided.reply


class Keeping:
    """Keeps decisions of one event loop. What was decided first is kept, given to all, and noted once."""

    def __init__(self, kept: RequestStore, note: Note) -> None:
        """Prepare.

        Args:
            kept: decisions kept for retries.
            note: takes each decision that was kept or given, once, for the decision log.
        """
        self._kept = kept
        self._note = note
        self._under_way: dict[bytes, BeingKept] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def keep(self, one: Answered) -> BeingKept:
        """Keep a decision, unless one of the same id is being kept: then that one counts.

        A decision's id follows from customer, request id and the answer that it replaces.
        """
        being = self._under_way.get(one.decision_id)
        if being is None:
            being = self._under_way[one.decision_id] = BeingKept(one)
            task = asyncio.create_task(self._settle(being))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return being

    async def settled(self, within_s: float) -> None:
        """Return when nothing is on its way any more, or after so long: at the end, before the log closes."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=within_s)

    async def _settle(self, being: BeingKept) -> None:
        """Keep it, note it if it counts, and answer those who wait.

        It is noted also if every caller has hung up, since a retry will be given it; and not before it is
        known which one counts, or two processes would log over each other.
        """
        decided = being.decided
        try:
            reply = await self._keep(decided)
        except StoreUnavailable:  # it may be kept nevertheless
            note_not_kept(decided.question)
            reply = decided.reply
        except Exception as error:
            being.reply.set_exception(error)
            being.reply.exception()  # those who wait raise it; perhaps nobody does any more
            return
        finally:
            del self._under_way[decided.decision_id]
        if reply is decided.reply:
            self._note(decided)
        elif being.is_given:
            note_not_kept(decided.question)
        being.reply.set_result(reply)

    async def _keep(self, one: Answered) -> bytes:
        question = one.question
        return await self._kept.keep(
            question.customer_id,
            question.request_id,
            one.reply,
            tombstone=one.tombstone,
            instead_of=question.instead_of,
        )


def note_not_kept(question: Question) -> None:
    """Say that a retry of a request may be given another decision."""
    logger().warning(
        "decision_not_kept", customer=pseudonym(question.customer_id), request_id=question.request_id
    )
