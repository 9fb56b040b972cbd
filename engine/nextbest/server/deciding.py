"""From checked questions to answers: read, decode, decide, and degrade where a customer cannot be read."""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from loyalty.nextbest.v1 import decision_pb2
from nextbest.action.draws import seeds_of
from nextbest.action.reasons import Explainer
from nextbest.assembly import Model
from nextbest.data.reader import Records
from nextbest.decide import decide, explain
from nextbest.errors import InvalidInput, SnapshotError
from nextbest.facts import Figure
from nextbest.facts_of import FactsOf
from nextbest.figures import Valued, valued_of
from nextbest.id_check import id_check, id_checks_of
from nextbest.model import F64, Contexts, Decisions, DecisionState, Degraded, Histories, Rows, Term, Trace
from nextbest.propensity_levels import propensity_levels
from nextbest.rings import HistoryCodec
from nextbest.rows import DecodedRows, RowCodec, RowProblem, snapshot_error
from nextbest.selection import cells_of, selection_probabilities
from nextbest.server.encoding import Answer, AnswerEncoder
from nextbest.server.requests import Question, gather_contexts, is_time, named, too_many
from nextbest.server.responses import candidate, degraded, funnel
from nextbest.server.tally import FALLBACKS
from nextbest.telemetry import logger, pseudonym
from nextbest.values import value_type

_DEGRADED = {
    RowProblem.ABSENT: Degraded.CUSTOMER_UNKNOWN,
    RowProblem.WRONG_LENGTH: Degraded.SNAPSHOT_UNREADABLE,
    RowProblem.FOREIGN: Degraded.SNAPSHOT_UNREADABLE,
    RowProblem.WRONG_CUSTOMER: Degraded.SNAPSHOT_UNREADABLE,
    RowProblem.DAMAGED: Degraded.SNAPSHOT_UNREADABLE,
}


@dataclass(frozen=True)
class Serving:
    """Everything that one answer is made with; swapped as a whole, so that no answer mixes two."""

    model: Model
    rows: RowCodec
    histories: HistoryCodec
    """Decodes rings and turns registry codes into the rulebook's indices."""
    state: DecisionState

    @property
    def encoder(self) -> AnswerEncoder:
        """Writes the model's answers."""
        return _encoder(self.model)


@lru_cache(maxsize=4)
def _encoder(model: Model) -> AnswerEncoder:
    """Kept for the model, because a state lives for seconds and what is said of a treatment for hours."""
    return AnswerEncoder(model)


@value_type
class Situation:
    """n questions with what is stored about their customers, in the form `decide` takes."""

    serving: Serving
    questions: Sequence[Question]
    stored: Records
    """As stored, but that inline snapshots take the place of rows."""
    decoded: DecodedRows
    histories: Histories
    contexts: Contexts
    now: np.ndarray[tuple[int], np.dtype[np.float64]]
    decision_ids: Sequence[bytes]
    began: float
    """When reading what is stored began, by the service's clock: the customer may be erased since."""

    @property
    def rows(self) -> Rows:
        """Snapshots; a row that could not be read holds no fact."""
        return self.decoded.rows

    @property
    def seeds(self) -> np.ndarray[tuple[int], np.dtype[np.uint64]]:
        """One seed a decision, so that exploration can be replayed."""
        learning = self.serving.model.rulebook.strategy.learning
        if not learning.draws:  # nobody reads them: spare the hashes
            return np.zeros(len(self.decision_ids), np.uint64)
        return seeds_of(self.decision_ids, learning.salt)

    def problem(self, row: int) -> RowProblem:
        """What keeps a customer's row from being decided on."""
        if not self.decoded.problems.item(row) and not is_time(self.rows.as_of.item(row)):
            return RowProblem.DAMAGED
        return RowProblem(self.decoded.problems.item(row))

    @property
    def max_results(self) -> int:
        """The most that any question asks for."""
        return max(question.max_results for question in self.questions)


def situation(
    serving: Serving,
    questions: Sequence[Question],
    stored: Records,
    began: float,
    *,
    decision_ids: Sequence[bytes] | None = None,
) -> Situation:
    """Decode what is stored about the customers of n questions; an inline snapshot replaces the row.

    Args:
        serving: what to decide with.
        questions: n questions.
        stored: what was read for them.
        began: when reading began, epoch seconds; the time to decide for, where a question names none.
        decision_ids: of decisions that are made again; None = new ones.
    """
    rows = [row if q.row is None else q.row for q, row in zip(questions, stored.rows, strict=True)]
    decoded, histories = _decoded(serving, questions, rows, stored)
    return Situation(
        serving=serving,
        questions=questions,
        stored=Records(rows, stored.contacts, stored.events, stored.tombstones),
        decoded=decoded,
        histories=histories,
        contexts=gather_contexts(questions),
        now=np.array([began if q.evaluation_time is None else q.evaluation_time for q in questions]),
        decision_ids=decision_ids or [_decision_id(question) for question in questions],
        began=began,
    )


