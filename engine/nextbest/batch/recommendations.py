"""What would be recommended to every customer if each met us once: the base of the reports."""

from dataclasses import dataclass

import numpy as np

from nextbest.assembly import Model
from nextbest.decide import decide, explain
from nextbest.errors import InvalidInput, Violation
from nextbest.model import F64, I32, Contexts, DecisionState, Direction, Histories, Rows, Term
from nextbest.rulebook.rulebook import Rulebook


@dataclass(frozen=True, slots=True)
class Scenario:
    """Situations of which each customer gets the best: channels × directions, asked by one role."""

    situations: tuple[tuple[int, Direction], ...]
    """(channel, direction)."""
    role: int
    """-1 = no role."""
    text: str
    """The scenario in words."""
    learnt: DecisionState | None = None
    """What was learnt so far; None = nothing."""


@dataclass(frozen=True, slots=True)
class Recommended:
    """The first recommendation for each of n customers."""

    action: I32
    """(n,) index of the action, -1 = doing nothing is best."""
    terms: F64
    """(n, Term) its breakdown, NaN where there is none."""


def scenario(rulebook: Rulebook, *, channel: str = "", outbound: bool | None = None) -> Scenario:
    """Lay out a scenario.

    Args:
        rulebook: names the channels; the role with the most authority asks.
        channel: one channel; empty = the best of all.
        outbound: who starts the contact; None = whichever is better.

    Raises:
        InvalidInput: the rulebook has no such channel.
    """
    if channel and channel not in rulebook.channel_index:
        known = ", ".join(rulebook.channel_index)
        raise InvalidInput([Violation("channel", f"`{channel}` is no channel of the rulebook: {known}")])
    channels = [rulebook.channel_index[channel]] if channel else range(len(rulebook.channels))
    directions = (
        list(Direction) if outbound is None else [Direction.OUTBOUND if outbound else Direction.INBOUND]
    )
    starts = {None: "whoever starts it", True: "started by us", False: "started by the customer"}[outbound]
    authority = [role.authority for role in rulebook.roles]
    return Scenario(
        tuple((c, direction) for c in channels for direction in directions),
        int(np.argmax(authority)) if authority else -1,
        f"each customer in the best contact by {channel or 'any channel'}, {starts}",
    )


def contexts_of(rulebook: Rulebook, n: int, channel: int, direction: Direction, role: int) -> Contexts:
    """The same situation n times, in which nothing else is known."""

    def same(code: int) -> I32:
        return np.full(n, code, np.int32)

    numbers = np.full((n, len(rulebook.context_facts)), np.nan)
    return Contexts(
        channel=same(channel),
        direction=same(direction),
        placements=np.zeros(n, np.uint64),
        preference=np.empty((n, 0), np.int32),
        phase=same(-1),
        role=same(role),
        numbers=numbers,
    )


def first_recommendations(
    model: Model, rows: Rows, histories: Histories, now: F64, over: Scenario
) -> Recommended:
    """The best first answer of all situations; a mandatory action goes before any other.

    Args:
        model: rulebook and artifacts.
        rows: n snapshots.
        histories: their histories.
        now: (n,) epoch seconds.
        over: the situations.
    """
    n, rulebook = len(rows), model.rulebook
    best = Recommended(np.full(n, -1, np.int32), np.full((n, len(Term)), np.nan))
    strength = np.full(n, -np.inf)
    state, seed = _learnt(rulebook, over), np.arange(n, dtype=np.uint64)
    for channel, direction in over.situations:
        contexts = contexts_of(rulebook, n, channel, direction, over.role)
        found = decide(model, rows, histories, contexts, state, now, seed, max_results=1)
        action, terms = found.action[:, 0], found.terms[:, 0]
        some = action >= 0
        mandatory = some & (rulebook.action_tables.mandatory[np.maximum(action, 0)] == 1)
        score = np.where(mandatory, np.inf, terms[:, Term.SCORE])
        better = some & ((best.action < 0) | (score > strength))
        best.action[better], best.terms[better], strength[better] = (
            action[better],
            terms[better],
            score[better],
        )
    return best


def best_effort(model: Model, rows: Rows, histories: Histories, now: F64, over: Scenario) -> F64:
    """(n, 2) benefit B and expected cost of each customer's best-scored action, even one worse than nothing.

    NaN where no action reached arbitration in any situation. Actions on which the gates said no are no
    effort that would be made.

    Cost: memory for customers × actions × terms, so give it some hundred customers at a time.
    """
    n, rulebook = len(rows), model.rulebook
    best = np.full((n, 2), np.nan)
    top = np.full(n, -np.inf)
    state, seed = _learnt(rulebook, over), np.arange(n, dtype=np.uint64)
    if not rulebook.actions:
        return best
    for channel, direction in over.situations:
        contexts = contexts_of(rulebook, n, channel, direction, over.role)
        _, trace = explain(model, rows, histories, contexts, state, now, seed, max_results=1)
        score = np.where(np.isnan(trace.terms[:, :, Term.SCORE]), -np.inf, trace.terms[:, :, Term.SCORE])
        place = np.argmax(score, axis=1)
        each = np.arange(n)
        better = score[each, place] > top
        terms = trace.terms[each, place]
        best[better, 0] = terms[better, Term.BENEFIT]
        best[better, 1] = expected_cost(terms[better])
        top[better] = score[each, place][better]
    return best


def _learnt(rulebook: Rulebook, over: Scenario) -> DecisionState:
    return DecisionState.initial(len(rulebook.actions)) if over.learnt is None else over.learnt


def expected_cost(terms: F64) -> F64:
    """(n,) c + p·c_accept of (n, Term) breakdowns."""
    return terms[:, Term.CONTACT_COST] + terms[:, Term.ACCEPTED_COST]
