"""Questions about whoever has an identifier: from a phone or card number to the customer."""

import asyncio

from loyalty.nextbest.v1 import decision_pb2
from nextbest.clock import Clock
from nextbest.data.identifier_forms import Identifier
from nextbest.data.identifiers import IdentifierStore
from nextbest.errors import CustomerUnknown, DeadlinePassed, StoreUnavailable
from nextbest.model import Degraded
from nextbest.server.deciding import Serving, without_store
from nextbest.server.gathering import RESERVE_S, Gathering
from nextbest.server.requests import Question, parse_question


def of_customer(serving: Serving, request: decision_pb2.DecideRequest, customer_id: str) -> Question:
    """The question of a request by identifier, now that its customer is known.

    Raises:
        InvalidInput: the inline snapshot is another customer's.
    """
    known = decision_pb2.DecideRequest()
    known.CopyFrom(request)
    known.customer_id = customer_id
    return parse_question(known, serving.model.rulebook, serving.rows)


def unknown_identifier(identifier: Identifier) -> CustomerUnknown:
    """Says that nobody has the identifier, without repeating it."""
    return CustomerUnknown(f"no customer has this {identifier.type}")


def nobody(serving: Serving, question: Question, clock: Clock) -> bytes:
    """The fallback decision for an identifier that nobody has; there is nobody to log or keep it for."""
    return without_store(serving, question, Degraded.CUSTOMER_UNKNOWN, clock()).reply


class ByIdentifier:
    """Asks for one customer by identifier, with one round trip more than by id."""

    def __init__(self, identifiers: IdentifierStore, gathering: Gathering, clock: Clock) -> None:
        self._identifiers = identifiers
        self._gathering = gathering
        self._clock = clock

    async def ask(
        self,
        serving: Serving,
        request: decision_pb2.DecideRequest,
        question: Question,
        identifier: Identifier,
        time_left_s: float | None,
    ) -> bytes:
        """Decide for whoever has the identifier.

        Raises:
            InvalidInput: the inline snapshot is another customer's.
            CustomerUnknown, StoreUnavailable, DeadlinePassed: it cannot be decided, and it is strict.
        """
        loop = asyncio.get_running_loop()
        until = None if time_left_s is None else loop.time() + time_left_s
        candidate = await self._candidate(serving, question, identifier, until)
        if isinstance(candidate, bytes):
            return candidate
        known = of_customer(serving, request, candidate)
        is_theirs = self._identifiers.membership(candidate, identifier)
        left_s = None if until is None else until - loop.time()
        return await self._gathering.ask(serving, known, left_s, is_theirs=is_theirs)

    async def _candidate(
        self, serving: Serving, question: Question, identifier: Identifier, until: float | None
    ) -> str | bytes:
        """Whom the index names, or the fallback decision as bytes."""
        try:
            async with asyncio.timeout_at(None if until is None else until - RESERVE_S):
                candidate = await self._identifiers.candidate(identifier)
        except StoreUnavailable as error:
            if question.strict:
                raise
            reason = Degraded.SNAPSHOT_STORE_UNAVAILABLE
            return without_store(serving, question, reason, self._clock(), cause=str(error)).reply
        except TimeoutError:
            if question.strict:
                raise DeadlinePassed("the deadline left no time to decide") from None
            return without_store(serving, question, Degraded.DEADLINE, self._clock()).reply
        if candidate is None and question.strict:
            raise unknown_identifier(identifier)
        return nobody(serving, question, self._clock) if candidate is None else candidate