def _decoded(
    serving: Serving, questions: Sequence[Question], rows: Sequence[bytes | None], stored: Records
) -> tuple[DecodedRows, Histories]:
    """Rows and histories; one alone by the codecs' shorter way."""
    ids = [question.customer_id.encode() for question in questions]
    if len(ids) > 1:
        checks = id_checks_of(ids)
        found = serving.histories.decode(stored.contacts, stored.events, checks)
        return serving.rows.decode_batch(rows, checks), found.histories
    check = id_check(ids[0])
    row, problem = serving.rows.decode_one(rows[0], check)
    found = serving.histories.decode_one(stored.contacts[0], stored.events[0], check)
    return DecodedRows(row, _ONE_PROBLEM[problem]), found.histories


_ONE_PROBLEM = [np.array([problem], np.uint8) for problem in RowProblem]


class Answered(NamedTuple):
    """An answer and what it was made from, for the decision log; it is logged once it is given."""

    reply: bytes
    """A DecideResponse."""
    serving: Serving
    question: Question
    stored: tuple[bytes | None, bytes | None, bytes | None]
    """Row, contacts and events; all None where nothing could be read."""
    decision_id: bytes
    now: float
    """The time that was decided for."""
    began: float
    degraded: Degraded | None
    decisions: Decisions | None
    """None where nothing could be read."""
    row: int
    """Place in `decisions`."""
    tombstone: bytes = b""
    """That was read along; empty = there was none, or nothing could be read."""


def answers(found: Situation) -> list[Answered | SnapshotError]:
    """Decide every question of a situation.

    A strict question whose customer cannot be read gets the error.
    """
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
    valued = _valued(found)
    return [_answer(found, decisions, valued, i) for i in range(len(found.questions))]


def _valued(found: Situation) -> Valued | None:
    """The parts of value and profit, if any question wants figures."""
    wanted = any(question.full for question in found.questions)
    return valued_of(found.serving.model, found.rows) if wanted else None


def _answer(
    found: Situation, decisions: Decisions, valued: Valued | None, row: int
) -> Answered | SnapshotError:
    problem = found.problem(row)
    question, decision_id, now = found.questions[row], found.decision_ids[row], found.now.item(row)
    reason = None
    if problem:
        if question.strict:
            return snapshot_error(problem)
        reason = _DEGRADED[problem]
        _note_fallback(found.serving, question, reason, problem.name.lower())
        reply = degraded(question, found.serving.model, now, decision_id.hex(), reason).SerializeToString()
    else:
        reply = _encoded(found, decisions, valued, row, decision_id.hex())
    stored = found.stored
    return Answered(
        reply,
        found.serving,
        question,
        (stored.rows[row], stored.contacts[row], stored.events[row]),
        decision_id,
        now,
        found.began,
        reason,
        decisions,
        row,
        (stored.tombstones[row] or b"") if stored.tombstones else b"",
    )


def _encoded(
    found: Situation, decisions: Decisions, valued: Valued | None, row: int, decision_id: str
) -> bytes:
    question, now = found.questions[row], float(found.now[row])
    return found.serving.encoder.encode(
        Answer(question, found.rows, decisions, valued, row, now, decision_id)
    )


def explained(
    found: Situation,
    actions: Sequence[str],
    language: str,
    *,
    given: bytes | None = None,
    logged_chances: F64 | None = None,
) -> decision_pb2.ExplainResponse:
    """Decide one question and say where every action, or each of `actions`, ended.

    Args:
        found: the situation.
        actions: ids; none = all.
        language: of the sentences.
        given: the answer as it was given, if it was; None = as it would be.
        logged_chances: (A + 1,) selection probabilities as they were logged; None = as they come out now.

    Raises:
        InvalidInput: an action is not in the rulebook.
        SnapshotError: the customer cannot be read; there is nothing to explain.
    """
    model = found.serving.model
    wanted = _action_indices(model, actions)
    problem = found.problem(0)
    if problem:
        raise snapshot_error(problem)
    decisions, trace = _traced(found)
    chances = _chances(found, decisions, trace)[0] if logged_chances is None else logged_chances
    explainer = _explainer(found, decisions, trace, chances, language)
    decision = given or _encoded(found, decisions, _valued(found), 0, "")
    return decision_pb2.ExplainResponse(
        decision=decision_pb2.DecideResponse.FromString(decision),
        candidates=[candidate(explainer, action) for action in _chosen_first(decisions, wanted)],
        funnel=funnel(explainer.funnel()),
    )


