"""Cases → one batch of customers, decided by the use case that also serves requests."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nextbest.action.reasons import Explainer
from nextbest.assembly import Artifacts, Model, assemble
from nextbest.decide import explain
from nextbest.facts import Figure
from nextbest.facts_of import FactsOf
from nextbest.id_check import id_checks_of
from nextbest.model import (
    F64,
    Contexts,
    Decisions,
    DecisionState,
    Histories,
    Reason,
    Ring,
    Rows,
    Trace,
    placements_asked,
)
from nextbest.rows import RowCodec
from nextbest.rulebook.cases import Case
from nextbest.rulebook.rulebook import Rulebook

MOST_RESULTS = 25
"""Answers kept a case; a test may ask for fewer."""
LANGUAGE = "en"


@dataclass(frozen=True, slots=True)
class Run:
    """All cases, decided."""

    model: Model
    cases: Sequence[Case]
    rows: Rows
    histories: Histories
    contexts: Contexts
    now: F64
    decisions: Decisions
    trace: Trace

    def answer(self, case: int) -> list[str]:
        """Ids of the actions of a case's answer, best first."""
        decisions, most = self.decisions, self.cases[case].entry.request.results
        ranked = decisions.action[case, : min(int(decisions.count[case]), most)]
        return [self.model.rulebook.actions[int(action)].id for action in ranked]

    def reason(self, case: int, action: str) -> Reason:
        """Why an action is not in the answer."""
        found = Reason(int(self.trace.reason[case, self.model.rulebook.action_index[action]]))
        ranked = found in (Reason.CHOSEN, Reason.MANDATORY)
        return Reason.BEATEN_IN_RANK if ranked and action not in self.answer(case) else found

    def sentence(self, case: int, action: str) -> str:
        """Why an action ended where it did, in words."""
        rulebook = self.model.rulebook
        facts = FactsOf(rulebook.catalogue, self.rows, self.decisions.figures, case)
        asked, most = self.cases[case], self.cases[case].entry.request.results
        explainer = Explainer(
            rulebook, facts, self.decisions, self.trace, asked.channel, LANGUAGE, asked.placements
        )
        found = explainer.candidate(rulebook.action_index[action])
        if found.rank is not None and found.rank > most:
            return f"it ranks {found.rank}, and the answer has {most}"
        return found.sentence

    def has_fired(self, case: int, trigger: str) -> bool:
        """Whether a trigger has fired and does not rest."""
        return self.decisions.has_fired(self.model.rulebook.trigger_index[trigger], case)


def run_cases(rulebook: Rulebook, cases: Sequence[Case]) -> Run:
    """Decide all cases, with no model fitted and nothing learnt.

    Raises:
        ArtifactError: an action reads a fitted model and says nothing for the time until it is fitted.
    """
    model = assemble(rulebook, Artifacts())
    rows, histories, contexts = _rows(model.rulebook, cases), _histories(cases), _contexts(cases)
    now, n = np.array([case.now for case in cases], np.float64), len(cases)
    decisions, trace = explain(
        model,
        rows,
        histories,
        contexts,
        DecisionState.initial(len(model.rulebook.actions)),
        now,
        np.zeros(n, np.uint64),
        max_results=MOST_RESULTS,
        assumed=_assumed(cases),
    )
    return Run(model, cases, rows, histories, contexts, now, decisions, trace)


def _rows(rulebook: Rulebook, cases: Sequence[Case]) -> Rows:
    codec = RowCodec(rulebook.catalogue)
    ids = [f"case-{i}".encode() for i in range(len(cases))]
    stored = [
        codec.encode(customer, case.now - case.entry.snapshot_age, case.facts)
        for customer, case in zip(ids, cases, strict=True)
    ]
    return codec.decode_batch(stored, id_checks_of(ids)).rows


def _histories(cases: Sequence[Case]) -> Histories:
    return Histories(
        _ring([case.contacts for case in cases]),
        _ring([case.events for case in cases]),
    )


def _ring(entries: Sequence[np.ndarray[tuple[int], np.dtype[np.void]]]) -> Ring:
    starts = np.cumsum([0, *(len(part) for part in entries)], dtype=np.int64)
    return Ring(np.concatenate(entries), starts, np.full(len(entries), -np.inf))


def _contexts(cases: Sequence[Case]) -> Contexts:
    places = placements_asked([case.placements for case in cases])
    return Contexts(
        channel=np.array([case.channel for case in cases], np.int32),
        direction=np.array([case.direction for case in cases], np.int32),
        placements=places.members,
        preference=places.order,
        phase=np.array([case.phase for case in cases], np.int32),
        role=np.array([case.role for case in cases], np.int32),
        numbers=np.array([case.context for case in cases], np.float64).reshape(len(cases), -1),
    )


def _assumed(cases: Sequence[Case]) -> F64:
    assumed = np.full((len(cases), len(Figure)), np.nan)
    for row, case in zip(assumed, cases, strict=True):
        for name, value in case.figures.items():
            row[Figure[name.upper()]] = value
    return assumed
