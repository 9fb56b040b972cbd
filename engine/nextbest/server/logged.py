"""Answers as records of the decision log."""

import os
from collections.abc import Callable
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
from nextbest.server.deciding import Answered, selection_of, situation
from nextbest.server.requests import Question
from nextbest.valuation import take_columns


def build_name() -> str:
    """Version of the service and type of processor: decisions have equal bits between equal ones."""
    binding = import_module("llvmlite.binding")  # has no type stubs
    return f"{version('nextbest')} {cast('Callable[[], str]', binding.get_host_cpu_name)()}"


def record_of(answered: Answered, build: str) -> DecisionRecord:
    """Everything that deciding again needs, and the answer.

    Cost: 10 µs; where the rulebook explores, what `selection_of` says besides.
    """
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
        selection=_selection(answered),
        answer=answered.reply,
        inline=question.row is not None,
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


def _selection(answered: Answered) -> bytes:
    """With what probability each action could have been first, from what the answer was made from."""
    if not is_left_to_chance(answered):
        return b""
    row, contacts, events = answered.stored
    found = situation(
        answered.serving,
        [answered.question._replace(evaluation_time=answered.now)],
        Records([row], [contacts], [events]),
        answered.now,
        decision_ids=[answered.decision_id],
    )
    return selection_of(found)


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
