"""A rulebook compiled from documents, in which customers are decided for with figures as drawn."""

import tempfile
from pathlib import Path
from unittest import mock

import numpy as np
from tests.builders import customers as build
from tests.builders.rulebooks import CHANNELS, CONSENTS, PLACEMENTS, facts, write
from tests.naive.decide import naive_decide
from tests.naive.plain import History, Learnt, Request
from tests.naive.rulebook import plain_rulebook

import nextbest.decide as use_case
from nextbest.action.reasons import Explainer
from nextbest.assembly import Artifacts, assemble
from nextbest.facts_of import FactsOf
from nextbest.model import Reason, Term
from nextbest.rulebook.compile import compile_rulebook

NOW = build.NOW
DAY = build.DAY


class World:
    """One rulebook, compiled and plain."""

    def __init__(self, documents):
        self.documents = documents
        self.plain = plain_rulebook(documents)
        with tempfile.TemporaryDirectory() as directory:
            write(documents, Path(directory))
            self.rulebook = compile_rulebook(Path(directory))
        self.model = assemble(self.rulebook, Artifacts())

    def arguments(self, cases, learnt=None):
        """What `decide` takes after the model."""
        return (
            build.rows_of(cases, self.rulebook),
            build.histories_of(cases, self.rulebook),
            build.contexts_of(cases, self.rulebook),
            build.state_of(learnt or Learnt(), self.rulebook),
            np.array([case.request.now for case in cases]),
            np.array([case.request.seed for case in cases], np.uint64),
        )

    def decide(self, cases, learnt=None, *, limit=3):
        """Decisions with the drawn figures."""
        with mock.patch.object(use_case, "figures_of", return_value=build.figures_of(cases)):
            return use_case.decide(self.model, *self.arguments(cases, learnt), max_results=limit)

    def explain(self, cases, learnt=None, *, limit=3):
        """Decisions and trace with the drawn figures."""
        with mock.patch.object(use_case, "figures_of", return_value=build.figures_of(cases)):
            return use_case.explain(self.model, *self.arguments(cases, learnt), max_results=limit)

    def oracle(self, case, learnt=None, *, limit=3):
        """What plain Python decides."""
        answers = build.answers(case, self.plain)
        return naive_decide(self.plain, case.customer, case.request, answers, learnt or Learnt(), limit=limit)

    def ends(self, case, action="a", learnt=None):
        """(reason, actual, required) of one action for one customer; None = no number."""
        _, trace = self.explain([case], learnt)
        index = self.rulebook.action_index[action]
        numbers = (float(trace.actual[0, index]), float(trace.required[0, index]))
        reason = Reason(int(trace.reason[0, index]))
        return reason.name, *(None if np.isnan(number) else number for number in numbers)

    def terms(self, case, action="a", learnt=None):
        """The score's breakdown of one action for one customer, by name."""
        _, trace = self.explain([case], learnt)
        row = trace.terms[0, self.rulebook.action_index[action]]
        return {term.name.lower(): float(row[term]) for term in Term}

    def ranking(self, case, learnt=None, *, limit=25):
        """Ids of the ranked actions of one customer."""
        decisions = self.decide([case], learnt, limit=limit)
        return [self.rulebook.actions[a].id for a in decisions.action[0, : decisions.count[0]]]

    def explainer(self, case, language="en", learnt=None, *, limit=3):
        """Explains one customer's decision."""
        decisions, trace = self.explain([case], learnt, limit=limit)
        rows = build.rows_of([case], self.rulebook)
        return Explainer(
            rulebook=self.rulebook,
            facts=FactsOf(self.rulebook.catalogue, rows, decisions.figures, 0),
            decisions=decisions,
            trace=trace,
            channel=self.rulebook.channel_index[case.request.channel],
            language=language,
            placements=[self.rulebook.placement_index[name] for name in case.request.placements],
        )


def action(name="a", **changes):
    """An action that passes every gate and is worth something, but for what is changed."""
    entry = {
        "id": name,
        "desired_action": "communication",
        "reason": "For you",
        "treatments": {"pos": {"say": "Hello"}, "email": {"say": "Hello"}, "location": {"say": "Hello"}},
        "effect": {"customer_gap": 0.1, "profit_gap": 0.1},
        "propensity": "0.5",
        "relevance": {"explicit_request": "true"},
    }
    return {key: value for key, value in (entry | changes).items() if value is not None}


def documents(*actions, strategy=None, policies=None, segments=(), triggers=()):
    """Documents around some actions; everything else leaves them alone."""
    channels = {name: {"placements": list(PLACEMENTS.get(name, ()))} for name in CHANNELS}
    return {
        "strategy.yaml": {
            "id": "small",
            "currency": "EUR",
            "languages": ["en"],
            "goals": [{"id": "g", "measure": "profit", "text": "Profit"}],
            "priorities": [{"issue": "growth", "text": "Growth"}],
            "plan": [{"step": "Do", "owner": "agent"}],
            "roles": [
                {"id": "agent", "authority": 1, "text": "Agent"},
                {"id": "lead", "authority": 5, "text": "Lead"},
            ],
            "promises": {"fair": "Fair"},
            "groups": [{"id": "g0"}, {"id": "g1"}],
        }
        | (strategy or {}),
        "facts.yaml": facts(),
        "policies.yaml": {"channels": channels} | (policies or {}),
        "segments.yaml": {"segments": list(segments)},
        "triggers/all.yaml": {"triggers": list(triggers)},
        "actions/all.yaml": {"actions": list(actions)},
    }


def small(*actions, **parts):
    """A world with these actions."""
    return World(documents(*(actions or (action(),)), **parts))


def customer(*entries, direction="inbound", channel="pos", lost=-np.inf, now=NOW, **changes):
    """A customer who shares everything and is in stage Hear me, in a situation.

    Args:
        entries: history, in any order.
        direction: who starts the contact.
        channel: where.
        lost: up to when history may be lost.
        now: epoch seconds.
        changes: `facts`, `figures` or fields of the request or case to change.
    """
    history = History(tuple(sorted(entries, key=lambda e: e.time)), lost)
    figures = {
        "stage": 1,
        "level": 1,
        "multiplier": 2.0,
        "value_gap": 100.0,
        "profit_gap": 200.0,
        "data_quality": 1.0,
        "investment_ceiling": 1e6,
        "snapshot_age_days": (now - changes.get("as_of", now)) / DAY,
    }
    request = {"placements": (), "role": "lead"} | {
        key: changes[key] for key in ("placements", "role") if key in changes
    }
    return build.Case(
        facts={"consent": frozenset(CONSENTS)} | changes.get("facts", {}),
        figures=figures | changes.get("figures", {}),
        as_of=changes.get("as_of", now),
        history=history,
        request=Request(channel=channel, direction=direction, now=now, **request),
        contexts=changes.get("contexts", {}),
        phase=changes.get("phase", "unspecified"),
    )
