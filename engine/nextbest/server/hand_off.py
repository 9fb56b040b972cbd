"""What the next desk needs to take over a customer: the decision, what came of it, and what is still open."""

from collections.abc import Iterator, Sequence

import numpy as np

from loyalty.nextbest.v1 import common_pb2, decision_pb2, interaction_pb2
from nextbest.data.store import Store
from nextbest.facts import Figure
from nextbest.facts_of import FactsOf
from nextbest.id_check import id_check
from nextbest.rulebook.rulebook import Rulebook
from nextbest.server.history_view import history_response
from nextbest.server.live import LiveServing
from nextbest.server.made_decisions import MadeDecisions
from nextbest.server.requests import choose_language
from nextbest.server.responses import timestamp, treatment_message

_SETTLING = (
    common_pb2.OUTCOME_ACCEPTED,
    common_pb2.OUTCOME_REJECTED,
    common_pb2.OUTCOME_PROBLEM_SOLVED,
    common_pb2.OUTCOME_OPTED_OUT,
)
"""Outcomes after which an offer is no longer open."""
Entries = Sequence[interaction_pb2.HistoryEntry]


class HandingOver:
    """Gathers what one desk leaves to the next. Nothing is stored or learnt from it."""

    def __init__(self, serving: LiveServing, store: Store, made: MadeDecisions) -> None:
        self._serving = serving
        self._store = store
        self._made = made

    async def hand_off(
        self, request: decision_pb2.GetHandOffRequest, now: float
    ) -> decision_pb2.GetHandOffResponse:
        """Read decision, history and snapshot, and say what is open.

        Args:
            request: names the customer, and perhaps the decision.
            now: epoch seconds.

        Raises:
            InvalidInput: an id is none.
            DecisionUnknown: the decision named is not kept, or no longer.
            StoreUnavailable: Redis does not answer.
        """
        given = await self._made.answer(request.customer_id, request.decision_id)
        entries = await self._entries(request.customer_id, now)
        decision_id = request.decision_id or next((e.decision_id for e in entries if e.decision_id), "")
        if given is None and decision_id:
            given = await self._made.answer_if_kept(request.customer_id, decision_id)
        facts = await self._facts(request.customer_id)
        rulebook = self._serving().model.rulebook
        language = choose_language(request.language, rulebook.languages)
        response = decision_pb2.GetHandOffResponse(
            interactions=[e for e in entries if decision_id and e.decision_id == decision_id],
            open_offers=_open_offers(entries, rulebook, facts, language, now),
            open_complaint=_open_complaint(facts),
        )
        if given is not None:
            response.decision.MergeFromString(given)
        return response

    async def _entries(self, customer_id: str, now: float) -> Entries:
        """The customer's history, the latest first."""
        histories = (await self._store.histories.read(customer_id)).histories
        notes = await self._store.histories.notes(customer_id)
        await self._store.names.refresh()  # after the entries, so that every name in them is known
        wanted = interaction_pb2.GetHistoryRequest(customer_id=customer_id)
        return history_response(histories, wanted, self._store.names, now, notes).entries

    async def _facts(self, customer_id: str) -> FactsOf:
        """The customer's snapshot; one that is not there or cannot be read holds no fact."""
        (row,) = await self._store.snapshots.rows([customer_id])
        codec = self._serving().rows
        if row is not None and not codec.reads(row):
            codec = await self._serving.learn_catalogues()
        rows, _ = codec.decode_one(row, id_check(customer_id.encode()))
        return FactsOf(self._serving().model.rulebook.catalogue, rows, np.full((1, len(Figure)), np.nan), 0)


def _open_offers(
    entries: Entries, rulebook: Rulebook, facts: FactsOf, language: str, now: float
) -> Iterator[decision_pb2.OpenOffer]:
    """Offers presented, not answered since, and still in force; of each action the latest."""
    done: set[str] = set()
    for entry in entries:
        if entry.action in done:
            continue
        if entry.outcome in _SETTLING:
            done.add(entry.action)
        elif entry.kind == interaction_pb2.HISTORY_KIND_CONTACT and _is_in_force(entry, rulebook, now):
            done.add(entry.action)
            yield _open_offer(entry, rulebook, facts, language)


def _is_in_force(entry: interaction_pb2.HistoryEntry, rulebook: Rulebook, now: float) -> bool:
    """Whether a contact made an offer that the rulebook still makes."""
    index = rulebook.treatment_index.get(entry.treatment_id)
    if index is None or rulebook.treatments[index].offer is None:
        return False
    return now < float(rulebook.action_tables.valid_until[rulebook.treatments[index].action])


def _open_offer(
    entry: interaction_pb2.HistoryEntry, rulebook: Rulebook, facts: FactsOf, language: str
) -> decision_pb2.OpenOffer:
    treatment = rulebook.treatments[rulebook.treatment_index[entry.treatment_id]]
    placement = rulebook.placement_index.get(entry.placement, -1)
    message = treatment_message(rulebook, treatment, placement, language)
    message.say = facts.fill(message.say, language)
    return decision_pb2.OpenOffer(
        action=entry.action,
        treatment=message,
        owner=rulebook.actions[treatment.action].owner,
        presented_at=entry.event_time,
        decision_id=entry.decision_id,
    )


def _open_complaint(facts: FactsOf) -> decision_pb2.OpenComplaint | None:
    if facts.value("complaint_open") is not True:
        return None
    severity, at = facts.value("complaint_severity"), facts.value("complaint_at")
    return decision_pb2.OpenComplaint(
        severity=round(severity) if isinstance(severity, (int, float)) else None,
        complained_at=timestamp(at) if isinstance(at, float) else None,
    )