def selections_of(found: Situation) -> list[bytes]:
    """The selection probabilities of n questions as the decision log holds them; nobody waits for this.

    Args:
        found: the situation of questions that ask for equally many answers.

    Returns:
        For each (A + 1,) float64, the last for doing nothing; NaN = the action was no candidate. Empty where
        the customer cannot be read.

    Cost: a traced decision each, and what `selection_probabilities` says.
    """
    decisions, trace = _traced(found)
    chances = _chances(found, decisions, trace)
    chances[:, :-1][np.isnan(trace.terms[:, :, Term.SCORE])] = np.nan
    return [b"" if found.problem(row) else chances[row].tobytes() for row in range(len(chances))]


def _traced(found: Situation) -> tuple[Decisions, Trace]:
    """Decide again with the same kernels, and keep where each action ended."""
    return explain(
        found.serving.model,
        found.rows,
        found.histories,
        found.contexts,
        found.serving.state,
        found.now,
        found.seeds,
        max_results=found.max_results,
    )


def _chances(found: Situation, decisions: Decisions, trace: Trace) -> F64:
    """(n, A + 1) selection probabilities."""
    model, state = found.serving.model, found.serving.state
    return selection_probabilities(model, state, found.rows, found.contexts, decisions, trace)


def _chosen_first(decisions: Decisions, actions: Sequence[int]) -> list[int]:
    """The chosen in order of rank, then the rest, whose indices are in order of id."""
    ranked = decisions.action[0, : int(decisions.count[0])].tolist()
    chosen = [action for action in ranked if action in actions]
    return [*chosen, *sorted(set(actions) - set(chosen))]


def _explainer(
    found: Situation, decisions: Decisions, trace: Trace, chances: F64, language: str
) -> Explainer:
    model = found.serving.model
    facts = FactsOf(model.rulebook.catalogue, found.rows, decisions.figures, 0)
    state, stage = found.serving.state, int(decisions.figures[0, Figure.STAGE])
    cell = int(cells_of(model, found.rows)[0])
    return Explainer(
        model.rulebook,
        facts,
        decisions,
        trace,
        found.questions[0].channel,
        language,
        placements=found.questions[0].placements,
        levels=lambda action: propensity_levels(model, state, action, stage, cell),
        chances=chances,
    )


def _action_indices(model: Model, actions: Sequence[str]) -> list[int]:
    index = model.rulebook.action_index
    found = too_many(actions, len(index), "actions")
    if not found:
        for i, name in enumerate(actions):
            named(name, index, f"actions[{i}]", found)
    if found:
        raise InvalidInput(found)
    return [index[name] for name in actions] if actions else list(range(len(index)))


def _decision_id(question: Question) -> bytes:
    """Sixteen bytes: the same for a retry of the same request, else fresh."""
    if not question.request_id:
        return os.urandom(16)
    text = f"{question.customer_id}\0{question.request_id}".encode() + question.instead_of
    return hashlib.blake2b(text, digest_size=16, person=b"nextbest-decide").digest()


def without_store(
    serving: Serving, question: Question, reason: Degraded, time: float, *, cause: str = ""
) -> Answered:
    """The fallback decision when nothing could be read; its id is fresh, for it is not kept.

    Args:
        serving: what would have decided.
        question: what was asked.
        reason: why nothing could be read.
        time: by the service's clock, epoch seconds.
        cause: what went wrong, for the log.
    """
    _note_fallback(serving, question, reason, reason.name.lower(), cause)
    now = time if question.evaluation_time is None else question.evaluation_time
    decision_id = os.urandom(16)
    reply = degraded(question, serving.model, now, decision_id.hex(), reason).SerializeToString()
    nothing = (None, None, None)
    return Answered(reply, serving, question, nothing, decision_id, now, time, reason, None, 0)


def _note_fallback(
    serving: Serving, question: Question, reason: Degraded, detail: str, cause: str = ""
) -> None:
    """One line a fallback, with all that whoever is paged wants to know.

    That a customer is not known is an answer, not a fault of ours.
    """
    FALLBACKS[detail] += 1
    log = logger().info if reason is Degraded.CUSTOMER_UNKNOWN else logger().warning
    fields = {"cause": cause} if cause else {}
    log(
        "degraded",
        reason=detail,
        customer=pseudonym(question.customer_id) if question.customer_id else "",
        channel=serving.model.rulebook.channels[question.channel].id,
        request_id=question.request_id,
        **fields,
    )
