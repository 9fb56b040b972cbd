"""What the score reads besides the rulebook and the request: what was learnt, prices, and how to explore."""

from enum import IntEnum
from typing import NamedTuple

import numpy as np

from nextbest.action.draws import key_of
from nextbest.action.posteriors import ROOT_ONLY, Posteriors, posteriors_of
from nextbest.arena import Arena, pack, real1, real3, whole1
from nextbest.kernels import lean_kernel
from nextbest.model import F64, I32, I64, DecisionState
from nextbest.rulebook.actions import PropensityKind
from nextbest.rulebook.rulebook import Rulebook
from nextbest.rulebook.strategy import Exploration, Learning


class TermSetting(IntEnum):
    """Places in `Terms.settings`."""

    EXPLORATION = 0
    """Of `rulebook.Exploration`."""
    SHARE = 1
    """Share of decisions that explore (ε)."""
    PARENT_WEIGHT = 2
    """Strength of a posterior without evidence of its own."""


class Terms(NamedTuple):
    """What the score reads besides the rulebook and the request."""

    propensity: F64
    """(R, stages, A) posterior means, by row of `Posteriors`; NaN = comes from elsewhere."""
    strength: F64
    """(R, stages, A) of the posteriors, in trials."""
    reach: F64
    """(A,) share of outbound decisions that may show the action; 1 once it is mature."""
    keys: I64
    """(A,) keys of the actions' draws."""
    prices: F64
    """(stages + 1,) shadow prices π of the stages' budgets, then the contact price μ_w."""
    settings: F64
    """(TermSetting,)."""


class Learnt(NamedTuple):
    """A decision state as the kernels take it."""

    terms: Arena
    """The packed `Terms`."""
    row_of_cell: I64
    """(C,) `Posteriors.row_of_cell`."""
    by_cell: bool
    """Whether it matters in which peer cell a customer is."""
    posteriors: Posteriors
    """The same for whom explains."""
    reach: F64
    """(A,) `Terms.reach`."""


def terms_of(rulebook: Rulebook, state: DecisionState, parent: I32 = ROOT_ONLY) -> tuple[Terms, Posteriors]:
    """Blend a state's evidence and put it beside the prices; `parent` is the peer grid's tree."""
    learning = rulebook.strategy.learning
    found = posteriors_of(rulebook.action_tables, state, parent, learning.parent_weight)
    settings = np.zeros(len(TermSetting))
    settings[TermSetting.EXPLORATION] = learning.exploration
    settings[TermSetting.SHARE] = learning.share
    settings[TermSetting.PARENT_WEIGHT] = learning.parent_weight
    terms = Terms(
        propensity=found.mean,
        strength=found.strength,
        reach=_reach(rulebook, learning, found.trials),
        keys=np.array([key_of(action.id) for action in rulebook.actions], np.int64),
        prices=np.append(state.stage_prices, state.contact_price),
        settings=settings,
    )
    return terms, found


def pack_state(rulebook: Rulebook, state: DecisionState, parent: I32 = ROOT_ONLY) -> Learnt:
    """A state packed for the kernels; see `terms_of`."""
    terms, found = terms_of(rulebook, state, parent)
    thompson = rulebook.strategy.learning.exploration is Exploration.THOMPSON
    return Learnt(pack(terms), found.row_of_cell, len(found.mean) > 1 or thompson, found, terms.reach)


@lean_kernel
def unpack_terms(arena: Arena) -> Terms:
    """The terms in an arena that was packed of them, field for field."""
    return Terms(
        propensity=real3(arena, 0),
        strength=real3(arena, 1),
        reach=real1(arena, 2),
        keys=whole1(arena, 3),
        prices=real1(arena, 4),
        settings=real1(arena, 5),
    )


def _reach(rulebook: Rulebook, learning: Learning, trials: F64) -> F64:
    """From the least reach without a trial in a straight line to 1 at the trials that make mature."""
    if learning.mature_at <= 0.0:
        return np.ones(len(trials))
    share = learning.least_reach + (1.0 - learning.least_reach) * trials / learning.mature_at
    posterior = rulebook.action_tables.propensity_kind == PropensityKind.POSTERIOR
    return np.where(posterior, np.minimum(share, 1.0), 1.0)
