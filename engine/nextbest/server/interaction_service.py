"""InteractionService: records what became of actions, and shows a customer's history."""

import grpc.aio
import numpy as np

from loyalty.nextbest.v1 import interaction_pb2, interaction_pb2_grpc
from nextbest.clock import Clock
from nextbest.data.history import AppendStatus
from nextbest.data.keys import id_violations
from nextbest.data.store import Store
from nextbest.errors import CustomerErased, InvalidInput, NotBuilt, Violation
from nextbest.rulebook.rulebook import Rulebook
from nextbest.server.guard import guarded
from nextbest.server.history_view import history_response
from nextbest.server.learner import Learner
from nextbest.server.live import LiveServing
from nextbest.server.outcome_notes import note_of
from nextbest.server.outcomes import Recorded, check_outcomes, history_entries, lessons_of
from nextbest.server.requests import too_many
from nextbest.telemetry import logger, pseudonym

_KINDS = frozenset(interaction_pb2.HistoryKind.values()) - {interaction_pb2.HISTORY_KIND_UNSPECIFIED}


class InteractionService(interaction_pb2_grpc.InteractionServiceServicer):
    """Writes and reads customers' histories."""

    def __init__(self, serving: LiveServing, store: Store, clock: Clock, learner: Learner) -> None:
        self._serving = serving
        self._store = store
        self._clock = clock
        self._learner = learner

    @guarded
    async def CaptureOutcomes(
        self,
        request: interaction_pb2.CaptureOutcomesRequest,
        context: grpc.aio.ServicerContext[
            interaction_pb2.CaptureOutcomesRequest, interaction_pb2.CaptureOutcomesResponse
        ],
    ) -> interaction_pb2.CaptureOutcomesResponse:
        """Record outcomes, all or none; the next decision sees them.

        Only what happened before the customer was erased stays out of a call that has newer outcomes too.
        """
        rulebook, now = self._serving().model.rulebook, self._clock()
        recorded = await self._checked(request, rulebook, now)
        entries = await history_entries(request.outcomes, recorded, rulebook, self._store.names, now)
        notes = [note_of(outcome) for outcome in request.outcomes]
        lessons = lessons_of(request.outcomes, recorded, entries)
        status = await self._store.histories.append(request.customer_id, entries, notes, lessons)
        contradictory = np.flatnonzero(status == AppendStatus.CONTRADICTORY).tolist()
        if contradictory:
            problem = "something else is recorded under this key; nothing was recorded now"
            raise InvalidInput([Violation(f"outcomes[{i}].idempotency_key", problem) for i in contradictory])
        is_timed = np.array([outcome.HasField("event_time") for outcome in request.outcomes])
        is_of_now = status != AppendStatus.ERASED
        await self._learner.capture(request.customer_id, entries[is_of_now], is_timed[is_of_now])
        if (status == AppendStatus.TOO_OLD).any():
            logger().info("outcome_too_old_to_keep", customer=pseudonym(request.customer_id))
        if (status == AppendStatus.ERASED).any():
            raise CustomerErased("the customer was erased; what happened before that is not recorded")
        return interaction_pb2.CaptureOutcomesResponse(
            results=[
                interaction_pb2.RecordResult(idempotency_key=one.key, status=_status(s))
                for one, s in zip(recorded, status.tolist(), strict=True)
            ]
        )

    async def _checked(
        self, request: interaction_pb2.CaptureOutcomesRequest, rulebook: Rulebook, now: float
    ) -> list[Recorded]:
        try:
            return check_outcomes(request, rulebook, self._store.names, now)
        except InvalidInput:
            # A name may be of a newer rulebook, which another process serves already.
            await self._store.names.refresh()
            return check_outcomes(request, rulebook, self._store.names, now)

    @guarded
    async def GetHistory(
        self,
        request: interaction_pb2.GetHistoryRequest,
        context: grpc.aio.ServicerContext[
            interaction_pb2.GetHistoryRequest, interaction_pb2.GetHistoryResponse
        ],
    ) -> interaction_pb2.GetHistoryResponse:
        """Show contacts, outcomes and events, the latest first."""
        found = id_violations(request.customer_id)
        if request.max_entries < 0:
            found.append(Violation("max_entries", f"`{request.max_entries}` is negative"))
        found += too_many(request.kinds, len(_KINDS), "kinds")
        found += [
            Violation(f"kinds[{i}]", f"`{kind}` is not a kind of history entry")
            for i, kind in enumerate(request.kinds[: len(_KINDS)])
            if kind not in _KINDS
        ]
        if found:
            raise InvalidInput(found)
        histories = (await self._store.histories.read(request.customer_id)).histories
        notes = await self._store.histories.notes(request.customer_id)
        await self._store.names.refresh()  # after the entries, so that every name in them is known
        return history_response(histories, request, self._store.names, self._clock(), notes)

    @guarded
    async def RecordEvents(
        self,
        request: interaction_pb2.RecordEventsRequest,
        context: grpc.aio.ServicerContext[
            interaction_pb2.RecordEventsRequest, interaction_pb2.RecordEventsResponse
        ],
    ) -> interaction_pb2.RecordEventsResponse:
        """Not built yet."""
        raise NotBuilt("recording business events")


def _status(status: int) -> interaction_pb2.RecordStatus.ValueType:
    if status == AppendStatus.DUPLICATE:
        return interaction_pb2.RECORD_STATUS_DUPLICATE
    return interaction_pb2.RECORD_STATUS_RECORDED
