"""Withdrawn consent takes effect at once, also on decisions that are kept for retries."""

from loyalty.nextbest.v1 import decision_pb2
from nextbest.id_check import id_check
from nextbest.model import Direction
from nextbest.server.deciding import Serving
from nextbest.server.requests import Question


def may_give_again(serving: Serving, question: Question, kept: bytes, row: bytes | None) -> bool:
    """Whether a kept decision may still be given: what it proposes needs no consent that is gone.

    Contact that the customer starts needs none. What cannot be read consents to nothing.

    Args:
        serving: what answers are made with.
        question: the retry.
        kept: the DecideResponse kept for it.
        row: the customer's stored row; an inline snapshot counts instead.
    """
    if question.direction != Direction.OUTBOUND:
        return True
    results = decision_pb2.DecideResponse.FromString(kept).results
    treatments = [result.treatment.treatment_id for result in results if result.HasField("treatment")]
    given = _consents(serving, question, row)
    return all(_needs(serving, treatment) & ~given == 0 for treatment in treatments)


def can_be_judged(serving: Serving, question: Question, row: bytes | None) -> bool:
    """Whether a retry's consents can be read; not if they lie under a catalogue that is not known yet."""
    if question.direction != Direction.OUTBOUND or question.row is not None or row is None:
        return True
    return serving.rows.reads(row)


def _consents(serving: Serving, question: Question, row: bytes | None) -> int:
    """The bit set of consents given."""
    place = serving.rows.catalogue.bits.get("consent")
    if place is None:
        return 0
    rows, problem = serving.rows.decode_one(question.row or row, id_check(question.customer_id.encode()))
    return 0 if problem else int(rows.words[0, place.word]) >> place.shift


def _needs(serving: Serving, treatment_id: str) -> int:
    """The bit set of consents that a treatment needs; every one if the rulebook has it no more."""
    rulebook = serving.model.rulebook
    treatment = rulebook.treatment_index.get(treatment_id)
    return -1 if treatment is None else int(rulebook.action_tables.treatment_consent[treatment])
