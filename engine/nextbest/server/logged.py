"""Answers as records of the decision log."""

import os
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.metadata import version
from typing import cast

from loyalty.nextbest.v1 import decision_pb2
from nextbest.action.draws import seeds_of
from nextbest.data.reader import Records
from nextbest.decision_record import DecisionRecord
from nextbest.id_check import id_check
from nextbest.learning.state_excerpt import excerpt
from nextbest.model import Decisions
from nextbest.server.deciding import Answered, Serving, selections_of, situation
from nextbest.server.requests import Question
from nextbest.valuation import take_columns

TOGETHER = 64
"""Decisions whose candidates are looked at together: 1,000 actions take 10 MB."""


def build_name() -> str:
    """Version of the service and type of processor: decisions have equal bits between equal ones."""
    binding = import_module("llvmlite.binding")  # has no type stubs
    return f"{version('nextbest')} {cast('Callable[[], str]', binding.get_host_cpu_name)()}"


def records_of(answered: Sequence[Answered], build: str) -> list[DecisionRecord]:
    """Records of some decisions: everything that deciding again needs, and the answers.

    Cost: 10 µs each; where the rulebook explores, what `selections_of` says besides.
    """
    selections = _selections(answered)
    return [_record_of(one, build, chances) for one, chances in zip(answered, selections, strict=True)]


def _record_of(answered: Answered, build: str, selection: bytes) -> DecisionRecord:
    serving, question = answered.serving, answered.question
    rulebook = serving.model.rulebook
    row, contacts, events = answered.stored
    figures, chosen = _figures_and_ranking(answered)
    return DecisionRecord(
        customer_id=question.customer_id,
        decision_id=answered.decision_id,
        handle=os.urandom(16),
        model_digest=serving.model.digest,
        revision=rulebook.revision,
        catalogue_fingerprint=rulebook.catalogue.fingerprint,
        build=build,
        seed=int(seeds_of([answered.decision_id], rulebook.strategy.learning.salt)[0]),
        now=answered.now,
        made_at=answered.began,
        degraded=answered.degraded,
        request=_request(question),
        row=row or b"",
        contacts=contacts or b"",
        events=events or b"",
        state=_excerpt(answered),
        figures=figures,
        chosen=chosen,
        selection=selection,
        answer=answered.reply,
        inline=question.row is not None,
        tombstone=answered.tombstone,
    )


def _excerpt(answered: Answered) -> bytes:
    """The part of the state that the customer's candidates read."""
    serving, row = answered.serving, answered.stored[0]
    peers, state = serving.model.peers, serving.state
    if peers is None or row is None or not len(state.cells.cell):
        return excerpt(state)
    rows, problem = serving.rows.decode_one(row, id_check(answered.question.customer_id.encode()))
    if problem:
        return excerpt(state)
    cell = int(peers.tables.locate(take_columns(rows.numbers, peers.columns))[0])
    return excerpt(state, peers.tables.tree, cell)


def is_left_to_chance(answered: Answered) -> bool:
    """Whether the record holds selection probabilities, which take too long for the loop that answers."""
    draws = answered.serving.model.rulebook.strategy.learning.draws
    return draws and answered.degraded is None and answered.decisions is not None


def _selections(answered: Sequence[Answered]) -> list[bytes]:
    """With what probability each action could have been first, from what the answers were made from."""
    groups: dict[int, list[int]] = {}
    for place, one in enumerate(answered):
        if is_left_to_chance(one):
            groups.setdefault(id(one.serving), []).append(place)
    found = [b""] * len(answered)
    for places in groups.values():
        some = [answered[place] for place in places]
        rows, contacts, events = zip(*(one.stored for one in some), strict=True)
        stored = Records([*rows], [*contacts], [*events])
        questions = [one.question._replace(evaluation_time=one.now) for one in some]
        chances = selections(some[0].serving, questions, stored, [one.decision_id for one in some])
        for place, own in zip(places, chances, strict=True):
            found[place] = own
    return found


def selections(
    serving: Serving, questions: Sequence[Question], stored: Records, decision_ids: Sequence[bytes]
) -> list[bytes]:
    """Selection probabilities of n decisions, see `selections_of`, some at a time to bound the memory.

    Args:
        serving: what they were decided with.
        questions: with the time that was decided for.
        stored: what was read for them.
        decision_ids: theirs.
    """
    alike: dict[int, list[int]] = {}
    for place, question in enumerate(questions):
        alike.setdefault(question.max_results, []).append(place)
    found = [b""] * len(questions)
    for places in alike.values():
        for start in range(0, len(places), TOGETHER):
            some = places[start : start + TOGETHER]
            stored_some = Records(
                [stored.rows[i] for i in some],
                [stored.contacts[i] for i in some],
                [stored.events[i] for i in some],
            )
            ids = [decision_ids[i] for i in some]
            again = situation(serving, [questions[i] for i in some], stored_some, 0.0, decision_ids=ids)
            for place, own in zip(some, selections_of(again), strict=True):
                found[place] = own
    return found


def _request(question: Question) -> bytes:
    """What was asked, with the customer's id whatever the customer was named by, without the snapshot."""
    request = question.request
    if request.customer_id == question.customer_id and not request.HasField("snapshot"):
        return request.SerializeToString()
    plain = decision_pb2.DecideRequest()
    plain.CopyFrom(request)
    plain.ClearField("snapshot")
    plain.customer_id = question.customer_id
    return plain.SerializeToString()


def _figures_and_ranking(answered: Answered) -> tuple[bytes, bytes]:
    """Figures and ranking as they are logged; nothing of a fallback decision."""
    if answered.degraded is not None or answered.decisions is None:
        return b"", b""
    return figures_and_ranking(answered.decisions, answered.row, answered.question.max_results)


def figures_and_ranking(decisions: Decisions, row: int, max_results: int) -> tuple[bytes, bytes]:
    """One customer's figures, and ranked actions with their terms, as a record holds them."""
    k = min(decisions.count.item(row), max_results)
    ranked = (decisions.action[row, :k], decisions.treatment[row, :k], decisions.terms[row, :k])
    return decisions.figures[row].tobytes(), b"".join([part.tobytes() for part in ranked])
