"""Explanations of generated decisions against plain Python: funnel, margins, terms, and when gates open."""

import math
from collections import Counter
from dataclasses import replace
from functools import cache

from tests.builders.customers import DAY, answers
from tests.conformance.deciding import Drawn, close, nearly_tied, scores
from tests.naive import gates, margins
from tests.naive.plain import History

from nextbest.model import GATE_OF, Gate, Reason, Term

SEEDS = range(12)
TIMED = {
    "NOT_YET_VALID": gates.validity,
    "QUIET_HOURS": gates.validity,
    "TRIGGER_COOLING_DOWN": gates.trigger,
    "SELL_HOLD": gates.sell_hold,
    "CONTACT_POLICY_PAUSED": gates.contact_policy,
    "CONTACT_POLICY_UNKNOWN": lambda case: gates.contact_policy(case) or gates.pressure(case),
    "PRESSURE_TOO_HIGH": gates.pressure,
    "LOCATION_CAP_REACHED": gates.pressure,
    "CAP_REACHED": gates.caps,
}
"""The gate that time opens, by reason; two of them lack the part of a history that is lost."""
LATER = {"NOT_YET_VALID": "QUIET_HOURS"}
"""What the same gate asks next: a day begins at midnight, when it is quiet."""
SHARPNESS_S = 3.0
"""A gate is still shut this long before it is said to open."""


@cache
def drawn(seed):
    """A world, its customers, and how each is explained."""
    found = Drawn(seed)
    return found, [explainer(found, case) for case in found.cases]


def explainer(found, case):
    """Explains one customer's decision."""
    return found.world.explainer(case, learnt=found.learnt, limit=found.limit)


def candidates():
    """(drawn, case, decision of plain Python, explainer, candidate) of all generated actions."""
    for seed in SEEDS:
        found, explainers = drawn(seed)
        for case, told in zip(found.cases, explainers, strict=True):
            expected = found.oracle(case)
            if not nearly_tied(scores(found.world, told.trace, told.facts.row), expected):
                for index in range(len(found.world.rulebook.actions)):
                    yield found, case, expected, told, told.candidate(index)


def terms_of(candidate):
    """The score's breakdown by name."""
    return {term.name.lower(): float(candidate.terms[term]) for term in Term}


def test_the_funnel_counts_what_plain_python_counts():
    """Each gate stops as many as plain Python says, and with the chosen they are all actions."""
    stops = Counter()
    for seed in SEEDS:
        found, explainers = drawn(seed)
        for case, told in zip(found.cases, explainers, strict=True):
            expected = found.oracle(case)
            if nearly_tied(scores(found.world, told.trace, told.facts.row), expected):
                continue
            reasons = [Reason[v.reason] for v in expected.verdicts.values()]
            ranked = sum(r in (Reason.CHOSEN, Reason.MANDATORY) for r in reasons)
            steps = told.funnel()
            assert sum(step.stopped for step in steps) + ranked == len(found.world.rulebook.actions)
            left = len(reasons)
            for gate, step in zip(Gate, steps, strict=True):
                here = sum(GATE_OF[r] is gate for r in reasons) - (ranked if gate is Gate.ARBITRATION else 0)
                assert (step.gate, step.entered, step.stopped) == (gate, left, here)
                left -= here
                stops[gate] += here
    assert len([gate for gate in Gate if stops[gate]]) >= 12


def test_the_terms_come_to_the_score():
    """What the breakdown lists gives the score by section 9's formula, and nothing else is needed."""
    compared = 0
    for found, _, _, _, candidate in candidates():
        if candidate.terms is None or found.world.plain.classic:
            continue
        terms = terms_of(candidate)
        if math.isfinite(terms["score"]):
            assert close(terms["score"], margins.score(terms))
            compared += 1
    assert compared > 200


def test_margins_are_differences_of_scores():
    """To whom an action lost and by how much is what plain Python says, in rank and in group."""
    compared = Counter()
    for found, _, expected, _, candidate in candidates():
        actions, name = found.world.rulebook.actions, found.world.rulebook.actions[candidate.action].id
        if candidate.reason is Reason.WORSE_THAN_DO_NOTHING:
            assert close(candidate.margin, -expected.verdicts[name].terms["score"])
            compared["nothing"] += 1
        other = margins.winner(found.world.plain, expected, name)
        if other is None:
            continue
        assert actions[candidate.lost_to].id == other
        scores = [expected.verdicts[one].terms["score"] for one in (name, other)]
        if next(a for a in found.world.plain.actions if a.id == other).mandatory:
            assert candidate.margin is None
        elif all(map(math.isfinite, scores)):
            assert close(candidate.margin, scores[1] - scores[0])
            assert close(candidate.actual, scores[0])
            assert close(candidate.required, scores[1])
        compared[candidate.reason.name] += 1
    assert min(compared[k] for k in ("nothing", "BEATEN_IN_RANK", "BEATEN_IN_GROUP")) > 0


def test_the_decisive_term_is_the_one_that_cost_most():
    """No other single term of the winner's, or of doing nothing, would lift the score further."""
    compared = Counter()
    for found, _, _, told, candidate in candidates():
        if candidate.margin is None or found.world.plain.classic or not math.isfinite(candidate.margin):
            continue
        winner = None if candidate.lost_to is None else terms_of(told.candidate(candidate.lost_to))
        rises = margins.rises(terms_of(candidate), winner)
        best = max(rises.values())
        if candidate.decisive is None:
            assert best <= 1e-9
        else:
            assert close(rises[candidate.decisive.name.lower()], best)
            compared[candidate.decisive] += 1
    assert len(compared) >= 5


def gate_case(found, case, candidate):
    """What plain Python asks the gates of a candidate with, as far as time has to do with them."""
    plain = found.world.plain
    action = plain.actions[
        [a.id for a in plain.actions].index(found.world.rulebook.actions[candidate.action].id)
    ]
    treatment = next(
        t for t in action.treatments if t.id == found.world.rulebook.treatments[candidate.treatment].id
    )
    past = tuple(e for e in case.history.entries if e.time <= case.request.now)
    before = replace(case, history=History(past, case.history.truncated_before))
    return gates.Case(
        plain, action, treatment, before.customer, before.request, answers(case, plain), p=0.5, relevance=1.0
    )


def verdict_at(gate, asked, now):
    """Reason for which a gate stops a case at some time, nothing happening in between; None = it passes."""
    found = gate(replace(asked, request=replace(asked.request, now=now)))
    return None if found is None else found[0]


def test_a_gate_opens_when_it_is_said_to():
    """At the moment that is told the gate lets through, and shortly before it does not."""
    compared = Counter()
    for found, case, _, _, candidate in candidates():
        name = candidate.reason.name
        if name not in TIMED or candidate.opens is None:
            continue
        asked = gate_case(found, case, candidate)
        gate = TIMED[name]
        assert verdict_at(gate, asked, candidate.opens) in (None, LATER.get(name)), (
            name,
            found.world.documents,
        )
        assert verdict_at(gate, asked, candidate.opens - SHARPNESS_S) is not None, name
        compared[name] += 1
    assert len(compared) >= 6, compared


def test_a_gate_that_no_time_opens_names_none():
    """Where no moment is told though time is what the gate counts, a hundred days do not open it."""
    for found, case, _, _, candidate in candidates():
        if candidate.reason.name in TIMED and candidate.opens is None:
            asked = gate_case(found, case, candidate)
            assert verdict_at(TIMED[candidate.reason.name], asked, case.request.now + 100 * DAY) is not None
