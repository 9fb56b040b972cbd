"""Explains decisions that were made: on what is in the log, with the model that decided."""

from loyalty.nextbest.v1 import decision_pb2
from nextbest.data.keys import id_violations
from nextbest.data.store import Store, past_of
from nextbest.decision_record import DecisionRecord
from nextbest.errors import DecisionUnknown, InvalidInput, Violation
from nextbest.model import DAY_S
from nextbest.server.deciding import Serving, explained
from nextbest.server.decision_log import DecisionLog
from nextbest.server.replayer import Replayer, replayable, with_state
from nextbest.server.replaying import situation_again
from nextbest.server.requests import choose_language

EXPLAINED_IN = ("en", "da")
"""Languages of explanations; the first is the default."""
PATIENCE_S = 0.25
"""Longest wait for a decision that has just been made."""
_HEX_DIGITS = 32


class MadeDecisions:
    """Finds logged decisions and says why they came out as they did. Nothing is stored or learnt from it."""

    def __init__(self, store: Store, log: DecisionLog) -> None:
        self._log = log
        self._decisions = store.decisions
        self._replayer = Replayer(past_of(store))

    async def explain(
        self, request: decision_pb2.ExplainRequest, serving: Serving
    ) -> decision_pb2.ExplainResponse:
        """Explain a decision by its id, as it was made; a fallback decision has no candidates.

        Args:
            request: names the decision and its customer.
            serving: what decides now; another model is loaded if it is kept.

        Raises:
            InvalidInput: the ids are none, or an action is not in the rulebook that decided.
            DecisionUnknown: it is not kept, or no longer.
            DecisionNotReplayable: its model is not kept, or facts were masked.
            StoreUnavailable: Redis does not answer.
        """
        record = await self._record(request.customer_id, request.decision_id)
        given = decision_pb2.DecideResponse.FromString(record.answer)
        if record.degraded is not None:
            return decision_pb2.ExplainResponse(decision=given)
        found = situation_again([record], await self._serving(record, serving))
        asked_in = decision_pb2.DecideRequest.FromString(record.request).language
        language = choose_language(request.language or asked_in, EXPLAINED_IN)
        chances = record.selection_probabilities if record.selection else None
        return explained(found, request.actions, language, given=record.answer, logged_chances=chances)

    async def answer(self, customer_id: str, decision_id: str) -> bytes | None:
        """The answer that was given, a DecideResponse; None if no decision is named.

        Raises:
            InvalidInput: the ids are none.
            DecisionUnknown: it is not kept, or no longer.
            StoreUnavailable: Redis does not answer.
        """
        if decision_id:
            return (await self._record(customer_id, decision_id)).answer
        if found := id_violations(customer_id):
            raise InvalidInput(found)
        return None

    async def answer_if_kept(self, customer_id: str, decision_id: str) -> bytes | None:
        """The answer of a decision that a history names; None if it is no longer kept."""
        record = await self._found(customer_id, bytes.fromhex(decision_id))
        return None if record is None else record.answer

    async def _record(self, customer_id: str, decision_id: str) -> DecisionRecord:
        found, wanted = id_violations(customer_id), _bytes_of(decision_id)
        if wanted is None:
            found.append(Violation("decision_id", f"is not {_HEX_DIGITS} hexadecimal digits"))
        if found or wanted is None:
            raise InvalidInput(found)
        record = await self._found(customer_id, wanted)
        if record is None:
            why = await self._why_absent(customer_id, wanted)
            raise DecisionUnknown(f"no decision `{decision_id}` of this customer is in the log: {why}")
        return record

    async def _found(self, customer_id: str, decision_id: bytes) -> DecisionRecord | None:
        record = await self._decisions.get(customer_id, decision_id)
        if record is None:  # it may still be on its way
            await self._log.caught_up(PATIENCE_S)
            record = await self._decisions.get(customer_id, decision_id)
        return record

    async def _why_absent(self, customer_id: str, decision_id: bytes) -> str:
        """Why a decision is not kept, as far as that can be told of one that is not there."""
        if await self._decisions.is_erased(customer_id):
            return "the customer was erased, and the log with them"
        if not self._log.samples(decision_id):
            return "sampling left it out"
        days = self._decisions.limits.retention_s / DAY_S
        return f"it was never logged, or is older than the {days:g} days for which decisions are kept"

    async def _serving(self, record: DecisionRecord, serving: Serving) -> Serving:
        if record.model_digest == serving.model.digest:
            return with_state(serving, replayable(record))
        self._replayer.look_again()
        return await self._replayer.serving_for(record)


def _bytes_of(decision_id: str) -> bytes | None:
    if len(decision_id) != _HEX_DIGITS:
        return None
    try:
        return bytes.fromhex(decision_id)
    except ValueError:
        return None
