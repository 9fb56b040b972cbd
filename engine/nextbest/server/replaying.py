"""Logged decisions made again: with their own model to compare, with another rulebook to see what changes."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import NamedTuple

import numpy as np

from loyalty.nextbest.v1 import decision_pb2
from nextbest.data.reader import Records
from nextbest.decision_record import DecisionRecord
from nextbest.errors import InvalidInput, SnapshotError
from nextbest.server.deciding import Answered, Serving, Situation, answers, situation
from nextbest.server.logged import figures_and_ranking, selections
from nextbest.server.message_differences import Difference, differences_of
from nextbest.server.requests import Question, parse_question
from nextbest.server.responses import degraded


class Verdict(StrEnum):
    """How a decision that was made again compares."""

    IDENTICAL = "identical"
    """The answer has the same bytes; figures, terms and selection probabilities have the same bits."""
    EQUIVALENT = "equivalent"
    """The same ranking, numbers within 1e-12: what is promised between builds."""
    DIFFERENT = "different"
    NOT_REPLAYABLE = "not replayable"


class Replayed(NamedTuple):
    """A decision that was made again."""

    record: DecisionRecord
    verdict: Verdict
    differences: tuple[Difference, ...] = ()
    why_not: str = ""
    """What keeps it from being made again."""


def asked_again(record: DecisionRecord, serving: Serving) -> Question:
    """The logged request as a question to some rulebook; the snapshot is the logged row.

    Raises:
        InvalidInput: the rulebook does not know what was asked for.
    """
    request = decision_pb2.DecideRequest.FromString(record.request)
    question = parse_question(request, serving.model.rulebook, serving.rows)
    # Microseconds are lost on the wire, the log has them; and strictness is for what can no longer happen.
    return question._replace(evaluation_time=record.now, strict=False)


def situation_again(records: Sequence[DecisionRecord], serving: Serving) -> Situation:
    """What n decisions were made from, all with one state."""
    stored = Records([r.row for r in records], [r.contacts for r in records], [r.events for r in records])
    questions = [asked_again(record, serving) for record in records]
    return situation(
        serving, questions, stored, records[0].now, decision_ids=[record.decision_id for record in records]
    )


def replay(records: Sequence[DecisionRecord], serving: Serving) -> Iterator[Replayed]:
    """Make decisions again and compare them.

    Args:
        records: decisions of one model that were made with equal states.
        serving: that model with that state.
    """
    decided = [record for record in records if record.degraded is None]
    again = iter(_decided_again(decided, serving) if decided else ())
    for record in records:
        if record.degraded is None:
            yield _compared(record, *next(again))
        else:
            yield _verdict(record, _fallback(record, serving), b"", b"", b"")


def _decided_again(
    records: Sequence[DecisionRecord], serving: Serving
) -> Iterator[tuple[Answered | SnapshotError, bytes]]:
    """Answers and selection probabilities."""
    found, chances = situation_again(records, serving), [b""] * len(records)
    if serving.model.rulebook.strategy.learning.draws:
        chances = selections(serving, found.questions, found.stored, found.decision_ids)
    return zip(answers(found), chances, strict=True)


def _fallback(record: DecisionRecord, serving: Serving) -> bytes:
    assert record.degraded is not None
    question = asked_again(record, serving)
    decision_id = record.decision_id.hex()
    reply = degraded(question, serving.model, record.now, decision_id, record.degraded)
    return reply.SerializeToString()


def _compared(record: DecisionRecord, again: Answered | SnapshotError, selection: bytes) -> Replayed:
    assert not isinstance(again, SnapshotError)
    assert again.decisions is not None
    figures, chosen = figures_and_ranking(again.decisions, again.row, again.question.max_results)
    return _verdict(record, again.reply, figures, chosen, selection)


def _verdict(
    record: DecisionRecord, answer: bytes, figures: bytes, chosen: bytes, selection: bytes
) -> Replayed:
    was = record
    now = replace(record, answer=answer, figures=figures, chosen=chosen, selection=selection)
    if now == was:
        return Replayed(record, Verdict.IDENTICAL)
    found = [
        *differences_of(_decision(was), _decision(now)),
        *_number_differences("figures", was.figure_values, now.figure_values),
        *_number_differences("ranking.action", was.ranking.action, now.ranking.action),
        *_number_differences("ranking.treatment", was.ranking.treatment, now.ranking.treatment),
        *_number_differences("ranking.terms", was.ranking.terms.ravel(), now.ranking.terms.ravel()),
        *_number_differences("selection", was.selection_probabilities, now.selection_probabilities),
    ]
    worst = any(not difference.is_within_tolerance for difference in found)
    return Replayed(record, Verdict.DIFFERENT if worst else Verdict.EQUIVALENT, tuple(found))


def _decision(record: DecisionRecord) -> decision_pb2.DecideResponse:
    return decision_pb2.DecideResponse.FromString(record.answer)


def _number_differences(
    what: str,
    was: np.ndarray[tuple[int], np.dtype[np.generic]],
    now: np.ndarray[tuple[int], np.dtype[np.generic]],
) -> Iterator[Difference]:
    if was.shape != now.shape:
        yield Difference(f"{what} (count)", len(was), len(now))
        return
    for place in np.flatnonzero((was != now) & ~((was != was) & (now != now))).tolist():  # noqa: PLR0124
        yield Difference(f"{what}[{place}]", was[place].item(), now[place].item())


@dataclass(frozen=True, slots=True)
class Changed:
    """What another rulebook says to a logged request."""

    record: DecisionRecord
    before: str
    """The first action that was recommended; empty = nothing."""
    after: str
    """The same of the other rulebook."""
    problem: str = ""
    """What the other rulebook does not know of the request; then nothing was decided."""

    @property
    def kind(self) -> str:
        """In which way it differs."""
        if self.problem:
            return "cannot be asked"
        if self.before == self.after:
            return "same"
        if not self.after:
            return "nothing any more"
        return "something new" if not self.before else "other first action"


KINDS = ("same", "other first action", "nothing any more", "something new", "cannot be asked")
"""In which ways another rulebook's decision can differ."""


def change(record: DecisionRecord, serving: Serving) -> Changed:
    """Decide a logged request with another rulebook.

    Args:
        record: what was decided.
        serving: the other rulebook, with what was learnt by then.
    """
    before = first_action(_decision(record))
    try:
        asked_again(record, serving)
        if record.degraded is not None:
            return Changed(record, before, before)
        (answer,) = answers(situation_again([record], serving))
    except InvalidInput as problem:
        return Changed(record, before, "", str(problem))
    assert not isinstance(answer, SnapshotError)
    return Changed(record, before, first_action(decision_pb2.DecideResponse.FromString(answer.reply)))


def first_action(decision: decision_pb2.DecideResponse) -> str:
    """The recommended action; empty = doing nothing."""
    return decision.results[0].action if len(decision.results) > 1 else ""
