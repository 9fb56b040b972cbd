"""From checked questions to answers: read, decode, decide, and degrade where a customer cannot be read."""

import asyncio
import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from loyalty.nextbest.v1 import decision_pb2
from nextbest.action.reasons import Explainer
from nextbest.assembly import Model
from nextbest.clock import Clock
from nextbest.data.reader import CustomerReader, Records
from nextbest.decide import decide, explain
from nextbest.errors import InvalidInput, SnapshotError, StoreUnavailable, Violation
from nextbest.facts_of import FactsOf
from nextbest.id_check import id_checks_of
from nextbest.model import Contexts, Decisions, DecisionState, Degraded, Histories, Rows, Trace
from nextbest.rings import HistoryCodec
from nextbest.rows import DecodedRows, RowCodec, RowProblem, snapshot_error
from nextbest.rulebook.suggest import did_you_mean
from nextbest.server.requests import Question, gather_contexts
from nextbest.server.responses import Answer, candidate, decided, degraded, funnel
from nextbest.telemetry import logger, pseudonym

_DEGRADED = {
    RowProblem.ABSENT: Degraded.CUSTOMER_UNKNOWN,
    RowProblem.WRONG_LENGTH: Degraded.SNAPSHOT_UNREADABLE,
    RowProblem.FOREIGN: Degraded.SNAPSHOT_UNREADABLE,
    RowProblem.WRONG_CUSTOMER: Degraded.SNAPSHOT_UNREADABLE,
}


@dataclass(frozen=True)
class Serving:
    """Everything that one answer is made with; swapped as a whole, so that no answer mixes two."""

    model: Model
    rows: RowCodec
    histories: HistoryCodec
    """Decodes rings and turns registry codes into the rulebook's indices."""
    state: DecisionState


@dataclass(frozen=True, slots=True)
class Situation:
    """n questions with what is stored about their customers, in the form `decide` takes."""

    serving: Serving
    questions: Sequence[Question]
    decoded: DecodedRows
    histories: Histories
    contexts: Contexts
    now: np.ndarray[tuple[int], np.dtype[np.float64]]
    decision_ids: Sequence[bytes]

    @property
    def rows(self) -> Rows:
        """Snapshots; a row that could not be read holds no fact."""
        return self.decoded.rows

    @property
    def seeds(self) -> np.ndarray[tuple[int], np.dtype[np.uint64]]:
        """One seed a decision, so that exploration can be replayed."""
        return np.array([int.from_bytes(i[:8], "little") for i in self.decision_ids], np.uint64)

    @property
    def max_results(self) -> int:
        """The most that any question asks for."""
        return max(question.max_results for question in self.questions)


def situation(serving: Serving, questions: Sequence[Question], stored: Records, clock: Clock) -> Situation:
    """Decode what is stored about the customers of n questions; an inline snapshot replaces the row."""
    rows = [row if q.row is None else q.row for q, row in zip(questions, stored.rows, strict=True)]
    checks = id_checks_of([q.customer_id.encode() for q in questions])
    time = clock()
    return Situation(
        serving=serving,
        questions=questions,
        decoded=serving.rows.decode_batch(rows, checks),
        histories=serving.histories.decode(stored.contacts, stored.events, checks).histories,
        contexts=gather_contexts(questions),
        now=np.array([time if q.evaluation_time is None else q.evaluation_time for q in questions]),
        decision_ids=[_decision_id(question) for question in questions],
    )


def answers(found: Situation) -> list[decision_pb2.DecideResponse | SnapshotError]:
    """Decide every question of a situation; a strict one whose customer cannot be read gets the error."""
    serving = found.serving
    decisions = decide(
        serving.model,
        found.rows,
        found.histories,
        found.contexts,
        serving.state,
        found.now,
        found.seeds,
        max_results=found.max_results,
    )
    return [_answer(found, decisions, i) for i in range(len(found.questions))]


def _answer(found: Situation, decisions: Decisions, row: int) -> decision_pb2.DecideResponse | SnapshotError:
    question, decision_id = found.questions[row], found.decision_ids[row].hex()
    problem = RowProblem(int(found.decoded.problems[row]))
    now = float(found.now[row])
    if problem is not RowProblem.NONE:
        if question.strict:
            return snapshot_error(problem)
        logger().warning("degraded", reason=problem.name.lower(), customer=pseudonym(question.customer_id))
        return degraded(question, found.serving.model, now, decision_id, _DEGRADED[problem])
    return decided(_worded(found, decisions, row))


def _worded(found: Situation, decisions: Decisions, row: int) -> Answer:
    return Answer(
        found.serving.model,
        found.questions[row],
        found.rows,
        decisions,
        row,
        float(found.now[row]),
        found.decision_ids[row].hex(),
    )


def explained(found: Situation, actions: Sequence[str], language: str) -> decision_pb2.ExplainResponse:
    """Decide one question and say where every action, or each of `actions`, ended.

    Raises:
        InvalidInput: an action is not in the rulebook.
        SnapshotError: the customer cannot be read; there is nothing to explain.
    """
    model = found.serving.model
    wanted = _action_indices(model, actions)
    problem = RowProblem(int(found.decoded.problems[0]))
    if problem is not RowProblem.NONE:
        raise snapshot_error(problem)
    decisions, trace = explain(
        model,
        found.rows,
        found.histories,
        found.contexts,
        found.serving.state,
        found.now,
        found.seeds,
        max_results=found.max_results,
    )
    explainer = _explainer(found, decisions, trace, language)
    decision = decided(_worded(found, decisions, 0))
    return decision_pb2.ExplainResponse(
        decision=decision,
        candidates=[candidate(explainer, action) for action in wanted],
        funnel=funnel(explainer.funnel()),
    )


def _explainer(found: Situation, decisions: Decisions, trace: Trace, language: str) -> Explainer:
    model = found.serving.model
    facts = FactsOf(model.rulebook.catalogue, found.rows, decisions.figures, 0)
    return Explainer(model.rulebook, facts, decisions, trace, found.questions[0].channel, language)


def _action_indices(model: Model, actions: Sequence[str]) -> list[int]:
    index = model.rulebook.action_index
    unknown = [
        Violation(f"actions[{i}]", f"`{name}` is not in the rulebook; {did_you_mean(name, index)}")
        for i, name in enumerate(actions)
        if name not in index
    ]
    if unknown:
        raise InvalidInput(unknown)
    return [index[name] for name in actions] if actions else list(range(len(index)))


def _decision_id(question: Question) -> bytes:
    """Sixteen bytes: the same for a retry of the same request, else fresh."""
    if not question.request_id:
        return os.urandom(16)
    text = f"{question.customer_id}\0{question.request_id}"
    return hashlib.blake2b(text.encode(), digest_size=16, person=b"nextbest-decide").digest()


async def read_in_time(
    reader: CustomerReader, question: Question, time_left_s: float | None
) -> list[bytes | None] | Degraded:
    """Row, contacts, events and, with a request_id, the kept decision; or why they could not be read.

    Raises:
        StoreUnavailable: the store does not answer and the question is strict.
    """
    try:
        async with asyncio.timeout(None if time_left_s is None else max(time_left_s - RESERVE_S, 0.0)):
            if question.request_id:
                return await reader.read_request(question.customer_id, question.request_id)
            return await reader.read(question.customer_id)
    except TimeoutError:
        return Degraded.DEADLINE
    except StoreUnavailable:
        if question.strict:
            raise
        return Degraded.SNAPSHOT_STORE_UNAVAILABLE


RESERVE_S = 0.003
"""Kept back from the deadline for deciding and answering."""
